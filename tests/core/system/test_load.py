"""The load of the machine: at most once a second, and nothing invented where there is no GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from core.system.load import LoadSampler


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class NVMLError(Exception):
    pass


def library(**changes):
    """NVIDIA's library with two GPUs; the second one is half busy."""

    def handle(index):
        if index not in (0, 1):
            raise NVMLError("no such device")
        return index

    parts = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByIndex": handle,
        "nvmlDeviceGetHandleByUUID": lambda name: {"GPU-b": 1}[name],
        "nvmlDeviceGetMemoryInfo": lambda h: SimpleNamespace(used=(h + 1) * 2**30, total=2**34),
        "nvmlDeviceGetUtilizationRates": lambda h: SimpleNamespace(gpu=50 * h),
    }
    return SimpleNamespace(**{**parts, **changes})


def sample(device, clock=None):
    clock = clock or Clock()
    sampler = LoadSampler(device, clock)
    assert sampler.sample() is None
    clock.now += 1.0
    return sampler.sample()


def test_it_samples_at_most_once_a_second():
    clock = Clock()
    sampler = LoadSampler("cpu", clock)
    told = []
    for tick in range(41):
        clock.now = tick / 10
        told.append(sampler.sample() is not None)
    assert sum(told) == 4


def test_without_a_gpu_only_the_processors_are_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", library())
    load = sample("cpu")
    assert 0 <= load.cpu <= 1
    assert (load.gpu, load.gpu_memory_mb) == (None, None)


@pytest.mark.parametrize("visible", ["", "1,0", "GPU-b"])
def test_a_gpu_tells_its_memory_and_its_load_as_torch_counts_it(monkeypatch, visible):
    monkeypatch.setitem(sys.modules, "pynvml", library())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    load = sample("cuda:1" if not visible else "cuda")
    assert (load.gpu, load.gpu_memory_mb, load.gpu_total_mb) == (0.5, 2048, 16384)


def test_no_driver_no_library_and_a_lost_gpu_are_borne(monkeypatch):
    def fail(*_):
        raise NVMLError("driver not loaded")

    for broken in (
        library(nvmlInit=fail),
        library(nvmlDeviceGetUtilizationRates=fail),
        None,  # not installed
    ):
        monkeypatch.setitem(sys.modules, "pynvml", broken)
        assert sample("cuda:0").gpu is None
    monkeypatch.setitem(sys.modules, "pynvml", library())
    assert sample("cuda:7").gpu is None
