"""The learning-rate finder: a test as it runs, its reading in words, and the rate to take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize
from PySide6.QtWidgets import (
    QDialog,
    QLineEdit,
    QMenu,
    QWidget,
)

from core.errors import AppError
from core.training.lr_finder.curve import (
    HIGHEST,
    LOWEST,
    STEPS,
    describe_rate,
    rate_text,
    rounded,
    write_points,
)
from gui.kit import dialogs, theme
from gui.kit.basics import button, delayed, icon_button, label, progress_bar, row, vbox
from gui.kit.notice_bar import NoticeBar
from gui.kit.theme import Theme
from gui.train.lr_plot import RatePlot

if TYPE_CHECKING:
    from core.training.lr_finder.curve import RateCurve, RatePoint
    from gui.train.lr_commands import RateCommands

_SIZE = QSize(760, 560)
_DRAW_MS = 60
_FIELD_PX = 72
_ABOUT = (
    "The rate rises from step to step on your own training until the loss runs away. Nothing of "
    "it is kept."
)


class RateFinder(QDialog):
    """`values` gives the recipe's values at the moment of a test."""

    def __init__(
        self,
        parent: QWidget,
        look: Theme,
        commands: RateCommands,
        values: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__(parent)
        self._look = look
        self._commands = commands
        self._values = values
        self._points: list[RatePoint] = []
        self.curve: RateCurve | None = None
        self.setWindowTitle("Find the learning rate")
        self.resize(_SIZE)
        self._timer = delayed(self, _DRAW_MS, self._draw)
        column = vbox(self, margins=(theme.XL, theme.L, theme.XL, theme.L), spacing=theme.M)
        column.addWidget(label(_ABOUT, "muted", wraps=True))
        self.notices = NoticeBar(look)
        column.addWidget(self.notices)
        column.addLayout(self._make_range())
        self.plot = RatePlot(look)
        self.plot.rate_chosen.connect(self._show_rate)
        column.addWidget(self.plot, 1)
        self._bar = progress_bar("Progress of the test")
        column.addWidget(self._bar)
        self.state = label("", "muted-small", wraps=True)
        column.addWidget(self.state)
        self.reading = label("", "body", wraps=True)
        column.addWidget(self.reading)
        self.at_marker = label("", "body", wraps=True)
        column.addWidget(self.at_marker)
        column.addLayout(self._make_buttons())
        commands.point_made.connect(self._add_point)
        commands.progressed.connect(self._show_progress)
        commands.noticed.connect(self._show_notice)
        commands.found.connect(self._show_curve)
        commands.ended.connect(self._show_end)
        self.finished.connect(self._leave)

    # -- building ----------------------------------------------------------------------------

    def _make_range(self) -> Any:
        self.lowest = _field("Lowest rate", f"{LOWEST:g}")
        self.highest = _field("Highest rate", f"{HIGHEST:g}")
        self.steps = _field("Steps", str(STEPS))
        self.again_button = button("Test again", self.start, icon=(self._look, "refresh", "muted"))
        self.cancel_button = button(
            "Cancel the test", self._commands.cancel, icon=(self._look, "stop", "bad")
        )
        line = row(
            label("From", "muted"), self.lowest, label("to", "muted"), self.highest,
            label("in", "muted"), self.steps, label("steps", "muted"),
            self.again_button, self.cancel_button,
        )  # fmt: skip
        name = "Export the curve"
        self.menu_button = icon_button(self._look, "dots-horizontal", name, px=theme.ICON_PX)
        self.menu = QMenu(self)
        self.menu.addAction("Save as &picture …").triggered.connect(self._ask_for_picture)
        self.menu.addAction("Save &values …").triggered.connect(self._ask_for_values)
        self.menu_button.clicked.connect(self._open_menu)
        line.addWidget(self.menu_button)
        return line

    def _make_buttons(self) -> Any:
        self.use_button = button(
            "Use this rate", self._use, role="primary", icon=(self._look, "check", "on_accent")
        )
        self.back_button = button("Back to the suggestion", self._go_to_suggestion)
        self.close_button = button("Close", self.reject)
        line = row(self.use_button, self.back_button)
        line.addWidget(self.close_button)
        return line

    # -- testing -----------------------------------------------------------------------------

    def show_now(self) -> None:
        """Open and begin; does not block."""
        self.open()
        self.start()

    def start(self) -> None:
        """Test the rates between the bounds in the fields."""
        self._points, self.curve = [], None
        self.notices.clear()
        try:
            lowest, highest = _number(self.lowest), _number(self.highest)
            steps = int(_number(self.steps))
            self._commands.find(self._values(), lowest=lowest, highest=highest, steps=steps)
        except AppError as error:
            self._show_end(str(error))
            return
        self.plot.show_range(lowest, highest)
        self.reading.clear()
        self.at_marker.clear()
        self.state.setText("The test begins as soon as nothing else computes.")
        self._bar.setRange(0, 0)
        self._show_controls(is_on=True)

    def _add_point(self, point: RatePoint) -> None:
        self._points.append(point)
        if not self._timer.isActive():
            self._timer.start()

    def _draw(self) -> None:
        self.plot.show_points(self._points)
        self._describe()

    def _show_progress(self, done: int, total: int, note: str) -> None:
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        amount = f": {done:,} of {total:,}" if total else ""
        self.state.setText(f"{note[:1].upper()}{note[1:]}{amount}")

    def _show_notice(self, text: str) -> None:
        self.notices.show_notice(text, "info")

    def _show_curve(self, curve: RateCurve) -> None:
        self.curve = curve
        self._points = list(curve.points)
        self._timer.stop()
        reading = curve.reading
        suggestion = reading.suggestion
        self.plot.show_points(curve.points)
        self.plot.show_suggestion(suggestion)
        begins = "No rate can be suggested." if suggestion is None else (
            f"{rate_text(suggestion)} is suggested for the head."
        )  # fmt: skip
        self.reading.setText(f"{begins} {reading.reason}")
        shares = ", ".join(f"{name} × {share:.3g}" for name, share in reversed(curve.groups[:-1]))
        others = f" Other groups learn at shares of it: {shares}." if shares else ""
        also = (
            "" if reading.tenth is None else f" A tenth of the lowest: {rate_text(reading.tenth)}."
        )
        self.state.setText(f"{len(curve.points)} steps in {curve.seconds:,.0f} s.{also}{others}")
        self._show_controls(is_on=False)
        if suggestion is not None:
            self.plot.move_marker(suggestion)
            self._show_rate(suggestion)
        self._describe()
        self.plot.setFocus()

    def _show_end(self, text: str) -> None:
        """Failed, refused or cancelled: the points stay, without a suggested rate."""
        self._draw()
        self.state.setText("")
        self.notices.show_notice(text, "warning")
        self._show_controls(is_on=False)

    # -- the rate ----------------------------------------------------------------------------

    def _show_rate(self, rate: float) -> None:
        reading = self.curve.reading if self.curve is not None else None
        self.at_marker.setText(describe_rate(self._points, reading, rate))
        self._show_controls(is_on=self._commands.is_on)
        self._describe()

    def _go_to_suggestion(self) -> None:
        if self.plot.suggestion is not None:
            self.plot.move_marker(self.plot.suggestion)
            self._show_rate(self.plot.suggestion)

    def _use(self) -> None:
        if self.plot.rate is None:
            return
        try:
            self._commands.use(rounded(self.plot.rate))
        except AppError as error:
            self.notices.show_notice(str(error), "error")
        else:
            self.accept()

    def _leave(self, _result: int) -> None:
        self._timer.stop()
        self._commands.drop()

    # -- showing -----------------------------------------------------------------------------

    def _show_controls(self, *, is_on: bool) -> None:
        self._bar.setVisible(is_on)
        self.cancel_button.setVisible(is_on)
        self.again_button.setVisible(not is_on)
        for box in (self.lowest, self.highest, self.steps):
            box.setEnabled(not is_on)
        rate, suggestion = self.plot.rate, self.plot.suggestion
        self.use_button.setEnabled(rate is not None)
        text = "Use this rate" if rate is None else f"Use {rate_text(rounded(rate))}"
        self.use_button.setText(f" {text}")
        self.use_button.setAccessibleName(text)
        self.use_button.setToolTip("Use this rate: it becomes the recipe's, and can be undone")
        self.back_button.setEnabled(suggestion is not None and rate != suggestion)
        self.menu_button.setEnabled(bool(self._points))

    def _describe(self) -> None:
        """The plot's text twin."""
        parts = [self.reading.text(), self.at_marker.text()]
        if self._points:
            first, last = self._points[0], self._points[-1]
            parts.insert(
                0,
                f"Smoothed loss {first.smooth:.3g} at {rate_text(first.rate)}, {last.smooth:.3g} "
                f"at {rate_text(last.rate)}.",
            )
        self.plot.setAccessibleDescription(" ".join(text for text in parts if text))

    # -- export ------------------------------------------------------------------------------

    def _open_menu(self) -> None:
        self.menu.popup(self.menu_button.mapToGlobal(self.menu_button.rect().bottomLeft()))

    def _ask_for_picture(self) -> None:
        title = "Save the curve as a picture"
        dialogs.ask_where_to_save(self, title, ("PNG (*.png)",), self.save_picture)

    def _ask_for_values(self) -> None:
        title = "Save the values of the curve"
        dialogs.ask_where_to_save(self, title, ("CSV (*.csv)",), self.save_values)

    def save_picture(self, path: str) -> None:
        """Write the plot as it is seen."""
        if not self.plot.grab().save(path):
            self.notices.show_notice(f"{path} cannot be written.", "error")

    def save_values(self, path: str) -> None:
        """Write the steps of the test."""
        try:
            write_points(Path(path), self._points)
        except AppError as error:
            self.notices.show_notice(str(error), "error")


def _field(name: str, text: str) -> QLineEdit:
    made = QLineEdit(text)
    made.setAccessibleName(name)
    made.setFixedWidth(_FIELD_PX)
    made.setAcceptDrops(False)  # drops belong to the window
    return made


def _number(box: QLineEdit) -> float:
    """The number in a field. Raises: AppError naming the field and its text."""
    try:
        return float(box.text().strip())
    except ValueError as error:
        raise AppError(
            f"“{box.text()}” is no number for “{box.accessibleName()}”.", "Write it as 1e-5."
        ) from error
