"""The frame around the pages: rail, context line, status line and what a drag shows."""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QAction, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from gui.kit import theme
from gui.kit.basics import ElidedLabel, button, hbox, label, progress_bar, vbox
from gui.kit.theme import Theme
from gui.kit.workers import Job, JobRunner

RAIL_PX = 136
LINE_PX = 40
_TOOL_PX = 30


class Rail(QFrame):
    """One button per page; `chosen` carries the page's name."""

    chosen = Signal(str)

    def __init__(self, look: Theme, pages: Sequence[tuple[str, str, str]]) -> None:
        """`pages`: (name, label, mdi6 icon)."""
        super().__init__()
        self.setObjectName("rail")
        self.setFixedWidth(RAIL_PX)
        column = vbox(self, margins=(theme.S, theme.M, theme.S, theme.M), spacing=theme.XS)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QToolButton] = {}
        for name, text, icon in pages:
            made = QToolButton()
            made.setText(f"  {text}")  # Qt leaves 4 px beside the icon; the eye wants 12
            made.setAccessibleName(f"{text} page")
            made.setCheckable(True)
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            made.setIconSize(QSize(20, 20))
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            made.setMinimumHeight(38)
            made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            look.give_icon(made, icon, "accent")
            self._group.addButton(made)
            self._buttons[name] = made
            column.addWidget(made)
        column.addStretch(1)
        self._group.buttonClicked.connect(self._clicked)

    def set_current(self, name: str) -> None:
        self._buttons[name].setChecked(True)

    def button(self, name: str) -> QToolButton:
        return self._buttons[name]

    def _clicked(self, clicked: QToolButton) -> None:
        for name, known in self._buttons.items():
            if known is clicked:
                self.chosen.emit(name)


class ContextLine(QFrame):
    """What the session holds: dataset · model · strategy · device; on the right the toolbar."""

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self.setObjectName("context")
        self.setFixedHeight(LINE_PX)
        self._theme = look
        self.tools: list[QToolButton] = []
        self._line = line = QHBoxLayout(self)
        line.setContentsMargins(theme.XL, 0, theme.M, 0)
        line.setSpacing(theme.S)
        self._icons: list[tuple[QLabel, str]] = []
        self._texts: dict[str, ElidedLabel] = {}
        for name, icon in (
            ("dataset", "folder-image"),
            ("model", "vector-polyline"),
            ("strategy", "source-branch"),
            ("device", "memory"),
        ):
            if self._texts:
                line.addSpacing(theme.M)
            mark = QLabel()
            self._icons.append((mark, icon))
            line.addWidget(mark)
            text = ElidedLabel("–", "small")
            text.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
            self._texts[name] = text
            line.addWidget(text)
        line.addStretch(1)
        look.changed.connect(self._draw_icons)
        self._draw_icons()

    def add_tools(self, tools: Sequence[QAction]) -> None:
        """One button per action; text, state and icon stay the action's own."""
        for action in tools:
            tool = QToolButton()
            tool.setDefaultAction(action)
            tool.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            tool.setAutoRaise(True)
            tool.setIconSize(QSize(18, 18))
            tool.setFixedSize(_TOOL_PX, _TOOL_PX)
            tool.setAccessibleName(action.toolTip())
            self._line.addWidget(tool)
            self.tools.append(tool)

    def show_values(self, **values: str) -> None:
        for name, value in values.items():
            self._texts[name].setText(value)
            self._texts[name].setAccessibleName(f"{name}: {value}")

    def value(self, name: str) -> str:
        return self._texts[name].text()

    def _draw_icons(self) -> None:
        for mark, icon in self._icons:
            mark.setPixmap(self._theme.icon(icon).pixmap(QSize(16, 16)))


