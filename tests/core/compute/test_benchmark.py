"""The latency of a model on this machine: measured, remembered, and read without torch."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from core.catalog import catalog
from core.catalog.card import Latency
from core.compute import benchmark
from core.errors import AppError, ModelError
from core.events import Cancelled
from helpers import TINY, run_python


def passes_of(*seconds: float):
    """A clock by which passes take these seconds, the last of them for ever."""
    rest, now = list(seconds), 0.0

    def clock() -> float:
        nonlocal now
        yield_now = now
        now += rest[0] if len(rest) == 1 else rest.pop(0)
        return yield_now

    return clock


def test_a_measured_latency_is_remembered_with_its_settings():
    card = catalog.load().resolve(TINY)
    heard: list[tuple[int, int, str]] = []
    found = benchmark.measure(
        card, device="cpu", on_progress=lambda *now: heard.append(now), clock=passes_of(0.001)
    )
    assert (found.low_ms, found.median_ms, found.high_ms) == pytest.approx((1, 1, 1))
    assert (found.device, found.precision, found.input_size) == ("cpu", "float32", (160, 160))
    assert found.passes == 30
    assert heard[-1][:2] == (30, 30)
    assert benchmark.known_latencies()[card.id] == found
    assert f"torch {found.torch_version}" in found.settings


def test_the_thread_count_is_put_back_after_a_measurement():
    before = torch.get_num_threads()
    benchmark.measure(catalog.load().resolve("timm/test_vit.r160_in1k"), device="cpu")
    assert torch.get_num_threads() == before


def test_a_large_model_is_run_a_few_times_only():
    card = catalog.load().resolve(TINY)
    assert benchmark.measure(card, device="cpu", clock=passes_of(2.0)).passes == 5


def test_the_clock_of_the_machine_gives_quartiles_in_order():
    found = benchmark.measure(catalog.load().resolve(TINY), device="cpu")
    assert 0 < found.low_ms <= found.median_ms <= found.high_ms
    assert 5 <= found.passes <= 30


def test_what_is_known_is_read_without_torch():
    run_python(
        "import sys; from core.compute import benchmark as bench; bench.known_latencies(); "
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )


def test_figures_of_another_torch_or_another_machine_do_not_count():
    card = catalog.load().resolve(TINY)
    found = Latency(
        card.id, 1.0, 0.9, 1.1, 30, (160, 160), "cpu", "", "float32", "contiguous", 2, "0.1"
    )
    benchmark._remember(found)
    assert benchmark.known_latencies() == {}
    entries = json.loads(benchmark._file().read_text())
    entries["elsewhere|" + benchmark._torch_version() + "|cpu|x"] = next(iter(entries.values()))
    benchmark._file().write_text(json.dumps(entries))
    assert benchmark.known_latencies() == {}


@pytest.mark.parametrize("text", ["not JSON", "[1, 2]", '{"a": {"b": 1}}'])
def test_a_damaged_file_of_latencies_counts_as_none(text: str):
    benchmark._file().write_text(text)
    assert benchmark.known_latencies() == {}


def test_a_model_larger_than_the_free_memory_is_refused_before_it_is_built(
    monkeypatch: pytest.MonkeyPatch,
):
    card = catalog.load().resolve("timm/eva_giant_patch14_560.m30m_ft_in22k_in1k")
    monkeypatch.setattr(benchmark.psutil, "virtual_memory", lambda: SimpleNamespace(available=2e9))
    with pytest.raises(AppError, match=r"eva_giant.* GB .* 2\.0 GB"):
        benchmark.measure(card, device="cpu")


def test_an_unknown_architecture_and_an_unknown_device_are_said_in_a_sentence():
    card = catalog.load().resolve(TINY)
    with pytest.raises(ModelError, match="no_such_net"):
        benchmark.measure(replace(card, arch="no_such_net"), device="cpu")
    with pytest.raises(AppError, match="abacus"):
        benchmark.measure(card, device="abacus")


def test_a_stopped_measurement_leaves_nothing_behind():
    asked: list[bool] = []

    def should_stop() -> bool:
        asked.append(True)
        return len(asked) > 8

    with pytest.raises(Cancelled):
        benchmark.measure(
            catalog.load().resolve(TINY),
            device="cpu",
            should_stop=should_stop,
        )
    assert benchmark.known_latencies() == {}
