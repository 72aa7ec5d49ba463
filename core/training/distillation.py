"""Knowledge distillation (Hinton et al. 2015): a student learns a teacher's soft answers.

loss = α · T² · KL(softmax(teacher / T) ‖ softmax(student / T)) + (1 − α) · (the recipe's loss)

This file has the loss and the teacher as it answers during a step; `teachers` loads it.
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
    """T² · KL of the softened answers, summed over the images: two logits, float [N, C] → [].

    T² keeps the size of the gradients independent of T (Hinton et al. 2015, 2.1).
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
    """The model of a teacher, perhaps still without a head for the student's classes."""

    name: str
    built: BuiltModel
    head: Head | None
    """Of a run, on its features; None: the model's own head answers, or one must be fitted."""
    order: tuple[int, ...]
    """The position of each of the student's classes in its answers; empty: it has other classes."""
    digest: str
    """Hash of the weights that it answers with."""
    run: Run | None = None

    @property
    def needs_head(self) -> bool:
        """Whether a head must be fitted for the student's classes."""
        return not self.order

    def to_dict(self) -> dict[str, str]:
        """What the run records of it."""
        return {"name": self.name, "digest": self.digest}


class Teacher:
    """A frozen model that answers for the images a student learns from.

    Several threads may call it. It works on a copy, in eval mode, without gradients.
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
        """Without a `head` on its features the model's own head answers; `order[k]` is the position
        of the student's class k in its answers. `student`: how the images are normalised.
        `weight`: α, the share of the soft loss."""
        device = torch.device(compute.device)
        # Never float16: it may overflow in a model that was never tried in it.
        self._dtype = torch.bfloat16 if compute.precision == "bfloat16" else torch.float32
        self._format = compute.torch_memory_format
        module = copy.deepcopy(built.module).eval().requires_grad_(False)
        module.to(device, self._dtype).to(memory_format=self._format)
        self.built = built.with_module(module)
        self._backbone = self.built.backbone() if head is not None else None
        self._head = None if head is None else (head.weight.to(device), head.bias.to(device))
        self._order = torch.tensor(order, device=device)
        self._temperature, self._weight = temperature, weight
        own = built.preprocessing
        self._size = (own.height, own.width)
        # From the student's normalisation to its own, as one multiply and one add.
        mean, std, own_mean, own_std = (
            torch.tensor(numbers, device=device).view(1, 3, 1, 1)
            for numbers in (student.mean, student.std, own.mean, own.std)
        )
        self._scale, self._shift = std / own_std, (mean - own_mean) / own_std

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """float32 [N, C] in the student's classes; images: float [N, 3, H, W], as the student gets
        them: augmented, mixed and normalised."""
        inputs = images.float() * self._scale + self._shift
        if tuple(inputs.shape[-2:]) != self._size:
            inputs = interpolate(inputs, self._size, mode="bilinear", antialias=True)
        inputs = inputs.to(dtype=self._dtype, memory_format=self._format)
        if self._backbone is None or self._head is None:
            answers = self.built.module(inputs).float()
        else:
            weight, bias = self._head
            answers = self._backbone(inputs).float() @ weight.T + bias
        result: Tensor = answers[:, self._order]
        return result

    def blend(self, loss: Tensor, student: Tensor, images: Tensor) -> Tensor:
        """α · soft loss + (1 − α) · loss; all summed over the images.

        loss: [], student: its logits, float [N, C], images: float [N, 3, H, W]
        """
        soft = soft_loss(student, self.logits(images), self._temperature)
        return self._weight * soft + (1 - self._weight) * loss
