"""Bad input: one clear sentence in the window, nothing lost, nothing hangs."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QPushButton

from gui.shell import crashes
from helpers import WAIT_S


def _dropped(window, qtbot, drop, path: Path) -> str:
    """The notice on Data after the folder was dropped and scanned."""
    assert drop(window, [path])
    qtbot.waitUntil(lambda: window.session.scan_state != "busy")
    assert window.current_page == "data"
    return window.page("data").notices.text


@pytest.mark.parametrize("kind", ["not a dataset", "empty"])
def test_a_folder_that_is_no_dataset_is_refused_in_one_sentence(
    window, qtbot, drop, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "odd-folder"
    folder.mkdir()
    if kind == "not a dataset":
        (folder / "notes.txt").write_text("no pictures here")
    said = _dropped(window, qtbot, drop, folder)
    assert "odd-folder" in said or "ant" in said
    assert len(said) < 300
    assert window.session.dataset is None
    assert window.status.text == "Ready"


def test_a_folder_of_one_class_opens_to_be_labelled_and_says_what_is_missing(
    window, qtbot, drop, tmp_path: Path, image_folder: Path
) -> None:
    shutil.copytree(image_folder / "ant", tmp_path / "odd-folder" / "ant")
    _dropped(window, qtbot, drop, tmp_path / "odd-folder")
    assert window.session.dataset.classes == ("ant",)
    assert "It has one class, “ant”" in window.page("data").totals.notes_line.text()


def test_a_refused_folder_leaves_the_open_dataset_as_it_was(
    window, qtbot, drop, tmp_path: Path, image_folder: Path
) -> None:
    _dropped(window, qtbot, drop, image_folder)
    before = window.session.dataset
    assert before is not None
    empty = tmp_path / "nothing"
    empty.mkdir()
    said = _dropped(window, qtbot, drop, empty)
    assert "“insects” stays open" in said
    assert window.session.dataset is before
    assert window.page("data").stack.currentWidget() is window.page("data")._filled


def test_a_folder_without_read_permission_says_so(
    window, qtbot, drop, tmp_path: Path, image_folder: Path, monkeypatch
) -> None:
    locked = tmp_path / "locked"
    shutil.copytree(image_folder, locked)
    locked.chmod(0)
    scandir, listdir = os.scandir, os.listdir

    # The tests may run as root, whom no mode keeps out.
    def refuse(call):
        def guarded(path="."):
            if Path(os.fspath(path)) == locked:
                raise PermissionError(13, "Permission denied", str(path))
            return call(path)

        return guarded

    monkeypatch.setattr(os, "scandir", refuse(scandir))
    monkeypatch.setattr(os, "listdir", refuse(listdir))
    try:
        said = _dropped(window, qtbot, drop, locked)
    finally:
        locked.chmod(0o755)
    assert "locked" in said
    assert "permission" in said.lower() or "may not" in said.lower()


def test_a_broken_image_is_named_with_its_reason_and_earlier_results_stay(
    window, fake_core, qtbot, drop, tmp_path: Path, image_folder: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    drop(window, [image_folder / "ant" / "0.png"])
    page = window.page("classify")
    qtbot.waitUntil(lambda: page.answer.text() == "ant")
    drop(window, [broken])
    qtbot.waitUntil(lambda: "broken.jpg" in page.notices.text)
    assert "cannot be read as a picture" in page.notices.text
    assert "results are kept" in page.notices.text
    assert page.answer.text() == "ant"
    assert len(window.session.pictures) == 1


def _train(window, fake_core, qtbot) -> None:
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    window.start_training()
    qtbot.waitUntil(lambda: len(window.session.live_run.epochs) == 2)


def test_a_second_start_while_a_run_is_on_is_refused(window, fake_core, qtbot) -> None:
    _train(window, fake_core, qtbot)
    window.actions_by_name["start_training"].trigger()
    assert "A run is on already" in window.page("train").notices.text
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    assert len(fake_core.trained_with) == 1


def test_closing_while_a_run_is_on_asks_and_staying_keeps_it(window, fake_core, qtbot) -> None:
    _train(window, fake_core, qtbot)
    window.close()
    assert window.isVisible()
    (question,) = window.findChildren(QMessageBox)
    assert question.text() == "Stop the run and close Graftwork?"
    _click(qtbot, question, "Keep training")
    assert window.isVisible()
    assert window.session.live_run.is_on
    fake_core.train_gate.set()
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    assert window.close()


def test_closing_while_a_run_is_on_saves_it_first(window, fake_core, qtbot) -> None:
    _train(window, fake_core, qtbot)
    window.close()
    (question,) = window.findChildren(QMessageBox)
    _click(qtbot, question, "Stop, save and close")
    qtbot.waitUntil(lambda: not window.isVisible())
    assert window.session.live_run.result.status == "stopped"
    assert window.runner.is_idle


def _click(qtbot, question: QMessageBox, text: str) -> None:
    (found,) = [b for b in question.findChildren(QPushButton) if b.text() == text]
    qtbot.mouseClick(found, Qt.MouseButton.LeftButton)


def test_a_home_that_cannot_be_made_is_told_in_a_sentence_and_not_as_a_crash(tmp_path) -> None:
    home = tmp_path / "home"
    home.write_text("a file stands where the folder should be")
    made = subprocess.run(
        [sys.executable, "-c", "import sys; from gui.app import main; sys.exit(main([]))"],
        env={**os.environ, "GRAFTWORK_HOME": str(home)},
        capture_output=True, text=True, timeout=WAIT_S, check=False,
    )  # fmt: skip
    assert made.returncode == 1
    assert made.stderr.startswith(f"Graftwork's own folder {home}")
    assert "Traceback" not in made.stderr


def test_a_log_that_cannot_be_written_goes_to_the_terminal(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(crashes, "log_file", lambda: tmp_path / "gone" / "graftwork.log")
    crashes.start_log()
    logging.getLogger("graftwork").error("said aloud")
    crashes.stop_log()
    assert "said aloud" in capfd.readouterr().err
