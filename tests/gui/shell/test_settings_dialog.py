"""The settings dialog: saved at once, asked before anything goes."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLineEdit, QMessageBox, QPushButton

from core.system import paths
from gui.shell.settings_dialog import SettingsDialog


def _open(window) -> SettingsDialog:
    window._settings_dialog = None
    window.actions_by_name["settings"].trigger()
    return window._settings_dialog


@pytest.fixture
def dialog(window, fake_core) -> SettingsDialog:
    return _open(window)


def _choose(box, value: str) -> None:
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex())


def test_a_device_is_saved_at_once_and_shown_by_a_new_dialog(window, dialog) -> None:
    _choose(dialog.device, "cpu")
    assert paths.read_preferences()[0].device == "cpu"
    dialog.close()
    assert _open(window).device.currentData() == "cpu"


def test_the_menu_follows_the_theme(window, dialog) -> None:
    _choose(dialog.theme_box, "dark")
    assert window.look.is_dark
    assert window.actions_by_name["theme_dark"].isChecked()
    window.actions_by_name["theme_light"].trigger()
    assert dialog.theme_box.currentData() == "light"


def test_another_folder_of_runs_and_the_default_again(dialog, tmp_path) -> None:
    dialog.keep_runs_in(str(tmp_path / "elsewhere"))
    assert paths.runs_dir() == tmp_path / "elsewhere"
    dialog.default_button.click()
    assert paths.runs_dir() == paths.default_runs_dir()
    assert not dialog.default_button.isEnabled()


def test_clearing_the_cache_asks_first(dialog, qtbot) -> None:
    file = paths.cache_dir() / "features" / "a"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"0" * 2**20)
    dialog.clear_button.click()
    question = dialog.findChild(QMessageBox)
    qtbot.keyClick(question, Qt.Key.Key_Escape)
    assert file.exists()
    qtbot.waitUntil(lambda: dialog.findChild(QMessageBox) is None)
    dialog.clear_button.click()
    question = dialog.findChild(QMessageBox)
    next(b for b in question.buttons() if b.text() == "Clear").click()
    qtbot.waitUntil(lambda: not file.exists())
    qtbot.waitUntil(lambda: "MB freed" in dialog.notices.text)


def test_a_broken_file_is_said(window, fake_core) -> None:
    paths.preferences_file().write_text("device = [", encoding="utf-8")
    assert "cannot be read" in _open(window).notices.text


def test_escape_closes_and_every_control_has_a_name(dialog, qtbot) -> None:
    controls = [
        w for kind in (QComboBox, QLineEdit, QPushButton) for w in dialog.findChildren(kind)
    ]
    assert [w for w in controls if not w.accessibleName()] == []
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
