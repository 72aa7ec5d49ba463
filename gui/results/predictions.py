"""The pictures of a run with what was answered: the worst mistakes, a cell, a class, or all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QStackedWidget, QWidget

from gui.kit import theme
from gui.kit.basics import Card, ElidedLabel, button, label, progress_bar, row, vbox
from gui.kit.theme import Theme
from gui.kit.words import count, isolate
from gui.pictures.entries import PredictionEntries
from gui.pictures.gallery import Gallery
from gui.results.commands import ResultsCommands
from gui.results.jobs import RunResults

if TYPE_CHECKING:
    from core.runs.run_folder import Prediction


class PredictionView(QWidget):
    """The pictures of a run; without predictions an offer to evaluate again."""

    opened = Signal(object)
    """The prediction to look at closely."""
    passed = Signal(object)
    """The prediction that is current now."""

    def __init__(self, look: Theme, asked: ResultsCommands) -> None:
        super().__init__()
        self._asked = asked
        self._results: RunResults | None = None
        self._predictions: tuple[Prediction, ...] = ()
        self._edited: Mapping[str, str] = {}
        column = vbox(self, spacing=theme.XS)
        self.heading = ElidedLabel("", "heading")
        self.detail = ElidedLabel("", "muted-small")
        self.worst_button = button("Worst mistakes", self.show_worst)
        self.all_button = button("All pictures", self.show_all)
        words = vbox(spacing=0)
        words.addWidget(self.heading)
        words.addWidget(self.detail)
        header = row(spacing=theme.S, stretch=False)
        header.addLayout(words, 1)
        header.addWidget(self.worst_button)
        header.addWidget(self.all_button)
        column.addLayout(header)
        self.stack = QStackedWidget()
        self.gallery = Gallery(look, name="Pictures with their answers", can_select=True)
        self.gallery.opened.connect(self._open)
        self.gallery.current_changed.connect(self._pass)
        self.stack.addWidget(self.gallery)
        self.stack.addWidget(self._make_offer())
        column.addWidget(self.stack, 1)
        asked.progressed.connect(self._show_progress)

    def _make_offer(self) -> Card:
        self._offer = Card()
        self._offer.body.setSpacing(theme.M)
        self._offer.body.addStretch(1)
        self.offer_text = label("", "muted", wraps=True)
        self._offer.body.addWidget(self.offer_text)
        self._bar = progress_bar("Progress of the evaluation")
        self._offer.body.addWidget(self._bar)
        self.evaluate_button = button("Evaluate again", self._asked.evaluate_again, role="primary")
        self.cancel_button = button("Cancel", self._asked.cancel_evaluation)
        self._offer.body.addLayout(row(self.evaluate_button, self.cancel_button))
        self._offer.body.addStretch(1)
        return self._offer

    # -- showing -----------------------------------------------------------------------------

    def show_results(self, results: RunResults) -> None:
        """Show the pictures of a run, the worst mistakes first."""
        self._results = results
        self._predictions = results.predictions
        has_pictures = bool(self._predictions)
        for choice in (self.worst_button, self.all_button):
            choice.setVisible(has_pictures)
        self.detail.setVisible(has_pictures)
        self.stack.setCurrentIndex(0 if has_pictures else 1)
        if has_pictures:
            self.show_worst()
            return
        self.heading.setText("Pictures")
        self._show_progress()

    def _show_progress(self) -> None:
        results = self._results
        if results is None or self._predictions:
            return
        is_on, (done, total, note) = self._asked.is_evaluating, self._asked.progress
        self._bar.setVisible(is_on)
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self.cancel_button.setVisible(is_on)
        self.evaluate_button.setVisible(not is_on)
        self.evaluate_button.setEnabled(results.images.is_there)
        if is_on:
            waits = (
                "Waiting for its turn" if self._asked.is_waiting else note or "opening the model"
            )
            numbers = f"  {done:,} / {total:,}" if total else ""
            self.offer_text.setText(f"{waits[:1].upper()}{waits[1:]}{numbers}")
        elif results.images.is_there:
            self.offer_text.setText(
                "This run does not say what it answered to which picture: it is older than that, "
                "or it was cut off. Its model can be asked again; the figures stay as they are."
            )
        else:
            self.offer_text.setText(
                "This run does not say what it answered to which picture, and its dataset is no "
                "longer there to ask its model again."
            )

    def show_worst(self) -> None:
        """Show wrong answers, the most certain first."""
        wrong = [each for each in self._predictions if each.label != each.predicted]
        self._show(
            sorted(wrong, key=_surest_first),
            "Worst mistakes",
            f"{count(len(wrong), 'mistake')}, the surest first",
            empty="No mistake: every picture was answered rightly.",
        )
        self._offer_choice(self.all_button)

    def show_all(self) -> None:
        """Show all pictures, mistakes first."""
        self._show(
            sorted(self._predictions, key=_mistakes_first),
            "All pictures",
            f"{count(len(self._predictions), 'picture')}, mistakes first",
        )
        self._offer_choice(self.worst_button)

    def show_cell(self, cell: tuple[int, int]) -> None:
        """Show the pictures of one cell of the confusion matrix."""
        results = self._results
        if results is None or not self._predictions:
            return
        true, answered = cell
        found = [each for each in self._predictions if (each.label, each.predicted) == cell]
        names = self._class_names()
        what = (
            f"{isolate(names[true])}, answered rightly"
            if true == answered
            else f"{isolate(names[true])} → {isolate(names[answered])}"
        )
        self._show(
            sorted(found, key=_surest_first),
            what,
            f"{count(len(found), 'picture')}, the surest first",
            empty="No picture was answered so.",
            is_of_one_class=True,
        )

    def show_class(self, label_: int) -> None:
        """Show the pictures of one class."""
        if not self._predictions:
            return
        found = [each for each in self._predictions if each.label == label_]
        wrong = sum(each.predicted != label_ for each in found)
        self._show(
            sorted(found, key=_mistakes_first),
            isolate(self._class_names()[label_]),
            f"{count(len(found), 'picture')}, {count(wrong, 'mistake')}",
            empty="No picture of this class was judged.",
            is_of_one_class=True,
        )

    def _offer_choice(self, offered: QPushButton) -> None:
        """One of the two buttons: what is shown need not be offered, and room is scarce."""
        for choice in (self.worst_button, self.all_button):
            choice.setVisible(choice is offered)

    def _class_names(self) -> tuple[str, ...]:
        results = self._results
        return results.classes if results is not None else ()

    def _show(
        self,
        found: Sequence[Prediction],
        heading: str,
        detail: str,
        *,
        empty: str = "",
        is_of_one_class: bool = False,
    ) -> None:
        results = self._results
        if results is None:
            return
        self._offer_choice(self.worst_button)
        self.heading.setText(heading)
        self.detail.setText(detail)
        self.gallery.setAccessibleName(f"{heading}: {detail}")
        self.gallery.show_entries(
            PredictionEntries(
                results.images.root, results.classes, found, is_of_one_class, self._edited
            ),
            empty_text=empty,
        )

    def show_edited(self, edited: Mapping[str, str]) -> None:
        """What became of pictures since the run, in words by their file; all stay where they are"""
        self._edited = edited
        entries = self.gallery.entries
        if isinstance(entries, PredictionEntries):
            self.gallery.replace_entries(
                replace(entries, edited=edited), np.arange(len(entries), dtype=np.int64)
            )

    # -- input -------------------------------------------------------------------------------

    def _open(self, position: int) -> None:
        self.opened.emit(self._prediction(position))

    def _pass(self, position: int) -> None:
        self.passed.emit(self._prediction(position))

    def chosen_files(self) -> tuple[str, ...]:
        """The selected pictures, or the current one, relative to the dataset of the run."""
        entries = self.gallery.entries
        if not isinstance(entries, PredictionEntries):
            return ()
        return tuple(entries.predictions[i].file for i in self.gallery.acted_on.tolist())

    def _prediction(self, position: int) -> Prediction | None:
        entries = self.gallery.entries
        return entries.predictions[position] if isinstance(entries, PredictionEntries) else None


def _surest_first(prediction: Prediction) -> float:
    return -prediction.probability


def _mistakes_first(prediction: Prediction) -> tuple[bool, float]:
    is_right = prediction.label == prediction.predicted
    return is_right, prediction.probability if is_right else -prediction.probability
