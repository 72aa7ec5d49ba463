"""Which parameters lie under each layer, as arrays: a click is answered over thousands at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from core.models.layers.tree import LayerTree
    from core.recipe.recipe import Recipe

_MOST_KEPT = 4
_kept: list[tuple[LayerTree, LayerIndex]] = []


def index_of(tree: LayerTree) -> LayerIndex:
    """The index of a tree; those of the last few trees are kept. Main thread only."""
    for known, index in _kept:
        if known is tree:
            return index
    made = LayerIndex(tree)
    _kept.append((tree, made))
    del _kept[:-_MOST_KEPT]
    return made


def above(name: str) -> list[str]:
    """The whole, the layers a parameter lies in, and its own name; dotted, the whole is empty."""
    pieces = name.split(".")
    return [".".join(pieces[:length]) for length in range(len(pieces) + 1)]


class LayerIndex:
    """Parameters by position, stem first; layers, with the positions of what lies in them.

    A shared parameter has one position, and lies in each of its layers.
    """

    def __init__(self, tree: LayerTree) -> None:
        last = len(tree.groups) - 1
        sizes: list[int] = []
        ages: list[int] = []
        self.names: list[str] = []
        for at, (_, inside) in enumerate(tree.groups):
            self.names += inside
            sizes += inside.values()
            ages += [last - at] * len(inside)
        self.place = {name: position for position, name in enumerate(self.names)}
        self.sizes = np.array(sizes, np.int64)
        self.ages = np.array(ages, np.int64)
        """Groups between a parameter's group and the head."""
        self.body = self.ages > 0
        members: dict[str, list[int]] = {}
        self.children: dict[str, list[str]] = {}
        """Layers and parameters right below a layer, by first names only."""
        for position, name in enumerate(self.names):
            upper = None
            for path in above(name):
                if path not in members and upper is not None:
                    self.children.setdefault(upper, []).append(path)
                members.setdefault(path, []).append(position)
                upper = path
        self._own = _Spans(members)
        for first, others in tree.aliases.items():
            position = self.place[first]
            for path in {path for name in others for path in above(name)} - set(above(first)):
                members.setdefault(path, []).append(position)
        self._all = _Spans(members) if tree.aliases else self._own
        self.row = self._all.row
        """Path → row of what `over` gives."""
        self.body_layers = {
            path for position in np.flatnonzero(self.body) for path in above(self.names[position])
        }
        """What holds a parameter before the head, by first names, with these names."""
        self.factors: list[tuple[Recipe, npt.NDArray[np.float64]]] = []
        """What was worked out last: recipes, and the factors they give the parameters."""

    def under(self, path: str) -> npt.NDArray[np.int64]:
        """Positions of the parameters in a layer, shared ones too."""
        return self._all.inside(path)

    def under_first_names(self, path: str) -> npt.NDArray[np.int64]:
        """The same without the second layers of shared parameters."""
        return self._own.inside(path)

    def over(self, ufunc: Any, values: npt.NDArray[Any]) -> list[Any]:
        """A ufunc (`np.add`, `np.minimum` …) over the parameters of each layer, by row."""
        found: list[Any] = self._all.reduce(ufunc, values).tolist()
        return found

    def over_first_names(self, ufunc: Any, values: npt.NDArray[Any]) -> dict[str, Any]:
        """The same by path, without the second layers of shared parameters."""
        return dict(zip(self._own.row, self._own.reduce(ufunc, values).tolist(), strict=True))


class _Spans:
    def __init__(self, members: Mapping[str, Iterable[int]]) -> None:
        self.row = {path: row for row, path in enumerate(members)}
        runs = [np.array(list(inside), np.int64) for inside in members.values()]
        self._members = np.concatenate(runs) if runs else np.zeros(0, np.int64)
        lengths = np.array([len(run) for run in runs], np.int64)
        self._ends = np.cumsum(lengths)
        self._starts = self._ends - lengths

    def inside(self, path: str) -> npt.NDArray[np.int64]:
        row = self.row.get(path)
        if row is None:
            return np.zeros(0, np.int64)
        return self._members[self._starts[row] : self._ends[row]]

    def reduce(self, ufunc: Any, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if not len(self._members):
            return values[:0]
        found: npt.NDArray[Any] = ufunc.reduceat(values[self._members], self._starts)
        return found
