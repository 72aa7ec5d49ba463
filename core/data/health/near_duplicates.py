"""Finds near copies of pictures, without comparing all pairs.

Every picture is represented by a gray thumbnail of 32×32 pixels. Its hash of 128 bits says which
of two neighbouring cells is brighter; pictures are compared if one of 16 bands of 16 bits is equal,
also rotated and mirrored. Pairs with near hashes are confirmed by their thumbnails: by correlation,
by correlation of the fine detail, and by being more similar than other pictures of the dataset.
Needs numpy only.

Banding: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4. Hash: Krawetz's dHash,
in two directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.events import ShouldStop, check_stop, never_stop

SIDE = 32
"""Pixels of a thumbnail's side."""
NEAR_BITS = 26
"""Pairs whose hashes differ in at most so many of 128 bits are compared by their thumbnails."""
TURNED_BITS = 12
"""The same for rotated pictures, which are not cropped. Measured: quarter turns differ in up to 5
bits."""
LIKE, DETAIL = 0.9, 0.7
"""Lowest correlation of two copies' thumbnails, and of their detail alone. Measured: different
photos of ants and bees reached 0.82 and 0.75; pictures of plain texture reach 0.99 in the first."""
SAME, SAME_DETAIL = 0.999, 0.995
"""A pair with at least these correlations is a copy, however similar the other pictures are."""
STANDS_OUT = 0.33
"""The distance of two copies' detail is at most this times the square of their distance to other
pictures: if all pictures are similar, like digits, correlation alone does not prove a copy."""

_HALF_LIKE, _CUT_LIKE = 0.4, 0.97
"""Pairs with a correlation between the two may be a picture and a crop of it."""
_CUTS_TRIED = 4000
_CELLS = 8
_NOISE = 1.0
"""Gray levels: in even areas the noise of a JPEG must not decide a bit."""
_BAND_BITS = 16
_CROWD = 64
"""If a bucket has more pictures, only neighbours in its sorted order are compared."""
_BATCH = 4096
_SAMPLE = 400
_COPY_LIKE = 0.95
_MOST = 2_000_000
"""Most pairs in memory at a time."""
_MOST_COMPARED = 400_000
_NEAREST = 16
"""Most candidates of a picture whose thumbnails are compared, the nearest by hash."""

Thumbs = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]

TURNS: tuple[tuple[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]], ...] = (
    ("", lambda t: t),
    ("turned by a quarter", lambda t: np.rot90(t, 1, (1, 2))),
    ("upside down", lambda t: np.rot90(t, 2, (1, 2))),
    ("mirrored", lambda t: t[:, :, ::-1]),
    ("mirrored", lambda t: t[:, ::-1, :]),
    ("mirrored", lambda t: t.transpose(0, 2, 1)),
    ("mirrored", lambda t: np.rot90(t, 2, (1, 2)).transpose(0, 2, 1)),
)
"""(name, function on [N, SIDE, SIDE]) that turns the second picture of a pair onto the first. The
opposite quarter turn is missing: such a pair is found with first and second exchanged."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures, as rows of the thumbnails.

    first, second: int64 [P]. turn: int8 [P], position in TURNS. likeness: float32 [P], correlation
    of the thumbnails. bits: int16 [P], different bits of the hashes.
    """

    first: Positions
    second: Positions
    turn: npt.NDArray[np.int8]
    likeness: npt.NDArray[np.float32]
    bits: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.first)


def hashes_of(thumbs: Thumbs) -> Hashes:
    """Hashes uint64 [N, 2] of gray thumbnails uint8 [N, SIDE, SIDE]."""
    step = SIDE // _CELLS
    hashes = np.zeros((len(thumbs), 2), np.uint64)
    for start in range(0, len(thumbs), _BATCH):
        part = np.asarray(thumbs[start : start + _BATCH], np.float32)
        cells = part.reshape(-1, _CELLS, step, _CELLS, step).mean((2, 4))
        large = cells.reshape(-1, 4, 2, 4, 2).mean((2, 4))
        bits = np.concatenate(
            [
                (cells[:, :, 1:] > cells[:, :, :-1] + _NOISE).reshape(len(part), -1),
                (cells[:, 1:] > cells[:, :-1] + _NOISE).reshape(len(part), -1),
                (large > large.mean((1, 2), keepdims=True) + _NOISE).reshape(len(part), -1),
            ],
            axis=1,
        )
        hashes[start : start + _BATCH] = np.packbits(bits, axis=1).view(np.uint64)
    return hashes


