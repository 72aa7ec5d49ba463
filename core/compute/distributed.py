"""Processes that train together: each learns from its share of every step, all make the same step.

Started by torchrun, on one machine or on several; Lightning Fabric brings them together (NCCL on
GPUs, gloo on processors). The gradients of a step's shares are added up before anybody steps, and
what the selection images say is put together before anybody decides, so every process holds the
same model and comes to the same end. The first one alone writes.

A process on its own (`ALONE`) has nothing to share; every function here is then a matter of
nothing.
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

_PATIENCE = timedelta(days=7)
"""A paused run keeps the others waiting; a process that dies is seen at once by torchrun."""


@dataclass(frozen=True)
class Ranks:
    """The processes of one training, as one of them sees them."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    fabric: Fabric | None = None

    @property
    def is_global_zero(self) -> bool:
        """This one writes the run and speaks for all."""
        return self.rank == 0

    def share(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """This process's part; the parts differ by one at most, and may be empty."""
        return positions[self.rank :: self.size]

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """Each number added up over all processes."""
        if self.fabric is None:
            return numbers
        added = torch.tensor(numbers, dtype=torch.float64, device=self._device())
        return tuple(self._add(added).tolist())

    def any(self, answer: bool) -> bool:
        """Whether one of them says yes: all hear the same."""
        return bool(self.sum(float(answer))[0])

    def all_reduce(self, tensors: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
        """The tensors added up over all processes; where none has one (None everywhere), the place
        is left out of the sum and stays empty of elements. `like`: of the same shapes."""
        assert self.fabric is not None
        has = torch.tensor([float(t is not None) for t in tensors], device=self._device())
        has_any = (self._add(has) > 0).tolist()
        parts = [
            (torch.zeros_like(model) if tensor is None else tensor).reshape(-1)
            for tensor, model, is_there in zip(tensors, like, has_any, strict=True)
            if is_there
        ]
        flat = self._add(torch.cat(parts)) if parts else torch.empty(0)
        added, start = [], 0
        for model, is_there in zip(like, has_any, strict=True):
            end = start + (model.numel() if is_there else 0)
            added.append(flat[start:end].view_as(model) if is_there else flat[:0])
            start = end
        return added

    def gather(self, value: _T) -> list[_T]:
        """What every process has, in their order, on all of them. Pickled."""
        if self.fabric is None:
            return [value]
        gathered: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(gathered, value)
        return gathered

    def broadcast(self, value: _T) -> _T:
        """What the first process has, on all of them. Pickled."""
        if self.fabric is None:
            return value
        said: _T = self.fabric.broadcast(value, src=0)
        return said

    def broadcast_call(self, make: Callable[[], _T]) -> _T:
        """What the first process makes, on all of them; the others make nothing."""
        if self.fabric is None:
            return make()
        return self.broadcast(make() if self.is_global_zero else cast("_T", None))

    def local(self, compute: Compute) -> Compute:
        """How this process computes: on a GPU of its own, or on its part of the cores."""
        if self.fabric is None:
            return compute
        if compute.device.startswith("cuda"):
            return replace(compute, device=f"cuda:{self.local_rank}")
        return replace(compute, workers=max(1, compute.workers // self.local_size))

    def _device(self) -> torch.device:
        assert self.fabric is not None
        return self.fabric.device

    def _add(self, tensor: Tensor) -> Tensor:
        assert self.fabric is not None
        added = self.fabric.all_reduce(tensor, reduce_op="sum")
        assert isinstance(added, Tensor)
        return added


ALONE = Ranks()


def are_several() -> bool:
    """Whether torchrun has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join(device: str) -> Ranks:
    """Meet the other processes that torchrun has started; waits until all are there.

    `device`: the recipe's. Raises: AppError where it does not fit several processes.
    """
    if not are_several():
        return ALONE
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    local_size = int(os.environ["LOCAL_WORLD_SIZE"])
    size = int(os.environ["WORLD_SIZE"])
    is_cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
    if not is_cuda and device not in ("auto", "cpu"):
        raise AppError(
            f"Several processes cannot train together on “{device}”.", "Use cuda or cpu."
        )
    if is_cuda and local_size > torch.cuda.device_count():
        raise AppError(
            f"{local_size} processes were started for {torch.cuda.device_count()} GPUs.",
            "Start one for each GPU (--nproc-per-node).",
        )
    fabric = Fabric(
        accelerator="cuda" if is_cuda else "cpu",
        devices=local_size,
        num_nodes=size // local_size,
        strategy=DDPStrategy(timeout=_PATIENCE),
    )
    fabric.launch()
    return Ranks(fabric.global_rank, fabric.world_size, fabric.local_rank, local_size, fabric)
