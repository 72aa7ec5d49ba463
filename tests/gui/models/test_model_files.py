"""A file of weights dropped on the window: recognised and used, or refused in words."""

from __future__ import annotations

import pytest

from core.catalog.card import ModelCard
from core.errors import AppError
from gui.data.drops import find_destination
from gui.models import jobs


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "insects.pth"
    path.write_bytes(b"numbers")
    return path


def test_files_of_weights_are_models_before_images(weights, image_folder) -> None:
    picture = next(image_folder.rglob("*.png"))
    found = find_destination([picture, weights])
    assert (found.kind, found.paths) == ("model", (weights,))
    assert "insects.pth" in found.rest
    assert find_destination([weights.parent, weights]).kind == "dataset"


def test_weights_inside_a_run_folder_stand_for_the_run(tmp_path, monkeypatch) -> None:
    run = tmp_path / "insects-20260101-000000"
    file = run / "checkpoints" / "best" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"numbers")
    monkeypatch.setattr("core.runs.run_folder.is_run", lambda folder: folder == run)
    found = find_destination([file])
    assert (found.kind, found.paths) == ("run", (run,))


def test_other_files_are_refused_with_what_can_be_dropped(tmp_path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("nothing")
    with pytest.raises(AppError, match=r"file of weights \(\.safetensors"):
        find_destination([text])


def test_a_dropped_file_becomes_the_classifier(
    window, fake_core, qtbot, drop, weights, monkeypatch
) -> None:
    def recognise(path, context):
        return jobs.RecognisedFile(f"file:{path}", "It holds the weights of resnet18.")

    monkeypatch.setattr(jobs, "recognise_file", recognise)
    assert drop(window, [weights])
    classify = window.page("classify")
    qtbot.waitUntil(lambda: window.session.classifier == f"file:{weights}")
    assert window.current_page == "classify"
    assert classify.model.currentText() == "File insects.pth"
    assert "resnet18" in classify.notices.text
    assert drop(window, [next(fake_core.dataset.root.rglob("*.png"))])
    qtbot.waitUntil(lambda: fake_core.classified_with == [f"file:{weights}"])
    window.commands.classify.choose_classifier("bundled/tf_efficientnet_lite0")
    assert classify.model.findText("File insects.pth") >= 0


def test_a_broken_file_is_refused_in_words_and_nothing_changes(
    window, fake_core, qtbot, drop, weights
) -> None:
    before = window.session.classifier
    assert drop(window, [weights])
    classify = window.page("classify")
    qtbot.waitUntil(lambda: "insects.pth" in classify.notices.text)
    assert "cannot be read as weights" in classify.notices.text
    assert window.session.classifier == before


def test_classify_offers_the_classifiers_that_are_here_and_no_bare_features(
    window, fake_core
) -> None:
    def card(name: str, outputs: int) -> ModelCard:
        return ModelCard(
            id=f"timm/{name}", source="timm", arch=name, tag="", family="", num_classes=outputs
        )

    window.session.set_models((card("a", 1000), card("b", 21841), card("c", 0), card("d", 512)))
    model = window.page("classify").model
    assert [model.itemText(i) for i in range(model.count())] == [
        "a · ImageNet-1k",
        "b · ImageNet-21k",
    ]
