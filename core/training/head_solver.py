"""The head on cached features: many regularised linear classifiers fitted side by side.

One candidate for each L2 penalty and selection fold, plus one for each penalty that is fitted to
every training image; all advance together, one batched L-BFGS step an epoch. The predictions on the
held-out folds choose the penalty and the epoch (early stopping), and give the temperature; the
result is the candidate of that penalty that was fitted to every image. So no image is lost to
choosing, and nothing is chosen on an image that the candidate was fitted to.

Sources: L-BFGS, Nocedal & Wright, Numerical Optimization, alg. 7.4; one-standard-error rule,
Breiman et al., Classification and Regression Trees (1984), 3.4.3; temperature, Guo et al. 2017;
choosing by the loss that is left after temperature, Berta et al. 2025.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from core.events import ShouldStop

_MEMORY_BYTES = 1 << 30
_PASS = 15_000_000_000
"""Most multiply-adds of one pass of all candidates; a fit takes some 50 passes."""
_ROWS_X_LOGITS = 1 << 24
_MAX_CROSS_FIT = 10_000
"""Above this number of training images one held-out fold is enough."""
_TEMPERATURE_ROWS = 20_000
_CONVERGED = 1e-3
_WORTH_THREADS = 100_000_000
_BETTER = 1e-3
"""A selection loss counts as better when it falls by this share."""


@dataclass(frozen=True, slots=True)
class HeadEpoch:
    """One pass of all candidates over the features, counted from 1; figures of the best candidate.

    Losses are cross-entropies in nats at the temperature that fits the selection images best.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    selection_loss: float
    selection_accuracy: float
    l2: float


