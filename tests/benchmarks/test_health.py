"""Health: pictures measured a second, a second look, grouping, and labels planted wrong.

`make bench` prints the figures; nothing here runs in the default suite.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from core.data.health.check import check_health
from core.data.health.label_errors import label_errors, unlike_their_class
from core.data.health.near_duplicates import SIDE, candidates, near_pairs
from core.data.sources.scan import scan
from core.features.dataset_features import picture_features
from core.recipe.recipe import Recipe

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]
QUIET = {"on_progress": lambda *_: None, "should_stop": lambda: False}


@pytest.mark.parametrize("name", ["hymenoptera", "neu_steel"])
def test_the_first_look_and_the_second(shared_data, name):
    index = scan(shared_data / name)
    for number in ("first", "second"):
        begin = time.perf_counter()
        report = check_health(index, **QUIET)
        seconds = time.perf_counter() - begin
        print(f"\n{name}, {number} look: {len(index) / seconds:.0f} pictures/s, {report.counts()}")


def test_grouping_a_hundred_thousand():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, (100_000, 2), dtype=np.uint64)
    hashes[99_000:] = hashes[:1000]
    hashes[99_000:, 0] ^= np.uint64(0b1011)
    begin = time.perf_counter()
    first, _, _ = candidates(hashes, hashes)
    print(f"\n100,000 random hashes: {time.perf_counter() - begin:.1f} s")
    assert len(first) == 1000
    coarse = rng.integers(0, 256, (100_000, SIDE // 4, SIDE // 4), dtype=np.uint8)
    thumbs = np.repeat(np.repeat(coarse, 4, 1), 4, 2)
    thumbs[99_000:] = np.rot90(thumbs[:1000], 1, (1, 2))
    begin = time.perf_counter()
    pairs = near_pairs(thumbs)
    print(f"100,000 thumbnails, turned too: {time.perf_counter() - begin:.1f} s")
    assert len(pairs) == 1000


@pytest.mark.parametrize("name", ["hymenoptera", "neu_steel"])
def test_flipped_labels_are_found(shared_data, name):
    index = scan(shared_data / name)
    vectors = picture_features(index, Recipe()).vectors
    clean = label_errors(vectors, index.labels)
    strays = unlike_their_class(vectors, index.labels)
    print(f"\n{name}, labels as they are: {len(clean.rows)} suspected, {len(strays.rows)} unlike")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        flipped = rng.permutation(len(index))[: len(index) // 20]
        labels = index.labels.copy()
        turn = rng.integers(1, len(index.classes), len(flipped))
        labels[flipped] = (labels[flipped] + turn) % len(index.classes)
        rows = label_errors(vectors, labels).rows
        right = np.isin(rows, flipped).sum()
        print(f"{name}: {right} of {len(flipped)} flipped labels in {len(rows)} findings")
        assert right >= 0.6 * len(flipped)
