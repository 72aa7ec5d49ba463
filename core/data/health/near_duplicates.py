"""Near copies of pictures, found without comparing all pairs.

A gray thumbnail of 32×32 pixels stands for a picture. Its hash of 128 bits says which of
neighbouring cells is brighter; pictures are compared where 16 bits of theirs are equal, also
turned by a quarter or half and mirrored. What is near by hash is confirmed on the thumbnails: the
pattern, its fine detail alone, and that the pair stands out from other pictures of the dataset.
Knows numpy only.

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
"""Hashes this near, of 128 bits, are worth a look at the thumbnails."""
TURNED_BITS = 12
"""The same for turned pictures: nothing is cut off them. Measured: quarter turns reached 5."""
LIKE, DETAIL = 0.9, 0.7
"""Least correlation of two copies' thumbnails, and of their detail alone. Measured: different
photos of ants and bees reached 0.82 and 0.75; pictures of plain texture reach 0.99 in the first."""
SAME, SAME_DETAIL = 0.999, 0.995
"""A pair as like as this is a copy in any company."""
STANDS_OUT = 0.33
"""The distance of two copies' detail is at most this times the square of the distance at which
other pictures begin: in a set where all are alike, as digits are, likeness alone says nothing."""

_HALF_LIKE, _CUT_LIKE = 0.4, 0.97
"""Pairs between the two may be a picture and a part of it."""
_CUTS_TRIED = 4000
_CELLS = 8
_NOISE = 1.0
"""Gray levels: on plain paper the noise of a JPEG must not decide a bit."""
_BAND_BITS = 16
_CROWD = 64
"""Pictures in a bucket above which only neighbours in its sorted order are compared."""
_BATCH = 4096
_SAMPLE = 400
_COPY_LIKE = 0.95
_MOST = 2_000_000
"""Pairs of one bucket looked at together."""
_MOST_COMPARED = 400_000
_NEAREST = 16
"""Candidates of a picture whose thumbnails are compared, the nearest by hash."""

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
"""How the second picture of a pair is turned to lie on the first; of a quarter turn to the other
side the pair is found with its members changed over."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows: first, second int64 [P]; turn int8 [P], of TURNS; likeness float32 [P], the
    correlation of the thumbnails; bits int16 [P], different bits of the hashes."""

    first: Positions
    second: Positions
    turn: npt.NDArray[np.int8]
    likeness: npt.NDArray[np.float32]
    bits: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.first)


def hashes_of(thumbs: Thumbs) -> Hashes:
    """uint64 [N, 2] of uint8 [N, SIDE, SIDE]."""
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
    """The pairs of near copies among uint8 [N, SIDE, SIDE]; of each pair the best turn.

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
    """Where the nearest pairs of each first picture stand, up to `most`."""
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
    """(i, j, different bits) where own[i] and other[j] share a band and differ in few bits.

    own, other: uint64 [N, 2]. Each unordered pair once. Pairs that differ in up to 15 bits and
    lie in no crowd are all found, by the pigeonhole principle; farther ones mostly.

    Raises: Cancelled.
    """
    n = max(len(own), 1)
    keys: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for mine, theirs in zip(_bands(own), _bands(other), strict=True):
        check_stop(should_stop)
        for i, j in _in_one_bucket(mine, theirs, own, other):
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
    """Sixteen bands of 16 bits: eight of neighbouring bits, eight of bits strewn about."""
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 16), axis=1)
    strewn = bits.reshape(-1, _BAND_BITS, 8).transpose(0, 2, 1).reshape(-1, 128)
    for order in (bits, strewn):
        words = np.packbits(order, axis=1).view(np.uint16)
        for band in range(8):
            yield np.ascontiguousarray(words[:, band])


