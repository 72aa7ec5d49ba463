"""The layer tree of ResNet-18: on the Models page, and by itself."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.base.session import Session
from gui.kit.notice_bar import NoticeBar
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.workers import JobRunner
from gui.layers.control import LayerControl
from gui.layers.view import LayerView
from gui.shell.commands import Commands
from layer_bench import (
    RESNET,
    Bench,
    show,
)


@pytest.fixture
def page(window, fake_core, qtbot):
    """The Models page with ResNet-18 as the model of the next run, its layers shown."""
    window.session.end_scan(fake_core.dataset)
    window.show_page("models")
    page = window.page("models")
    qtbot.waitUntil(lambda: page.table.table_model.rowCount() > 1000)
    window.commands.start_up.begin()
    qtbot.waitUntil(lambda: window.session.machine is not None)
    window.session.set_model(RESNET)
    page.tabs.setCurrentWidget(page.layers)
    page.choose(RESNET)
    qtbot.waitUntil(lambda: page.layers.shown_model == RESNET)
    return page


@pytest.fixture
def bench(qtbot, qapp, fake_core):
    look = Theme()
    holder = QWidget()
    session, runner = Session(holder), JobRunner(holder)
    commands = Commands(session, runner, Settings(), holder)
    notices, view = NoticeBar(look, holder), LayerView(look)
    control = LayerControl(view, session, commands.layers, notices)
    session.noticed.connect(lambda notice: notices.show_notice(notice.text, notice.level))
    column = QVBoxLayout(holder)
    column.addWidget(notices)
    column.addWidget(view)
    look.dress(holder)
    holder.resize(700, 640)
    qtbot.addWidget(holder)
    holder.show()
    session.end_scan(fake_core.dataset)
    session.set_model(RESNET)
    made = Bench(view, session, commands, notices, control)
    show(made, RESNET)
    yield made
    runner.shut_down()


@pytest.fixture
def view(bench):
    """The layers of ResNet-18, which is the model of the next run."""
    return bench.view
