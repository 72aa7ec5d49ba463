"""Batches: what the second epoch costs, who decodes faster, and the validation path's logits.

`make bench` prints the figures; nothing here runs in the default suite.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from core.batches.decode_processes import Decoders, pictures_per_s
from core.batches.pixel_cache import PixelCache, read_working
from core.catalog import catalog
from core.compute.device import Compute
from core.compute.embedder import Embedder
from core.models.build import build

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

MODEL = "bundled/tf_efficientnet_lite0"
ROUNDS = 3


@pytest.fixture(scope="module")
def built():
    return build(catalog.load().resolve(MODEL))


@pytest.fixture
def paths(shared_data):
    return sorted((shared_data / "hymenoptera").rglob("*.jpg"))[:200]


@pytest.mark.parametrize("kept", ["memory", "file"])
def test_the_second_epoch_against_the_first(paths, built, kept):
    ratios = []
    for _ in range(ROUNDS):
        budget = None if kept == "memory" else 0
        with PixelCache(paths, built.preprocessing, budget_bytes=budget) as cache:
            seconds = []
            for _epoch in range(2):
                begin = time.perf_counter()
                for i in range(len(paths)):
                    cache.validation(i)
                seconds.append(time.perf_counter() - begin)
            assert cache.decoded == len(paths)
            ratios.append(seconds[0] / seconds[1])
    print(f"\nsecond epoch from {kept}: {statistics.median(ratios):.0f} times as fast as the first")


def test_threads_against_processes(paths, built):
    decoders = Decoders(2)
    ratios, speeds = [], []
    try:
        for _ in range(ROUNDS):
            threads = pictures_per_s(paths, built.preprocessing, read_working, workers=2)
            children = pictures_per_s(paths, built.preprocessing, decoders.read, workers=2)
            ratios.append(children / threads)
            speeds.append(threads)
    finally:
        decoders.close()
    print(
        f"\ndecoding by two threads: {statistics.median(speeds):.0f} pictures/s; two processes: "
        f"{statistics.median(ratios):.2f} times as fast"
    )


def test_the_validation_path_gives_the_logits_of_timms_own(paths, built):
    """The same decoded pictures: what differs is resizing, cutting and normalising alone. And
    from the files: our decoder, which reads large JPEGs at a fraction, against Pillow's."""
    compute = Compute("cpu", "float32", "contiguous", 1, 2, 8)
    embedder = Embedder(built, compute)
    side = built.preprocessing
    config = resolve_model_data_config(built.module)
    config.update(
        mean=side.mean, std=side.std, interpolation=side.interpolation,
        crop_pct=side.height / side.resize_px, input_size=(3, side.height, side.width),
    )  # fmt: skip
    theirs = create_transform(**config, is_training=False)
    deltas: dict[str, list[float]] = {"pixels": [], "files": []}
    same: dict[str, list[bool]] = {"pixels": [], "files": []}
    with PixelCache(paths, side) as cache, torch.inference_mode():
        for i, path in enumerate(paths[:80]):
            with Image.open(path) as file:
                picture = file.convert("RGB")
            wanted = built.module(theirs(picture)[None])
            for name, pixels in (
                ("pixels", side.pixels(picture)),
                ("files", cache.validation(i)),
            ):
                got = embedder.logits(torch.from_numpy(np.array(pixels))[None])
                deltas[name].append(float((got - wanted).abs().max()))
                same[name].append(bool(got.argmax() == wanted.argmax()))
    for name, values in deltas.items():
        print(
            f"\nvalidation path against timm's, same {name}: max |Δlogit| {max(values):.2g}, "
            f"argmax equal {sum(same[name])}/{len(values)}"
        )
    assert all(same["pixels"])
    assert max(deltas["pixels"]) < 1e-3
