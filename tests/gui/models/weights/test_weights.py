"""Where weights are, fetching them, and models of one's own: files, ids, repositories."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QInputDialog

from core.catalog import added
from core.catalog.card import ModelCard
from core.errors import ModelError, WeightsError
from core.events import check_stop
from core.models.weights import download as downloads
from core.models.weights import reach, torch_hub, weights
from core.models.weights.torch_hub import Entry
from core.models.weights.weights import WeightsState
from gui.models.rows import make_row
from gui.models.weights import jobs
from gui.models.weights.panel import weights_text

RESNET = "torchvision/resnet18.IMAGENET1K_V1"
LITE = "bundled/tf_efficientnet_lite0"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A torch.hub repository that tells when it runs."""
    folder = tmp_path / "their models"
    folder.mkdir()
    folder.joinpath("hubconf.py").write_text(
        "from pathlib import Path\n"
        f"Path({str(tmp_path / 'it ran')!r}).touch()\n"
        "dependencies = []\n"
        "def tiny(**options):\n"
        '    """A model of theirs.\n\n    Two lines of help."""\n'
    )
    return folder


# -- where they are --------------------------------------------------------------------------


def test_the_card_says_where_the_weights_are_and_how_large(models) -> None:
    models.choose(LITE)
    box = models.card.weights
    text = box.text.text().replace("\u200b", "")
    assert text.startswith("EfficientNet-Lite0 comes with Graftwork, 18.")
    assert text.endswith("MB: it works without a network.")
    assert not box.folder_button.isHidden()
    assert box.download_button.isHidden()
    models.choose(RESNET)
    text = box.text.text().replace("\u200b", "")
    assert text.startswith("Weights online, about 46.8 MB, at download.pytorch.org.")
    assert box.folder_button.isHidden()
    assert not box.download_button.isHidden()


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (WeightsState("downloaded", Path("a"), 46_800_000, "x"), "Weights downloaded, 46.8 MB"),
        (
            WeightsState("imported", Path("a.pth"), 1_200, "/a.pth"),
            "a file of yours, 1.2 kB: /a.pth",
        ),
        (WeightsState("none", Path("/gone.pth"), None, "/gone.pth"), "not there any more. It was"),
        (WeightsState("online", None, None, "x"), "Weights online, about 4 MB"),
    ],
)
def test_every_state_of_weights_is_a_sentence(state: WeightsState, text: str) -> None:
    card = ModelCard(
        id="torchvision/net.V1", source="torchvision", arch="net", tag="V1", family="Net",
        params=1_000_000, weights="https://somewhere.org/net.pth",
    )  # fmt: skip
    assert text in weights_text(make_row(card, is_here=state.is_here, state=state))


# -- downloads -------------------------------------------------------------------------------


def test_a_download_shows_its_progress_and_then_that_it_is_here(
    models, window, qtbot, monkeypatch, tmp_path
) -> None:
    gate, file = threading.Event(), tmp_path / "resnet18.pth"
    real_here, real_state = weights.cards_here, weights.state_of

    def download(card, *, on_progress, should_stop) -> Path:
        on_progress(10_000_000, 40_000_000, "downloading resnet18.pth")
        while not gate.wait(0.01):
            check_stop(should_stop)
        file.write_bytes(b"x" * 100)
        return file

    def here(cards) -> frozenset[str]:
        return real_here(cards) | ({RESNET} if file.exists() else set())

    def state(card) -> WeightsState:
        if card.id == RESNET and file.exists():
            return WeightsState("downloaded", file, 100, card.weights)
        return real_state(card)

    monkeypatch.setattr(downloads, "download", download)
    monkeypatch.setattr(weights, "cards_here", here)
    monkeypatch.setattr(weights, "state_of", state)
    models.choose(RESNET)
    box = models.card.weights
    box.download_button.click()
    qtbot.waitUntil(lambda: box.text.text() == "10 MB of 40 MB fetched")
    assert box.bar.value() == 250
    assert window.runner.jobs[0].progress == (10, 40, "downloading resnet18.pth, MB")
    assert not box.cancel_button.isHidden()
    models.choose(LITE)
    assert box.bar.isHidden(), "another model is shown"
    models.choose(RESNET)
    assert not box.bar.isHidden()
    gate.set()
    qtbot.waitUntil(lambda: "downloaded" in box.text.text())
    assert box.bar.isHidden()
    assert "are on this machine now" in models.notices.text
    models.filters.weights.setCurrentText("Here")
    assert models.table.table_model.row_of(RESNET) >= 0


