"""The parameters of each layer as arrays, so that a click on thousands of them takes no time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from core.models.layers.tree import LayerTree
    from core.recipe.recipe import Recipe

_CACHE_SIZE = 4
_cache: list[tuple[LayerTree, LayerIndex]] = []


def index_of(tree: LayerTree) -> LayerIndex:
    """The index of a tree, cached for the last few trees. Main thread only."""
    for known, index in _cache:
        if known is tree:
            return index
    index = LayerIndex(tree)
    _cache.append((tree, index))
    del _cache[:-_CACHE_SIZE]
    return index


def paths_to(name: str) -> list[str]:
    """The paths of the whole model (empty), of all layers around a parameter, and its own."""
    pieces = name.split(".")
    return [".".join(pieces[:length]) for length in range(len(pieces) + 1)]


class LayerIndex:
    """Parameters by position, stem first; layers, with the positions of the parameters in them.

    A shared parameter has one position, and is in each of its layers.
    """

    def __init__(self, tree: LayerTree) -> None:
        last = len(tree.groups) - 1
        sizes: list[int] = []
        distances: list[int] = []
        self.names: list[str] = []
        for number, (_, inside) in enumerate(tree.groups):
            self.names += inside
            sizes += inside.values()
            distances += [last - number] * len(inside)
        self.position = {name: position for position, name in enumerate(self.names)}
        self.sizes = np.array(sizes, np.int64)
        self.group_distance = np.array(distances, np.int64)
        """How many layer groups a parameter's group is before the head."""
        self.body = self.group_distance > 0
        """bool [N]: the parameters of the backbone."""
        members: dict[str, list[int]] = {}
        self.children: dict[str, list[str]] = {}
        """Layers and parameters directly inside a layer, by first names only."""
        for position, name in enumerate(self.names):
            upper = None
            for path in paths_to(name):
                if path not in members and upper is not None:
                    self.children.setdefault(upper, []).append(path)
                members.setdefault(path, []).append(position)
                upper = path
        self._own = _Spans(members)
        for first, others in tree.aliases.items():
            position = self.position[first]
            for path in {path for name in others for path in paths_to(name)} - set(paths_to(first)):
                members.setdefault(path, []).append(position)
        self._all = _Spans(members) if tree.aliases else self._own
        self.row = self._all.row
        """Path → row of the result of `over`."""
        self.body_layers = {
            path
            for position in np.flatnonzero(self.body)
            for path in paths_to(self.names[position])
        }
        """Layers with parameters of the backbone, and these parameters, by first names."""
        self.factors: list[tuple[Recipe, npt.NDArray[np.float64]]] = []
        """A cache of `layer_plan`: recipes, and the factors they give the parameters."""

    def under(self, path: str) -> npt.NDArray[np.int64]:
        """Positions of the parameters in a layer, with shared ones."""
        return self._all.inside(path)

    def under_first_names(self, path: str) -> npt.NDArray[np.int64]:
        """The same, a shared parameter only in its first layer."""
        return self._own.inside(path)

    def over(self, ufunc: Any, values: npt.NDArray[Any]) -> list[Any]:
        """A ufunc (`np.add`, `np.minimum` …) over the parameters of each layer, by row."""
        reduced: list[Any] = self._all.reduce(ufunc, values).tolist()
        return reduced

    def over_first_names(self, ufunc: Any, values: npt.NDArray[Any]) -> dict[str, Any]:
        """The same by path, a shared parameter only in its first layer."""
        return dict(zip(self._own.row, self._own.reduce(ufunc, values).tolist(), strict=True))


class _Spans:
    """Arrays of parameter positions, one for each path, stored one behind the other."""

    def __init__(self, members: Mapping[str, Iterable[int]]) -> None:
        self.row = {path: row for row, path in enumerate(members)}
        spans = [np.array(list(inside), np.int64) for inside in members.values()]
        self._members = np.concatenate(spans) if spans else np.zeros(0, np.int64)
        lengths = np.array([len(span) for span in spans], np.int64)
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
        reduced: npt.NDArray[Any] = ufunc.reduceat(values[self._members], self._starts)
        return reduced