def _in_one_bucket(
    mine: npt.NDArray[np.uint16], theirs: npt.NDArray[np.uint16], own: Hashes, other: Hashes
) -> Iterator[tuple[Positions, Positions]]:
    """Pairs of equal band, a few million at a time; of a crowd each with _CROWD at most."""
    starts = np.r_[0, np.cumsum(np.bincount(theirs, minlength=1 << _BAND_BITS))]
    low, high = starts[mine], starts[mine.astype(np.int64) + 1]
    crowded = np.flatnonzero(high - low > _CROWD)
    if crowded.size:  # around the place where its own hash would stand in the bucket
        order = np.lexsort((other[:, 1], other[:, 0], theirs))
        place = low[crowded] + _rank(own[crowded], mine[crowded], other[order], theirs[order])
        low[crowded] = np.clip(place - _CROWD // 2, low[crowded], high[crowded] - _CROWD)
        high[crowded] = low[crowded] + _CROWD
    else:
        order = np.argsort(theirs, kind="stable")  # of 16 bits: twenty times as fast
    counts = high - low
    ends = np.cumsum(counts)
    start = 0
    while start < len(mine):
        stop = max(start + 1, int(np.searchsorted(ends, (ends[start - 1] if start else 0) + _MOST)))
        share = counts[start:stop]
        i = np.repeat(np.arange(start, stop), share)
        offset = np.arange(len(i)) - np.repeat(np.cumsum(share) - share, share)
        yield i, order[low[i] + offset]
        start = stop


def _rank(
    own: Hashes, keys: npt.NDArray[np.uint16], other: Hashes, other_keys: npt.NDArray[np.uint16]
) -> npt.NDArray[np.int64]:
    """Where each own hash would stand among the sorted others of its bucket, from its start."""
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
    """The pairs whose thumbnails agree and that stand out from the rest."""
    like, detail = np.zeros(len(pairs), np.float32), np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), _BATCH):
        check_stop(should_stop)
        rows = np.arange(start, min(start + _BATCH, len(pairs)))
        a, b = _laid_on(thumbs, pairs, rows)
        like[rows] = (_unit(a) * _unit(b)).sum(1)
        good = like[rows] >= LIKE  # the dearer second look for few only
        detail[rows[good]] = (_unit(_detail(a[good])) * _unit(_detail(b[good]))).sum(1)
    _try_cut_edges(thumbs, pairs, like, detail, should_stop)
    kept = np.flatnonzero((like >= LIKE) & (detail >= DETAIL))
    if kept.size:
        first, second = pairs.first[kept], pairs.second[kept]
        begin = _where_others_begin(thumbs, np.unique(np.r_[first, second]), should_stop)
        distance = np.sqrt(np.maximum(0, 2 - 2 * detail[kept]))
        # The lesser of the two: a turned picture is unlike the upright ones, like it or not.
        near = distance <= STANDS_OUT * np.minimum(begin[first], begin[second]) ** 2
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
    """Raises `like` and `detail` of half-like pairs where one picture is a cut-out of the other.

    Few are tried, the most alike first: the edges that fit best are searched for.
    """
    rows = np.flatnonzero((like >= _HALF_LIKE) & (like < _CUT_LIKE) & (pairs.turn == 0))
    rows = rows[np.argsort(-like[rows], kind="stable")][:_CUTS_TRIED]
    if not rows.size:
        return
    a, b = _laid_on(thumbs, pairs, rows)
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
    """float32 [N, SIDE, SIDE]: of each whole picture the window that looks most like its part.

    whole: float32 [N, SIDE, SIDE]; part: float32 [N, SIDE²], of `_unit`.
    """
    # left, right, top, bottom: pixels cut away
    edges = np.zeros((len(whole), 4), np.float32)
    best = np.full(len(whole), -1.0, np.float32)
    cut = whole.copy()

    def look(rows: Positions, tried: npt.NDArray[np.float32]) -> None:
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
        look(every, np.full((len(whole), 4), all_round, np.float32))
    for step in (0.8, 0.4):
        for edge in (0, 1, 2, 3):
            for sign in (step, -step):
                tried = edges.copy()
                tried[:, edge] += sign
                look(every, tried)
    return cut


def _windows(
    low: npt.NDArray[np.float32], high: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """float32 [N, SIDE, SIDE]: takes a line of SIDE pixels to SIDE of its window, linearly."""
    step = (SIDE - low - high) / SIDE
    centre = low[:, None] + (np.arange(SIDE, dtype=np.float32) + 0.5) * step[:, None] - 0.5
    distance = np.abs(centre[:, :, None] - np.arange(SIDE, dtype=np.float32))
    near = np.maximum(0, 1 - distance)
    weights: npt.NDArray[np.float32] = near / near.sum(2, keepdims=True)
    return weights


def _laid_on(
    thumbs: Thumbs, pairs: Pairs, rows: Positions
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """float32 [len(rows), SIDE, SIDE] of the first pictures, and the second turned onto them."""
    a = thumbs[pairs.first[rows]].astype(np.float32)
    b = thumbs[pairs.second[rows]].astype(np.float32)
    for number in set(pairs.turn[rows].tolist()) - {0}:
        at = pairs.turn[rows] == number
        b[at] = TURNS[number][1](b[at])
    return a, b


def _where_others_begin(
    thumbs: Thumbs, rows: Positions, should_stop: ShouldStop
) -> npt.NDArray[np.float32]:
    """float32 [N], filled at `rows`: distance of detail to the near ones of a sample of the set.

    The near ones, not the nearest, which may be a further copy.
    """
    begin = np.full(len(thumbs), 2.0, np.float32)
    if len(thumbs) < 20:
        return begin
    sample = np.random.default_rng(0).permutation(len(thumbs))[:_SAMPLE]
    known = _unit(_detail(thumbs[sample].astype(np.float32)))
    rank = max(3, len(sample) // 50)
    for start in range(0, len(rows), _BATCH):
        check_stop(should_stop)
        share = rows[start : start + _BATCH]
        likeness = _unit(_detail(thumbs[share].astype(np.float32))) @ known.T
        likeness[likeness > _COPY_LIKE] = -1  # itself, and further copies: they are no company
        near = -np.partition(-likeness, rank, axis=1)[:, rank]
        begin[share] = np.sqrt(np.maximum(0, 2 - 2 * near))
    return begin


def _unit(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """float32 [N, SIDE²] of mean 0 and length 1: products are correlations."""
    flat: npt.NDArray[Any] = images.reshape(len(images), SIDE * SIDE)
    flat = flat - flat.mean(1, keepdims=True)
    unit: npt.NDArray[np.float32] = flat / np.maximum(
        np.linalg.norm(flat, axis=1, keepdims=True), 1e-6
    )
    return unit


def _detail(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What a Gaussian blur of two pixels takes away; it knows its way around at the edges."""
    blurred: npt.NDArray[Any] = _BLUR @ images @ _BLUR.T
    detail: npt.NDArray[np.float32] = images - blurred
    return detail


def _blur_matrix(sigma: float) -> npt.NDArray[np.float32]:
    """float32 [SIDE, SIDE]: a row for each pixel, edges mirrored."""
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


def grouped(count: int, pairs: Pairs) -> list[list[int]]:
    """Rows linked by pairs, each group ascending, in order of its first."""
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
