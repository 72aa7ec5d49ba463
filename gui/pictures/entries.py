"""What a gallery shows: a sequence of pictures asked one by one, so that 100,000 cost nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gui.kit.words import isolate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from core.data.dataset import DatasetIndex
    from core.runs.run_folder import Prediction


class Entries(Protocol):
    """Pictures by position; every method is called for visible positions only."""

    def __len__(self) -> int: ...

    def path(self, position: int) -> Path:
        """The file of the picture."""

    @property
    def caption_lines(self) -> int:
        """How many lines stand under every picture."""

    def caption(self, position: int) -> tuple[str, str]:
        """The lines under the picture and their colour token."""

    def describe(self, position: int) -> str:
        """The picture in words, for the tooltip and for screen readers."""


class NoEntries:
    """An empty gallery."""

    caption_lines = 0

    def __len__(self) -> int:
        return 0

    def path(self, position: int) -> Path:
        raise IndexError(position)

    def caption(self, position: int) -> tuple[str, str]:
        return "", ""

    def describe(self, position: int) -> str:
        return ""


class DatasetEntries:
    """Images of a dataset by their positions in it, and behind them files that are not in it."""

    def __init__(
        self,
        dataset: DatasetIndex,
        positions: npt.NDArray[np.int64],
        *,
        captions: Sequence[str] | None = None,
        loose: Sequence[str] = (),
    ) -> None:
        """`captions`: one for every picture, those of `loose` last."""
        self.dataset = dataset
        self.positions = positions
        self._captions = captions
        self._loose = loose

    @property
    def caption_lines(self) -> int:
        return 0 if self._captions is None else 1

    def __len__(self) -> int:
        return len(self.positions) + len(self._loose)

    def file(self, position: int) -> str:
        """The path of a picture relative to the dataset."""
        if position < len(self.positions):
            return self.dataset.files[int(self.positions[position])]
        return self._loose[position - len(self.positions)]

    def files(self, positions: npt.NDArray[np.int64]) -> tuple[str, ...]:
        """The paths of pictures relative to the dataset."""
        return tuple(self.file(i) for i in positions.tolist())

    def path(self, position: int) -> Path:
        return self.dataset.root / self.file(position)

    def caption(self, position: int) -> tuple[str, str]:
        return ("", "") if self._captions is None else (isolate(self._captions[position]), "muted")

    def describe(self, position: int) -> str:
        file, text = self.file(position), self.caption(position)[0]
        more = f", {text}" if text else ""
        if position >= len(self.positions):
            return file + more
        i = int(self.positions[position])
        label = self.dataset.class_of(i)
        place = f"class {isolate(label)}, {self.dataset.split_of(i)}" if label else "no label"
        return f"{file}, {place}{more}"


@dataclass(frozen=True)
class FileEntries:
    """Files below a folder, each with a line of its own or none."""

    root: Path
    files: Sequence[str]
    captions: Sequence[str] = ()

    @property
    def caption_lines(self) -> int:
        return 1 if self.captions else 0

    def __len__(self) -> int:
        return len(self.files)

    def path(self, position: int) -> Path:
        return self.root / self.files[position]

    def caption(self, position: int) -> tuple[str, str]:
        return (self.captions[position], "muted") if self.captions else ("", "")

    def describe(self, position: int) -> str:
        caption = f", {self.captions[position]}" if self.captions else ""
        return self.files[position] + caption


@dataclass(frozen=True)
class PredictionEntries:
    """Predictions of a run, with what was true and what was answered."""

    root: Path
    classes: tuple[str, ...]
    predictions: Sequence[Prediction]
    is_of_one_class: bool = False
    """All of one true class, which then need not stand under every picture."""
    edited: Mapping[str, str] = field(default_factory=dict)
    """What became of a picture since the run, by its file."""

    @property
    def caption_lines(self) -> int:
        return 1 if self.is_of_one_class else 2

    def __len__(self) -> int:
        return len(self.predictions)

    def path(self, position: int) -> Path:
        return self.root / self.predictions[position].file

    def caption(self, position: int) -> tuple[str, str]:
        prediction = self.predictions[position]
        answered = isolate(self.classes[prediction.predicted])
        if prediction.file in self.edited:
            below = "" if self.is_of_one_class else f"\n{prediction.probability:.0%} → {answered}"
            return self.edited[prediction.file] + below, "muted"
        if prediction.label == prediction.predicted:
            return f"{prediction.probability:.0%} {answered}", "good"
        true = "" if self.is_of_one_class else f"{isolate(self.classes[prediction.label])}\n"
        return f"{true}{prediction.probability:.0%} → {answered}", "bad"

    def describe(self, position: int) -> str:
        prediction = self.predictions[position]
        answered = isolate(self.classes[prediction.predicted])
        since = f", {self.edited[prediction.file]}" if prediction.file in self.edited else ""
        share = f"{prediction.probability:.1%}{since}"
        if prediction.label == prediction.predicted:
            return f"{prediction.file}: {answered}, answered rightly with {share}"
        true = isolate(self.classes[prediction.label])
        return f"{prediction.file}: {true}, answered as {answered} with {share}"
