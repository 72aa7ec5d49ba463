"""Two steps on trial before training: how much memory and time a step takes, and whether it fits.

On the CPU the system kills a process that asks for too much memory, so the first of the two steps
is small, and the second only as large as the first one shows to be safe. Afterwards weights,
buffers, moving average, optimizer, scaler and random states are as before, bit for bit.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from core.batches.augment import TrainingView
from core.compute.device import Compute
from core.errors import MemoryShortError
from core.events import DryRun
from core.recipe.plan import Plan
from core.system.memory import PeakMemory, available_bytes
from core.training.loop.step import Stepper


def dry_run(
    stepper: Stepper,
    plan: Plan,
    views: Sequence[TrainingView],
    labels: Tensor,
    *,
    steps: int,
    compute: Compute,
) -> DryRun:
    """Take two steps on these images (labels: int64 [N]), with all layers open that ever train.

    `steps`: of the whole run. Call it inside `model.thread_pool()`.
    Raises: MemoryShortError where a step would take more memory than is free.
    """
    with restored(stepper):
        stepper.model.set_trainable([group.name for group in plan.groups if group.is_trained])
        if compute.device == "cpu":
            memory_bytes, seconds = _on_cpu(stepper, views, labels, compute)
        else:
            memory_bytes, seconds = _on_accelerator(stepper, views, labels, compute)
    return DryRun(
        memory_mb=memory_bytes / 2**20, seconds_per_step=seconds, seconds_total=seconds * steps
    )


@contextmanager
def restored(stepper: Stepper) -> Iterator[None]:
    """Undo all steps taken inside, also where it raises: model, optimizer and torch's CPU random
    state are bit for bit as before."""
    optimizer = stepper.optimizer
    random = torch.get_rng_state()
    saved = copy.deepcopy(optimizer.state_dict())
    is_new = not optimizer.state
    with stepper.model.restored():
        try:
            yield
        finally:
            optimizer.load_state_dict(saved)
            if is_new:  # load_state_dict leaves an empty state for each parameter
                optimizer.state.clear()
            torch.set_rng_state(random)
            stepper.model.zero_grad()


def _on_accelerator(
    stepper: Stepper, views: Sequence[TrainingView], labels: Tensor, compute: Compute
) -> tuple[float, float]:
    """Peak of the tensors there in bytes (0 where it cannot be measured), seconds of a step."""
    is_cuda = compute.device.startswith("cuda")
    if is_cuda:
        torch.cuda.reset_peak_memory_stats()
    stepper.step(views, labels, step=1, epoch=1)
    seconds = _timed(stepper, views, labels)
    return float(torch.cuda.max_memory_allocated()) if is_cuda else 0.0, seconds


def _on_cpu(
    stepper: Stepper, views: Sequence[TrainingView], labels: Tensor, compute: Compute
) -> tuple[float, float]:
    """Growth of the process in bytes and seconds of a step; the second step is a whole one where
    that is safe, else both numbers are extrapolated from small steps."""
    available = available_bytes()
    few = max(1, min(compute.workers, len(views)))
    with PeakMemory() as peak:
        begin = time.perf_counter()
        stepper.step(views[:few], labels[:few], step=1, epoch=1)
        first_bytes, first_seconds = peak.growth_bytes, time.perf_counter() - begin
        size = stepper.micro_batch_size(len(views))
        # An upper bound: all that a few images took, times their number in the micro-batch.
        is_safe = first_bytes * -(-size // few) <= available
        count = len(views) if is_safe else min(2 * few, len(views))
        seconds = _timed(stepper, views[:count], labels[:count])
    if is_safe:
        needed = float(peak.growth_bytes)
    else:
        needed = first_bytes + max(0, peak.growth_bytes - first_bytes) * (size - few) / few
        seconds = max(seconds, first_seconds) * len(views) / count
    if needed > available:
        raise MemoryShortError(
            f"A step of this training takes about {needed / 1e9:.1f} GB of memory, and "
            f"{available / 1e9:.1f} GB are free.",
            f"Choose a batch size below {size} (batch_size; accumulate keeps the step as large), "
            "train fewer layer groups, choose a smaller model, or end other "
            "programs.",
        )
    return needed, seconds


def _timed(stepper: Stepper, views: Sequence[TrainingView], labels: Tensor) -> float:
    begin = time.perf_counter()
    stepper.step(views, labels, step=2, epoch=1)
    return time.perf_counter() - begin
