"""A view of layers without the window around it, and what tests do with one."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit

from core.catalog import catalog
from gui.base.session import Session
from gui.kit.notice_bar import NoticeBar
from gui.layers import jobs
from gui.layers.control import LayerControl
from gui.layers.delegate import tick_rect
from gui.layers.jobs import Layers
from gui.layers.view import LayerView
from gui.shell.commands import Commands

RESNET = "torchvision/resnet18.IMAGENET1K_V1"
CHECK = Qt.ItemDataRole.CheckStateRole
ON, PART, OFF = (
    Qt.CheckState.Checked, Qt.CheckState.PartiallyChecked, Qt.CheckState.Unchecked,
)  # fmt: skip


@dataclass
class Bench:
    """A view of layers and what it is tied to, without the window around it."""

    view: LayerView
    session: Session
    commands: Commands
    notices: NoticeBar
    control: LayerControl

    @property
    def stack(self):
        return self.commands.layers.history.stack


@functools.cache
def worked_out(model: str) -> Layers:
    """Once for all tests: a tree does not change."""
    card = catalog.load().resolve(model)
    return jobs.work_out_layers(jobs.LayerQuestion(card, 2), None)


def show(bench: Bench, model: str) -> None:
    bench.view.show_layers(worked_out(model))


def line(view, path: str):
    """The index of a layer, with the way to it opened."""
    index = next(i for i in view.model.find(path) if view.model.line(i).path == path)
    view.tree.go_to(index)
    return index


def state(view, path: str) -> Qt.CheckState:
    return Qt.CheckState(line(view, path).data(CHECK))


def click_tick(view, qtbot, path: str) -> None:
    rect = view.tree.visualRect(line(view, path))
    point = tick_rect(rect).center().toPoint()
    qtbot.mouseClick(view.tree.viewport(), Qt.MouseButton.LeftButton, pos=point)


def write_factor(view, qtbot, path: str, text: str) -> None:
    line(view, path)
    qtbot.keyClick(view.tree, Qt.Key.Key_F2)
    editor = view.tree.findChild(QLineEdit)
    editor.selectAll()
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    QApplication.processEvents()  # the field is read when the key has been dealt with
