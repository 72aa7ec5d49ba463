"""Pixels in, features out: the frozen backbone in its resolved device and number format."""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from core.compute.device import Compute
from core.models.build import BuiltModel


class Embedder:
    """The frozen part of a model, ready to run. Several threads may call `embed` at once.

    Works on a copy: the model it is given keeps its float32 weights.
    """

    def __init__(self, built: BuiltModel, compute: Compute) -> None:
        self._built, self._compute = built, compute
        self._wide: Embedder | None = None
        self._making = threading.Lock()
        self.preprocessing = built.preprocessing
        self.feature_dim = built.feature_dim
        self._device = torch.device(compute.device)
        self._dtype = compute.dtype
        self._format = compute.torch_memory_format
        self._module = copy.deepcopy(built.module).eval().requires_grad_(False)
        self._module.to(self._device, self._dtype)
        self._module.to(memory_format=self._format)
        self._backbone = built.with_module(self._module).backbone()
        # (pixel / 255 − mean) / std as one multiply and one add
        mean = torch.tensor(built.preprocessing.mean, device=self._device)
        std = torch.tensor(built.preprocessing.std, device=self._device)
        self._scale = (1 / (255 * std)).view(1, 3, 1, 1)
        self._shift = (-mean / std).view(1, 3, 1, 1)

    @torch.inference_mode()
    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        """Compute the features of a batch.

        `pixels`: uint8 [N, height, width, 3] on any device. Returns float32 [N, D] on the CPU.
        """
        features = self._backbone(self._normalise(pixels)).float().cpu()
        if self._dtype != torch.float32 and not torch.isfinite(features).all():
            return self._in_float32().embed(pixels)
        return features

    def _in_float32(self) -> Embedder:
        """An embedder in float32, for pictures whose features overflow the short number format."""
        with self._making:
            if self._wide is None:
                compute = dataclasses.replace(self._compute, precision="float32")
                self._wide = Embedder(self._built, compute)
            return self._wide

    @torch.inference_mode()
    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits of the whole model: uint8 [N, height, width, 3] → float32 [N, C] on the CPU."""
        logits: torch.Tensor = self._module(self._normalise(pixels))
        return logits.float().cpu()

    def _normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        images = pixels.to(self._device).permute(0, 3, 1, 2)
        images = images.float().mul_(self._scale).add_(self._shift)
        return images.to(dtype=self._dtype, memory_format=self._format)


@contextmanager
def worker_pool(compute: Compute) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads, each with `threads_per_worker` cores in torch; restores the old count.

    torch hands the count of the last `set_num_threads` to threads that are new to it, so it is
    set in each worker and once more here at the end.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(
            compute.workers,
            thread_name_prefix="embed",
            initializer=torch.set_num_threads,
            initargs=(compute.threads_per_worker,),
        ) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)