def near_pairs(
    thumbs: Thumbs, *, turned: bool = True, should_stop: ShouldStop = never_stop
) -> Pairs:
    """The pairs of near copies among thumbnails uint8 [N, SIDE, SIDE], each with its best turn.

    `turned`: find rotated and mirrored copies, too.

    Raises: Cancelled.
    """
    own = hashes_of(thumbs)
    parts: list[tuple[Positions, Positions, npt.NDArray[np.int16], int]] = []
    for turn, (_, turns) in enumerate(TURNS if turned else TURNS[:1]):
        other = own if turn == 0 else hashes_of(np.ascontiguousarray(turns(thumbs)))
        most = NEAR_BITS if turn == 0 else TURNED_BITS
        found = candidates(own, other, most_bits=most, should_stop=should_stop)
        parts.append((*found, turn))
    first = np.concatenate([p[0] for p in parts])
    second = np.concatenate([p[1] for p in parts])
    bits = np.concatenate([p[2] for p in parts])
    turn_of = np.concatenate([np.full(len(p[0]), p[3], np.int8) for p in parts])
    most = min(_NEAREST, max(3, _MOST_COMPARED // max(1, len(own))))
    chosen = np.union1d(_nearest_of_each(first, bits, most), _nearest_of_each(second, bits, most))
    first, second, bits, turn_of = (a[chosen] for a in (first, second, bits, turn_of))
    likely = Pairs(first, second, turn_of, np.zeros(len(first), np.float32), bits)
    return _confirm(thumbs, likely, should_stop)


def _nearest_of_each(first: Positions, bits: npt.NDArray[Any], most: int = _NEAREST) -> Positions:
    """Positions of the pairs with the fewest bits, up to `most` for each picture in `first`."""
    order = np.lexsort((bits, first))
    begins = np.flatnonzero(np.r_[True, first[order][1:] != first[order][:-1]])
    place = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
    nearest: Positions = order[place < most]
    return nearest


def candidates(
    own: Hashes,
    other: Hashes,
    *,
    most_bits: int = NEAR_BITS,
    should_stop: ShouldStop = never_stop,
) -> tuple[Positions, Positions, npt.NDArray[np.int16]]:
    """(i, j, different bits) if own[i] and other[j] have an equal band and differ in few bits.

    own, other: uint64 [N, 2]. Each unordered pair once. All pairs that differ in up to 15 bits and
    are in no crowded bucket are found, by the pigeonhole principle; most of the others.

    Raises: Cancelled.
    """
    n = max(len(own), 1)
    keys: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for own_band, other_band in zip(_bands(own), _bands(other), strict=True):
        check_stop(should_stop)
        for i, j in _in_one_bucket(own_band, other_band, own, other):
            bits = np.bitwise_count(own[i] ^ other[j]).sum(1)
            near = (bits <= most_bits) & (i != j)
            i, j = i[near], j[near]
            chosen = _nearest_of_each(i, bits[near])
            i, j = i[chosen], j[chosen]
            keys.append(np.minimum(i, j) * n + np.maximum(i, j) if own is other else i * n + j)
    found = np.sort(np.concatenate(keys))
    i, j = np.divmod(found[np.diff(found, prepend=-1) > 0], n)
    return i, j, np.bitwise_count(own[i] ^ other[j]).sum(1).astype(np.int16)


def _bands(hashes: Hashes) -> Iterator[npt.NDArray[np.uint16]]:
    """Sixteen bands of 16 bits, uint16 [N] each: eight of neighbouring, eight of spread bits."""
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 16), axis=1)
    spread = bits.reshape(-1, _BAND_BITS, 8).transpose(0, 2, 1).reshape(-1, 128)
    for order in (bits, spread):
        words = np.packbits(order, axis=1).view(np.uint16)
        for band in range(8):
            yield np.ascontiguousarray(words[:, band])


def _in_one_bucket(
    own_band: npt.NDArray[np.uint16], other_band: npt.NDArray[np.uint16], own: Hashes, other: Hashes
) -> Iterator[tuple[Positions, Positions]]:
    """Pairs with an equal band, a few million at a time; in a crowded bucket _CROWD a picture."""
    starts = np.r_[0, np.cumsum(np.bincount(other_band, minlength=1 << _BAND_BITS))]
    low, high = starts[own_band], starts[own_band.astype(np.int64) + 1]
    crowded = np.flatnonzero(high - low > _CROWD)
    if crowded.size:  # those around the position that the own hash has in the sorted bucket
        order = np.lexsort((other[:, 1], other[:, 0], other_band))
        place = low[crowded] + _rank(
            own[crowded], own_band[crowded], other[order], other_band[order]
        )
        low[crowded] = np.clip(place - _CROWD // 2, low[crowded], high[crowded] - _CROWD)
        high[crowded] = low[crowded] + _CROWD
    else:
        order = np.argsort(other_band, kind="stable")  # 16-bit keys: twenty times as fast
    counts = high - low
    ends = np.cumsum(counts)
    start = 0
    while start < len(own_band):
        stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + _MOST)))
        share = counts[start:stop]
        i = np.repeat(np.arange(start, stop), share)
        offset = np.arange(len(i)) - np.repeat(np.cumsum(share) - share, share)
        yield i, order[low[i] + offset]
        start = stop


