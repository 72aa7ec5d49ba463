"""The model in training: backbone and head, forward and backward in one thread or several.

On the CPU each core runs its part of a batch through its own replica, on one thread: no barrier
between cores inside a layer. Measured with Lite0 at 32 images on two cores without bf16:
15.8 images/s, against 10.8 with two OpenMP threads on the same layout and 3.7 for the plain loop.
The replicas share their weights; their gradients are summed in a fixed order, so a step gives the
same bits each time.

The backbone stays in eval mode while it trains: BatchNorm keeps its pretrained statistics (they
would drift on few images), and nothing in it draws random numbers, so that replicas agree and a
resumed run repeats itself. From scratch there are no statistics yet: then BatchNorm alone is in
training mode, and a single replica on all cores sees the whole micro-batch, which has one mean.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.modules.batchnorm import _BatchNorm

from core.batches.augment import TrainingView, augment_batch, is_mixed, mix
from core.compute.device import Compute
from core.compute.distributed import World
from core.compute.embedder import worker_pool
from core.models.build import BuiltModel
from core.recipe.plan import HEAD, Plan
from core.runs.checkpoints import Head
from core.training.distillation import Teacher
from core.training.losses import Loss
from core.training.multi_task import NO_TASKS, TaskPlan

_CPU_IMAGES = 8
"""Images in a replica at the same time on the CPU: their activations stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """Of some images: the sum of their losses divided by the images of the step, and how many were
    answered correctly. Of all images of a step, `loss` is their mean."""

    loss: float
    correct: int
    images: int = 0


class _Replica:
    """One copy of the model for one thread. The first is the model itself."""

    def __init__(self, built: BuiltModel, head: nn.Linear) -> None:
        self.module = built.module
        self.head = head
        self.backbone = built.backbone()
        self.parameters = [*built.module.parameters(), *head.parameters()]

    def logits(self, images: Tensor, dropout_mask: Tensor | None) -> Tensor:
        """float [N, 3, H, W] → float [N, C]; dropout_mask: float [N, D], times the features."""
        features = self.backbone(images)
        if dropout_mask is not None:
            features = features * dropout_mask
        logits: Tensor = self.head(features)
        return logits


