"""Knowledge distillation (Hinton et al. 2015): soft answers of a trained model teach another.

loss = α · T² · KL(softmax(teacher / T) ‖ softmax(student / T)) + (1 − α) · (the recipe's loss)

This file owns the loss and the teacher as it answers while a step is made; `teaching` opens it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, kl_div

from core.compute.device import Compute
from core.images.preprocess import Preprocessing
from core.models.build import BuiltModel
from core.runs.checkpoints import Head
from core.runs.run_folder import Run


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL of the softened answers, summed over the images: logits float [N, C] twice → [].

    The square keeps the gradients as large as at T = 1, whatever T is (Hinton et al. 2015, 2.1).
    """
    divergence = kl_div(
        (student / temperature).log_softmax(1),
        (teacher / temperature).log_softmax(1),
        reduction="sum",
        log_target=True,
    )
    return divergence * temperature**2


@dataclass(frozen=True)
class LoadedTeacher:
    """A model that is to teach: opened, but perhaps without a head for the student's classes."""

    name: str
    built: BuiltModel
    head: Head | None
    """Of a run, on its features; None: its own answers, or a head that is still to be fitted."""
    order: tuple[int, ...]
    """The position of each of the student's classes among its answers; empty: it knows others."""
    digest: str
    """Of its weights, as far as they teach."""
    run: Run | None = None

    @property
    def needs_head(self) -> bool:
        return not self.order

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "digest": self.digest}


class Teacher:
    """A frozen model that answers for the pictures a student learns from.

    Several threads may ask at once. It works on a copy, in eval mode, and keeps no gradients.
    """

    def __init__(
        self,
        built: BuiltModel,
        head: Head | None,
        order: tuple[int, ...],
        compute: Compute,
        *,
        student: Preprocessing,
        temperature: float,
        weight: float,
    ) -> None:
        """Without a `head` on its features it answers with its own; `order[k]` is the position of
        the student's class k among its answers. `student`: how the pictures come normalised.
        `weight`: α, the share of its word in the loss."""
        device = torch.device(compute.device)
        # float16 may overflow in a model that was never tried in it, and a teacher must not.
        self._dtype = torch.bfloat16 if compute.precision == "bfloat16" else torch.float32
        self._format = (
            torch.channels_last
            if compute.memory_format == "channels_last"
            else torch.contiguous_format
        )
        module = copy.deepcopy(built.module).eval().requires_grad_(False)
        module.to(device, self._dtype).to(memory_format=self._format)
        self.built = built.with_module(module)
        self._backbone = self.built.backbone() if head is not None else None
        self._head = None if head is None else (head.weight.to(device), head.bias.to(device))
        self._order = torch.tensor(order, device=device)
        self._temperature, self._weight = temperature, weight
        own = built.preprocessing
        self._size = (own.height, own.width)
        # Out of the student's normalisation and into its own, as one multiply and one add.
        mean, std, own_mean, own_std = (
            torch.tensor(numbers, device=device).view(1, 3, 1, 1)
            for numbers in (student.mean, student.std, own.mean, own.std)
        )
        self._scale, self._shift = std / own_std, (mean - own_mean) / own_std

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """float32 [N, C] in the student's classes; images: float [N, 3, H, W], as the student
        sees them: varied, mixed and normalised."""
        seen = images.float() * self._scale + self._shift
        if tuple(seen.shape[-2:]) != self._size:
            seen = interpolate(seen, self._size, mode="bilinear", antialias=True)
        seen = seen.to(dtype=self._dtype, memory_format=self._format)
        if self._backbone is None or self._head is None:
            answers = self.built.module(seen).float()
        else:
            weight, bias = self._head
            answers = self._backbone(seen).float() @ weight.T + bias
        result: Tensor = answers[:, self._order]
        return result

    def blend(self, loss: Tensor, student: Tensor, images: Tensor) -> Tensor:
        """The loss with the teacher's share; all summed over the images.

        loss: [], student: its logits, float [N, C], images: float [N, 3, H, W]
        """
        soft = soft_loss(student, self.logits(images), self._temperature)
        return self._weight * soft + (1 - self._weight) * loss
