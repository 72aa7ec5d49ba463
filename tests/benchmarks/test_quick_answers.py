"""What must answer at once: the search of the catalog, a split, a long table, a list of long runs.

Figures are printed; run with `make bench`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from core.catalog import catalog
from core.data.sources.tables import read_table
from core.data.splits import stratified_folds
from core.events import EpochDone, RunEnded, StepDone, to_json
from core.recipe.recipe import make_recipe
from core.runs.run_folder import create_run
from core.runs.store import RunStore

pytestmark = pytest.mark.benchmark


def seconds_of(what: str, work: Callable[[], object]) -> float:
    """The shortest of five times, after one that loads what is needed."""
    work()
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    print(f"{what}: {1000 * min(times):.1f} ms")
    return min(times)


def test_a_search_of_the_catalog_answers_every_key() -> None:
    cards = catalog.load()
    search = seconds_of(
        "search of the catalog",
        lambda: cards.search("efficient net", max_params_m=20, sort="top1"),
    )
    assert search < 0.05


def test_a_hundred_thousand_images_are_split_in_under_two_seconds() -> None:
    labels = np.random.default_rng(0).integers(0, 1000, 100_000).astype(np.int32)
    assert seconds_of("split", lambda: stratified_folds(labels, folds=5, seed=0, fewest=2)) < 2


def test_a_table_of_a_hundred_thousand_lines_is_read_in_a_second(tmp_path) -> None:
    rows = ["path,label,split", *(f"a/{i}.jpg,c{i % 50},train" for i in range(100_000))]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert seconds_of("table", lambda: read_table(table)) < 1  # 0.3 s measured


def test_twenty_long_runs_are_listed_at_once(tmp_path) -> None:
    step = to_json(StepDone(1, 1, 0.5, (1e-4, 3e-4), 20.0)) + "\n"
    for number in range(20):
        run = create_run(tmp_path / f"long-20261001-1000{number:02d}", make_recipe({}))
        run.write_classes(("ant", "bee"))
        run.append_event(EpochDone(1, 0.5, 0.8, 0.4, 0.9, seconds=20.0))
        with (run.path / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(step * 20_000)
        run.append_event(RunEnded("done", 2, 0.9))
    # 0.02 s measured; reading all of their events takes three seconds and more.
    assert seconds_of("list of runs", lambda: RunStore(tmp_path).runs()) < 1
