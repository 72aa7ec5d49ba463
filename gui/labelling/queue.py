"""Which pictures without a label come next, and what is suggested for each. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from gui.kit.words import isolate

if TYPE_CHECKING:
    from core.data.dataset import DatasetIndex
    from core.evaluation.suggest import Suggestions
    from gui.labelling.jobs import Learned

Order = Literal["next", "sure"]
_REORDER_AFTER = 5
"""Labels given before the pictures are put in order again: each time would be a flicker."""


class LabellingQueue:
    """The pictures without a label, in the order to label them.

    `pending` files are labelled, but not in the journal yet. What is skipped or rejected is kept
    for this session only: the journal keeps labels.
    """

    def __init__(self, dataset: DatasetIndex) -> None:
        self.dataset = dataset
        self.order: Order = "next"
        self.pending: set[str] = set()
        self._skipped: dict[str, None] = {}
        self._rejected: dict[str, list[str]] = {}
        self._learned: Learned | None = None
        self.suggestions: Suggestions | None = None
        self._row: dict[str, int] = {}
        self._files: list[str] = []
        self._labels_since = 0
        self.follow(dataset)

    # -- following ---------------------------------------------------------------------------

    def follow(self, dataset: DatasetIndex) -> None:
        """Take over the same dataset with other labels."""
        before = set(self._files)
        self.dataset = dataset
        bare = [dataset.files[i] for i in dataset.unlabelled.tolist()]
        there = set(bare)
        self.pending &= there  # of several labels given in a row, the last are still on their way
        back = [file for file in bare if file not in before]
        self._labels_since += len(before - there)
        # What was labelled and is bare again comes first: the person has just undone it.
        self._files = back + [file for file in self._files if file in there]

    def learn(self, learned: Learned) -> None:
        """Take over new suggestions; the order changes only after a few further labels."""
        is_first = self._learned is None or (self._learned.suggestions is None) != (
            learned.suggestions is None
        )
        self._learned = learned
        self._apply_rejected()
        if is_first or self._labels_since >= _REORDER_AFTER:
            self.sort()

    def forget(self) -> None:
        """Drop suggestions and order: the features changed."""
        self._learned = self.suggestions = None
        self._row = {}

    def _apply_rejected(self) -> None:
        found = None if self._learned is None else self._learned.suggestions
        self.suggestions = None if found is None else found.without(self._rejected)
        self._row = {} if found is None else {file: i for i, file in enumerate(found.files)}

    def sort(self, *, first: str = "") -> None:
        """Put the files in order; `first` stays the first, as it is being looked at."""
        self._labels_since = 0
        found = self.suggestions
        wanted: Sequence[str] = ()
        if found is not None:
            rows = found.most_certain() if self.order == "sure" else found.next_to_label()
            wanted = [found.files[i] for i in rows.tolist()]
        elif self._learned is not None:
            wanted = self._learned.first
        there = set(self._files)
        rest = [self.dataset.files[i] for i in self.dataset.unlabelled.tolist()]
        ordered = dict.fromkeys([*([first] if first else []), *wanted, *rest])
        self._files = [file for file in ordered if file in there]

    # -- asking ------------------------------------------------------------------------------

    @property
    def files(self) -> tuple[str, ...]:
        """The files still to be labelled, the skipped ones last."""
        open_ = [file for file in self._files if file not in self.pending]
        first = [file for file in open_ if file not in self._skipped]
        return (*first, *(file for file in open_ if file in self._skipped))

    @property
    def labelled(self) -> int:
        """How many pictures have a label, the pending ones included."""
        return len(self.dataset) - len(self.dataset.unlabelled) + len(self.pending)

    def suggestion(self, file: str) -> tuple[str, str, float] | None:
        """(key, name, probability) of the suggested class; None where there is none."""
        row, found = self._row.get(file), self.suggestions
        if row is None or found is None:
            return None
        best = int(found.probabilities[row].argmax())
        return found.keys[best], found.classes[best], float(found.probabilities[row, best])

    def sure(self, threshold: float) -> dict[str, list[str]]:
        """Key → files whose suggestion reaches the threshold."""
        found = self.suggestions
        if found is None:
            return {}
        by_key: dict[str, list[str]] = {}
        best, open_ = found.best, set(self._files) - self.pending
        for row in np.flatnonzero(found.confidence >= threshold).tolist():
            if found.files[row] in open_:
                by_key.setdefault(found.keys[int(best[row])], []).append(found.files[row])
        return by_key

    # -- telling -----------------------------------------------------------------------------

    def skip(self, files: Sequence[str]) -> None:
        """Move these files to the end of the queue."""
        for file in files:
            self._skipped.pop(file, None)
            self._skipped[file] = None

    def reject(self, files: Sequence[str]) -> None:
        """Rule out the suggested class of these files; the next best is suggested."""
        for file in files:
            suggested = self.suggestion(file)
            if suggested is not None:
                self._rejected.setdefault(file, []).append(suggested[0])
        self._apply_rejected()


@dataclass(frozen=True, eq=False)
class QueueEntries:
    """The queue as a gallery shows it."""

    root: Path
    files: tuple[str, ...]
    queue: LabellingQueue

    @property
    def caption_lines(self) -> int:
        return 0 if self.queue.suggestions is None else 1

    def __len__(self) -> int:
        return len(self.files)

    def path(self, position: int) -> Path:
        return self.root / self.files[position]

    def caption(self, position: int) -> tuple[str, str]:
        suggested = self.queue.suggestion(self.files[position])
        if suggested is None:
            return "", ""
        return f"{suggested[2]:.0%} {isolate(suggested[1])}", "muted"

    def describe(self, position: int) -> str:
        suggested = self.queue.suggestion(self.files[position])
        if suggested is None:
            return f"{self.files[position]}, no label"
        share = f"{100 * suggested[2]:.0f} %"
        return f"{self.files[position]}, no label, suggested {isolate(suggested[1])} with {share}"


def describe_acceptance(queue: LabellingQueue, threshold: float) -> str:
    """What is to be expected of accepting all suggestions above the threshold, honestly."""
    found = queue.suggestions
    if found is None:
        return ""
    expected = found.expectation(threshold)
    if not expected.tried:
        return (
            f"None of the {found.labelled:,} labelled ones reaches it when it is judged "
            "by the others: there is nothing to expect errors from. Look at them first."
        )
    wrong = "none was" if not expected.wrong else f"{expected.wrong:,} {_was(expected.wrong)}"
    return (
        f"Of the {found.labelled:,} labelled ones, each judged by the others, "
        f"{expected.tried:,} {'reaches' if expected.tried == 1 else 'reach'} it and {wrong} "
        f"wrong: expect up to {expected.most_wrong:.0%} errors, if those are typical."
    )


def _was(number: int) -> str:
    return "was" if number == 1 else "were"
