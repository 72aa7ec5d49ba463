"""The head: fitted to the optimum, chosen on images it did not see, calibrated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from core.training.head_solver import HeadEpoch, fit_head


def blobs(n: int = 240, dim: int = 20, classes: int = 3, spread: float = 2.0, seed: int = 0):
    """Gaussian clouds, float32 [n, dim] with odd scales, labels and five stratified folds."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = rng.normal(size=(classes, dim))
    data = (centres[labels] + spread * rng.normal(size=(n, dim))) * rng.uniform(0.1, 9, dim) + 3
    fold = np.zeros(n, dtype=np.int64)
    split = StratifiedKFold(5, shuffle=True, random_state=seed).split(data, labels)
    for number, (_, held_out) in enumerate(split):
        fold[held_out] = number
    return (
        torch.from_numpy(data.astype(np.float32)),
        torch.from_numpy(labels),
        torch.from_numpy(fold),
    )


def test_at_a_given_penalty_it_agrees_with_scikit_learns_logistic_regression():
    # Many images and few features: the optimum generalises, so no earlier epoch is preferred.
    data, labels, fold = blobs(n=3000, dim=5, spread=2.0)
    head = fit_head(data, labels, fold, classes=3, epochs=300, patience=300, l2=0.1)
    scaled = ((data - data.mean(0)) / data.std(0, correction=0)).numpy()
    oracle = LogisticRegression(C=1 / (0.1 * len(data)), max_iter=2000, tol=1e-8)
    oracle.fit(scaled, labels.numpy())
    wanted = oracle.predict_proba(scaled)
    logits = (data @ head.weight.T + head.bias) * head.temperature
    assert logits.softmax(1).numpy() == pytest.approx(wanted, abs=0.01)


def test_noise_is_met_with_a_strong_penalty_and_clear_classes_with_a_weak_one():
    rng = np.random.default_rng(3)
    data, labels, fold = blobs(spread=0.5)
    clear = fit_head(data, labels, fold, classes=3, epochs=40, patience=8)
    noise = torch.from_numpy(rng.normal(size=data.shape).astype(np.float32))
    lost = fit_head(noise, labels, fold, classes=3, epochs=40, patience=8)
    assert clear.selection_accuracy == 1.0
    assert lost.l2 > 1.0
    assert lost.selection_accuracy < 0.5


def test_the_selection_figures_come_from_images_the_heads_did_not_see():
    """With more features than images a head fits pure noise: only held-out figures are honest."""
    rng = np.random.default_rng(0)
    data = torch.from_numpy(rng.normal(size=(100, 400)).astype(np.float32))
    labels = torch.arange(100) % 2
    seen: list[HeadEpoch] = []
    head = fit_head(
        data, labels, torch.arange(100) // 2 % 5, classes=2, epochs=30, patience=30, l2=1e-3,
        on_epoch=seen.append,
    )  # fmt: skip
    assert seen[-1].train_accuracy == 1.0
    assert 0.2 < head.selection_accuracy < 0.8
    assert head.selection_images == 100
    assert head.is_cross_fitted


def test_an_epoch_is_told_each_time_and_the_training_loss_falls():
    data, labels, fold = blobs()
    epochs: list[HeadEpoch] = []
    head = fit_head(
        data, labels, fold, classes=3, epochs=25, patience=25, l2=0.01, on_epoch=epochs.append
    )
    assert [epoch.epoch for epoch in epochs] == list(range(1, head.epochs + 1))
    assert epochs[-1].train_loss < epochs[0].train_loss


def test_a_stop_ends_after_the_epoch_under_way_with_a_usable_head():
    data, labels, fold = blobs(spread=0.5)
    head = fit_head(data, labels, fold, classes=3, epochs=40, patience=8, should_stop=lambda: True)
    assert head.was_stopped
    assert head.epochs == 1
    predicted = (data @ head.weight.T + head.bias).argmax(1)
    assert (predicted == labels).float().mean() > 0.8


def test_patience_ends_the_fit_early_when_the_selection_loss_stops_falling():
    rng = np.random.default_rng(1)
    data = torch.from_numpy(rng.normal(size=(120, 300)).astype(np.float32))
    labels = torch.arange(120) % 2
    head = fit_head(
        data, labels, torch.arange(120) // 2 % 5, classes=2, epochs=500, patience=3, l2=1e-4
    )
    assert head.epochs < 20


def test_probabilities_are_calibrated_on_images_not_seen():
    data, labels, fold = blobs(n=1200, spread=4.0)
    head = fit_head(data[:600], labels[:600], fold[:600] % 5, classes=3, epochs=40, patience=8)
    confidence, predicted = (data[600:] @ head.weight.T + head.bias).softmax(1).max(1)
    accuracy = (predicted == labels[600:]).float().mean()
    assert float(confidence.mean()) == pytest.approx(float(accuracy), abs=0.06)


def test_the_fit_that_went_further_wins_unless_it_is_clearly_worse():
    """The lowest point of a noisy curve is partly luck: within one standard error the last epoch
    is handed over, beyond it the best."""
    epochs: list[HeadEpoch] = []
    data, labels, fold = blobs(spread=3.0)
    near = fit_head(
        data, labels, fold, classes=3, epochs=6, patience=50, l2=1.0, on_epoch=epochs.append
    )
    lowest = min(epochs, key=lambda epoch: epoch.selection_loss)
    assert lowest.epoch < near.epochs
    assert near.epoch == near.epochs
    rng = np.random.default_rng(1)
    noise = torch.from_numpy(rng.normal(size=(120, 300)).astype(np.float32))
    noise[:, 0] += 3 * (torch.arange(120) % 2)
    far = fit_head(
        noise, torch.arange(120) % 2, torch.arange(120) // 2 % 5, classes=2, epochs=100,
        patience=100, l2=1e-4,
    )  # fmt: skip
    assert far.epoch < far.epochs


def test_constant_features_and_a_single_pair_of_images_do_no_harm():
    data = torch.zeros(4, 8)
    data[:, 0] = torch.tensor([0.0, 1.0, 0.0, 1.0])
    head = fit_head(
        data, torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]), classes=2, epochs=10,
        patience=5,
    )  # fmt: skip
    assert torch.isfinite(head.weight).all()
    assert (data @ head.weight.T + head.bias).argmax(1).tolist() == [0, 1, 0, 1]


def test_the_same_input_gives_the_same_head_bit_for_bit():
    data, labels, fold = blobs()
    first = fit_head(data, labels, fold, classes=3, epochs=20, patience=8)
    second = fit_head(data, labels, fold, classes=3, epochs=20, patience=8)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


def test_many_images_are_held_out_once_instead_of_cross_fitted(monkeypatch):
    monkeypatch.setattr("core.training.head_solver._MAX_CROSS_FIT", 100)
    data, labels, fold = blobs()
    head = fit_head(data, labels, fold, classes=3, epochs=10, patience=8)
    assert not head.is_cross_fitted
    assert head.selection_images == int((fold == 0).sum())


def test_rows_in_pieces_give_the_same_head_as_all_at_once(monkeypatch):
    data, labels, fold = blobs()
    whole = fit_head(data, labels, fold, classes=3, epochs=10, patience=8, l2=0.1)
    monkeypatch.setattr("core.training.head_solver._ROWS_X_LOGITS", 50 * 6 * 3)
    pieces = fit_head(data, labels, fold, classes=3, epochs=10, patience=8, l2=0.1)
    assert pieces.weight.numpy() == pytest.approx(whole.weight.numpy(), abs=1e-4)
