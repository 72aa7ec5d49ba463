"""Near copies: what is the same picture saved anew, and what only looks alike."""

import numpy as np
import pytest
from PIL import Image

from core.data.health.near_duplicates import SIDE, candidates, connected_groups, near_pairs
from core.errors import Cancelled


def fields(count: int, seed: int = 0) -> np.ndarray:
    """Pictures of soft blobs, no two alike: uint8 [count, SIDE, SIDE]."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, 9, 9))
    wide = np.repeat(np.repeat(coarse, 4, 1), 4, 2)
    for axis in (1, 2):
        wide = (np.roll(wide, 1, axis) + wide + np.roll(wide, -1, axis)) / 3
    return np.clip(wide[:, 2 : 2 + SIDE, 2 : 2 + SIDE], 0, 255).astype(np.uint8)


def linked(thumbs: np.ndarray) -> list[list[int]]:
    return connected_groups(len(thumbs), near_pairs(thumbs))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: np.clip(
            t.astype(int) + np.random.default_rng(1).integers(-6, 7, t.shape), 0, 255
        ),
        lambda t: t * 0.7,
        lambda t: np.clip(t * 1.2 + 10, 0, 255),
        lambda t: np.rot90(t, 1, (1, 2)),
        lambda t: np.rot90(t, 3, (1, 2)),
        lambda t: np.rot90(t, 2, (1, 2)),
        lambda t: t[:, :, ::-1],
        lambda t: t.transpose(0, 2, 1),
    ],
    ids=[
        "noise",
        "darker",
        "brighter",
        "quarter",
        "three-quarters",
        "half",
        "mirrored",
        "transposed",
    ],
)
def test_a_changed_copy_is_found_and_no_other_picture(change):
    thumbs = fields(120)
    copies = change(thumbs[:20]).astype(np.uint8)
    assert linked(np.concatenate([thumbs, copies])) == [[i, 120 + i] for i in range(20)]


def test_copies_with_their_edges_cut_off_are_mostly_found():
    rng = np.random.default_rng(2)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).resize((256, 256))
        for _ in range(100)
    ]
    cut = [picture.crop((8, 8, 248, 248)) for picture in pictures[:20]]
    small = [np.asarray(p.resize((SIDE, SIDE), Image.Resampling.BOX)) for p in pictures + cut]
    groups = linked(np.stack(small))
    assert len(groups) >= 15
    assert all(group == [group[0], 100 + group[0]] for group in groups)


def test_pictures_that_are_all_alike_are_no_copies_of_each_other():
    rng = np.random.default_rng(0)
    base = fields(1)[0].astype(float)
    thumbs = np.clip(
        base + 0.35 * (fields(80, seed=5) - 127.0) + rng.normal(0, 2, (80, SIDE, SIDE)), 0, 255
    )
    assert linked(thumbs.astype(np.uint8)) == []


def test_many_copies_of_one_picture_are_one_group():
    rng = np.random.default_rng(0)
    copies = np.repeat(fields(1) // 2, 300, 0) + rng.integers(0, 2, (300, SIDE, SIDE))
    thumbs = np.concatenate([fields(60, seed=3), copies.astype(np.uint8)])
    assert linked(thumbs) == [list(range(60, 360))]


def test_every_planted_pair_of_hashes_is_a_candidate_and_no_other():
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, (5000, 2), dtype=np.uint64)
    hashes[4000:4100] = hashes[:100]
    for bit in range(7):
        hashes[4000:4100, bit % 2] ^= np.uint64(1 << (9 * bit))
    first, second, bits = candidates(hashes, hashes)
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [
        (i, 4000 + i) for i in range(100)
    ]
    assert set(bits.tolist()) == {7}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_handful_of_pictures_is_no_trouble(count):
    assert linked(fields(3)[:count]) == []


def test_a_stop_is_heard():
    with pytest.raises(Cancelled):
        near_pairs(fields(5), should_stop=lambda: True)
