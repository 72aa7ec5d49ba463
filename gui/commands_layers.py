"""What a person can ask of the layer tree. Attached to `Commands` as `layers`; main thread only."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui import jobs_layers
from gui.session import Session
from gui.workers import JobRunner, Work

if TYPE_CHECKING:
    from core.models.card import ModelCard
    from gui.jobs_layers import LayerQuestion, Layers

_MOST_REMEMBERED = 24


class LayerCommands(QObject):
    """The layers of a model come back as a signal."""

    layers_known = Signal(object)
    layers_failed = Signal(object)

    def __init__(self, session: Session, runner: JobRunner, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._remembered: dict[str, Layers] = {}

    def show_layers(self, card: ModelCard) -> None:
        """Work out the layers under the present plan; an earlier question is dropped."""
        question = self.question_for(card)
        self._runner.supersede("layers")
        known = self._remembered.get(repr(question))
        if known is not None:
            self.layers_known.emit(known)
            return
        self._runner.submit(
            Work(
                "layers",
                f"Layers of {card.id}",
                partial(jobs_layers.work_out_layers, question),
                on_success=self._layers_found,
                on_failure=self.layers_failed.emit,
                is_quiet=True,
                # Only until the libraries are loaded: a skeleton has no numbers to compute, and a
                # person should not wait for a run's end to look at a model.
                needs_compute=self._session.machine is None,
            )
        )

    def question_for(self, card: ModelCard) -> LayerQuestion:
        dataset = self._session.dataset
        return jobs_layers.LayerQuestion(
            card,
            None if dataset is None else len(dataset.classes),
            tuple(sorted(self._session.recipe_values.items())),
        )

    def _layers_found(self, layers: Layers) -> None:
        while len(self._remembered) >= _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[repr(layers.question)] = layers
        self.layers_known.emit(layers)