def _rank(
    own: Hashes, keys: npt.NDArray[np.uint16], other: Hashes, other_keys: npt.NDArray[np.uint16]
) -> npt.NDArray[np.int64]:
    """The position of each own hash among the sorted others of its bucket, from its start."""
    both = np.lexsort(
        (
            np.r_[np.zeros(len(other), np.int8), np.ones(len(own), np.int8)],
            np.r_[other[:, 1], own[:, 1]],
            np.r_[other[:, 0], own[:, 0]],
            np.r_[other_keys, keys],
        )
    )
    is_other = both < len(other)
    before = np.cumsum(is_other)
    rank = np.zeros(len(own), np.int64)
    rank[both[~is_other] - len(other)] = before[~is_other]
    return rank - np.searchsorted(other_keys, keys, "left")


def _confirm(thumbs: Thumbs, pairs: Pairs, should_stop: ShouldStop) -> Pairs:
    """The pairs whose thumbnails are similar enough, compared with the rest of the dataset."""
    like, detail = np.zeros(len(pairs), np.float32), np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), _BATCH):
        check_stop(should_stop)
        rows = np.arange(start, min(start + _BATCH, len(pairs)))
        a, b = _aligned(thumbs, pairs, rows)
        like[rows] = (_unit(a) * _unit(b)).sum(1)
        good = like[rows] >= LIKE  # the detail costs more: only for few pairs
        detail[rows[good]] = (_unit(_detail(a[good])) * _unit(_detail(b[good]))).sum(1)
    _try_cut_edges(thumbs, pairs, like, detail, should_stop)
    kept = np.flatnonzero((like >= LIKE) & (detail >= DETAIL))
    if kept.size:
        first, second = pairs.first[kept], pairs.second[kept]
        others = _distance_to_others(thumbs, np.unique(np.r_[first, second]), should_stop)
        distance = np.sqrt(np.maximum(0, 2 - 2 * detail[kept]))
        # The smaller of the two: a rotated picture is far from all upright pictures.
        near = distance <= STANDS_OUT * np.minimum(others[first], others[second]) ** 2
        same = (like[kept] >= SAME) & (detail[kept] >= SAME_DETAIL)
        kept = kept[near | same]
    kept = kept[np.argsort(-like[kept], kind="stable")]
    low = np.minimum(pairs.first[kept], pairs.second[kept])
    high = np.maximum(pairs.first[kept], pairs.second[kept])
    _, once = np.unique(low * max(len(thumbs), 1) + high, return_index=True)
    kept = kept[np.sort(once)]
    return Pairs(
        pairs.first[kept], pairs.second[kept], pairs.turn[kept], like[kept], pairs.bits[kept]
    )


def _try_cut_edges(
    thumbs: Thumbs,
    pairs: Pairs,
    like: npt.NDArray[np.float32],
    detail: npt.NDArray[np.float32],
    should_stop: ShouldStop,
) -> None:
    """Raise `like` and `detail` of pairs where one picture is a crop of the other.

    Searches the crop that fits best, for at most _CUTS_TRIED pairs, the most similar first.
    """
    rows = np.flatnonzero((like >= _HALF_LIKE) & (like < _CUT_LIKE) & (pairs.turn == 0))
    rows = rows[np.argsort(-like[rows], kind="stable")][:_CUTS_TRIED]
    if not rows.size:
        return
    a, b = _aligned(thumbs, pairs, rows)
    for whole, part in ((a, b), (b, a)):
        check_stop(should_stop)
        cut = _best_cut(whole, _unit(part))
        now = (_unit(cut) * _unit(part)).sum(1)
        better = now > like[rows]
        like[rows[better]] = now[better]
        detail[rows[better]] = (_unit(_detail(cut[better])) * _unit(_detail(part[better]))).sum(1)


