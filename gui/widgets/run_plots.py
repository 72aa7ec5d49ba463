"""The plots of a run: loss, accuracy, learning rates, throughput with memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PySide6.QtWidgets import QGridLayout, QWidget

from gui import theme
from gui.curves import thin
from gui.live_run import LiveRun
from gui.theme import Theme
from gui.widgets.live_plot import Line, LivePlot, Marker, Values

_WIDE_PX = 520
_STEPS = (
    Line("steps", "series_1", "thin", blend=0.65),
    Line("mean", "series_1"),
    Line("selection", "series_2", "points"),
)
_EPOCHS = (Line("training", "series_1"), Line("selection", "series_2"))
_ACCURACY = (Line("train", "series_1"), Line("selection", "series_2"))
_ACCURACY_OF_HEAD = (Line("selection", "series_2"),)
_SPEED = (Line("images/s", "series_1"),)
_MEMORY = (Line("GB", "series_2"),)


class RunPlots(QWidget):
    """Five plots for a fine-tuning, two for a head on cached features.

    `draw_next` draws one of them a call: all in one go would hold the window up.
    """

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.loss = LivePlot(look, title="Loss")
        self.accuracy = LivePlot(look, title="Accuracy, %", is_share=True)
        self.rates = LivePlot(look, title="Learning rate")
        self.speed = LivePlot(look, title="Images per second")
        self.memory = LivePlot(look, title="Memory, GB")
        self._of_steps = (self.rates, self.speed, self.memory)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.L)
        self._grid.setVerticalSpacing(theme.S)
        self._is_wide: bool | None = None
        self._arrange(is_wide=True)
        self._turn = 0
        self._drawn: dict[int, tuple[object, int, int]] = {}

    @property
    def plots(self) -> tuple[LivePlot, ...]:
        return (self.loss, self.accuracy, *self._of_steps)

    def fit_into(self, width_px: int) -> None:
        """Arrange for a view of this width: the own width never gets below what is arranged."""
        self._arrange(is_wide=width_px >= _WIDE_PX)

    def _arrange(self, *, is_wide: bool) -> None:
        """The plots of the steps beside each other, or in twos where three would not fit."""
        if is_wide == self._is_wide:
            return
        self._is_wide = is_wide
        for plot in self.plots:
            self._grid.removeWidget(plot)
        self._grid.addWidget(self.loss, 0, 0, 1, 3)
        self._grid.addWidget(self.accuracy, 0, 3, 1, 3)
        for place, plot in enumerate(self._of_steps):
            if is_wide:
                self._grid.addWidget(plot, 1, 2 * place, 1, 2)
            else:
                self._grid.addWidget(plot, 1 + place // 2, 3 * (place % 2), 1, 3)

    def begin(self, live: LiveRun) -> None:
        """Make ready for another run, or another kind of it; `draw_next` then draws.

        The plots of the steps appear with their first turn: five new ones in one paint held the
        window up for 180 ms.
        """
        self._drawn.clear()
        if not live.is_fine_tuning:
            for plot in self._of_steps:
                plot.hide()

    def draw_next(self, live: LiveRun) -> bool:
        """Bring one plot up to date; false where all of them are."""
        state = (live, len(live.steps), len(live.epochs))
        draws = (
            self._draw_loss, self._draw_accuracy, self._draw_rates, self._draw_speed,
            self._draw_memory,
        )  # fmt: skip
        count = len(draws) if live.is_fine_tuning else 2
        for _ in range(count):
            turn = self._turn = (self._turn + 1) % count
            if self._drawn.get(turn) != state:
                self._drawn[turn] = state
                draws[turn](live)
                self.plots[turn].show()
                return True
        return False

    # -- one plot each -----------------------------------------------------------------------

    def _draw_loss(self, live: LiveRun) -> None:
        epochs = [event.epoch for event in live.epochs]
        selection = [event.selection_loss for event in live.epochs]
        if not live.is_fine_tuning:
            points = {
                "training": (epochs, [event.train_loss for event in live.epochs]),
                "selection": (epochs, selection),
            }
            self.loss.show_lines(_EPOCHS, points, live.loss_sentence())
            return
        steps = live.steps
        of_steps: dict[str, tuple[Values, Values]] = {
            "steps": self._over_epochs(live, steps.loss),
            "mean": self._over_epochs(live, steps.smooth),
            "selection": (epochs, selection),
        }
        self.loss.show_lines(_STEPS, of_steps, live.loss_sentence(), _openings(live))

    def _draw_accuracy(self, live: LiveRun) -> None:
        epochs = [event.epoch for event in live.epochs]
        points = {
            "train": (epochs, [event.train_accuracy for event in live.epochs]),
            "selection": (epochs, [event.selection_accuracy for event in live.epochs]),
        }
        lines = _ACCURACY if live.is_fine_tuning else _ACCURACY_OF_HEAD
        markers = _best(live) if live.is_fine_tuning else ()
        self.accuracy.show_lines(lines, points, live.accuracy_sentence(), markers)

    def _draw_rates(self, live: LiveRun) -> None:
        started = live.started
        names = started.groups if started is not None else ()
        last = max(1, len(names) - 1)
        # From the oldest group, pale, to the head.
        lines = tuple(
            Line(name, "series_1", blend=0.75 * (1 - place / last))
            for place, name in enumerate(names)
        )
        points: dict[str, tuple[Values, Values]] = {}
        for name, column in zip(names, live.steps.rates, strict=False):
            x, y = self._over_epochs(live, column)
            is_open = y > 0  # frozen: no rate
            points[name] = (x[is_open], y[is_open])
        self.rates.show_lines(lines, points, live.rates_sentence())

    def _draw_speed(self, live: LiveRun) -> None:
        points = {"images/s": self._over_epochs(live, live.steps.images_per_s)}
        self.speed.show_lines(_SPEED, points, live.speed_sentence())

    def _draw_memory(self, live: LiveRun) -> None:
        x, y = self._over_epochs(live, live.steps.memory_mb)
        self.memory.show_lines(_MEMORY, {"GB": (x, y / 1024)}, live.memory_sentence())

    def _over_epochs(
        self, live: LiveRun, column: Sequence[float]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """A column of the steps against epochs, thinned."""
        x, y = thin(live.steps.step, column)
        return x / max(1, live.started.steps_per_epoch if live.started else 1), y


def _openings(live: LiveRun) -> tuple[Marker, ...]:
    """Where layers opened after the start."""
    return tuple(
        Marker(change.epoch - 1, "layers open") for change in live.changes if change.epoch > 1
    )


def _best(live: LiveRun) -> tuple[Marker, ...]:
    """Where the best checkpoint is from."""
    return () if live.best_epoch is None else (Marker(live.best_epoch, "best"),)
