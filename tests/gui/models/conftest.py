"""The Models page."""

from __future__ import annotations

import pytest


@pytest.fixture
def models(window, fake_core, qtbot):
    """The page with the real catalog in its table."""
    window.show_page("models")
    page = window.page("models")
    qtbot.waitUntil(lambda: page.table.table_model.rowCount() > 1900)
    return page
