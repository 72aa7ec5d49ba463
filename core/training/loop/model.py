"""The model while it is fine-tuned: backbone and head with gradients, from one thread or several.

On the CPU each core runs its own share of a batch through its own replica, on one thread: no
barrier between cores inside a layer. Measured with Lite0 at 32 images on two cores without bf16:
15.8 images/s, against 10.8 with two OpenMP threads on the same layout and 3.7 for the plain loop.
The replicas share their weights; the gradients are added in a fixed order, so a step gives the
same bits each time.

The backbone stays in eval mode while it learns: BatchNorm keeps the statistics it was pretrained
with (they would drift on few images), and nothing inside it draws random numbers, which is what
lets replicas agree and a resumed run repeat itself. From scratch there are no statistics yet:
BatchNorm alone is in training mode then, and a single replica sees all images that are learned
from at once, on all cores, so that they have one mean.
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

_SMALL_SHARE = 8
"""Images a core takes at once: their activations stay in its cache."""


@dataclass(frozen=True, slots=True)
class Gradients:
    """What some images gave: their losses' sum, divided by the images of the step (the mean loss
    of the batch, where that is the step), and how many of them were right."""

    loss: float
    right: int
    images: int = 0
    """How many they were."""


class _Replica:
    """One copy of the model for one thread. The first is the model itself."""

    def __init__(self, built: BuiltModel, head: nn.Linear) -> None:
        self.module = built.module
        self.head = head
        self.backbone = built.backbone()
        self.parameters = [*built.module.parameters(), *head.parameters()]

    def logits(self, images: Tensor, kept: Tensor | None) -> Tensor:
        """float [N, 3, H, W] → float [N, C]; kept: float [N, D], what dropout makes of a one."""
        features = self.backbone(images)
        logits: Tensor = self.head(features if kept is None else features * kept)
        return logits


class FineTunedModel:
    """A model in training. One caller at a time; use it inside `working()`."""

    def __init__(
        self,
        built: BuiltModel,
        head: Head,
        plan: Plan,
        compute: Compute,
        *,
        ema_decay: float = 0.0,
        dropout: float = 0.0,
        learns_statistics: bool = False,
        teacher: Teacher | None = None,
        tasks: TaskPlan = NO_TASKS,
    ) -> None:
        """Takes `built` over: its module moves to the device and learns.

        With a `ema_decay` the model to judge and to keep is a running mean of the weights
        (Polyak & Juditsky 1992), which keeps up to that share of itself at each step. `dropout`
        comes before the head. With `learns_statistics` BatchNorm goes by the images that are
        learned from at once, and its running statistics follow them. A `teacher` has its word in
        the loss; it is no part of what learns or is saved. The outputs of `head` are the label's
        classes, then those of the `tasks`.
        """
        self._compute = compute
        self._device = torch.device(compute.device)
        self._format = (
            torch.channels_last
            if compute.memory_format == "channels_last"
            else torch.contiguous_format
        )
        built.module.float().eval().to(self._device).to(memory_format=self._format)
        norms = [m for m in built.module.modules() if isinstance(m, _BatchNorm)]
        self._learns_statistics = learns_statistics and bool(norms)
        if self._learns_statistics:
            for norm in norms:
                norm.train()
        self._dropout, self._teacher, self._tasks = dropout, teacher, tasks
        self.built = built
        self.linear = nn.Linear(head.weight.shape[1], head.weight.shape[0]).to(self._device)
        with torch.no_grad():
            self.linear.weight.copy_(head.weight)
            self.linear.bias.copy_(head.bias)
        self.classes = self.linear.out_features - sum(tasks.sizes)
        self._parameters_of = self._by_group(plan)
        self._both = nn.ModuleDict({"model": built.module, HEAD: self.linear})
        self._mean_of_steps = (
            ModelEmaV3(self._both, decay=ema_decay, use_warmup=True) if ema_decay else None
        )
        self._replicas = [_Replica(built, self.linear)]
        self._is_shared_out = self._device.type == "cpu" and not self._learns_statistics
        if self._is_shared_out:
            self._replicas += [self._twin() for _ in range(compute.workers - 1)]
        self._steps = 0
        mean = torch.tensor(built.preprocessing.mean, device=self._device).view(1, 3, 1, 1)
        std = torch.tensor(built.preprocessing.std, device=self._device).view(1, 3, 1, 1)
        self._mean, self._std = mean, std
        self._pool: ThreadPoolExecutor | None = None
        # float16 alone needs it; elsewhere it does nothing.
        self.scaler = torch.amp.GradScaler(
            self._device.type, enabled=compute.precision == "float16"
        )

    def _by_group(self, plan: Plan) -> dict[str, list[str]]:
        return {group.name: list(group.parameters) for group in plan.groups if group.name != HEAD}

    def _twin(self) -> _Replica:
        """A replica whose weights are the model's own storage."""
        module, head = copy.deepcopy((self.built.module, self.linear))
        twin = _Replica(self.built.with_module(module), head)
        mine = [*self.built.module.parameters(), *self.linear.parameters()]
        for copied, original in zip(twin.parameters, mine, strict=True):
            copied.data = original.data
        return twin

    # -- what trains -------------------------------------------------------------------------

    def parameters(self, group: str) -> list[tuple[str, nn.Parameter]]:
        """The named parameters of a layer group of the plan."""
        if group == HEAD:
            return [(f"{HEAD}.{name}", p) for name, p in self.linear.named_parameters()]
        return [
            (name, self.built.module.get_parameter(name)) for name in self._parameters_of[group]
        ]

    def open(self, groups: Sequence[str]) -> None:
        """Let these layer groups train and no others."""
        trained = {name for group in groups for name, _ in self.parameters(group)}
        for replica in self._replicas:
            for name, parameter in replica.module.named_parameters():
                parameter.requires_grad_(name in trained)
                if name not in trained:
                    parameter.grad = None
            replica.head.requires_grad_(HEAD in groups)

    # -- learning ----------------------------------------------------------------------------

    @contextmanager
    def working(self) -> Iterator[ThreadPoolExecutor]:
        """Threads to work with: also for whoever prepares the pictures."""
        with worker_pool(self._compute) as pool:
            if self._device.type == "cpu" and not self._is_shared_out:
                # Put back by the pool when it ends.
                torch.set_num_threads(self._compute.workers * self._compute.threads_per_worker)
            self._pool = pool
            try:
                yield pool
            finally:
                self._pool = None

    def images_at_once(self, images: int) -> int:
        """How many of so many images, given to `learn`, are in the model at the same time."""
        if not self._is_shared_out:
            return images
        return min(images, _SMALL_SHARE * len(self._replicas))

    def forget_gradients(self) -> None:
        """What is learned next adds up from nothing."""
        for replica in self._replicas:
            for parameter in replica.parameters:
                parameter.grad = None

    def learn(
        self,
        views: Sequence[TrainingView],
        labels: Tensor,
        *,
        loss: Loss | None = None,
        of: int | None = None,
        adds: bool = False,
        draw: Sequence[int] = (0,),
    ) -> Gradients:
        """Fill the parameters' `.grad` with the gradient of the losses' sum, divided by `of` images
        (by default those given: the mean of a batch); with `adds`, on top of what is there.

        labels: int64 [N], or [N, 1 + tasks] with the label first; loss: cross-entropy where none is
        given. Where views are mixed the loss is that of the mixed labels, and an image counts as
        right where the class with the larger share is answered. `draw`: a seed, numbers that no
        other call has; dropout goes by it.
        """
        assert self._pool is not None
        if not adds:
            self.forget_gradients()
        count = len(views)
        shares = [share.tolist() for share in torch.arange(count).tensor_split(len(self._replicas))]
        batch = self._mixed(views, labels, shares) if is_mixed(views) else None
        kept = self._kept_features(count, draw) if self._dropout else None
        work = [
            partial(
                self._learn_share,
                replica,
                views,
                labels,
                batch,
                share,
                loss=loss or Loss(),
                of=of or count,
                kept=kept,
            )
            for replica, share in zip(self._replicas, shares, strict=True)
        ]
        if self._is_shared_out:
            futures = [self._pool.submit(share) for share in work]
            wait(futures)  # none may be at work any more where another one failed
            done = [future.result() for future in futures]
        else:  # not in the pool, behind the pictures of the next batch: the device would wait
            done = [share() for share in work]
        summed, right = 0.0, 0
        for share_loss, share_right in done:
            summed, right = summed + share_loss, right + share_right
        self._add_up()
        return Gradients(summed, right, count)

    def all_reduce_gradients(self, world: World) -> None:
        """The gradients of all processes into those of each."""
        learns = [p for p in self._replicas[0].parameters if p.requires_grad]
        summed = world.all_reduce_tensors([p.grad for p in learns], learns)
        for parameter, gradient in zip(learns, summed, strict=True):
            parameter.grad = gradient.clone() if gradient.numel() else None

    def all_reduce_statistics(self, world: World) -> None:
        """BatchNorm's running statistics, where they are learned: the mean of all processes'."""
        if not self._learns_statistics:
            return
        buffers = [b for b in self.built.module.buffers() if b.is_floating_point()]
        with torch.no_grad():
            for buffer, added in zip(
                buffers, world.all_reduce_tensors(buffers, buffers), strict=True
            ):
                buffer.copy_(added / world.world_size)

    def _kept_features(self, count: int, draw: Sequence[int]) -> Tensor:
        """float32 [count, D]: 0 where dropout leaves a feature out, else what makes up for it. The
        same for any number of replicas and for a resumed run."""
        numbers = np.random.default_rng(draw).random((count, self.linear.in_features), np.float32)
        kept = torch.from_numpy(numbers >= self._dropout).to(self._device, torch.float32)
        return kept / (1 - self._dropout)

    def _mixed(
        self, views: Sequence[TrainingView], labels: Tensor, shares: Sequence[list[int]]
    ) -> tuple[Tensor, Tensor]:
        """Images of the whole batch, each mixed with its partner, and the shares of all classes,
        those of the tasks after the label's."""
        assert self._pool is not None
        parts = [share for share in shares if share]
        images = self._pool.map(self._images, [[views[i] for i in part] for part in parts])
        return mix(
            torch.cat(list(images)),
            self._shares(labels.to(self._device)),
            [view.draw for view in views],
            classes=self.linear.out_features,
        )

    def _shares(self, labels: Tensor) -> Tensor:
        """int64 [N] or [N, 1 + tasks] → one-hot, float32 [N, classes of label and tasks]"""
        main = labels if labels.dim() == 1 else labels[:, 0]
        own = one_hot(main, self.classes).float()
        return own if labels.dim() == 1 else torch.cat((own, self._tasks.shares(labels[:, 1:])), 1)

    def _learn_share(
        self,
        replica: _Replica,
        views: Sequence[TrainingView],
        labels: Tensor,
        batch: tuple[Tensor, Tensor] | None,
        share: list[int],
        *,
        loss: Loss,
        of: int,
        kept: Tensor | None,
    ) -> tuple[float, int]:
        """`batch`: images and soft labels of all views, where they are mixed."""
        size = _SMALL_SHARE if self._is_shared_out else max(1, len(share))
        summed, right = torch.zeros((), device=self._device), torch.zeros((), device=self._device)
        for start in range(0, len(share), size):
            part = share[start : start + size]
            if batch is None:
                images = self._images([views[i] for i in part])
                targets = labels[part].to(self._device)
                truth = answer = targets if targets.dim() == 1 else targets[:, 0]
                shares = self._tasks.shares(targets[:, 1:]) if self._tasks.tasks else None
            else:
                images = batch[0][part].contiguous(memory_format=self._format)
                truth, shares = batch[1][part].split(
                    (self.classes, self.linear.out_features - self.classes), dim=1
                )
                answer = truth.argmax(1)
            with torch.autocast(
                self._device.type,
                self._compute.dtype,
                enabled=self._compute.precision != "float32",
            ):
                logits = replica.logits(images, None if kept is None else kept[part]).float()
            own = logits[:, : self.classes]
            part_loss = loss(own, truth)
            if self._teacher is not None:
                part_loss = self._teacher.blend(part_loss, own, images)
            if self._tasks.tasks and shares is not None:
                part_loss = self._tasks.blend(part_loss, logits, shares, loss)
            part_loss = part_loss / of
            self.scaler.scale(part_loss).backward()
            summed += part_loss.detach()
            right += (own.detach().argmax(1) == answer).sum()
        return float(summed), int(right)

    def _images(self, views: Sequence[TrainingView]) -> Tensor:
        """float32 [N, 3, H, W], varied and normalised, on the device."""
        pixels = torch.stack([view.pixels for view in views]).to(self._device)
        images = pixels.to(torch.float32, memory_format=self._format).div_(255)
        images = augment_batch(images, [view.draw for view in views], fill=self._mean)
        images = images.contiguous(memory_format=self._format)  # turning the hue loses it
        return images.sub_(self._mean).div_(self._std)

    def _add_up(self) -> None:
        """The replicas' gradients into those of the first, in their order; theirs are used up."""
        first = self._replicas[0]
        for twin in self._replicas[1:]:
            pairs = [
                (mine.grad, other.grad)
                for mine, other in zip(first.parameters, twin.parameters, strict=True)
                if mine.grad is not None and other.grad is not None
            ]
            if pairs:  # a batch smaller than the cores leaves the last of them without a share
                torch._foreach_add_([mine for mine, _ in pairs], [other for _, other in pairs])
            for parameter in twin.parameters:
                parameter.grad = None

    def average(self) -> None:
        """Take the weights of this step into the running mean."""
        self._steps += 1
        if self._mean_of_steps is not None:
            self._mean_of_steps.update(self._both, step=self._steps)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Whatever is learned inside is undone: weights, buffers, mean, gradients and what trains
        are bit for bit as before, also where the inside raises."""
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
    def kept(self) -> BuiltModel:
        """The model to judge and to keep: the running mean where there is one."""
        if self._mean_of_steps is None:
            return self.built
        return self.built.with_module(self._mean_of_steps.module["model"])

    def head(self) -> Head:
        """The label's head that belongs to `kept`, float32 on the CPU; a copy."""
        whole = self._whole_head()
        return Head(whole.weight[: self.classes], whole.bias[: self.classes])

    def task_heads(self) -> list[Head]:
        """The tasks' heads that belong to `kept`, as `head`."""
        whole = self._whole_head()
        sizes = (self.classes, *self._tasks.sizes)
        parts = zip(whole.weight.split(sizes), whole.bias.split(sizes), strict=True)
        return [Head(weight, bias) for weight, bias in parts][1:]

    def _whole_head(self) -> Head:
        linear = self.linear
        if self._mean_of_steps is not None:
            linear = self._mean_of_steps.module[HEAD]
        weight, bias = linear.weight, linear.bias
        return Head(weight.detach().cpu().clone(), bias.detach().cpu().clone())

    def state(self) -> dict[str, Any]:
        """All weights, and the running mean of them."""
        mean = self._mean_of_steps
        return {
            "weights": self._both.state_dict(),
            "mean": {} if mean is None else mean.module.state_dict(),
            "steps": self._steps,
            "scaler": self.scaler.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Fill in what `state` gave, in place: the replicas see it too."""
        self._both.load_state_dict(state["weights"], strict=True)
        if self._mean_of_steps is not None:
            self._mean_of_steps.module.load_state_dict(state["mean"], strict=True)
        self._steps = state["steps"]
        self.scaler.load_state_dict(state["scaler"])
