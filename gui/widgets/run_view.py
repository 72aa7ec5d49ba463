"""One run: its phases, its curves, and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from gui import theme
from gui.live_run import ENDED, LiveRun
from gui.theme import Theme, set_role
from gui.widgets.basics import Card, Stat, button, label, row
from gui.widgets.confusion import (
    MOST_IN_MATRIX,
    ConfusionMatrix,
    ConfusionTable,
    describe_confusion,
)
from gui.widgets.live_plot import LivePlot
from gui.widgets.notice_list import NoticeList
from gui.words import count

if TYPE_CHECKING:
    from core.evaluation.report import Report
    from core.training.runs import RunResult

_CURVES_MS = 200


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
                self.setMinimumHeight(layout.minimumHeightForWidth(self.width()))
        return is_done


class RunView(QScrollArea):
    """Grows with the run: phase line, plots, then the result above them."""

    classify_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self._shown_epochs = -1
        self._live: LiveRun | None = None
        self._shown_report: Report | None = None
        # Epochs of a cached head come faster than plots can be painted without holding up the
        # window: the curves follow five times a second, one after the other, because both in one
        # go held it up for 30–55 ms beside a training.
        self._curve_timer = QTimer(self)
        self._curve_timer.setSingleShot(True)
        self._curve_timer.setInterval(_CURVES_MS)
        self._curve_timer.timeout.connect(self._show_next_curve)
        self._is_accuracy_next = False
        self.setWidgetResizable(True)
        # Reached with Tab and scrolled with the arrow keys: the curves may be below its edge.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setObjectName("run")
        self.setAccessibleName("Run")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = _Column()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, theme.XS, 0)
        column.setSpacing(theme.M)
        column.addWidget(self._make_phase())
        column.addWidget(self._make_result())
        column.addWidget(self._make_plots(), 1)
        self.setWidget(inner)

    # -- building ----------------------------------------------------------------------------

    def _make_phase(self) -> Card:
        self._phase_card = Card(margin=theme.M)
        self.phase = label("", "heading", wraps=True)
        self._phase_card.body.addWidget(self.phase)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of the run")
        self._phase_card.body.addWidget(self._bar)
        self._facts = label("", "muted-small", wraps=True)
        self._phase_card.body.addWidget(self._facts)
        self.notices = NoticeList(self._theme)
        self._phase_card.body.addWidget(self.notices)
        return self._phase_card

    def _make_result(self) -> Card:
        self._result_card = Card()
        self.of_dataset = label("", "heading", wraps=True)
        self._result_card.body.addWidget(self.of_dataset)
        self.of_another = label("", "muted", wraps=True)
        self._result_card.body.addWidget(self.of_another)
        columns = QHBoxLayout()
        columns.setSpacing(theme.M)
        words = QVBoxLayout()
        words.setSpacing(theme.XS)
        self._accuracy_caption = label("Validation accuracy", "muted")
        words.addWidget(self._accuracy_caption)
        self.accuracy = label("", "display")
        words.addWidget(self.accuracy)
        self.interval = label("", "muted", wraps=True)
        words.addWidget(self.interval)
        self._selected_on = label("", "muted-small", wraps=True)
        words.addWidget(self._selected_on)
        words.addSpacing(theme.S)
        self._stats = {name: Stat(name) for name in ("balanced", "macro F1", "seconds")}
        words.addLayout(row(*self._stats.values(), spacing=0))
        words.addStretch(1)
        self.classify_button = button(
            "Classify an image",
            self.classify_wanted.emit,
            role="primary",
            icon=(self._theme, "image-search-outline", "on_accent"),
        )
        self.folder_button = button(
            "Open run folder",
            self.folder_wanted.emit,
            icon=(self._theme, "folder-open-outline", "muted"),
        )
        words.addSpacing(theme.S)
        words.addLayout(row(self.classify_button, self.folder_button))
        columns.addLayout(words, 1)
        matrix = QVBoxLayout()
        self.confusion = ConfusionMatrix(self._theme)
        matrix.addWidget(self.confusion, 1)
        self._confusion_twin = label("", "muted-small", wraps=True)
        matrix.addWidget(self._confusion_twin)
        columns.addLayout(matrix, 1)
        self._result_card.body.addLayout(columns)
        self.confusions = ConfusionTable()  # two names beside each other need the whole width
        self._result_card.body.addWidget(self.confusions)
        self.result_notices = NoticeList(self._theme)
        self._result_card.body.addWidget(self.result_notices)
        self._result_card.hide()
        return self._result_card

    def _make_plots(self) -> Card:
        card = Card(margin=theme.M)
        line = QHBoxLayout()
        line.setSpacing(theme.L)
        self.loss_plot = LivePlot(
            self._theme,
            title="Loss per epoch",
            series={"training": "series_1", "selection": "series_2"},
            is_share=False,
        )
        self.accuracy_plot = LivePlot(
            self._theme,
            title="Accuracy per epoch, %",
            series={"selection": "series_2"},
            is_share=True,
        )
        line.addWidget(self.loss_plot, 1)
        line.addWidget(self.accuracy_plot, 1)
        card.body.addLayout(line)
        return card

    # -- showing -----------------------------------------------------------------------------

    def show_run(self, live: LiveRun, *, is_of_another: bool = False) -> None:
        """`is_of_another`: the window holds another dataset than the run learned from."""
        is_new, self._live = live is not self._live, live
        self._show_phase(live)
        if is_new:
            self._shown_epochs = len(live.epochs)
            self._show_loss(live)
            self._show_accuracy(live)
        elif len(live.epochs) != self._shown_epochs and not self._curve_timer.isActive():
            # The first point at once: a small head is fitted before a second tick comes.
            self._curve_timer.start(_CURVES_MS if self._shown_epochs else 0)
        for notices in (self.notices, self.result_notices):
            notices.show_notices(live)
        report = live.result.report if live.result is not None else None
        self._result_card.setVisible(live.result is not None)
        self.of_another.setVisible(is_of_another)
        if live.result is not None:
            self.of_dataset.setText(f"“{live.dataset}” · run {live.result.run.name}")
            self.of_another.setText(f"This report is of “{live.dataset}”.")
            self._show_result(live.result, report)

    def _show_phase(self, live: LiveRun) -> None:
        sentence = live.error if live.phase == "failed" and live.error else live.sentence()
        self.phase.setText(sentence)
        set_role(self.phase, tone="bad" if live.phase == "failed" else "")
        self._phase_card.setVisible(live.result is None)
        self._bar.setVisible(live.phase not in ENDED)
        done, total = 0, 0
        if live.phase == "embedding" and live.progress is not None:
            done, total = live.progress.done, live.progress.total
        elif live.phase == "training" and live.started is not None:
            done, total = len(live.epochs), live.started.epochs
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self._facts.setText(_describe_start(live))

    def _show_next_curve(self) -> None:
        live = self._live
        if live is None:
            return
        if self._is_accuracy_next:
            self._show_accuracy(live)
        else:
            self._shown_epochs = len(live.epochs)
            self._show_loss(live)
        self._is_accuracy_next = not self._is_accuracy_next
        if self._is_accuracy_next or len(live.epochs) != self._shown_epochs:
            self._curve_timer.start(_CURVES_MS)

    def _show_loss(self, live: LiveRun) -> None:
        self.loss_plot.show_series(
            [event.epoch for event in live.epochs],
            {
                "training": [event.train_loss for event in live.epochs],
                "selection": [event.selection_loss for event in live.epochs],
            },
            live.loss_sentence(),
        )

    def _show_accuracy(self, live: LiveRun) -> None:
        self.accuracy_plot.show_series(
            [event.epoch for event in live.epochs],
            {"selection": [event.selection_accuracy for event in live.epochs]},
            live.accuracy_sentence(),
        )

    def _show_result(self, result: RunResult, report: Report | None) -> None:
        self._stats["seconds"].set_value(f"{result.seconds:,.1f}")
        for name in ("balanced", "macro F1"):
            self._stats[name].setVisible(report is not None)
        is_many = report is not None and len(report.classes) > MOST_IN_MATRIX
        self.confusion.setVisible(report is not None and not is_many)
        self.confusions.setVisible(is_many)
        if report is None:
            self._accuracy_caption.setText("Selection accuracy")
            self.accuracy.setText(f"{result.best_selection_accuracy:.1%}")
            self.interval.setText("There were no pictures to report on.")
            self._selected_on.setText("The epoch was chosen on these pictures.")
            self._confusion_twin.setText("")
            self._shown_report = None
            return
        low, high = report.interval
        name = {"val": "Validation", "test": "Test"}.get(report.split, report.split)
        self._accuracy_caption.setText(f"{name} accuracy")
        self.accuracy.setText(f"{report.top1:.1%}")
        self.interval.setText(f"95% interval {low:.1%} – {high:.1%} · {count(report.n, 'image')}")
        self._selected_on.setText(_sentence(report.selected_on))
        self._stats["balanced"].set_value(f"{report.balanced_accuracy:.1%}")
        self._stats["macro F1"].set_value(f"{report.macro_f1:.3f}")
        if report is not self._shown_report:
            self._shown_report = report
            self.confusion.show_report(report)
            self.confusions.show_report(report)
            self._confusion_twin.setText(describe_confusion(report))


def _describe_start(live: LiveRun) -> str:
    started = live.started
    if started is None:
        return ""
    # A cross-fitted head lets every training image choose, held out in its turn.
    choosers = (
        "each held out in turn for selection"
        if started.selection_images == started.train_images
        else f"{started.selection_images:,} of them for selection"
    )
    return (
        f"{count(started.train_images, 'image')} to learn from, {choosers} · "
        f"{started.report_images:,} to report on · {started.device}, {started.precision}"
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")
