"""The health of a dataset: what may be wrong with its pictures, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.data.dataset import SPLITS, DatasetIndex
from core.data.health_measure import measure
from core.data.splits import copies_of
from core.events import OnProgress, ShouldStop

NEAR_BITS = 7
"""Of 128: eight bands of 16 bits find every pair this close, by the pigeonhole principle."""
TINY_SIDE = 32
"""Pixels: below this a 224 px model sees a picture blown up more than seven times."""
ODD_ASPECT = 4.0
"""Long to short side: a square crop would keep less than a quarter."""
DARK, BRIGHT, FLAT = 20.0, 235.0, 4.0
"""Mean gray below or above, spread of gray below, of 0…255."""
BLUR_MADS = 4.0
"""Log sharpness this many robust deviations below the dataset's median."""
IMBALANCE = 10.0
"""Most to fewest images of a class."""
_CROWD = 200
"""Pictures in a bucket above which only sorted neighbours are compared: never all pairs."""

Kind = Literal[
    "unreadable", "exact duplicates", "near duplicates", "two labels", "leak",
    "tiny", "blurred", "dark", "bright", "flat", "odd aspect", "imbalance",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """`pictures` are positions in the index; `action`: exclude, keep, relabel or move:SPLIT."""

    kind: Kind
    pictures: tuple[int, ...]
    why: str
    severity: Literal["problem", "note"]
    action: str


@dataclass(frozen=True)
class HealthReport:
    findings: tuple[Finding, ...]
    images: int
    read: int
    """Files read now; the others were measured before."""


def health(
    index: DatasetIndex, *, on_progress: OnProgress, should_stop: ShouldStop
) -> HealthReport:
    """Raises: Cancelled; a second call goes on where the first stopped."""
    rows, reasons, read = measure(index, on_progress=on_progress, should_stop=should_stop)
    found = [Finding("unreadable", (i,), reasons[i], "problem", "exclude") for i in sorted(reasons)]
    readable = np.ones(len(index), np.bool_)
    readable[list(reasons)] = False
    exact = [tuple(group.tolist()) for group in copies_of(index)]
    for group in exact:
        found.append(_copies(index, group, "exact duplicates", "They have the same bytes"))
    same = {i: g for g, group in enumerate(exact) for i in group}
    usable = np.flatnonzero(readable & (rows["std"] >= FLAT))  # a flat picture's hash is noise
    for near in near_groups(rows["hash"][usable]):
        members = tuple(int(usable[i]) for i in near)
        if len({same.get(i, -1 - i) for i in members}) > 1:
            why = f"Their hashes differ in at most {NEAR_BITS} of 128 bits from one to the next"
            found.append(_copies(index, members, "near duplicates", why))
    found += _odd_pictures(index, rows, readable)
    counts = np.bincount(index.labels, minlength=len(index.classes))
    low, high = int(counts.argmin()), int(counts.argmax())
    if counts[high] > IMBALANCE * counts[low]:
        why = f"{index.classes[high]} has {counts[high]} images, {index.classes[low]} {counts[low]}"
        found.append(Finding("imbalance", (), why + ".", "note", "keep"))
    return HealthReport(tuple(found), len(index), read)


def near_groups(hashes: npt.NDArray[np.uint64]) -> list[list[int]]:
    """Groups of at least two rows of uint64 [N, 2], linked by at most NEAR_BITS different bits."""
    parent = list(range(len(hashes)))

    def top(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    # Equal hashes are one, so that a thousand copies do not make a crowd of every band.
    unique, inverse = np.unique(hashes, axis=0, return_inverse=True)
    bands = np.ascontiguousarray(unique).view(np.uint16).reshape(len(unique), 8)
    for band in range(8):
        order = np.argsort(bands[:, band], kind="stable")
        edges = np.flatnonzero(np.diff(bands[order, band])) + 1
        for bucket in np.split(order, edges):
            for shift in range(1, min(len(bucket), _CROWD)):
                a, b = bucket[:-shift], bucket[shift:]
                bits = np.bitwise_count(unique[a] ^ unique[b]).sum(1)
                for k in np.flatnonzero(bits <= NEAR_BITS):
                    parent[top(int(a[k]))] = top(int(b[k]))
    groups: dict[int, list[int]] = {}
    for i, u in enumerate(np.ravel(inverse)):
        groups.setdefault(top(int(u)), []).append(i)
    return [group for group in groups.values() if len(group) > 1]


def _copies(index: DatasetIndex, group: tuple[int, ...], kind: Kind, why: str) -> Finding:
    labels = sorted({index.classes[index.labels[i]] for i in group})
    if len(labels) > 1:
        return Finding(
            "two labels", group, f"{why}, under {', '.join(labels)}.", "problem", "relabel"
        )
    splits = sorted({int(index.splits[i]) for i in group})
    if len(splits) > 1:
        where = " and ".join(SPLITS[s] for s in splits)
        return Finding("leak", group, f"{why}, in {where}.", "problem", f"move:{SPLITS[splits[0]]}")
    action = "exclude" if kind == "exact duplicates" else "keep"
    return Finding(kind, group, f"{why}.", "note", action)


def _odd_pictures(
    index: DatasetIndex, rows: npt.NDArray[np.void], readable: npt.NDArray[np.bool_]
) -> Iterator[Finding]:
    short = np.minimum(index.widths, index.heights)
    aspect = np.maximum(index.widths, index.heights) / np.maximum(short, 1)
    sharp = np.log1p(rows["sharp"])
    middle = float(np.median(sharp[readable])) if readable.any() else 0.0
    spread = 1.4826 * float(np.median(np.abs(sharp[readable] - middle))) if readable.any() else 0.0
    # At least 0.25: in a set of like pictures a small difference is not blur.
    blurred = sharp < middle - BLUR_MADS * max(spread, 0.25)
    for i in np.flatnonzero(readable).tolist():
        mean, std = float(rows["mean"][i]), float(rows["std"][i])
        if short[i] < TINY_SIDE and np.median(short) >= TINY_SIDE:
            yield Finding("tiny", (i,), f"Its short side has {short[i]} pixels.", "note", "exclude")
        if std < FLAT:
            yield Finding("flat", (i,), f"Its gray spreads by {std:.1f}.", "note", "exclude")
        elif mean < DARK or mean > BRIGHT:
            kind: Kind = "dark" if mean < DARK else "bright"
            yield Finding(kind, (i,), f"Its mean gray is {mean:.0f} of 255.", "note", "keep")
        elif blurred[i]:
            why = f"Its sharpness is {rows['sharp'][i]:.0f}, the median {np.expm1(middle):.0f}."
            yield Finding("blurred", (i,), why, "note", "keep")
        if aspect[i] > ODD_ASPECT:
            yield Finding("odd aspect", (i,), f"It is {aspect[i]:.1f} to 1.", "note", "keep")
