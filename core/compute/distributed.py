"""Processes that train together: each learns from its share of every step, all take the same step.

torchrun starts them, on one machine or on several; Lightning Fabric connects them (NCCL on GPUs,
gloo on CPUs). The gradients of a step are summed over all processes before any of them steps, and
the validation results are gathered before any of them decides, so every process holds the same
model and stops at the same epoch. Rank 0 alone writes files.

In a single process (`SINGLE_PROCESS`) every function here returns what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor

from core.errors import AppError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from lightning_fabric import Fabric

    from core.compute.device import Compute

_T = TypeVar("_T")

_TIMEOUT = timedelta(days=7)
"""A paused run keeps the other processes waiting; torchrun notices at once when one dies."""


@dataclass(frozen=True)
class World:
    """All processes of one training and this process's rank among them, named as torchrun does."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    fabric: Fabric | None = None

    @property
    def is_global_zero(self) -> bool:
        """Whether this is rank 0, the process that writes the run and emits its events."""
        return self.rank == 0

    def shard(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """This process's part of `positions`; the parts differ by one at most, and may be empty."""
        return positions[self.rank :: self.world_size]

    def all_reduce(self, *numbers: float) -> tuple[float, ...]:
        """Each number summed over all processes."""
        if self.fabric is None:
            return numbers
        summed = torch.tensor(numbers, dtype=torch.float64, device=self._device())
        return tuple(self._sum(summed).tolist())

    def any(self, answer: bool) -> bool:
        """Whether the answer is true in any process; all processes get the same result."""
        return bool(self.all_reduce(float(answer))[0])

    def all_reduce_tensors(
        self, tensors: Sequence[Tensor | None], like: Sequence[Tensor]
    ) -> list[Tensor]:
        """Each tensor summed over all processes, all in one message.

        `like`: tensors of the same shapes, for the processes that have None. The result has no
        elements where the tensor is None in every process.
        """
        assert self.fabric is not None
        has = torch.tensor([float(t is not None) for t in tensors], device=self._device())
        has_any = (self._sum(has) > 0).tolist()
        parts = [
            (torch.zeros_like(model) if tensor is None else tensor).reshape(-1)
            for tensor, model, is_present in zip(tensors, like, has_any, strict=True)
            if is_present
        ]
        flat = self._sum(torch.cat(parts)) if parts else torch.empty(0)
        summed, start = [], 0
        for model, is_present in zip(like, has_any, strict=True):
            end = start + (model.numel() if is_present else 0)
            summed.append(flat[start:end].view_as(model) if is_present else flat[:0])
            start = end
        return summed

    def all_gather(self, value: _T) -> list[_T]:
        """The values of all processes in the order of their ranks, in every process. Pickled."""
        if self.fabric is None:
            return [value]
        gathered: list[Any] = [None] * self.world_size
        torch.distributed.all_gather_object(gathered, value)
        return gathered

    def broadcast(self, value: _T) -> _T:
        """The value of rank 0, in every process. Pickled."""
        if self.fabric is None:
            return value
        received: _T = self.fabric.broadcast(value, src=0)
        return received

    def broadcast_call(self, function: Callable[[], _T]) -> _T:
        """What `function` returns in rank 0, in every process; the others do not call it."""
        if self.fabric is None:
            return function()
        return self.broadcast(function() if self.is_global_zero else cast("_T", None))

    def local(self, compute: Compute) -> Compute:
        """How this process computes: on the GPU of its local rank, or on its part of the cores."""
        if self.fabric is None:
            return compute
        if compute.device.startswith("cuda"):
            return replace(compute, device=f"cuda:{self.local_rank}")
        return replace(compute, workers=max(1, compute.workers // self.local_world_size))

    def _device(self) -> torch.device:
        assert self.fabric is not None
        return self.fabric.device

    def _sum(self, tensor: Tensor) -> Tensor:
        assert self.fabric is not None
        summed = self.fabric.all_reduce(tensor, reduce_op="sum")
        assert isinstance(summed, Tensor)
        return summed


SINGLE_PROCESS = World()


def is_distributed() -> bool:
    """Whether torchrun has started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def init_distributed(device: str) -> World:
    """Connect to the other processes that torchrun has started; returns once all are connected.

    `device`: the recipe's. Raises: AppError where it cannot be used by several processes.
    """
    if not is_distributed():
        return SINGLE_PROCESS
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    local_world_size = int(os.environ["LOCAL_WORLD_SIZE"])
    world_size = int(os.environ["WORLD_SIZE"])
    is_cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
    if not is_cuda and device not in ("auto", "cpu"):
        raise AppError(
            f"Several processes cannot train together on “{device}”.", "Use cuda or cpu."
        )
    if is_cuda and local_world_size > torch.cuda.device_count():
        raise AppError(
            f"{local_world_size} processes were started for {torch.cuda.device_count()} GPUs.",
            "Start one for each GPU (--nproc-per-node).",
        )
    fabric = Fabric(
        accelerator="cuda" if is_cuda else "cpu",
        devices=local_world_size,
        num_nodes=world_size // local_world_size,
        strategy=DDPStrategy(timeout=_TIMEOUT),
    )
    fabric.launch()
    return World(fabric.global_rank, fabric.world_size, fabric.local_rank, local_world_size, fabric)
