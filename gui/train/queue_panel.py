"""The trainings that wait, as a list that can be put in order. Hidden while there are none."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QToolButton

from core.catalog.names import shown_name
from gui.kit import theme
from gui.kit.basics import Card, button, icon_button, label, row
from gui.kit.run_status import STATUS_ICONS
from gui.kit.theme import Theme
from gui.kit.words import isolate, strategy_in_words
from gui.train.queue_commands import QueueCommands, describe
from gui.train.queue_jobs import Change, QueueRow

_ROW_PX = 28
MOST_ROWS = 4
_WORDS = {
    "waiting": "waits",
    "running": "on now",
    "interrupted": "cut off: resume its run on Runs, or let it wait again",
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
}


class QueueList(QListWidget):
    """Alt+Up and Alt+Down move an entry, Delete takes it out."""

    change_wanted = Signal(str)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        is_alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.change_wanted.emit("remove")
        elif is_alt and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.change_wanted.emit("up" if event.key() == Qt.Key.Key_Up else "down")
        else:
            super().keyPressEvent(event)


class QueuePanel(Card):
    """What waits, runs and has ended; buttons for the chosen entry."""

    def __init__(self, commands: QueueCommands, look: Theme) -> None:
        super().__init__(margin=theme.M)
        self._commands = commands
        self._theme = look
        self._most_rows = MOST_ROWS
        self.title = label("Queue", "heading")
        self.go_button = button("Start the queue", self._start_or_hold)
        header = row(self.title, spacing=theme.S, stretch=False)
        header.addStretch(1)
        self._tools: dict[Change, QToolButton] = {}
        tools: tuple[tuple[Change, str, str], ...] = (
            ("up", "arrow-up", "Earlier (Alt+Up)"),
            ("down", "arrow-down", "Later (Alt+Down)"),
            ("again", "replay", "Let it wait again"),
            ("remove", "close", "Take it out of the queue (Delete)"),
        )
        slots = {
            "up": self._up, "down": self._down, "again": self._again, "remove": self._remove,
        }  # fmt: skip
        for change, icon, tip in tools:
            tool = icon_button(look, icon, tip, slots[change], px=theme.ICON_PX)
            tool.setAccessibleName(tip.partition(" (")[0])
            self._tools[change] = tool
            header.addWidget(tool)
        self.clear_button = button("Clear ended", commands.clear_ended, role="flat")
        header.addWidget(self.clear_button)
        header.addWidget(self.go_button)
        self.body.addLayout(header)
        self.list = QueueList()
        self.list.setAccessibleName("Queue of trainings")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setUniformItemSizes(True)
        self.list.setIconSize(QSize(theme.ICON_PX, theme.ICON_PX))
        self.list.currentRowChanged.connect(self._show_tools)
        self.list.change_wanted.connect(self._change)
        self.body.addWidget(self.list)
        commands.changed.connect(self._show)
        look.changed.connect(self._show)
        self._show()

    # -- doing -------------------------------------------------------------------------------

    @property
    def chosen(self) -> QueueRow | None:
        at = self.list.currentRow()
        return self._commands.rows[at] if 0 <= at < len(self._commands.rows) else None

    def _up(self) -> None:
        self._change("up")

    def _down(self) -> None:
        self._change("down")

    def _again(self) -> None:
        self._change("again")

    def _remove(self) -> None:
        self._change("remove")

    def _change(self, change: Change) -> None:
        chosen = self.chosen
        if chosen is not None and self._can(chosen, change):
            self._commands.change(chosen.id, change)

    def _start_or_hold(self) -> None:
        if self._commands.is_going:
            self._commands.hold()
        else:
            self._commands.start()

    # -- showing -----------------------------------------------------------------------------

    def _show(self) -> None:
        rows, chosen = self._commands.rows, self.list.currentItem()
        kept = chosen.data(Qt.ItemDataRole.UserRole) if chosen is not None else None
        self.list.blockSignals(True)
        self.list.clear()
        for entry in rows:
            self.list.addItem(self._item(entry))
        places = [entry.id for entry in rows]
        self.list.setCurrentRow(places.index(kept) if kept in places else 0 if rows else -1)
        self.list.blockSignals(False)
        self._fit_list()
        waiting = self._commands.waiting
        self.title.setText(f"Queue · {waiting:,} waiting" if waiting else "Queue")
        self.go_button.setText("Hold after this run" if self._commands.is_going else "Start it")
        self.go_button.setAccessibleName(
            "Hold the queue after this run" if self._commands.is_going else "Start the queue"
        )
        self.go_button.setVisible(bool(waiting) or self._commands.is_going)
        self.clear_button.setVisible(
            any(entry.state in ("done", "stopped", "failed") for entry in rows)
        )
        self.setVisible(bool(rows))
        self._show_tools()

    def show_most(self, rows: int) -> None:
        """Show at most this number of entries; the others are reached by scrolling."""
        if rows != self._most_rows:
            self._most_rows = rows
            self._fit_list()

    def _fit_list(self) -> None:
        rows = max(1, min(len(self._commands.rows), self._most_rows))
        self.list.setFixedHeight(_ROW_PX * rows + 6)

    def _item(self, entry: QueueRow) -> QListWidgetItem:
        parts = [isolate(entry.name), strategy_in_words(entry.strategy), shown_name(entry.model)]
        words = entry.failure or _WORDS[entry.state]
        item = QListWidgetItem(" · ".join([*filter(None, parts), words]))
        item.setData(Qt.ItemDataRole.UserRole, entry.id)
        item.setToolTip(entry.failure or describe(entry))
        item.setSizeHint(QSize(0, _ROW_PX))
        item.setIcon(self._theme.icon(*STATUS_ICONS.get(entry.state, ("clock-outline", "muted"))))
        return item

    def _show_tools(self, _row: int = 0) -> None:
        chosen = self.chosen
        for change, tool in self._tools.items():
            tool.setEnabled(chosen is not None and self._can(chosen, change))

    def _can(self, chosen: QueueRow, change: Change) -> bool:
        at, last = self._commands.rows.index(chosen), len(self._commands.rows) - 1
        if change == "again":
            return chosen.state not in ("waiting", "running")
        if change == "remove":
            return chosen.state != "running"
        return at > 0 if change == "up" else at < last
