"""One run: its phases, its curves, and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QScrollArea, QWidget

from gui.base.live_run import ENDED, LiveRun
from gui.kit import theme
from gui.kit.basics import Card, button, delayed, hbox, label, progress_bar, row, vbox
from gui.kit.theme import Theme, set_role
from gui.kit.words import count, duration, isolate, quote
from gui.train.notices import NoticeList
from gui.train.run_plots import RunPlots

if TYPE_CHECKING:
    from core.runs.report import Report, RunResult

_CURVES_MS = 120


class _Column(QWidget):
    """As high as its wrapped lines need at its width.

    A scroll area asks for the minimum size alone, which knows nothing of wrapping: without this
    it squeezes the cards into each other where it should scroll.
    """

    def event(self, event: QEvent) -> bool:
        is_done = super().event(event)
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            layout = self.layout()
            if layout is not None:
                # -1 while nothing is laid out
                self.setMinimumHeight(max(0, layout.minimumHeightForWidth(self.width())))
        return is_done


class RunView(QScrollArea):
    """Grows with the run: phase line, plots, then the result above them."""

    classify_wanted = Signal()
    results_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._live: LiveRun | None = None
        self._was_fine_tuning: bool | None = None
        # Steps and epochs come faster than plots can be painted without holding up the window:
        # the curves follow one after the other, because two in one go held it up for 30–55 ms
        # beside a training.
        self._curve_timer = delayed(self, _CURVES_MS, self._show_next_curve)
        self.setWidgetResizable(True)
        # Reached with Tab and scrolled with the arrow keys: the curves may be below its edge.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setObjectName("run")
        self.setAccessibleName("Run")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = _Column()
        column = vbox(inner, margins=(0, 0, theme.XS, 0), spacing=theme.M)
        column.addWidget(self._make_phase())
        column.addWidget(self._make_result())
        column.addWidget(self._make_plots(), 1)
        self.setWidget(inner)

    # -- building ----------------------------------------------------------------------------

    def _make_phase(self) -> Card:
        self._phase_card = Card(margin=theme.M)
        self.phase = label("", "heading", wraps=True)
        self._phase_card.body.addWidget(self.phase)
        self._bar = progress_bar("Progress of the run")
        self._phase_card.body.addWidget(self._bar)
        self._facts = label("", "muted-small", wraps=True)
        self._phase_card.body.addWidget(self._facts)
        self.reading = label("", "body", wraps=True)
        self._phase_card.body.addWidget(self.reading)
        self.notices = NoticeList(self._theme)
        self._phase_card.body.addWidget(self.notices)
        return self._phase_card

    def _make_result(self) -> Card:
        self._result_card = Card(margin=theme.M)
        self.of_dataset = label("", "muted-small", wraps=True)
        self._result_card.body.addWidget(self.of_dataset)
        self.of_another = label("", "muted", wraps=True)
        self._result_card.body.addWidget(self.of_another)
        line = hbox(spacing=theme.L)
        figure = vbox(spacing=0)
        self.accuracy = label("", "display")
        figure.addWidget(self.accuracy)
        self._accuracy_caption = label("Validation accuracy", "muted-small")
        figure.addWidget(self._accuracy_caption)
        line.addLayout(figure)
        words = vbox(spacing=theme.XS)
        self.interval = label("", "muted", wraps=True)
        words.addWidget(self.interval)
        self.comparison = label("", "body", wraps=True)
        words.addWidget(self.comparison)
        self._selected_on = label("", "muted-small", wraps=True)
        words.addWidget(self._selected_on)
        words.addStretch(1)
        line.addLayout(words, 1)
        self._result_card.body.addLayout(line)
        self.results_button = button(
            "See the results",
            self.results_wanted.emit,
            role="primary",
            icon=(self._theme, "chart-box-outline", "on_accent"),
        )
        self.classify_button = button(
            "Classify an image",
            self.classify_wanted.emit,
            icon=(self._theme, "image-search-outline", "muted"),
        )
        self.folder_button = button(
            "", self.folder_wanted.emit, icon=(self._theme, "folder-open-outline", "muted")
        )
        self.folder_button.setText("")
        self.folder_button.setAccessibleName("Open run folder")
        self.folder_button.setToolTip("Open run folder")
        self._result_card.body.addLayout(
            row(self.results_button, self.classify_button, self.folder_button)
        )
        self.result_notices = NoticeList(self._theme)
        self._result_card.body.addWidget(self.result_notices)
        self._result_card.hide()
        return self._result_card

    def _make_plots(self) -> Card:
        card = Card(margin=theme.M)
        self.plots = RunPlots(self._theme)
        self.plots.draw_wanted.connect(self._draw_soon)
        card.body.addWidget(self.plots, 1)
        return card

    # -- showing -----------------------------------------------------------------------------

    def show_run(self, live: LiveRun, *, is_of_another: bool = False) -> None:
        """`is_of_another`: the window holds another dataset than the run learned from."""
        is_new, self._live = live is not self._live, live
        self._show_phase(live)
        if is_new or live.is_fine_tuning != self._was_fine_tuning:
            self._was_fine_tuning = live.is_fine_tuning
            self.plots.begin(live)
        if not self._curve_timer.isActive():
            self._curve_timer.start()
        for notices in (self.notices, self.result_notices):
            notices.show_notices(live)
        self._result_card.setVisible(live.result is not None)
        self.of_another.setVisible(is_of_another)
        if live.result is not None:
            self.of_dataset.setText(f"{quote(live.dataset)} · run {isolate(live.result.run.name)}")
            self.of_another.setText(f"This result is of {quote(live.dataset)}.")
            self._show_result(live.result, live.result.report)

    def _show_phase(self, live: LiveRun) -> None:
        sentence = live.error if live.phase == "failed" and live.error else live.sentence()
        self.phase.setText(sentence)
        set_role(self.phase, tone="bad" if live.phase == "failed" else "")
        self._phase_card.setVisible(live.result is None)
        self._bar.setVisible(live.phase not in ENDED)
        done, total = 0, 0
        if live.phase == "embedding" and live.progress is not None:
            done, total = live.progress.done, live.progress.total
        elif live.phase == "training" and live.started and not live.is_fine_tuning:
            done, total = len(live.epochs), live.started.epochs
        elif live.phase in ("training", "paused") and live.is_fine_tuning and live.started:
            total = live.started.epochs * live.started.steps_per_epoch
            done = int(live.steps.step[-1]) if len(live.steps) else 0
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self._facts.setText(_describe_start(live))
        reading = live.reading()
        self.reading.setText(reading)
        self.reading.setVisible(bool(reading))

    def _show_next_curve(self) -> None:
        # One plot a tick; a page nobody looks at draws nothing and catches up when it is shown.
        if self._live is not None and self.isVisible() and self.plots.draw_next(self._live):
            self._curve_timer.start()

    def _draw_soon(self) -> None:
        if not self._curve_timer.isActive():
            self._curve_timer.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.plots.fit_into(self.viewport().width())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._live is not None:
            self._curve_timer.start()

    def _show_result(self, result: RunResult, report: Report | None) -> None:
        self.results_button.setVisible(report is not None)
        self.comparison.setText(_describe_gain(result))
        self.comparison.setVisible(bool(self.comparison.text()))
        took = f"{duration(result.seconds)} in all"
        if report is None:
            self._accuracy_caption.setText("Accuracy in the held-out check")
            self.accuracy.setText(f"{result.best_selection_accuracy:.1%}")
            self.interval.setText(f"There is no report on other pictures yet · {took}")
            self._selected_on.setText("The epoch was chosen on these pictures.")
            return
        low, high = report.interval
        name = {"val": "Validation", "test": "Test"}.get(report.split, report.split)
        self._accuracy_caption.setText(f"{name} accuracy")
        self.accuracy.setText(f"{report.top1:.1%}")
        self.interval.setText(
            f"95% interval {low:.1%} – {high:.1%} · {count(report.n, 'image')} · {took}"
        )
        self._selected_on.setText(_sentence(report.selected_on))


def _describe_gain(result: RunResult) -> str:
    """What fine-tuning brought against the head it began with; empty for a head alone."""
    probe = result.probe_selection_accuracy
    if probe is None:
        return ""
    if result.best_epoch == 0:
        return (
            f"No epoch did better in the held-out check than the classifier on frozen features "
            f"({probe:.1%}): that classifier is what you get."
        )
    return (
        f"In the held-out check {probe:.1%} with a classifier on frozen features, "
        f"{result.best_selection_accuracy:.1%} after fine-tuning (epoch {result.best_epoch})."
    )


def _describe_start(live: LiveRun) -> str:
    started = live.started
    if started is None:
        return ""
    # A cross-fitted head lets every training image choose, held out in its turn.
    choosers = (
        "each held out in turn for the check"
        if started.selection_images == started.train_images
        else f"{started.selection_images:,} of them held out for the check"
    )
    return (
        f"{count(started.train_images, 'image')} to learn from, {choosers} · "
        f"{started.report_images:,} to report on · {started.device}, {started.precision}"
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")