def _best_cut(
    whole: npt.NDArray[np.float32], part: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """The crop of each whole picture that is most similar to its part: float32 [N, SIDE, SIDE].

    whole: float32 [N, SIDE, SIDE]; part: float32 [N, SIDE²], from `_unit`.
    """
    # Pixels cropped at left, right, top, bottom.
    edges = np.zeros((len(whole), 4), np.float32)
    best = np.full(len(whole), -1.0, np.float32)
    cut = whole.copy()

    def try_edges(rows: Positions, tried: npt.NDArray[np.float32]) -> None:
        rows = rows[(tried >= 0).all(1)]
        tried = tried[(tried >= 0).all(1)]
        across, down = _windows(tried[:, 0], tried[:, 1]), _windows(tried[:, 2], tried[:, 3])
        seen: npt.NDArray[Any] = down @ whole[rows] @ across.transpose(0, 2, 1)
        fits = (_unit(seen) * part[rows]).sum(1)
        better = fits > best[rows]
        at = rows[better]
        best[at], edges[at], cut[at] = fits[better], tried[better], seen[better]

    every = np.arange(len(whole))
    for all_round in (0.0, 0.8, 1.6, 2.4, 3.2):
        try_edges(every, np.full((len(whole), 4), all_round, np.float32))
    for step in (0.8, 0.4):
        for edge in (0, 1, 2, 3):
            for sign in (step, -step):
                tried = edges.copy()
                tried[:, edge] += sign
                try_edges(every, tried)
    return cut


def _windows(
    low: npt.NDArray[np.float32], high: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Matrices float32 [N, SIDE, SIDE] that resize a window of a line of pixels, linearly.

    low, high: float32 [N], pixels cropped at both ends.
    """
    step = (SIDE - low - high) / SIDE
    centre = low[:, None] + (np.arange(SIDE, dtype=np.float32) + 0.5) * step[:, None] - 0.5
    distance = np.abs(centre[:, :, None] - np.arange(SIDE, dtype=np.float32))
    near = np.maximum(0, 1 - distance)
    weights: npt.NDArray[np.float32] = near / near.sum(2, keepdims=True)
    return weights


def _aligned(
    thumbs: Thumbs, pairs: Pairs, rows: Positions
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The first pictures, and the second ones turned onto them: float32 [len(rows), SIDE, SIDE]."""
    a = thumbs[pairs.first[rows]].astype(np.float32)
    b = thumbs[pairs.second[rows]].astype(np.float32)
    for number in set(pairs.turn[rows].tolist()) - {0}:
        at = pairs.turn[rows] == number
        b[at] = TURNS[number][1](b[at])
    return a, b


def _distance_to_others(
    thumbs: Thumbs, rows: Positions, should_stop: ShouldStop
) -> npt.NDArray[np.float32]:
    """Distance in detail to similar pictures of a sample of the dataset: float32 [N].

    Computed at `rows`, else 2. Not to the most similar one, which may be a further copy.
    """
    distance = np.full(len(thumbs), 2.0, np.float32)
    if len(thumbs) < 20:
        return distance
    sample = np.random.default_rng(0).permutation(len(thumbs))[:_SAMPLE]
    known = _unit(_detail(thumbs[sample].astype(np.float32)))
    rank = max(3, len(sample) // 50)
    for start in range(0, len(rows), _BATCH):
        check_stop(should_stop)
        share = rows[start : start + _BATCH]
        likeness = _unit(_detail(thumbs[share].astype(np.float32))) @ known.T
        likeness[likeness > _COPY_LIKE] = -1  # itself and further copies do not count
        near = -np.partition(-likeness, rank, axis=1)[:, rank]
        distance[share] = np.sqrt(np.maximum(0, 2 - 2 * near))
    return distance


def _unit(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Images as vectors of mean 0 and length 1, float32 [N, SIDE²]: products are correlations."""
    flat: npt.NDArray[Any] = images.reshape(len(images), SIDE * SIDE)
    flat = flat - flat.mean(1, keepdims=True)
    unit: npt.NDArray[np.float32] = flat / np.maximum(
        np.linalg.norm(flat, axis=1, keepdims=True), 1e-6
    )
    return unit


def _detail(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What a Gaussian blur of two pixels removes, [N, SIDE, SIDE]; edges are mirrored."""
    blurred: npt.NDArray[Any] = _BLUR @ images @ _BLUR.T
    detail: npt.NDArray[np.float32] = images - blurred
    return detail


def _blur_matrix(sigma: float) -> npt.NDArray[np.float32]:
    """The matrix of a Gaussian blur of a line of pixels, float32 [SIDE, SIDE]; edges mirrored."""
    matrix = np.zeros((SIDE, SIDE))
    for offset in range(-8, 9):
        weight = np.exp(-0.5 * (offset / sigma) ** 2)
        at = np.arange(SIDE) + offset
        at = np.where(at < 0, -1 - at, at)
        at = np.where(at >= SIDE, 2 * SIDE - 1 - at, at)
        np.add.at(matrix, (np.arange(SIDE), at), weight)
    blur: npt.NDArray[np.float32] = np.asarray(matrix / matrix.sum(1, keepdims=True), np.float32)
    return blur


_BLUR = _blur_matrix(2.0)


def connected_groups(count: int, pairs: Pairs) -> list[list[int]]:
    """Groups of rows that are connected by pairs, each ascending, sorted by the first row."""
    parent = list(range(count))

    def top(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        low, high = sorted((top(a), top(b)))
        parent[high] = low
    groups: dict[int, list[int]] = {}
    for i in np.unique(np.concatenate([pairs.first, pairs.second])).tolist():
        groups.setdefault(top(i), []).append(i)
    return sorted(groups.values())