def test_a_download_can_be_cancelled(models, qtbot, monkeypatch) -> None:
    def download(card, context) -> ModelCard:
        while True:
            check_stop(context.should_stop)
            time.sleep(0.002)

    monkeypatch.setattr(jobs, "download", download)
    models.choose(RESNET)
    box = models.card.weights
    box.download_button.click()
    qtbot.waitUntil(lambda: not box.cancel_button.isHidden())
    box.cancel_button.click()
    qtbot.waitUntil(lambda: "was cancelled" in models.notices.text)
    assert not box.download_button.isHidden()


def test_without_a_network_one_sentence_says_what_is_here(models, qtbot, monkeypatch) -> None:
    monkeypatch.setattr(reach, "_reachable", lambda address, **options: False)
    models.choose(RESNET)
    models.card.weights.download_button.click()
    qtbot.waitUntil(lambda: "network cannot be reached" in models.notices.text)
    assert f"Here without a network: {LITE}" in models.notices.text
    assert not models.card.weights.download_button.isHidden()


# -- models of one's own ---------------------------------------------------------------------


def test_a_file_that_is_added_becomes_a_model_and_can_be_removed(
    models, qtbot, monkeypatch, tmp_path
) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"x" * 2_000)

    def add_file(path, context) -> ModelCard:
        about = path.stat()
        card = added.FileCard(
            id=added.file_id(path), source="file", arch="resnet18", tag="", family="ResNet",
            params=11_177_538, num_classes=2, weights=str(path), base=RESNET,
            size_bytes=about.st_size, modified_ns=about.st_mtime_ns,
        )  # fmt: skip
        added.add(card)
        return card

    monkeypatch.setattr(jobs, "add_file", add_file)
    models.weights.add_menu.file_wanted.emit(file)
    qtbot.waitUntil(lambda: models.card.card.source == "file")
    assert models.card.name.text().replace("\u200b", "") == "mine.safetensors"
    text = models.card.weights.text.text().replace("\u200b", "")
    assert f"a file of yours, which fit {RESNET}, 2 kB" in text
    assert models.card.fact("Answers for") == "2 classes of its own"
    assert "mine.safetensors is among the models now" in models.notices.text
    models.filters.choices["source"].setCurrentText("file")
    assert models.table.table_model.rowCount() == 1
    models.card.weights.remove_button.click()
    qtbot.waitUntil(lambda: "off the list" in models.notices.text)
    qtbot.waitUntil(lambda: models.table.table_model.rowCount() != 1)
    assert file.exists()


def test_a_file_dropped_on_the_page_is_added(
    models, window, qtbot, monkeypatch, tmp_path, drop
) -> None:
    asked = []

    def add_file(path, context) -> ModelCard:
        asked.append(path)
        raise WeightsError("Nothing fits.", "")

    monkeypatch.setattr(jobs, "add_file", add_file)
    file = tmp_path / "mine.pth"
    file.write_bytes(b"x")
    assert drop(window, [file])
    qtbot.waitUntil(lambda: "Nothing fits" in models.notices.text)
    assert (asked, window.current_page) == ([file], "models")


def test_a_file_that_is_refused_says_why(models, qtbot, monkeypatch, tmp_path) -> None:
    def add_file(path, context) -> ModelCard:
        raise WeightsError("“x.pth” is refused: reading it could run code.", "Save tensors only.")

    monkeypatch.setattr(jobs, "add_file", add_file)
    models.weights.add_menu.file_wanted.emit(tmp_path / "x.pth")
    qtbot.waitUntil(lambda: "could run code" in models.notices.text)


