"""Classify: pictures in, the model's answers beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QStackedWidget,
    QWidget,
)

from core.catalog.names import shown_name
from gui.base.page import Page
from gui.base.session import IN_TRAINING, Picture, Session
from gui.classify.commands import FALLBACK_CLASSIFIER, ClassifyCommands
from gui.kit import theme
from gui.kit.basics import Card, ElidedLabel, button, hbox, label
from gui.kit.drop_zone import DropZone
from gui.kit.inputs import ComboBox
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.pictures.answers import AnswerBars, PictureView

if TYPE_CHECKING:
    from core.evaluation.classifier import Classification

_THUMBNAIL_PX = 40
_LIST_PX = 232
_ANSWERS_PX = 280


class ClassifyPage(Page):
    """Empty, one picture, or several with a list; each waiting or answered."""

    images_wanted = Signal()
    paste_wanted = Signal()

    def __init__(
        self, session: Session, settings: Settings, look: Theme, *, commands: ClassifyCommands
    ) -> None:
        super().__init__("Classify", session, settings, look)
        self._commands = commands
        self._current: Path | None = None
        self._can_try = session.can_try
        self._files: list[str] = []
        """Weights that were dropped: they stay on offer when another model is chosen."""
        self._rows: dict[Path, QListWidgetItem] = {}  # oldest first
        self._show_soon = QTimer(self)
        self._show_soon.setSingleShot(True)
        self._show_soon.timeout.connect(self._show_current)
        self._add_header()
        self.stack = QStackedWidget()
        self.body.addWidget(self.stack, 1)
        self._empty = DropZone(
            look,
            icon="image-plus-outline",
            text="Drop images here",
            hint="Or paste one with Ctrl+V, or click to choose. Several at once are fine.",
        )
        self._empty.activated.connect(self.images_wanted)
        self.stack.addWidget(self._empty)
        self._filled = self._make_filled()
        self.stack.addWidget(self._filled)
        session.runs_changed.connect(self._show_choices)
        session.models_changed.connect(self._show_choices)
        session.classifier_changed.connect(self._show_choices)
        session.run_changed.connect(self._follow_run)
        session.pictures_changed.connect(self._show_pictures)
        session.picture_added.connect(self._add_picture)
        session.picture_answered.connect(self._show_answer)
        self._show_choices()
        self._show_pictures()

    # -- building ----------------------------------------------------------------------------

    def _add_header(self) -> None:
        caption = label("Model", "muted-small")
        self.model = ComboBox()
        self.model.setAccessibleName("Model to classify with")
        self.model.setMinimumWidth(280)
        self.model.activated.connect(self._model_activated)
        caption.setBuddy(self.model)
        self.header.addWidget(caption)
        self.header.addWidget(self.model)
        self.open_button = button(
            "Open images …",
            self.images_wanted.emit,
            icon=(self.look, "image-plus-outline", "muted"),
        )
        self.paste_button = button(
            "Paste", self.paste_wanted.emit, icon=(self.look, "content-paste", "muted")
        )
        self.clear_button = button("Clear", self._commands.clear_pictures)
        for made in (self.open_button, self.paste_button, self.clear_button):
            self.header.addWidget(made)

    def _make_filled(self) -> QWidget:
        filled = QWidget()
        columns = hbox(filled, spacing=theme.M)
        self.list = QListWidget()
        self.list.setAccessibleName("Pictures")
        self.list.setFixedWidth(_LIST_PX)
        self.list.setIconSize(QSize(_THUMBNAIL_PX, _THUMBNAIL_PX))
        self.list.setUniformItemSizes(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentItemChanged.connect(self._item_chosen)
        columns.addWidget(self.list)
        self.picture = PictureView(self.look)
        columns.addWidget(self.picture, 1)
        columns.addWidget(self._make_answers())
        return filled

    def _make_answers(self) -> Card:
        card = Card()
        card.setFixedWidth(_ANSWERS_PX)
        self._file = ElidedLabel("", "muted-small")
        card.body.addWidget(self._file)
        self.answer = label("", "title", wraps=True)
        card.body.addWidget(self.answer)
        self.badge = QLabel("Unlike the training data")
        self.badge.setProperty("role", "badge")
        self.badge.setToolTip(
            "Its features lie farther from the training pictures than nearly all of these lie "
            "from each other: do not trust the answer."
        )
        self.badge.setAccessibleDescription(self.badge.toolTip())
        line = QHBoxLayout()
        line.addWidget(self.badge)
        line.addStretch(1)
        card.body.addLayout(line)
        self.bars = AnswerBars(self.look)
        card.body.addWidget(self.bars)
        self.tasks = label("", "small", wraps=True)
        card.body.addWidget(self.tasks)
        self.waiting = label("", "muted", wraps=True)
        card.body.addWidget(self.waiting)
        card.body.addStretch(1)
        self._by = label("", "muted-small", wraps=True)
        card.body.addWidget(self._by)
        return card

    # -- the model ---------------------------------------------------------------------------

    def _show_choices(self) -> None:
        chosen = self.session.classifier
        if chosen.startswith("file:") and chosen not in self._files:
            self._files.append(chosen)
        choices = self._choices()
        self.model.clear()
        for reference, text in choices:
            self.model.addItem(text, reference)
        finished = [reference for reference, _text in choices if reference != IN_TRAINING]
        wanted = self.session.classifier or (finished[0] if finished else "")
        position = self.model.findData(wanted)
        if position < 0 and wanted:
            self.model.addItem(Path(wanted).name, wanted)
            position = self.model.count() - 1
        self.model.setCurrentIndex(position)
        self._show_current()

    def _choices(self) -> list[tuple[str, str]]:
        """(reference, text): runs, newest first, then the pretrained models."""
        choices = [(IN_TRAINING, "The model in training")] if self._can_try else []
        for run in self.session.usable_runs:
            accuracy = "" if run.report_accuracy is None else f" · {run.report_accuracy:.1%}"
            text = f"Run {run.dataset} {run.started:%d %b %H:%M:%S}{accuracy}"
            choices.append((str(run.path), text))
        # Outputs without names are features: there is nothing such a model could answer.
        models = [(card.id, card.label_set) for card in self.session.models if card.label_set]
        models = models or [(FALLBACK_CLASSIFIER, "ImageNet-1k")]
        choices += [(model_id, f"{shown_name(model_id)} · {labels}") for model_id, labels in models]
        choices += [(file, f"File {Path(file).name}") for file in self._files]
        return choices

    def _follow_run(self) -> None:
        if self.session.can_try != self._can_try:
            self._can_try = self.session.can_try
            self._show_choices()
        else:
            self._show_waiting()

    def _name_classifier(self, reference: str) -> str:
        position = self.model.findData(reference)
        return self.model.itemText(position) if position >= 0 else Path(reference).name

    def _model_activated(self, position: int) -> None:
        self._commands.choose_classifier(self.model.itemData(position))

    # -- the pictures ------------------------------------------------------------------------

    def _show_pictures(self) -> None:
        pictures = self.session.pictures
        if list(self._rows) != [picture.path for picture in reversed(pictures)]:
            self._fill_list(pictures)
        for picture in pictures:
            self._show_answer_in_list(picture)
        self._show_stack()
        self._show_current()

    def _show_stack(self) -> None:
        count = len(self.session.pictures)
        self.clear_button.setVisible(count > 0)
        self.stack.setCurrentWidget(self._filled if count else self._empty)
        self.list.setVisible(count > 1)

    def _fill_list(self, pictures: list[Picture]) -> None:
        with QSignalBlocker(self.list):
            self.list.clear()
        self._rows.clear()
        self._current = None
        for picture in reversed(pictures):
            self._add_row(picture)

    def _add_picture(self, picture: Picture) -> None:
        self._add_row(picture)
        self._show_stack()
        # Hundreds may come in one turn; only the last one of a turn is ever seen.
        self._show_soon.start()

    def _add_row(self, picture: Picture) -> None:
        """Put the newest picture first, and show it."""
        item = QListWidgetItem(_thumbnail(picture), "")
        item.setData(Qt.ItemDataRole.UserRole, picture.path)
        item.setSizeHint(QSize(0, _THUMBNAIL_PX + theme.M))
        with QSignalBlocker(self.list):
            earlier = self._rows.pop(picture.path, None)
            if earlier is not None:
                self.list.takeItem(self.list.row(earlier))
            self.list.insertItem(0, item)
            self.list.setCurrentRow(0)
        self._rows[picture.path] = item
        self._current = picture.path
        self._show_answer_in_list(picture)

    def _show_answer(self, picture: Picture) -> None:
        self._show_answer_in_list(picture)
        if picture.path == self._current:
            self._show_current()

    def _show_answer_in_list(self, picture: Picture) -> None:
        self._rows[picture.path].setText(f"{picture.path.name}\n{_short_answer(picture)}")

    def _item_chosen(self, item: QListWidgetItem | None, _previous: object) -> None:
        self._current = None if item is None else item.data(Qt.ItemDataRole.UserRole)
        self._show_current()

    def _show_current(self) -> None:
        picture = next((p for p in self.session.pictures if p.path == self._current), None)
        if picture is None:
            return
        self.picture.show_image(picture.preview, picture.path.name)
        self._file.setText(picture.path.name)
        result = picture.result
        answered = result is not None and bool(result.top)
        self.answer.setVisible(answered)
        self._by.setVisible(answered)
        self._by.setText(f"Answered by {picture.by or self._name_classifier(picture.asked)}")
        self.bars.setVisible(answered)
        self.tasks.setText(describe_tasks(result) if result is not None else "")
        self.tasks.setVisible(answered and bool(self.tasks.text()))
        self.badge.setVisible(answered and result is not None and bool(result.unlike_training))
        if result is not None and result.top:
            self.answer.setText(result.top[0].label)
            self.bars.show_guesses(result.top)
        self._show_waiting()

    def _show_waiting(self) -> None:
        picture = next((p for p in self.session.pictures if p.path == self._current), None)
        if picture is None or picture.result is not None:
            self.waiting.hide()
            return
        self.waiting.show()
        live = self.session.live_run
        if not picture.is_waiting:
            self.waiting.setText("Not classified.")
        elif picture.asked == IN_TRAINING:
            self.waiting.setText("Waits for the next step of the training …")
        elif live is not None and live.is_on:
            self.waiting.setText("Waits for the training run. Shift+F5 stops it and saves.")
        else:
            self.waiting.setText("Classifying …")


def describe_tasks(result: Classification) -> str:
    """A line for each further label column that the model was trained on."""
    return "\n".join(
        f"{task.name}: {task.top[0].label} · {task.top[0].probability:.0%}" for task in result.tasks
    )


def _short_answer(picture: Picture) -> str:
    if picture.result is not None and picture.result.top:
        best = picture.result.top[0]
        return f"{best.label} · {best.probability:.0%}"
    return "waiting …" if picture.is_waiting else "not classified"


def _thumbnail(picture: Picture) -> QIcon:
    image = picture.preview.scaled(
        2 * _THUMBNAIL_PX,
        2 * _THUMBNAIL_PX,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    pixmap = QPixmap.fromImage(image)
    icon = QIcon(pixmap)
    # Of its own accord Qt tints the picture of a selected row: a photograph is no symbol.
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon
