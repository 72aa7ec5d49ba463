"""Both themes are readable, and the window remembers."""

from __future__ import annotations

from importlib import metadata
from itertools import product
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QCheckBox, QDialog, QMessageBox, QToolButton

from gui.app import make_window
from gui.kit.settings import Settings
from gui.kit.theme import DARK, LIGHT, Tokens


def _luminance(colour: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    rgb = QColor(colour)
    return sum(
        weight * linear(value)
        for weight, value in zip(
            (0.2126, 0.7152, 0.0722), (rgb.redF(), rgb.greenF(), rgb.blueF()), strict=True
        )
    )


def _contrast(a: str, b: str) -> float:
    bright, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_text_reaches_the_contrast_that_wcag_asks_for(tokens: Tokens) -> None:
    pairs = [
        *product((tokens.text, tokens.muted), (tokens.window, tokens.surface, tokens.sunken)),
        *product((tokens.good, tokens.warning, tokens.bad), (tokens.surface,)),
        (tokens.text, tokens.tint),
        (tokens.warning, tokens.warning_tint),
        (tokens.text, tokens.bad_tint),
        (tokens.on_accent, tokens.accent),
    ]
    assert [pair for pair in pairs if _contrast(*pair) < 4.5] == []


def test_the_theme_is_switched_by_hand_and_kept(window) -> None:
    window.actions_by_name["theme_dark"].trigger()
    assert window.look.is_dark
    assert window.palette().window().color() == QColor(DARK.window)
    again = make_window()
    assert again.look.is_dark
    assert again.actions_by_name["theme_dark"].isChecked()
    again.deleteLater()
    window.actions_by_name["theme_light"].trigger()
    assert not window.look.is_dark


def test_recent_datasets_are_kept_newest_first_and_gone_ones_left_out(tmp_path: Path) -> None:
    file = tmp_path / "window.ini"
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
    settings = Settings(file)
    for folder in [*folders, folders[0]]:
        settings.remember_dataset(folder)
    settings.save()
    folders[2].rmdir()
    assert Settings(file).recent_datasets == [folders[0], folders[1]]


def test_the_geometry_of_the_window_is_kept(window) -> None:
    # What is written and read again; the offscreen platform's screen is smaller than the window.
    geometry = window.saveGeometry()
    window.close()
    assert Settings().geometry == geometry


def test_everything_fits_into_1024_by_700(window, fake_core, qtbot) -> None:
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    fake_core.train_gate.set()
    window.start_training()
    qtbot.waitUntil(lambda: window.session.live_run.result is not None)
    for page in ("start", "data", "train", "classify"):
        window.show_page(page)
        assert window.minimumSizeHint().width() <= 1024, page
        assert window.minimumSizeHint().height() <= 700, page


def test_the_file_menu_opens_a_recent_dataset_again(window, fake_core, qtbot) -> None:
    window.recent.fill()
    assert [action.text() for action in window.recent.actions()] == ["None yet"]
    window.settings.remember_dataset(fake_core.dataset.root)
    window.recent.fill()
    (action,) = window.recent.actions()
    assert action.text() == "insects"
    action.trigger()
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")


def test_about_names_the_versions(window) -> None:
    window.actions_by_name["about"].trigger()
    box = window.findChild(QMessageBox)
    assert "Apache-2.0" in box.informativeText()
    assert f"torch {metadata.version('torch')}" in box.informativeText()
    assert "unknown" not in box.text() + box.informativeText()
    box.close()


def test_the_shortcut_sheet_fits_into_a_low_window(window) -> None:
    window.show_shortcuts()
    assert window._sheet.sizeHint().height() <= 640
    assert window._sheet.sizeHint().width() <= 1024
    window._sheet.close()


def test_the_theme_is_switched_after_a_dialog_took_its_buttons_along(window, qtbot) -> None:
    kept = QToolButton()  # Python knows it still, Qt has destroyed it with its dialog
    dialog = QDialog(window)
    kept.setParent(dialog)
    window.look.give_icon(kept, "play")
    shiboken6.delete(dialog)
    assert not shiboken6.isValid(kept)
    window.look.choose("dark")
    window.look.choose("light")
    assert not window.look.is_dark


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_the_frame_of_a_box_to_tick_can_be_seen(window, choice) -> None:
    window.look.choose(choice)
    box = QCheckBox("tick me", window)
    box.resize(120, 24)
    box.show()
    image = box.grab().toImage()
    around = image.pixelColor(image.width() - 2, 2).name()
    middle = image.height() // 2
    contrasts = [_contrast(around, image.pixelColor(x, middle).name()) for x in range(4)]
    assert max(contrasts) >= 3, "WCAG asks 3:1 of what tells a control"