def test_a_model_of_hugging_face_is_added_by_its_name(models, qtbot) -> None:
    dialog = models.weights.add_menu.ask_for_id()
    dialog.setTextValue("somebody/their-model")
    dialog.accept()
    qtbot.waitUntil(lambda: models.card.card.id == "hf-hub:somebody/their-model")
    assert added.find("hf-hub:somebody/their-model") is not None
    assert not models.card.weights.remove_button.isHidden()


def test_a_name_of_another_form_is_refused_in_a_sentence(models, qtbot) -> None:
    dialog = models.weights.add_menu.ask_for_id()
    assert isinstance(dialog, QInputDialog)
    dialog.setTextValue("no owner here")
    dialog.accept()
    qtbot.waitUntil(lambda: "is not of the form hf-hub:OWNER/NAME" in models.notices.text)


def test_the_file_dialog_asks_for_weights(models) -> None:
    models.weights.add_menu.ask_for_file()
    dialog = models.window().findChild(QFileDialog)
    assert "*.safetensors" in dialog.nameFilters()[0]
    dialog.reject()


# -- torch.hub -------------------------------------------------------------------------------


def test_nothing_of_a_repository_runs_before_a_yes(models, qtbot, repository, tmp_path) -> None:
    dialog = models.weights.open_hub()
    dialog.repository.setText(str(repository))
    dialog.look_button.click()
    qtbot.waitUntil(lambda: dialog.stack.currentWidget() is dialog.trust_page)
    assert dialog.address.text() == str(repository)
    assert "will run on this machine with your rights" in dialog.warning.text()
    assert "def tiny" in dialog.code.toPlainText()
    assert dialog.cancel_button.isDefault()
    assert dialog.focusWidget() is dialog.cancel_button
    qtbot.keyClick(dialog.cancel_button, Qt.Key.Key_Return)
    assert not dialog.isVisible()
    assert not (tmp_path / "it ran").exists()
    assert not torch_hub.is_trusted(str(repository))


def test_after_a_yes_the_models_are_listed_explained_and_added(
    models, qtbot, repository, monkeypatch
) -> None:
    monkeypatch.setattr(torch_hub, "entries", lambda repo, **options: [Entry("tiny", "A model.")])
    monkeypatch.setattr(
        torch_hub, "help_of", lambda repo, entry, **options: "A model.\n\nMore of it."
    )
    dialog = models.weights.open_hub()
    dialog.repository.setText(str(repository))
    qtbot.keyClick(dialog.repository, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: dialog.stack.currentWidget() is dialog.trust_page)
    dialog.trust_button.click()
    qtbot.waitUntil(lambda: dialog.stack.currentWidget() is dialog.entries_page)
    assert torch_hub.is_trusted(str(repository)), "the answer is kept"
    assert [dialog.list.item(n).text() for n in range(dialog.list.count())] == ["tiny"]
    qtbot.waitUntil(lambda: "More of it" in dialog.help.toPlainText())
    dialog.add_button.click()
    qtbot.waitUntil(lambda: models.card.card.source == "hub")
    assert models.card.card.id == f"hub/local:{repository}:tiny"
    assert "a folder of yours" in models.card.weights.text.text()

    again = models.weights.open_hub()
    again.repository.setText(str(repository))
    again.look()
    qtbot.waitUntil(lambda: again.stack.currentWidget() is again.entries_page)
    again.reject()


def test_a_repository_that_is_none_and_one_that_raises_are_sentences(
    models, qtbot, repository, monkeypatch
) -> None:
    dialog = models.weights.open_hub()
    dialog.look_button.click()
    assert "Name a repository" in dialog.notices.text
    dialog.repository.setText("not a repository")
    dialog.look()
    qtbot.waitUntil(lambda: "is not a torch.hub repository" in dialog.notices.text)

    def fail(repo, **options) -> list[Entry]:
        raise ModelError("It could not be listed: ModuleNotFoundError.", "Install it.")

    monkeypatch.setattr(torch_hub, "entries", fail)
    dialog.repository.setText(str(repository))
    dialog.look()
    qtbot.waitUntil(lambda: dialog.stack.currentWidget() is dialog.trust_page)
    dialog.trust_button.click()
    qtbot.waitUntil(lambda: "ModuleNotFoundError" in dialog.notices.text)
    assert dialog.trust_button.isEnabled()
    dialog.reject()