class StatusLine(QFrame):
    """The first job: its progress, the time left, Cancel, and which job waits for it."""

    cancel_wanted = Signal(object)

    def __init__(self, runner: JobRunner) -> None:
        super().__init__()
        self.setObjectName("status")
        self.setFixedHeight(LINE_PX)
        self._runner = runner
        self._job: Job | None = None
        line = hbox(self, margins=(theme.L, 0, theme.L, 0), spacing=theme.M)
        self._text = ElidedLabel("Ready", "small")
        line.addWidget(self._text, 1)
        self._left = label("", "muted-small")
        line.addWidget(self._left)
        self._bar = progress_bar("Progress of the job", 180)
        line.addWidget(self._bar)
        self._cancel = button("Cancel", self._cancel_clicked, role="flat")
        line.addWidget(self._cancel)
        runner.jobs_changed.connect(self._show_jobs)
        runner.progressed.connect(self._show_progress)
        self._show_jobs()

    @property
    def text(self) -> str:
        return self._text.text()

    def _cancel_clicked(self) -> None:
        if self._job is not None:
            self.cancel_wanted.emit(self._job)

    def _show_jobs(self) -> None:
        jobs = self._runner.jobs
        self._job = jobs[0] if jobs else None
        for widget in (self._bar, self._cancel, self._left):
            widget.setVisible(self._job is not None)
        if self._job is None:
            self._text.setText("Ready")
        else:
            self._cancel.setEnabled(not self._job.is_stopping)
            self._cancel.setText("Stop" if self._job.spec.key == "train" else "Cancel")
            self._cancel.setAccessibleName(f"{self._cancel.text()} {self._job.spec.title}")
            self._show_progress(self._job)

    def _show_progress(self, job: Job) -> None:
        if job is not self._job:
            return
        done, total, note = job.progress
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self._left.setText(_time_left(job))
        if job.is_stopping:
            note = "stopping"
        count = f" {done:,} / {total:,}" if total and not job.is_stopping else ""
        words = f"{job.spec.title}: {note}{count}" if note else job.spec.title
        self._text.setText(words + self._describe_waiting(job))

    def _describe_waiting(self, job: Job) -> str:
        holder = self._runner.slot_holder
        waiting = [other for other in self._runner.jobs if self._runner.is_waiting(other)]
        if self._runner.is_waiting(job):
            return " · waits for its turn"
        if not waiting or holder is None:
            return ""
        whom = "the training run" if holder.spec.key == "train" else f"“{holder.spec.title}”"
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        verb = "wait" if more else "waits"
        return f" · “{waiting[0].spec.title}”{more} {verb} for {whom}"


def _time_left(job: Job) -> str:
    done, total, _note = job.progress
    seconds = time.monotonic() - job.phase_started_at
    if seconds < 2 or not 0 < done < total:
        return ""
    left = seconds * (total - done) / done
    return f"{left:.0f} s left" if left < 90 else f"{left / 60:.0f} min left"


class DropOverlay(QWidget):
    """Says during a drag what a drop would do. Never in the way of the mouse."""

    def __init__(self, look: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = look
        self._text = ""
        self._is_welcome = True
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        parent.installEventFilter(self)
        self.hide()

    @property
    def text(self) -> str:
        return self._text

    def show_text(self, text: str, *, is_welcome: bool) -> None:
        self._text = text
        self._is_welcome = is_welcome
        parent = self.parentWidget()
        if parent is not None:
            self.setGeometry(parent.rect())
        self.raise_()
        self.show()
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        parent = self.parentWidget()
        if event.type() == QEvent.Type.Resize and parent is not None:
            self.setGeometry(parent.rect())
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = self._theme.colour("window")
        veil.setAlpha(225)
        painter.fillRect(self.rect(), veil)
        token = "accent" if self._is_welcome else "bad"
        painter.setPen(QPen(self._theme.colour(token), 2))
        frame = self.rect().adjusted(theme.M, theme.M, -theme.M, -theme.M)
        painter.drawRoundedRect(frame, theme.S, theme.S)
        painter.setFont(self._theme.font("title", bold=True))
        painter.drawText(
            frame.adjusted(theme.XL, theme.XL, -theme.XL, -theme.XL),
            Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap,
            self._text,
        )
