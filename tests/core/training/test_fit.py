"""From a folder to a run on disk: the trainer, its cache, and what it leaves out."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.catalog import catalog
from core.compute.embedder import Embedder
from core.data.sources.scan import scan
from core.errors import Cancelled, DatasetError, RunError
from core.evaluation.classifier import Classifier
from core.evaluation.evaluate import evaluate
from core.events import CheckpointSaved, EpochDone, Notice, Progress, RunEnded, RunStarted
from core.features import cache
from core.models.build import build
from core.runs.checkpoints import load_checkpoint
from core.runs.run_folder import Run, create_run
from core.runs.store import RunStore
from core.system import paths
from helpers import LITE0, Trained, of_kind, small_recipe, train, weights_of

pytestmark = pytest.mark.usefixtures("tiny_weights")

RECIPE = small_recipe(strategy="feature-extraction", max_epochs=None)
PRETRAINED = RECIPE.with_values(model=LITE0)


@pytest.fixture
def folder(tmp_path, make_image_folder):
    return make_image_folder(tmp_path / "shapes", per_class=6)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory, make_image_folder) -> Path:
    """The folder that `trained` was trained on; nothing changes it."""
    return make_image_folder(tmp_path_factory.mktemp("fit") / "shapes", per_class=6)


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory) -> Trained:
    """One run for the tests that only read; what changes it does so in a copy."""
    run = create_run(tmp_path_factory.mktemp("fit") / "run", PRETRAINED)
    return train(shapes, PRETRAINED, run=run)


def snapshot(folder):
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_folder_becomes_a_run_with_model_report_and_records(folder):
    before = snapshot(folder)
    result, run, events = train(folder, PRETRAINED)

    assert result.status == "done"
    assert result.report is not None
    assert result.report.n == 18
    assert result.report.top1 >= 0.8
    assert snapshot(folder) == before
    for name in (
        "recipe.toml", "dataset.json", "env.json", "classes.json", "events.jsonl", "metrics.csv",
        "report.json", "checkpoints/best/model.safetensors", "checkpoints/best/model.json",
    ):  # fmt: skip
        assert (run.path / name).stat().st_size > 0, name
    assert run.read_report() == result.report
    assert run.read_classes() == ("circle", "square", "triangle")
    assert run.read_status() == "done"

    kinds = [type(event) for event in events]
    assert kinds[0] is RunStarted
    assert kinds[-2:] == [CheckpointSaved, RunEnded]
    assert Progress in kinds
    epochs = of_kind(events, EpochDone)
    assert len(epochs) == result.epochs
    with (run.path / "metrics.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == result.epochs
    assert of_kind(run, EpochDone) == epochs

    resolved = run.read_environment()["resolved"]
    assert resolved["precision"] == "float32"
    assert resolved["device"] == "cpu" or torch.cuda.is_available()


def test_the_classifier_gives_the_answers_the_report_was_made_of(trained):
    report = trained.result.report
    again = evaluate(RunStore().open(trained.run.path))
    assert again.confusion == report.confusion
    assert again.ece == pytest.approx(report.ece, abs=1e-4)


def test_the_saved_model_itself_gives_the_same_logits_as_the_evaluated_head(trained):
    loaded = load_checkpoint(trained.run.best)
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = loaded.built.module(x)
        parts = loaded.built.features(x) @ loaded.head.weight.T + loaded.head.bias
    assert whole.numpy() == pytest.approx(parts.numpy(), abs=1e-4)


def test_the_backbone_on_disk_is_the_pretrained_one_unchanged(trained):
    kept = weights_of(trained.run)
    original = build(catalog.load().resolve(PRETRAINED.model)).module.state_dict()
    for name, tensor in original.items():
        if not name.startswith("classifier"):
            assert torch.equal(kept[name], tensor), name


def test_a_second_training_computes_no_feature_again_and_gets_the_same_result(folder, monkeypatch):
    first = train(folder, RECIPE).result

    def refuse(*args, **kwargs):
        raise AssertionError("an image was decoded again")

    monkeypatch.setattr(cache, "decode", refuse)
    second = train(folder, RECIPE).result
    assert second.report == first.report


def test_ten_more_images_cost_ten_forward_passes(tmp_path, make_image_folder, monkeypatch):
    folder = make_image_folder(tmp_path / "set", per_class=6)
    train(folder, RECIPE)
    extra = make_image_folder(tmp_path / "extra", per_class=10, splits=("train",), seed=9)
    for number, path in enumerate(sorted((extra / "train" / "circle").iterdir())):
        shutil.copy(path, folder / "train" / "circle" / f"new_{number}.png")
    embedded = []
    plain = Embedder.embed

    def counting(self, pixels):
        embedded.append(len(pixels))
        return plain(self, pixels)

    monkeypatch.setattr(Embedder, "embed", counting)
    train(folder, RECIPE)
    assert sum(embedded) == 10


def test_a_moved_dataset_finds_its_features_by_content(folder, tmp_path, monkeypatch):
    train(folder, RECIPE)
    folder.rename(tmp_path / "elsewhere")
    monkeypatch.setattr(Embedder, "embed", lambda *a: pytest.fail("embedded again"))
    monkeypatch.setattr(cache, "decode", lambda *a, **k: pytest.fail("decoded again"))
    assert train(tmp_path / "elsewhere", RECIPE).result.status == "done"


def test_a_file_changed_in_place_is_embedded_again(folder):
    train(folder, RECIPE)
    victim = next((folder / "train" / "circle").iterdir())
    Image.new("RGB", (64, 64), "white").save(victim)
    starts = of_kind(train(folder, RECIPE).events, Progress)
    assert starts[0].done == starts[0].total - 1


def test_a_file_changed_while_it_is_embedded_is_recorded_as_it_trained(folder, monkeypatch):
    victim = folder / "train" / "circle" / "train_0001.png"
    before = victim.read_bytes()
    after = before + b"more"
    decode = cache.decode

    def changing(content, name, **how):
        if content == before:
            victim.write_bytes(after)
        return decode(content, name, **how)

    monkeypatch.setattr(cache, "decode", changing)
    for content in (before, after):
        document = train(folder, RECIPE).run.read_dataset()
        kept = document["hashes"][document["files"].index("train/circle/train_0001.png")]
        assert kept == hashlib.blake2b(content, digest_size=16).hexdigest()


def test_a_feature_cache_that_cannot_be_written_costs_time_but_not_the_run(folder, monkeypatch):
    def broken(*args, **kwargs):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(cache.sqlite3, "connect", broken)
    result, _run, events = train(folder, RECIPE)
    assert result.status == "done"
    notices = [notice.text for notice in of_kind(events, Notice)]
    assert any("feature cache cannot be used" in text for text in notices)


def test_a_file_cut_short_after_the_scan_is_named_and_left_out(folder):
    index = scan(folder)
    victim = folder / "train" / "circle" / "train_0002.png"
    victim.write_bytes(victim.read_bytes()[:600])
    _result, run, events = train(index, RECIPE)
    notices = [notice.text for notice in of_kind(events, Notice)]
    assert any("train/circle/train_0002.png cannot be read" in text for text in notices)
    assert run.read_dataset()["unreadable"][0][0] == "train/circle/train_0002.png"


def test_a_dataset_folder_that_has_gone_is_named(folder, tmp_path):
    index = scan(folder)
    folder.rename(tmp_path / "away")
    with pytest.raises(DatasetError, match="no longer there"):
        train(index, RECIPE)


def test_a_class_whose_every_training_file_went_bad_is_named(folder):
    index = scan(folder)
    for path in (folder / "train" / "square").iterdir():
        path.write_bytes(b"gone")
    run = RunStore().create("shapes", RECIPE)
    with pytest.raises(DatasetError, match="square"):
        train(index, RECIPE, run=run)
    assert run.read_status() == "failed"


def test_a_stop_while_embedding_cancels_and_keeps_the_features(folder):
    index = scan(folder)
    run = RunStore().create("shapes", RECIPE)
    seen = []

    def should_stop():
        progress = of_kind(seen, Progress)
        return bool(progress) and progress[-1].done >= 8

    with pytest.raises(Cancelled):
        train(index, RECIPE, run=run, on_event=seen.append, should_stop=should_stop)
    assert run.read_status() == "stopped"
    kept = 0
    for path in (paths.cache_dir() / "features").glob("*.sqlite"):
        with sqlite3.connect(path) as db:
            kept += db.execute("SELECT count(*) FROM features").fetchone()[0]
        db.close()
    assert kept >= 8


def test_a_stop_in_the_epochs_saves_the_best_head_so_far(folder):
    seen = []
    result, run, _events = train(
        folder, RECIPE, on_event=seen.append, should_stop=lambda: len(of_kind(seen, EpochDone)) >= 2
    )
    assert result.status == "stopped"
    assert result.epochs == 2
    assert Classifier.open(run.path).classes == ("circle", "square", "triangle")


def test_features_out_of_range_are_left_out_named_and_never_cached(folder, monkeypatch):
    plain = Embedder.embed

    def overflowing(self, pixels):
        vectors = plain(self, pixels).clone()
        vectors[0, 3] = float("inf")
        return vectors

    monkeypatch.setattr(Embedder, "embed", overflowing)
    notices = of_kind(train(folder, RECIPE).events, Notice)
    assert any("no finite features" in notice.text for notice in notices)
    monkeypatch.setattr(Embedder, "embed", plain)
    result, _run, events = train(folder, RECIPE)
    assert result.report.n == 18
    assert not of_kind(events, Notice)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_that_is_not_utf_8_trains_like_any_other(folder):
    victim = folder / "train" / "circle" / "train_0000.png"
    victim.rename(os.fsdecode(os.fsencode(victim.parent) + b"/caf\xe9.png"))
    result, run, _events = train(folder, RECIPE)
    assert result.status == "done"
    assert any("caf" in file for file in run.read_dataset()["files"])
    assert evaluate(run, split="train").n == 18


def test_a_report_set_that_went_bad_is_said_and_the_model_kept(folder):
    index = scan(folder)
    for path in (folder / "val").rglob("*.png"):
        path.write_bytes(b"gone")
    result, _run, events = train(index, RECIPE)
    assert result.report is None
    notices = [notice.text for notice in of_kind(events, Notice)]
    assert any("there is no report" in text for text in notices)
    assert sum("left out" in text for text in notices) == 1


def test_a_full_disk_ends_the_run_with_one_sentence(folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.training.feature_extraction.save_checkpoint", full)
    with pytest.raises(RunError, match="No space left on device"):
        train(folder, RECIPE)


def test_the_same_recipe_gives_the_same_head_bit_for_bit(folder, graftwork_home):
    first = train(folder, RECIPE).run
    shutil.rmtree(graftwork_home / "cache")
    second = train(folder, RECIPE).run
    for name in ("model.safetensors", "reference.safetensors"):
        a, b = (run.best.folder / name for run in (first, second))
        assert a.read_bytes() == b.read_bytes(), name


def test_no_report_image_and_no_copy_of_one_takes_part_in_training(folder):
    shutil.copy(
        folder / "val" / "circle" / "val_0000.png", folder / "train" / "circle" / "copy.png"
    )
    _result, run, events = train(folder, RECIPE)
    document = run.read_dataset()
    assert "train/circle/copy.png" not in document["files"]
    by_role = {
        role: {h for h, r in zip(document["hashes"], document["roles"], strict=True) if r == role}
        for role in ("train", "val")
    }
    assert not by_role["train"] & by_role["val"]
    assert any("copy.png" in event.text for event in of_kind(events, Notice))


def test_pictures_unlike_the_training_images_are_marked(shapes, trained):
    classifier = Classifier.open(trained.run.path)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    like = sorted((shapes / "train" / "circle").iterdir())[0]
    (own,) = classifier.classify([like])
    (odd,) = classifier.classify([Image.fromarray(noise)])
    assert own.unlike_training is False
    assert odd.unlike_training is True


def test_a_broken_picture_is_an_answer_with_its_name_and_the_others_are_classified(
    shapes, trained, tmp_path
):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"<html>")
    good = sorted((shapes / "val" / "square").iterdir())[0]
    answers = Classifier.open(trained.run.path).classify([bad, good], top=2)
    assert "bad.jpg" in answers[0].error
    assert answers[0].top == ()
    assert answers[1].top[0].label == "square"
    assert len(answers[1].top) == 2
    assert sum(g.probability for g in answers[1].top) <= 1.0 + 1e-6


def test_a_run_whose_model_is_damaged_says_so(trained, tmp_path):
    run = Run(shutil.copytree(trained.run.path, tmp_path / "run"))
    run.best.weights.write_bytes(run.best.weights.read_bytes()[:1000])
    with pytest.raises(RunError, match="damaged"):
        Classifier.open(run.path)
    run.best.description.unlink()
    with pytest.raises(RunError, match="has no trained model"):
        Classifier.open(run.path)


def test_evaluation_says_when_the_dataset_has_moved_or_a_split_does_not_exist(folder, tmp_path):
    run = train(folder, RECIPE).run
    with pytest.raises(RunError, match="“test”"):
        evaluate(run, split="test")
    assert "no estimate" in evaluate(run, split="train").selected_on
    folder.rename(tmp_path / "away")
    with pytest.raises(RunError, match="no longer at"):
        evaluate(run)


def test_the_run_records_which_files_took_part_with_content_hashes(trained):
    document = json.loads((trained.run.path / "dataset.json").read_text())
    assert len(document["files"]) == 36
    assert all(len(content) == 32 for content in document["hashes"])
    assert set(document["roles"]) == {"train", "val"}
    assert set(document["folds"]) == {-1, 0, 1, 2}