@dataclass(frozen=True)
class FittedHead:
    """A linear head on raw features: logits = features @ weight.T + bias, calibrated.

    weight: float32 [C, D], bias: float32 [C]; standardisation and temperature are folded in.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    l2: float
    temperature: float
    epoch: int
    epochs: int
    selection_loss: float
    selection_accuracy: float
    selection_images: int
    is_cross_fitted: bool
    was_stopped: bool


@dataclass(frozen=True)
class _Choice:
    """The L2 penalty that the selection images choose at one epoch, and its figures."""

    strength: int
    """Index of the penalty."""
    losses: torch.Tensor
    """float32 [M], per selection image"""
    accuracy: float
    inverse_temperature: float

    @property
    def loss(self) -> float:
        return float(self.losses.mean())

    def is_as_good_as(self, other: _Choice) -> bool:
        """Whether the losses differ by no more than one standard error, paired by image."""
        difference = self.losses - other.losses
        error = float(difference.std(correction=0)) / len(difference) ** 0.5
        return float(difference.mean()) <= error


def multiply_adds(images: int, *, folds: int, classes: int, feature_dim: int) -> int:
    """Multiply-adds of one forward pass of all heads that `fit_head` fits side by side."""
    parts, strengths = _search_space(images, folds, classes, feature_dim)
    return len(strengths) * (parts + 1) * images * classes * feature_dim


def is_cross_fitted(images: int, *, folds: int, classes: int, feature_dim: int) -> bool:
    """Whether every fold is held out in turn, or only one."""
    return _search_space(images, folds, classes, feature_dim)[0] > 1


def fit_head(
    features: torch.Tensor,
    labels: torch.Tensor,
    fold: torch.Tensor,
    *,
    classes: int,
    epochs: int,
    patience: int,
    l2: float | None = None,
    on_epoch: Callable[[HeadEpoch], None] = lambda epoch: None,
    should_stop: ShouldStop = lambda: False,
) -> FittedHead:
    """Fit a linear head; penalty, epoch and temperature are chosen on held-out folds.

    `features`: float32 [N, D]; `labels`: int64 [N] in 0…classes−1; `fold`: int64 [N], the
    selection fold of each image. All on one device, which computes. `l2`: the one penalty
    to use. A stop ends the fit after the current epoch, with the best head so far.
    """
    mean, std = features.mean(0), features.std(0, correction=0)
    std = torch.where(std > 1e-6 * std.max().clamp_min(1e-12), std, torch.ones_like(std))
    data = (features - mean) / std

    n, dim = data.shape
    parts, strengths = _search_space(n, int(fold.max()) + 1, classes, dim)
    held_out = list(range(parts))
    strengths = strengths if l2 is None else [l2]
    candidates = _Candidates(data, labels, fold, held_out, classes=classes, strengths=strengths)
    selected = torch.isin(fold, torch.tensor(held_out, device=fold.device))
    truth = labels[selected]

    best: tuple[_Choice, int, torch.Tensor] | None = None
    waited = 0
    epoch = 0
    was_stopped = False
    with _limited_threads(candidates):
        for moved in candidates.steps():
            logits = candidates.held_out_logits()[:, selected]
            choice = _choose(logits, truth)
            train_loss, train_accuracy = candidates.train_figures(choice)
            on_epoch(
                HeadEpoch(
                    epoch=epoch + 1,
                    train_loss=train_loss,
                    train_accuracy=train_accuracy,
                    selection_loss=choice.loss,
                    selection_accuracy=choice.accuracy,
                    l2=strengths[choice.strength],
                )
            )
            last = (choice, epoch, candidates.full_weights())
            if best is None or choice.loss < best[0].loss * (1 - _BETTER):
                best, waited = last, 0
            else:
                waited += 1
            epoch += 1
            was_stopped = should_stop()
            if was_stopped or waited >= patience or epoch >= epochs or moved < _CONVERGED:
                break
    assert best is not None
    # The minimum over epochs of a noisy curve is partly luck: the last fit is the better choice
    # unless it is significantly worse on the selection images.
    choice, best_epoch, weights = last if last[0].is_as_good_as(best[0]) else best
    scaled = weights[choice.strength] * choice.inverse_temperature
    weight = scaled[:, :-1] / std
    bias = scaled[:, -1] - weight @ mean
    return FittedHead(
        weight=weight.cpu(),
        bias=bias.cpu(),
        l2=strengths[choice.strength],
        temperature=1 / choice.inverse_temperature,
        epoch=best_epoch + 1,
        epochs=epoch,
        selection_loss=choice.loss,
        selection_accuracy=choice.accuracy,
        selection_images=int(selected.sum()),
        is_cross_fitted=len(held_out) > 1,
        was_stopped=was_stopped,
    )


@contextmanager
def _limited_threads(candidates: _Candidates) -> Iterator[None]:
    """Use one thread for passes so small that waking others costs more than it saves (much more on
    a busy machine); restores the number of threads."""
    threads = torch.get_num_threads()
    if candidates.multiply_adds < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _search_space(images: int, folds: int, classes: int, dim: int) -> tuple[int, list[float]]:
    """How many folds to hold out, and the penalties to try, weak to strong.

    As many as memory and time allow: at best all folds and penalties in half decades, then wider
    steps, then a single fold.
    """
    for parts in (folds, 1):
        if parts > 1 and images > _MAX_CROSS_FIT:
            continue
        for stride in (1, 2, 3, 5):
            strengths = [10 ** (k / 2) for k in range(-8, 4, stride)]
            heads = len(strengths) * (parts + 1)
            # L-BFGS stores about 20 numbers a weight; logits of two candidates a penalty are kept.
            numbers = 20 * heads * classes * (dim + 1) + 2 * len(strengths) * images * classes
            if 4 * numbers <= _MEMORY_BYTES and heads * images * classes * dim <= _PASS:
                return parts, strengths
    return 1, strengths


class _Candidates:
    """All heads at once: weights float32 [H, C, D + 1], H = strengths × (held-out folds + 1)."""

    def __init__(
        self,
        data: torch.Tensor,
        labels: torch.Tensor,
        fold: torch.Tensor,
        held_out: list[int],
        *,
        classes: int,
        strengths: list[float],
    ) -> None:
        n, dim = data.shape
        device = data.device
        self._data = torch.cat([data, torch.ones(n, 1, device=device)], dim=1)
        self._labels = labels
        self._fold = fold
        self._classes = classes
        self._strengths = len(strengths)
        # [folds + 1, N]: the images that each candidate is fitted to; the last one to all
        seen = torch.stack([(fold != f).float() for f in held_out] + [torch.ones(n, device=device)])
        self._share = (seen / seen.sum(1, keepdim=True)).repeat_interleave(self._strengths, 0)
        heads = self._share.shape[0]
        self._l2 = torch.tensor(strengths, device=device).repeat(len(seen)).view(heads, 1, 1)
        self._held_out = held_out
        self._rows = max(1, _ROWS_X_LOGITS // (heads * classes))
        self.weights = torch.zeros(heads, classes, dim + 1, device=device)
        self._logits_of_held_out = torch.zeros(self._strengths, n, classes, device=device)
        self._logits_of_full = torch.zeros(self._strengths, n, classes, device=device)

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass over all images."""
        return len(self._data) * self.weights.numel()

    def steps(self) -> Iterator[float]:
        """Advance all candidates by one L-BFGS step; yields the largest relative fall of a loss.

        After each step the logits of the new weights are available without another pass.
        """
        loss, gradient = self._loss_and_gradient(self.weights)
        history: deque[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = deque(maxlen=8)
        while True:
            direction = -_inverse_hessian_times(gradient, history)
            slope = _dot(gradient, direction)
            step = torch.ones_like(loss)
            new_loss, new_gradient = self._loss_and_gradient(
                self.weights + _per_head(step) * direction
            )
            for _ in range(6):  # backtracking, separately for each head
                is_bad = new_loss > loss + 1e-4 * step * slope + 1e-7 * loss.abs()
                if not is_bad.any():
                    break
                step = torch.where(is_bad, step * 0.3, step)
                new_loss, new_gradient = self._loss_and_gradient(
                    self.weights + _per_head(step) * direction
                )
            is_worse = ~(new_loss <= loss + 1e-6 * loss.abs())
            if is_worse.any():  # these keep their weights, and so must their logits
                step = torch.where(is_worse, torch.zeros_like(step), step)
                new_loss, new_gradient = self._loss_and_gradient(
                    self.weights + _per_head(step) * direction
                )
            moved = _per_head(step) * direction
            change = new_gradient - gradient
            curvature = _dot(moved, change)
            inverse = torch.where(
                curvature > 1e-12, 1 / curvature.clamp_min(1e-12), torch.zeros_like(curvature)
            )
            history.append((moved, change, inverse))
            self.weights = self.weights + moved
            fall = float(((loss - new_loss) / loss.abs().clamp_min(1e-8)).max())
            loss, gradient = new_loss, new_gradient
            yield fall

    def _loss_and_gradient(self, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Penalised mean cross-entropy [H] and its gradient [H, C, D + 1]; keeps the logits."""
        heads, classes, width = weights.shape
        flat = weights.reshape(heads * classes, width)
        loss = torch.zeros(heads, device=weights.device)
        gradient = torch.zeros_like(flat)
        for start in range(0, len(self._data), self._rows):
            rows = slice(start, start + self._rows)
            data, labels = self._data[rows], self._labels[rows]
            logits = (data @ flat.T).view(-1, heads, classes)
            self._keep_logits(logits, rows)
            share = self._share[:, rows].T
            log_p = logits.log_softmax(-1)
            index = labels.view(-1, 1, 1).expand(-1, heads, 1)
            loss -= (log_p.gather(-1, index).squeeze(-1) * share).sum(0)
            residual = log_p.exp()
            residual.scatter_add_(-1, index, -torch.ones_like(index, dtype=residual.dtype))
            residual *= share.unsqueeze(-1)
            gradient += residual.view(-1, heads * classes).T @ data
        penalised = weights.clone()
        penalised[..., -1] = 0  # the bias is free
        loss = loss + (self._l2 * penalised.square()).sum((1, 2)) / 2
        return loss, gradient.view_as(weights) + self._l2 * penalised

    def _keep_logits(self, logits: torch.Tensor, rows: slice) -> None:
        """Store each image's logits: of the candidates not fitted to it, of those fitted to all."""
        by_seen = logits.view(len(logits), -1, self._strengths, self._classes)
        self._logits_of_full[:, rows] = by_seen[:, -1].transpose(0, 1)
        fold = self._fold[rows]
        for position, number in enumerate(self._held_out):
            own = (fold == number).nonzero().squeeze(1)
            self._logits_of_held_out[:, own + rows.start] = by_seen[own, position].transpose(0, 1)

    def held_out_logits(self) -> torch.Tensor:
        """float32 [strengths, N, C]: each image by the candidates that were not fitted to it."""
        return self._logits_of_held_out

    def full_weights(self) -> torch.Tensor:
        """float32 [strengths, C, D + 1] of the candidates fitted to every image; a copy."""
        return self.weights[-self._strengths :].clone()

    def train_figures(self, choice: _Choice) -> tuple[float, float]:
        """Loss and accuracy on the training images of the head that would be the result."""
        logits = self._logits_of_full[choice.strength] * choice.inverse_temperature
        loss = cross_entropy(logits, self._labels)
        return float(loss), float((logits.argmax(1) == self._labels).float().mean())


def _choose(logits: torch.Tensor, labels: torch.Tensor) -> _Choice:
    """The strongest penalty whose loss is within one standard error of the best.

    `logits`: float32 [strengths, M, C] of images their candidates were not fitted to.
    """
    inverse = _inverse_temperatures(logits, labels)
    strengths, images, classes = logits.shape
    losses = cross_entropy(
        (logits * inverse.view(-1, 1, 1)).reshape(-1, classes),
        labels.repeat(strengths),
        reduction="none",
    ).view(strengths, images)
    is_right = (logits.argmax(-1) == labels).float().mean(1)
    choices = [
        _Choice(k, losses[k], float(is_right[k]), float(inverse[k])) for k in range(strengths)
    ]
    best = min(choices, key=lambda choice: choice.loss)
    return [choice for choice in choices if choice is best or choice.is_as_good_as(best)][-1]


def inverse_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """1 / the temperature that suits these images best; logits float32 [M, C], labels int64 [M]."""
    return float(_inverse_temperatures(logits.unsqueeze(0), labels)[0])


def _inverse_temperatures(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """1 / temperature per strength, float32 [strengths]: Newton's method on a convex loss.

    Bounded to 0.05…20, where a perfect separation would send it to infinity.
    """
    if logits.shape[1] > _TEMPERATURE_ROWS:
        stride = -(-logits.shape[1] // _TEMPERATURE_ROWS)
        logits, labels = logits[:, ::stride], labels[::stride]
    true = logits.gather(-1, labels.view(1, -1, 1).expand(len(logits), -1, 1)).squeeze(-1)
    inverse = torch.ones(len(logits), device=logits.device)
    for _ in range(12):
        p = (logits * inverse.view(-1, 1, 1)).softmax(-1)
        expected = (p * logits).sum(-1)
        slope = (expected - true).mean(1)
        curvature = ((p * logits.square()).sum(-1) - expected.square()).mean(1)
        step = slope / curvature.clamp_min(1e-9)
        # Newton in the plain variable can overshoot far below zero: at most halve or double.
        inverse = torch.maximum(torch.minimum(inverse - step, inverse * 2), inverse / 2)
        inverse = inverse.clamp(0.05, 20.0)
    return inverse


def _inverse_hessian_times(
    gradient: torch.Tensor, history: deque[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
) -> torch.Tensor:
    """The L-BFGS two-loop recursion, separately for each head → [H, C, D + 1]."""
    q = gradient.clone()
    if not history:
        return q / _per_head(_dot(gradient, gradient).sqrt().clamp_min(1))
    weights = []
    for moved, change, inverse in reversed(history):
        weight = inverse * _dot(moved, q)
        weights.append(weight)
        q -= _per_head(weight) * change
    moved, change, _ = history[-1]
    scale = _dot(moved, change) / _dot(change, change).clamp_min(1e-20)
    q *= _per_head(torch.where(scale > 0, scale, torch.ones_like(scale)))
    for (moved, change, inverse), weight in zip(history, reversed(weights), strict=True):
        q += _per_head(weight - inverse * _dot(change, q)) * moved
    return q


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Inner product per head: [H, C, D + 1] × 2 → [H]"""
    return (a * b).sum((1, 2))


def _per_head(numbers: torch.Tensor) -> torch.Tensor:
    """[H] → [H, 1, 1]"""
    return numbers.view(-1, 1, 1)
