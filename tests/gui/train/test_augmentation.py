"""The Train page shows what the model will see, by the trainer's own functions."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt


@pytest.fixture
def page(opened):
    opened.show_page("train")
    return opened.page("train")


def pixels(page):
    return [bytes(image.constBits()) for one in page.preview.grid.rows for image in one.images]


def test_it_belongs_to_fine_tuning_and_follows_the_form(window, page, qtbot) -> None:
    preview = page.preview
    assert preview.isHidden()
    window.session.set_recipe_values({"strategy": "full", "augmentation": "none"})
    assert preview.isVisible()
    assert not preview.grid.isVisible()
    qtbot.mouseClick(preview.toggle, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(preview.grid.rows) == 2)
    plain = pixels(page)
    assert len(set(plain)) == 2  # each picture, and six times itself
    box = page.form.box("rotation")
    box.setText("40")
    box.editingFinished.emit()
    qtbot.waitUntil(lambda: pixels(page) != plain)
    turned = pixels(page)
    assert len(set(turned)) == 14
    qtbot.mouseClick(preview.roll_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: pixels(page) != turned)
    assert pixels(page)[0] == turned[0]  # the picture as it is stays
    assert "as it is" in preview.grid.accessibleDescription()
    box.setText("much")
    box.editingFinished.emit()
    qtbot.waitUntil(lambda: "much" in preview.error.text())
    assert not preview.grid.isVisible()
    window.session.set_recipe_values({"strategy": "feature-extraction"})
    assert preview.isHidden()
