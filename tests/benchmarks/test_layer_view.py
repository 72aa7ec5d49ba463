"""The layer tree of a large model: opening, scrolling, ticking, typing. Run with `-m benchmark`."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import time
from collections.abc import Callable
from statistics import median

import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication, QWidget

from core.catalog import catalog
from core.models.layers.rows import walk
from gui.base.session import Session
from gui.kit.notice_bar import NoticeBar
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.workers import JobRunner
from gui.layers import jobs
from gui.layers.control import LayerControl
from gui.layers.view import LayerView
from gui.shell.commands import Commands

pytestmark = pytest.mark.benchmark

MODEL = "timm/maxvit_base_tf_224.in1k"
FRAME_MS = 16.0


@pytest.fixture
def view(qtbot, qapp):
    holder = QWidget()
    qtbot.addWidget(holder)
    look, session, runner = Theme(), Session(holder), JobRunner(holder)
    commands = Commands(session, runner, Settings(), holder)
    view = LayerView(look)
    qtbot.addWidget(view)
    look.dress(view)
    control = LayerControl(view, session, commands.layers, NoticeBar(look, holder))
    card = catalog.load().resolve(MODEL)
    session.set_model(card.id)
    view.resize(900, 700)
    view.show()
    layers = jobs.work_out_layers(jobs.LayerQuestion(card, 5), None)
    view.bench_layers, view.bench_session, view.bench_control = layers, session, control
    yield view
    runner.shut_down()


def timed(view: LayerView, act: Callable[[], object]) -> float:
    """Milliseconds of an act with the painting that follows from it."""
    start = time.perf_counter()
    act()
    QCoreApplication.sendPostedEvents()
    QApplication.processEvents()
    return (time.perf_counter() - start) * 1000


def say(what: str, times: list[float]) -> None:
    print(f"{what}: median {median(times):.1f} ms, worst {max(times):.1f} ms of {len(times)}")


def test_a_tree_of_1500_layers_opens_scrolls_and_ticks_without_a_stutter(view) -> None:
    layers = view.bench_layers
    lines = [line for _, line in walk(layers.lines) if not line.is_run]
    assert len(lines) > 1000
    other = jobs.Layers(layers.question, layers.tree, layers.lines)
    opening = []
    for number in range(8):
        shown = layers if number % 2 else other
        opening.append(timed(view, lambda shown=shown: view.show_layers(shown)))
    say("show the layers", opening)
    say("open all", [timed(view, view.expand_all)])

    bar = view.tree.verticalScrollBar()
    step = max(1, bar.maximum() // 200)
    scrolling = [
        timed(view, lambda at=at: bar.setValue(at)) for at in range(0, bar.maximum(), step)
    ]
    say("scroll a step", scrolling)

    paths = [line for line in lines if line.params][5::40]
    ticking = []
    for line in paths:
        ticking += [
            timed(view, lambda line=line: view.model.tick_wanted.emit(line, True)),
            timed(view, lambda line=line: view.model.factor_wanted.emit(line, "0.5")),
        ]
    say("tick or factor, all open", ticking)
    presets = [timed(view, view.bar.presets[key].click) for key in ("all", "head") * 6]
    say("preset", presets)
    stack = view.bench_control._commands.history.stack
    say("undo", [timed(view, stack.undo) for _ in range(20)])

    typing = []
    for text in ("a", "at", "att", "attn", "attn q", "attn qk", "attn qkv"):
        typing.append(timed(view, lambda text=text: view.search.setText(text)))
    say("a letter in the search", typing)

    assert median(scrolling) <= FRAME_MS
    assert median(ticking) <= 2 * FRAME_MS
    assert median(typing) <= 2 * FRAME_MS
    assert median(opening) <= 10 * FRAME_MS
