"""The curves of several runs over each other: accuracy and loss on their selection images."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from gui.kit import theme
from gui.kit.basics import hbox, label, vbox
from gui.kit.theme import Theme
from gui.kit.words import count
from gui.plots.live_plot import Line, LivePlot
from gui.runs.jobs import RunCurves

_TOKENS = ("series_1", "warning", "series_2", "bad", "muted", "text")


class RunOverlay(QWidget):
    """Two plots side by side; each run has the same colour in both."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        column = vbox(self, spacing=theme.XS)
        across = hbox(spacing=theme.M)
        self.accuracy = LivePlot(look, title="Accuracy in the held-out check", is_share=True)
        self.loss = LivePlot(look, title="Loss in the held-out check")
        across.addWidget(self.accuracy, 1)
        across.addWidget(self.loss, 1)
        column.addLayout(across, 1)
        self.note = label("", "muted-small", wraps=True)
        column.addWidget(self.note)

    def show_curves(self, curves: Sequence[RunCurves], *, chosen: int) -> None:
        """`chosen`: how many runs are chosen; `curves` may be fewer."""
        lines = tuple(
            Line(run.name, token) for run, token in zip(curves, _TOKENS, strict=False) if run.epochs
        )
        drawn = {line.name for line in lines}
        of = {run.name: run for run in curves if run.name in drawn}
        self.accuracy.show_lines(
            lines,
            {name: (run.epochs, run.accuracies) for name, run in of.items()},
            _say_best(list(of.values())),
        )
        self.loss.show_lines(
            lines,
            {name: (run.epochs, run.losses) for name, run in of.items()},
            _say_lowest(list(of.values())),
        )
        parts = []
        missing = len(curves) - len(of)
        if missing:
            parts.append(f"{count(missing, 'run')} ended before the first epoch")
        if chosen > len(curves):
            parts.append(f"the first {len(curves)} of {chosen} chosen runs are drawn")
        if len({run.data for run in of.values()}) > 1:
            parts.append("the runs chose on different images: compare them with care")
        text = "; ".join(parts)
        self.note.setText(f"{text[:1].upper()}{text[1:]}." if text else "")
        self.note.setVisible(bool(text))


def _say_best(runs: Sequence[RunCurves]) -> str:
    if not runs:
        return "No epochs yet."
    best = max(runs, key=_highest)
    return f"Highest: {max(best.accuracies):.1%}, {best.name}."


def _say_lowest(runs: Sequence[RunCurves]) -> str:
    if not runs:
        return "No epochs yet."
    best = min(runs, key=_lowest)
    return f"Lowest: {min(best.losses):.3f}, {best.name}."


def _highest(run: RunCurves) -> float:
    return max(run.accuracies)


def _lowest(run: RunCurves) -> float:
    return min(run.losses)
