"""Draws the images of an epoch and their order: a pure function of (seed, epoch)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Drawn(NamedTuple):
    """One training image in the order of an epoch."""

    position: int
    time: int
    """How many times the image came earlier in the same epoch."""


def epoch_order(
    fit: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    *,
    seed: int,
    epoch: int,
    is_balanced: bool,
) -> list[Drawn]:
    """The images of an epoch in random order, as many as `fit` has.

    fit: int64 [n], positions into labels (int64 [N]). With `is_balanced` the numbers of images of
    the classes differ by at most one. No image is repeated before all others of its class were
    used, also across epochs.
    """
    rng = np.random.default_rng([seed, epoch])
    if not is_balanced:
        return [Drawn(position, 0) for position in rng.permutation(fit).tolist()]
    classes = np.unique(labels[fit])
    places, more = divmod(len(fit), len(classes))
    chosen = [
        _members_of_epoch(
            fit[labels[fit] == label], places + (number < more), int(label), seed, epoch
        )
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


def _members_of_epoch(
    members: npt.NDArray[np.int64], places: int, label: int, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """The `places` members of a class for one epoch.

    They are the next part of an endless sequence of shuffled rounds through all members.
    """
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
