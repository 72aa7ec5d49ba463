"""Balanced epochs: rare classes as often as common ones, every image in its turn."""

from __future__ import annotations

from collections import Counter

import numpy as np

from core.batches.sampler import epoch_order

LABELS = np.array([0] * 90 + [1] * 8 + [2] * 2)
FIT = np.arange(100)


def order(epoch, *, is_balanced=True, seed=0):
    return epoch_order(FIT, LABELS, seed=seed, epoch=epoch, is_balanced=is_balanced)


def test_a_natural_epoch_has_each_image_once():
    drawn = order(1, is_balanced=False)
    assert sorted(one.position for one in drawn) == FIT.tolist()
    assert {one.time for one in drawn} == {0}
    # The order that runs had before there was a choice: they resume to the bit.
    assert [one.position for one in drawn] == np.random.default_rng([0, 1]).permutation(
        FIT
    ).tolist()


def test_a_balanced_epoch_has_each_class_as_often_and_is_as_long():
    drawn = order(1)
    assert len(drawn) == 100
    counts = Counter(LABELS[one.position] for one in drawn)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert [one.position for one in drawn] != sorted(one.position for one in drawn)


def test_an_image_that_comes_again_is_counted():
    times = Counter(one for one in order(1))
    assert max(times.values()) == 1  # (position, time) is never drawn twice: each view is another
    assert max(one.time for one in order(1)) >= 15


def test_all_images_of_a_common_class_have_their_turn_before_one_comes_again():
    seen = [one.position for epoch in (1, 2) for one in order(epoch) if LABELS[one.position] == 0]
    assert len(seen) == len(set(seen)) == 68
    three = [one.position for epoch in (1, 2, 3) for one in order(epoch)]
    assert {p for p in three if LABELS[p] == 0} == set(range(90))


def test_an_epoch_depends_on_seed_and_number_alone():
    assert order(3) == order(3)
    assert order(3) != order(4)
    assert order(3) != order(3, seed=1)


def test_more_classes_than_images_leave_some_class_out_and_nothing_breaks():
    drawn = epoch_order(np.array([0, 1]), np.array([4, 7, 9]), seed=0, epoch=5, is_balanced=True)
    assert len(drawn) == 2
