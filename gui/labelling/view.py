"""The tab that labels: name the classes, label a few pictures, have the rest suggested.

Every label goes to the journal of edits; nothing is labelled that nobody accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QSlider, QVBoxLayout, QWidget

from core.data.journal import Edit
from gui.base.session import Session
from gui.edits.commands import DataCommands
from gui.kit import theme
from gui.kit.basics import Card, ElidedLabel, button, delayed, hbox, label, row, vbox
from gui.kit.theme import Theme
from gui.kit.view_switch import ViewSwitch
from gui.kit.words import count
from gui.labelling.class_naming import ClassNaming
from gui.labelling.commands import FeatureCommands, LabellingCommands
from gui.labelling.feature_state import describe_features
from gui.labelling.jobs import Learned
from gui.labelling.queue import LabellingQueue, QueueEntries, describe_acceptance
from gui.pictures.class_chooser import ClassChooser
from gui.pictures.gallery import Gallery

_LEARN_MS = 120
_SETTLE_MS = 3000
"""After so long a label that has not arrived was refused: the picture is to be labelled again."""
_REFRESH_MS = 250
_LEAST, _FIRST = 50, 95
_HINT = "1–9 label · Enter accept · X reject · S skip · R other class · Space look · Del exclude"


class LabelGrid(Gallery):
    """A gallery whose keys label; what they mean, the view decides."""

    digit_pressed = Signal(int)
    accept_pressed = Signal()
    reject_pressed = Signal()
    skip_pressed = Signal()
    choose_pressed = Signal()
    exclude_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        plain = event.modifiers() in (
            Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier,
        )  # fmt: skip
        signals = {
            Qt.Key.Key_Return: self.accept_pressed,
            Qt.Key.Key_Enter: self.accept_pressed,
            Qt.Key.Key_X: self.reject_pressed,
            Qt.Key.Key_S: self.skip_pressed,
            Qt.Key.Key_R: self.choose_pressed,
            Qt.Key.Key_Delete: self.exclude_pressed,
        }
        if plain and Qt.Key.Key_1 <= key <= Qt.Key.Key_9:
            self.digit_pressed.emit(key - Qt.Key.Key_1)
        elif plain and key in signals:
            signals[key].emit()
        else:
            super().keyPressEvent(event)


class LabellingView(QWidget):
    """Pictures without a label, those first whose label teaches most."""

    passed = Signal(object)
    """The file of the picture that is current now."""
    opened = Signal(object)
    """The file of a picture to look at closely."""

    def __init__(
        self,
        session: Session,
        data: DataCommands,
        features: FeatureCommands,
        labelling: LabellingCommands,
        look: Theme,
    ) -> None:
        super().__init__()
        self._session = session
        self._data = data
        self._features, self._labelling = features, labelling
        self._look = look
        self.queue: LabellingQueue | None = None
        self._chooser: ClassChooser | None = None
        self._learn_timer = delayed(self, _LEARN_MS, self._labelling.learn)
        self._settle_timer = delayed(self, _SETTLE_MS, self._settle)
        self._state_timer = QTimer(self)
        self._state_timer.setInterval(_REFRESH_MS)
        self._state_timer.timeout.connect(self._say_state)
        across = hbox(self, margins=(0, theme.S, 0, 0), spacing=theme.M)
        self.classes = ClassNaming()
        self.classes.chosen.connect(self.label_as)
        self.classes.renamed.connect(self._data.rename)
        self.classes.refused.connect(self._refuse)
        side = vbox()
        side.addWidget(self.classes, 1)
        side.addWidget(self._make_bulk())
        across.addLayout(side)
        across.addLayout(self._make_pictures(), 1)
        self._features.changed.connect(self._follow_features)
        self._labelling.learned.connect(self._learn)
        session.dataset_changed.connect(self._follow)

    # -- building ----------------------------------------------------------------------------

    def _make_pictures(self) -> QVBoxLayout:
        column = vbox()
        self.orders = ViewSwitch(
            self._look,
            (
                ("next", "Label next", "help-circle-outline"),
                ("sure", "Most certain", "check-all"),
            ),
        )
        self.orders.buttons["next"].setToolTip("Those first whose label teaches most")
        self.orders.chosen.connect(self._reorder)
        self.start_button = button(
            "Suggest labels", self._features.read, role="primary",
            icon=(self._look, "auto-fix", "on_accent"),
        )  # fmt: skip
        self.cancel_button = button("Cancel", self._features.cancel)
        line = row(self.orders, spacing=theme.S)
        line.addWidget(self.start_button)
        line.addWidget(self.cancel_button)
        column.addLayout(line)
        self.state = label("", "small", wraps=True)
        column.addWidget(self.state)
        self.grid = LabelGrid(self._look, name="Pictures without a label", can_select=True)
        self.grid.current_changed.connect(self._pass)
        self.grid.opened.connect(self._open)
        self.grid.digit_pressed.connect(self._label_by_digit)
        self.grid.accept_pressed.connect(self.accept)
        self.grid.reject_pressed.connect(self.reject)
        self.grid.skip_pressed.connect(self.skip)
        self.grid.choose_pressed.connect(self.choose_class)
        self.grid.exclude_pressed.connect(self._exclude)
        column.addWidget(self.grid, 1)
        self.hint = ElidedLabel(_HINT, "muted-small")
        column.addWidget(self.hint)
        return column

    def _make_bulk(self) -> Card:
        self.bulk = Card(margin=theme.S)
        self.bulk.setFixedWidth(self.classes.width())
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(_LEAST, 100)
        self.slider.setValue(_FIRST)
        self.slider.setAccessibleName("Accept from this probability on, percent")
        self.slider.valueChanged.connect(self._say_bulk)
        self.percent = label("", "small")
        self.bulk.body.addWidget(self.percent)
        self.bulk.body.addWidget(self.slider)
        self.expected = label("", "muted-small", wraps=True)
        self.bulk.body.addWidget(self.expected)
        self.accept_button = button("Accept", self.accept_all)
        self.bulk.body.addWidget(self.accept_button)
        self.bulk.hide()
        return self.bulk

    # -- following ---------------------------------------------------------------------------

    def showEvent(self, event: object) -> None:
        self._features.ask()
        self._say_state()
        self.grid.setFocus()

    def hideEvent(self, event: object) -> None:
        self._state_timer.stop()

    def _follow(self) -> None:
        """The dataset as it is now: another one, or the same with more labels."""
        dataset = self._session.dataset
        if dataset is None or self._session.scan_state != "ready":
            return
        before = self.queue
        if before is None or before.dataset.opened != dataset.opened:
            self.queue = LabellingQueue(dataset)
            self.classes.forget()
            self.orders.choose("next")
            self._show(keeps_place=False)
        elif before.dataset is not dataset:
            before.follow(dataset)
            self._show(keeps_place=True)
        else:
            return
        self.classes.show_dataset(dataset)
        self._learn_soon()
        if self.isVisible():
            self._features.ask()
        self._say_state()

    def _follow_features(self) -> None:
        if self._features.features is None and self.queue is not None:
            self.queue.forget()
            self._show(keeps_place=True)
        self._learn_soon()
        self._say_state()

    def _learn_soon(self) -> None:
        queue = self.queue
        is_known = self._features.features is not None
        if is_known and queue is not None and len(queue.dataset.unlabelled):
            self._learn_timer.start()

    def _learn(self, learned: Learned) -> None:
        queue = self.queue
        # The labels may have changed since: then another answer is on its way.
        if queue is None or learned.dataset is not queue.dataset:
            return
        before = queue.files
        queue.learn(learned)
        if queue.files != before and self.grid.count and queue.suggestions is not None:
            self._keep_current_first()
        self._show(keeps_place=queue.files == before)
        self._say_state()

    def _keep_current_first(self) -> None:
        """Whoever is about to press a key sees the same picture before and after."""
        current = self._current_file()
        if self.queue is not None and self.grid.hasFocus() and current in self.queue.files:
            self.queue.sort(first=current)

    def _reorder(self, key: str) -> None:
        if self.queue is not None:
            self.queue.order = "sure" if key == "sure" else "next"
            self.queue.sort()
            self._show(keeps_place=False)

    # -- showing -----------------------------------------------------------------------------

    def _show(self, *, keeps_place: bool) -> None:
        queue = self.queue
        if queue is None:
            return
        files = queue.files
        entries = QueueEntries(queue.dataset.root, files, queue)
        before = self.grid.entries
        empty = "Every picture has a label. Train, or look at them under Pictures."
        if keeps_place and isinstance(before, QueueEntries) and len(before):
            place = {file: i for i, file in enumerate(files)}
            places = np.array([place.get(file, -1) for file in before.files], dtype=np.int64)
            self.grid.replace_entries(entries, places, empty_text=empty)
        else:
            self.grid.show_entries(entries, empty_text=empty)
        self._say_bulk()
        self.classes.show_progress(queue.labelled, len(queue.dataset))

    def _say_state(self) -> None:
        queue, state = self.queue, self._features.state
        is_needed = queue is not None and bool(len(queue.dataset.unlabelled))
        self.start_button.setVisible(is_needed and state in ("unknown", "asking", "missing"))
        self.cancel_button.setVisible(state == "reading")
        self.orders.setVisible(queue is not None and queue.suggestions is not None)
        self.state.setText("" if queue is None else self._told(queue))
        if state in ("asking", "reading") and self.isVisible():
            self._state_timer.start()
        else:
            self._state_timer.stop()

    def _told(self, queue: LabellingQueue) -> str:
        if not len(queue.dataset.unlabelled):
            return "All pictures have a label."
        if self._features.features is None:
            return f"Suggestions need the features: {describe_features(self._features)}"
        found = queue.suggestions
        if found is None:
            return (
                "Name two classes or more and label a few pictures of each. Typical pictures of "
                "every kind come first; then the rest is suggested."
            )
        return (
            f"Learnt from {count(found.labelled, 'label')} of "
            f"{count(len(found.classes), 'class', 'classes')}. Under each picture stands what is "
            "suggested; it counts when you accept it."
        )

    @property
    def threshold(self) -> float:
        """The least probability, 0…1, at which all suggestions are accepted together."""
        return self.slider.value() / 100

    def _say_bulk(self, _value: int = 0) -> None:
        queue = self.queue
        self.bulk.setVisible(queue is not None and queue.suggestions is not None)
        if queue is None or queue.suggestions is None:
            return
        self.percent.setText(f"Accept all from {self.slider.value()}% on")
        number = sum(len(files) for files in queue.sure(self.threshold).values())
        self.accept_button.setText(f"Accept {number:,}")
        self.accept_button.setAccessibleName(f"Accept {number:,} suggestions")
        self.accept_button.setEnabled(number > 0)
        self.expected.setText(describe_acceptance(queue, self.threshold))

    # -- labelling ---------------------------------------------------------------------------

    def _chosen(self) -> tuple[str, ...]:
        entries = self.grid.entries
        if not isinstance(entries, QueueEntries):
            return ()
        return tuple(entries.files[i] for i in self.grid.acted_on.tolist())

    def _current_file(self) -> str:
        entries = self.grid.entries
        if not isinstance(entries, QueueEntries) or not len(entries):
            return ""
        return entries.files[self.grid.current]

    def _label_by_digit(self, number: int) -> None:
        keys = self.classes.keys
        if number < len(keys):
            self.label_as(keys[number])
        else:
            named = count(len(keys), "class is", "classes are")
            self._session.notice(
                "here", f"There is no class {number + 1}: {named} named. Name it first.", "warning"
            )

    def label_as(self, key: str) -> None:
        """Give the selected pictures, or the current one, a class."""
        files = self._chosen()
        if files:
            self._write({key: list(files)})
        self.grid.setFocus()

    def choose_class(self) -> None:
        """Ask for the class, with a search: there may be more than nine."""
        if self.queue is None or not self._chosen():
            return
        heading = f"Label {count(len(self._chosen()), 'picture')} as"
        pairs = tuple(zip(self.classes.keys, self.classes.names, strict=True))
        self._chooser = ClassChooser(self.window(), heading, pairs)
        self._chooser.chosen.connect(self.label_as)
        self._chooser.open()

    def accept(self) -> None:
        """Label the selected pictures as suggested."""
        queue = self.queue
        if queue is None:
            return
        wanted: dict[str, list[str]] = {}
        for file in self._chosen():
            suggested = queue.suggestion(file)
            if suggested is not None:
                wanted.setdefault(suggested[0], []).append(file)
        if wanted:
            self._write(wanted)
        elif self._chosen():
            self._session.notice("here", "Nothing is suggested for this picture yet: press 1 to 9.")

    def accept_all(self) -> None:
        """Label all pictures whose suggestion reaches the threshold, as one edit to undo."""
        if self.queue is not None:
            self._write(self.queue.sure(self.threshold))

    def _write(self, wanted: Mapping[str, Sequence[str]]) -> None:
        queue = self.queue
        if queue is None or not wanted:
            return
        self._data.write([Edit("relabel", tuple(files), key) for key, files in wanted.items()])
        for files in wanted.values():
            queue.pending.update(files)
        self._settle_timer.start()
        self._show(keeps_place=True)
        self.grid.clear_selection()
        self._follow_current()

    def _settle(self) -> None:
        if self._data.is_busy:
            self._settle_timer.start()
        elif self.queue is not None and self.queue.pending:
            self.queue.pending.clear()
            self._show(keeps_place=True)

    def reject(self) -> None:
        """Rule out the suggestion for the selected pictures."""
        if self.queue is not None and self._chosen():
            self.queue.reject(self._chosen())
            self._show(keeps_place=True)

    def skip(self) -> None:
        """Move the selected pictures to the end of the queue."""
        files = self._chosen()
        if self.queue is None or not files:
            return
        before = self.queue.files
        at = int(self.grid.acted_on[0])
        self.queue.skip(files)
        after = [file for file in before[at:] if file not in set(files)]
        self._show(keeps_place=True)
        self.grid.clear_selection()
        if after:
            self.grid.choose(self.queue.files.index(after[0]))
        self._follow_current()

    def _exclude(self) -> None:
        files = self._chosen()
        if files:
            self._data.exclude(files)

    def _follow_current(self) -> None:
        current = self._current_file()
        if current:
            self.passed.emit(current)

    def _refuse(self, text: str) -> None:
        self._session.notice("here", text, "warning")

    def _pass(self, _position: int) -> None:
        self._follow_current()

    def _open(self, _position: int) -> None:
        self.opened.emit(self._current_file())