class FineTunedModel:
    """A model in training. One caller at a time; forward and backward inside `thread_pool()`."""

    def __init__(
        self,
        built: BuiltModel,
        head: Head,
        plan: Plan,
        compute: Compute,
        *,
        ema_decay: float = 0.0,
        dropout: float = 0.0,
        train_batch_norm: bool = False,
        teacher: Teacher | None = None,
        tasks: TaskPlan = NO_TASKS,
    ) -> None:
        """Moves the module of `built` to the device and trains it in place.

        The outputs of `head` are the label's classes, then those of the `tasks`. With an
        `ema_decay` an exponential moving average of the weights (Polyak & Juditsky 1992) is
        validated and saved. `dropout` comes before the head. With `train_batch_norm`, BatchNorm
        normalises by the micro-batch and updates its running statistics. A `teacher` takes part in
        the loss; it neither learns nor is saved.
        """
        self._compute = compute
        self._device = torch.device(compute.device)
        self._format = compute.torch_memory_format
        built.module.float().eval().to(self._device).to(memory_format=self._format)
        norms = [m for m in built.module.modules() if isinstance(m, _BatchNorm)]
        self._trains_batch_norm = train_batch_norm and bool(norms)
        if self._trains_batch_norm:
            for norm in norms:
                norm.train()
        self._dropout, self._teacher, self._tasks = dropout, teacher, tasks
        self.built = built
        self.linear = nn.Linear(head.weight.shape[1], head.weight.shape[0]).to(self._device)
        with torch.no_grad():
            self.linear.weight.copy_(head.weight)
            self.linear.bias.copy_(head.bias)
        self.classes = self.linear.out_features - sum(tasks.sizes)
        self._names_of = {
            group.name: list(group.parameters) for group in plan.groups if group.name != HEAD
        }
        self._modules = nn.ModuleDict({"model": built.module, HEAD: self.linear})
        self._ema = (
            ModelEmaV3(self._modules, decay=ema_decay, use_warmup=True) if ema_decay else None
        )
        self._replicas = [_Replica(built, self.linear)]
        self._uses_replicas = self._device.type == "cpu" and not self._trains_batch_norm
        if self._uses_replicas:
            self._replicas += [self._new_replica() for _ in range(compute.workers - 1)]
        self._steps = 0
        mean = torch.tensor(built.preprocessing.mean, device=self._device).view(1, 3, 1, 1)
        std = torch.tensor(built.preprocessing.std, device=self._device).view(1, 3, 1, 1)
        self._mean, self._std = mean, std
        self._pool: ThreadPoolExecutor | None = None
        # float16 alone needs it; elsewhere it does nothing.
        self.scaler = torch.amp.GradScaler(
            self._device.type, enabled=compute.precision == "float16"
        )

    def _new_replica(self) -> _Replica:
        """A replica whose weights are the model's own storage."""
        module, head = copy.deepcopy((self.built.module, self.linear))
        replica = _Replica(self.built.with_module(module), head)
        for copied, original in zip(replica.parameters, self._replicas[0].parameters, strict=True):
            copied.data = original.data
        return replica

    # -- layer groups ------------------------------------------------------------------------

    def parameters(self, group: str) -> list[tuple[str, nn.Parameter]]:
        """The named parameters of a layer group of the plan."""
        if group == HEAD:
            return [(f"{HEAD}.{name}", p) for name, p in self.linear.named_parameters()]
        return [(name, self.built.module.get_parameter(name)) for name in self._names_of[group]]

    def set_trainable(self, groups: Sequence[str]) -> None:
        """Let these layer groups train and freeze all others."""
        trained = {name for group in groups for name, _ in self.parameters(group)}
        for replica in self._replicas:
            for name, parameter in replica.module.named_parameters():
                parameter.requires_grad_(name in trained)
                if name not in trained:
                    parameter.grad = None
            replica.head.requires_grad_(HEAD in groups)

    # -- forward and backward ----------------------------------------------------------------

    @contextmanager
    def thread_pool(self) -> Iterator[ThreadPoolExecutor]:
        """The threads of forward and backward passes, also for decoding the next images."""
        with worker_pool(self._compute) as pool:
            if self._device.type == "cpu" and not self._uses_replicas:
                # The pool restores the number when it ends.
                torch.set_num_threads(self._compute.workers * self._compute.threads_per_worker)
            self._pool = pool
            try:
                yield pool
            finally:
                self._pool = None

    def micro_batch_size(self, images: int) -> int:
        """How many of the images given to `forward_backward` are in the model at the same time."""
        if not self._uses_replicas:
            return images
        return min(images, _CPU_IMAGES * len(self._replicas))

    def zero_grad(self) -> None:
        """Drop all gradients, in all replicas."""
        for replica in self._replicas:
            for parameter in replica.parameters:
                parameter.grad = None

    def forward_backward(
        self,
        views: Sequence[TrainingView],
        labels: Tensor,
        *,
        loss: Loss | None = None,
        step_images: int | None = None,
        accumulate: bool = False,
        seed: Sequence[int] = (0,),
    ) -> StepResult:
        """Fill the parameters' `.grad` with the gradient of the sum of the losses / `step_images`.

        labels: int64 [N], or [N, 1 + tasks] with the label first. loss: cross-entropy by default.
        step_images: N by default, which gives the mean. accumulate: add to the gradients that are
        there. Where views are mixed (mixup, CutMix) the loss is that of the mixed labels, and an
        image counts as correct where the class with the larger share is answered. seed: of dropout;
        numbers that no other call uses.
        """
        assert self._pool is not None
        if not accumulate:
            self.zero_grad()
        count = len(views)
        shares = [share.tolist() for share in torch.arange(count).tensor_split(len(self._replicas))]
        batch = self._mix(views, labels, shares) if is_mixed(views) else None
        mask = self._dropout_mask(count, seed) if self._dropout else None
        passes = [
            partial(
                self._forward_backward_share,
                replica,
                views,
                labels,
                batch,
                share,
                loss=loss or Loss(),
                step_images=step_images or count,
                dropout_mask=mask,
            )
            for replica, share in zip(self._replicas, shares, strict=True)
        ]
        if self._uses_replicas:
            futures = [self._pool.submit(one) for one in passes]
            wait(futures)  # where one failed, all others must have ended too
            results = [future.result() for future in futures]
        else:  # in the pool it would wait behind the images of the next batch
            results = [one() for one in passes]
        summed, correct = 0.0, 0
        for share_loss, share_correct in results:
            summed, correct = summed + share_loss, correct + share_correct
        self._sum_replica_gradients()
        return StepResult(summed, correct, count)

    def all_reduce_gradients(self, world: World) -> None:
        """Replace the gradients by their sum over all processes."""
        trained = [p for p in self._replicas[0].parameters if p.requires_grad]
        summed = world.all_reduce_tensors([p.grad for p in trained], trained)
        for parameter, gradient in zip(trained, summed, strict=True):
            parameter.grad = gradient.clone() if gradient.numel() else None

    def all_reduce_batch_norm(self, world: World) -> None:
        """Replace BatchNorm's running statistics, where it trains, by the processes' mean."""
        if not self._trains_batch_norm:
            return
        buffers = [b for b in self.built.module.buffers() if b.is_floating_point()]
        with torch.no_grad():
            for buffer, added in zip(
                buffers, world.all_reduce_tensors(buffers, buffers), strict=True
            ):
                buffer.copy_(added / world.world_size)

    def _dropout_mask(self, count: int, seed: Sequence[int]) -> Tensor:
        """float32 [count, D]: 0 where a feature is dropped, else 1 / (1 - dropout). Unlike that of
        nn.Dropout it is the same for any number of replicas and for a resumed run."""
        numbers = np.random.default_rng(seed).random((count, self.linear.in_features), np.float32)
        mask = torch.from_numpy(numbers >= self._dropout).to(self._device, torch.float32)
        return mask / (1 - self._dropout)

    def _mix(
        self, views: Sequence[TrainingView], labels: Tensor, shares: Sequence[list[int]]
    ) -> tuple[Tensor, Tensor]:
        """Images of the whole batch, each mixed with its partner, and their soft labels, those of
        the tasks after the label's."""
        assert self._pool is not None
        parts = [[views[i] for i in share] for share in shares if share]
        return mix(
            torch.cat(list(self._pool.map(self._images, parts))),
            self._soft_labels(labels.to(self._device)),
            [view.draw for view in views],
            classes=self.linear.out_features,
        )

    def _soft_labels(self, labels: Tensor) -> Tensor:
        """int64 [N] or [N, 1 + tasks] → one-hot, float32 [N, classes of label and tasks]"""
        if labels.dim() == 1:
            return one_hot(labels, self.classes).float()
        main = one_hot(labels[:, 0], self.classes).float()
        return torch.cat((main, self._tasks.one_hot(labels[:, 1:])), 1)

    def _forward_backward_share(
        self,
        replica: _Replica,
        views: Sequence[TrainingView],
        labels: Tensor,
        batch: tuple[Tensor, Tensor] | None,
        share: list[int],
        *,
        loss: Loss,
        step_images: int,
        dropout_mask: Tensor | None,
    ) -> tuple[float, int]:
        """One replica's part, `share`, of the views: its loss and how many were correct.

        `batch`: images and soft labels of all views, where they are mixed.
        """
        size = _CPU_IMAGES if self._uses_replicas else max(1, len(share))
        summed = torch.zeros((), device=self._device)
        correct = torch.zeros((), device=self._device)
        for start in range(0, len(share), size):
            part = share[start : start + size]
            if batch is None:
                images = self._images([views[i] for i in part])
                targets = labels[part].to(self._device)
                truth = answer = targets if targets.dim() == 1 else targets[:, 0]
                task_truth = self._tasks.one_hot(targets[:, 1:]) if self._tasks.tasks else None
            else:
                images = batch[0][part].contiguous(memory_format=self._format)
                truth, task_truth = batch[1][part].split(
                    (self.classes, self.linear.out_features - self.classes), dim=1
                )
                answer = truth.argmax(1)
            with torch.autocast(
                self._device.type,
                self._compute.dtype,
                enabled=self._compute.precision != "float32",
            ):
                mask = None if dropout_mask is None else dropout_mask[part]
                logits = replica.logits(images, mask).float()
            main = logits[:, : self.classes]
            part_loss = loss(main, truth)
            if self._teacher is not None:
                part_loss = self._teacher.blend(part_loss, main, images)
            if task_truth is not None and self._tasks.tasks:
                part_loss = self._tasks.blend(part_loss, logits, task_truth, loss)
            part_loss = part_loss / step_images
            self.scaler.scale(part_loss).backward()
            summed += part_loss.detach()
            correct += (main.detach().argmax(1) == answer).sum()
        return float(summed), int(correct)

    def _images(self, views: Sequence[TrainingView]) -> Tensor:
        """float32 [N, 3, H, W], augmented and normalised, on the device."""
        pixels = torch.stack([view.pixels for view in views]).to(self._device)
        images = pixels.to(torch.float32, memory_format=self._format).div_(255)
        images = augment_batch(images, [view.draw for view in views], fill=self._mean)
        images = images.contiguous(memory_format=self._format)  # the hue change loses the format
        return images.sub_(self._mean).div_(self._std)

    def _sum_replica_gradients(self) -> None:
        """Add the replicas' gradients, in their order, to those of the first, and drop theirs."""
        first = self._replicas[0]
        for replica in self._replicas[1:]:
            pairs = [
                (ours.grad, theirs.grad)
                for ours, theirs in zip(first.parameters, replica.parameters, strict=True)
                if ours.grad is not None and theirs.grad is not None
            ]
            if pairs:  # of a batch smaller than the cores the last ones get nothing
                torch._foreach_add_([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
            for parameter in replica.parameters:
                parameter.grad = None

    def update_ema(self) -> None:
        """Count a step, and update the moving average with its weights, where there is one."""
        self._steps += 1
        if self._ema is not None:
            self._ema.update(self._modules, step=self._steps)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Undo all training done inside, also where it raises: afterwards weights, buffers, moving
        average, gradients and trainable groups are bit for bit as before."""
        state = copy.deepcopy(self.state())
        flags = [(p, p.requires_grad, p.grad) for r in self._replicas for p in r.parameters]
        buffers = [(b, b.clone()) for r in self._replicas for b in r.module.buffers()]
        try:
            yield
        finally:
            self.load_state(state)
            for parameter, is_trained, gradient in flags:
                parameter.requires_grad_(is_trained)
                parameter.grad = gradient
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)

    # -- state -------------------------------------------------------------------------------

    @property
    def inference_model(self) -> BuiltModel:
        """The model that is validated and saved: the moving average, where there is one."""
        if self._ema is None:
            return self.built
        return self.built.with_module(self._ema.module["model"])

    def head(self) -> Head:
        """The label's head of `inference_model`, float32 on the CPU; a copy."""
        return self._heads()[0]

    def task_heads(self) -> list[Head]:
        """The tasks' heads of `inference_model`, float32 on the CPU; copies."""
        return self._heads()[1:]

    def _heads(self) -> list[Head]:
        linear = self.linear if self._ema is None else self._ema.module[HEAD]
        weight, bias = (p.detach().cpu().clone() for p in (linear.weight, linear.bias))
        sizes = (self.classes, *self._tasks.sizes)
        return [Head(w, b) for w, b in zip(weight.split(sizes), bias.split(sizes), strict=True)]

    def state(self) -> dict[str, Any]:
        """Weights, their moving average, steps and scaler, as written into the saved state."""
        return {
            "weights": self._modules.state_dict(),
            "mean": {} if self._ema is None else self._ema.module.state_dict(),
            "steps": self._steps,
            "scaler": self.scaler.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Load a `state()` in place, so that the replicas see it too."""
        self._modules.load_state_dict(state["weights"], strict=True)
        if self._ema is not None:
            self._ema.module.load_state_dict(state["mean"], strict=True)
        self._steps = state["steps"]
        self.scaler.load_state_dict(state["scaler"])
