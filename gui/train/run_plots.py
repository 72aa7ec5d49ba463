"""The plots of a run: loss, accuracy, learning rates, throughput with memory."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QSlider, QWidget

from core.words import list_some
from gui.base.curves import DEFAULT_SMOOTHING, Curve
from gui.base.live_run import LiveRun
from gui.base.pyramid import Pyramid
from gui.kit import theme
from gui.kit.theme import Theme
from gui.plots.canvas import MarkerKind
from gui.plots.live_plot import Line, LivePlot, Marker, Points

_WIDE_PX = 520
_SLIDER_PX = 72
_SLIDER_STEPS = 30
_STEPS = (
    Line("steps", "series_1", "thin", blend=0.65),
    Line("mean", "series_1"),
    Line("held-out check", "series_2", "points"),
)
_EPOCHS = (Line("training", "series_1"), Line("held-out check", "series_2"))
_ACCURACY = (Line("train", "series_1"), Line("held-out check", "series_2"))
_ACCURACY_OF_HEAD = (Line("held-out check", "series_2"),)
_SPEED = (Line("images/s", "series_1"),)
_MEMORY = (Line("GB", "series_2"),)


class RunPlots(QWidget):
    """Five plots for a fine-tuning, two for a head on cached features.

    `draw_next` draws one of them a call: all in one go would hold the window up.
    """

    draw_wanted = Signal()
    """Another part of the plots is shown, or the smoothing was changed."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.loss = LivePlot(look, title="Loss")
        self.accuracy = LivePlot(look, title="Accuracy, %", is_share=True)
        self.rates = LivePlot(look, title="Learning rate")
        self.speed = LivePlot(look, title="Images per second")
        self.memory = LivePlot(look, title="Memory, GB")
        self._of_steps = (self.rates, self.speed, self.memory)
        self._smoothing = DEFAULT_SMOOTHING
        self.smoothing_slider = self._make_slider()
        self.loss.add_control(self.smoothing_slider)
        for plot in self.plots:
            plot.redraw_wanted.connect(self._plot_wants)
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

    def _make_slider(self) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(0, _SLIDER_STEPS)
        slider.setFixedWidth(_SLIDER_PX)
        slider.setAccessibleName("Smoothing of the loss")
        slider.setValue(_slider_of(DEFAULT_SMOOTHING))
        slider.setToolTip(_say_smoothing(DEFAULT_SMOOTHING))
        slider.valueChanged.connect(self._smooth)
        return slider

    def _smooth(self, value: int) -> None:
        self._smoothing = _smoothing_of(value)
        self.smoothing_slider.setToolTip(_say_smoothing(self._smoothing))
        self._drawn.pop(0, None)
        self.draw_wanted.emit()

    def _plot_wants(self) -> None:
        for place, plot in enumerate(self.plots):
            if plot is self.sender():
                self._drawn.pop(place, None)
        self.draw_wanted.emit()

    def begin(self, live: LiveRun) -> None:
        """Prepare the plots for another run, or another kind of run; `draw_next` then draws.

        The plots of the steps appear with their first turn: five new ones in one paint held the
        window up for 180 ms.
        """
        self._drawn.clear()
        self.smoothing_slider.setVisible(live.is_fine_tuning)
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
                "held-out check": (epochs, selection),
            }
            self.loss.show_lines(_EPOCHS, points, live.loss_sentence())
            return
        steps = live.steps
        steps.set_smoothing(self._smoothing)
        of_steps: dict[str, Points] = {
            "steps": self._curve(live, steps.loss),
            "mean": self._curve(live, steps.smooth),
            "held-out check": (epochs, selection),
        }
        self.loss.show_lines(
            _STEPS,
            of_steps,
            live.loss_sentence(),
            _markers(live, "opened", "dropped", "resumed"),
        )

    def _draw_accuracy(self, live: LiveRun) -> None:
        epochs = [event.epoch for event in live.epochs]
        points = {
            "train": (epochs, [event.train_accuracy for event in live.epochs]),
            "held-out check": (epochs, [event.selection_accuracy for event in live.epochs]),
        }
        lines = _ACCURACY if live.is_fine_tuning else _ACCURACY_OF_HEAD
        markers = _markers(live, "best", "resumed") if live.is_fine_tuning else ()
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
        points: dict[str, Points] = {
            name: self._curve(live, column, only_positive=True)  # frozen: no rate
            for name, column in zip(names, live.steps.rates, strict=False)
        }
        markers = _markers(live, "opened", "dropped")
        self.rates.show_lines(lines, points, live.rates_sentence(), markers)

    def _draw_speed(self, live: LiveRun) -> None:
        points = {"images/s": self._curve(live, live.steps.images_per_s)}
        self.speed.show_lines(_SPEED, points, live.speed_sentence())

    def _draw_memory(self, live: LiveRun) -> None:
        points = {"GB": self._curve(live, live.steps.memory_mb, 1 / 1024)}
        self.memory.show_lines(_MEMORY, points, live.memory_sentence())

    def _curve(
        self, live: LiveRun, column: Pyramid, scale: float = 1.0, *, only_positive: bool = False
    ) -> Curve:
        per_epoch = live.started.steps_per_epoch if live.started else 1
        return live.steps.curve(column, per_epoch, scale, only_positive=only_positive)


def _markers(live: LiveRun, *kinds: MarkerKind) -> tuple[Marker, ...]:
    """The events of these kinds, in the order of the run."""
    per_epoch = max(1, live.started.steps_per_epoch if live.started else 1)
    markers: list[Marker] = []
    if "opened" in kinds:
        markers += [
            Marker(change.epoch - 1, "layers open", "opened", f"opened: {list_some(change.opened)}")
            for change in live.changes
            if change.epoch > 1
        ]
    if "dropped" in kinds:
        markers += [
            Marker(
                drop.step / per_epoch, "rate drops", "dropped", f"rate dropped × {drop.share:.2g}"
            )
            for drop in live.steps.drops
        ]
    if "best" in kinds and live.best_epoch is not None:
        markers.append(Marker(live.best_epoch, "best", "best", "best checkpoint"))
    if "resumed" in kinds:
        markers += [Marker(step / per_epoch, "resumed", "resumed") for step in live.resumed_at]
    return tuple(sorted(markers, key=lambda marker: marker.epoch))


def _smoothing_of(value: int) -> float:
    """Even steps of the slider make the mean reach 1 … 1,000 steps back, each time as much more."""
    return 1 - 10 ** (-value / 10)


def _slider_of(share: float) -> int:
    return next(v for v in range(_SLIDER_STEPS + 1) if _smoothing_of(v) >= share - 1e-9)


def _say_smoothing(share: float) -> str:
    steps = round(1 / (1 - share))
    return "Smoothing: none" if steps == 1 else f"Smoothing: the mean of about {steps:,} steps"
