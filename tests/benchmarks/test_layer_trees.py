"""A layer tree for every architecture of the catalog: that there is one, and how long it takes."""

from __future__ import annotations

import statistics
import time

import pytest

from core.catalog import catalog
from core.models.layers.tree import layer_tree

pytestmark = pytest.mark.benchmark


@pytest.mark.timeout(0)
def test_every_architecture_has_a_tree_whose_total_is_the_cards():
    """Figure to reach: median 0.15 s."""
    by_arch = {(card.source, card.arch): card for card in catalog.load().cards}
    seconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    layer_tree(catalog.load().resolve("torchvision/resnet18"))  # imports are no part of it
    for card in by_arch.values():
        begin = time.perf_counter()
        try:
            tree = layer_tree(card)
        except Exception as error:  # noqa: BLE001 - all that fail are to be named
            failed[card.id] = f"{type(error).__name__}: {error}"
            continue
        seconds[card.id] = time.perf_counter() - begin
        if card.params is not None and tree.params != card.params:
            failed[card.id] = f"{tree.params:,} parameters, the card says {card.params:,}"
        counted = sum(node.total_params - node.shared_params for node in tree.layers)
        if counted != tree.params:
            failed[card.id] = f"lines add up to {counted:,} of {tree.params:,}"
    ordered = sorted(seconds.values())
    slowest = sorted(seconds, key=seconds.__getitem__)[-5:]
    print(
        f"\n{len(seconds):,} trees: median {statistics.median(ordered):.3f} s, "
        f"95 % {ordered[int(0.95 * len(ordered))]:.3f} s, worst {ordered[-1]:.3f} s\n"
        + "\n".join(f"  {seconds[name]:.2f} s {name}" for name in slowest)
    )
    assert not failed, failed
