"""Which images an epoch is made of, and in which order. A pure function of (seed, epoch)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Drawn(NamedTuple):
    """A training image's place in an epoch."""

    position: int
    time: int
    """How often it came before in the same epoch."""


def epoch_order(
    fit: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    *,
    seed: int,
    epoch: int,
    is_balanced: bool,
) -> list[Drawn]:
    """The images of an epoch, as many as `fit` has, shuffled.

    fit: int64 [n], positions into labels (int64 [N]). Balanced, each class has as many places as
    any other, give or take one; the images of a class take turns, over the epochs too, so that
    none comes a second time before all others of its class had their first.
    """
    rng = np.random.default_rng([seed, epoch])
    if not is_balanced:
        return [Drawn(position, 0) for position in rng.permutation(fit).tolist()]
    classes = np.unique(labels[fit])
    places, more = divmod(len(fit), len(classes))
    chosen = [
        _turns(fit[labels[fit] == label], places + (number < more), int(label), seed, epoch)
        for number, label in enumerate(classes)
    ]
    order: list[int] = rng.permutation(np.concatenate(chosen)).tolist()
    seen: dict[int, int] = {}
    drawn = []
    for position in order:
        time = seen.get(position, 0)
        seen[position] = time + 1
        drawn.append(Drawn(position, time))
    return drawn


def _turns(
    members: npt.NDArray[np.int64], places: int, label: int, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """`places` members: where the class's endless row of shuffled rounds stands by this epoch."""
    begin, end = (epoch - 1) * places, epoch * places
    first, last = begin // len(members), -(-end // len(members))
    rounds = [
        np.random.default_rng([seed, label, number]).permutation(members)
        for number in range(first, last)
    ]
    start = begin - first * len(members)
    row = np.concatenate([*rounds, members[:0]])
    turns: npt.NDArray[np.int64] = row[start : start + places]
    return turns
