"""Saves and loads a trained model: weights, heads, and how to build it again.

Weights are safetensors; nothing here is ever unpickled. Knows nothing of the training state that
a run resumes from.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from core.catalog import added
from core.compute.device import Compute
from core.errors import RunError
from core.images.preprocess import Preprocessing
from core.models import skeleton
from core.models.build import BuiltModel, build
from core.models.resolve import resolve_model
from core.runs.run_folder import Checkpoint
from core.system import atomic_files

_FORMAT = 1
_REFERENCE_IMAGES = 5_000
_UNLIKE_SHARE = 0.99


@dataclass(frozen=True)
class Reference:
    """Training features that detect pictures unlike the training data (Sun et al. 2022, k-NN).

    directions: float32 [M, D], features scaled to unit length. A picture is unlike them if its
    distance to the nearest one is above `threshold`, the 99th percentile of that distance among
    the training images, each to the others.
    """

    directions: npt.NDArray[np.float32]
    threshold: float

    def distances(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """1 − cosine similarity to the nearest reference; float32 [N, D] → [N]."""
        result: npt.NDArray[np.float32] = 1 - (_directions(vectors) @ self.directions.T).max(1)
        return result

    def is_unlike(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which pictures are unlike the training data; float32 [N, D] → bool [N]."""
        result: npt.NDArray[np.bool_] = self.distances(vectors) > self.threshold
        return result


def _directions(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directed: npt.NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12)
    return directed


@dataclass(frozen=True)
class Head:
    """A linear head: logits = features @ weight.T + bias, in float32 whatever the precision.

    weight: float32 [C, D], bias: float32 [C]. The model's own head has the same numbers; this form
    is the one that was evaluated.
    """

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True)
class TaskHead:
    """The head of a task, a further label column."""

    name: str
    classes: tuple[str, ...]
    head: Head


def make_reference(vectors: npt.NDArray[np.float32], seed: int) -> Reference:
    """Make the reference from training features, float32 [N, D], N ≥ 2.

    Uses a seeded sample of at most 5,000. The features are not standardised, because noise in weak
    features would outweigh the differences (with Lite0 trained on ants and bees, pictures of steel
    were detected in 9 % of the cases standardised, in 68 % as they are; photographs of other
    things in 14 % and 86 %).
    """
    if len(vectors) > _REFERENCE_IMAGES:
        chosen = np.random.default_rng(seed).choice(len(vectors), _REFERENCE_IMAGES, replace=False)
        vectors = vectors[np.sort(chosen)]
    directions = _directions(vectors)
    similarity = directions @ directions.T
    np.fill_diagonal(similarity, -1)
    threshold = float(np.quantile(1 - similarity.max(1), _UNLIKE_SHARE))
    return Reference(directions, threshold)


def save_checkpoint(
    checkpoint: Checkpoint,
    built: BuiltModel,
    *,
    compute: Compute,
    classes: tuple[str, ...],
    head: Head,
    reference: Reference,
    metadata: dict[str, Any],
    tasks: Sequence[TaskHead] = (),
) -> None:
    """Set the model's head and write model, reference, heads of tasks and description.

    The description is written last: a checkpoint with it is complete. `metadata`: further keys of
    the description.

    Raises: OSError (a full disk); the checkpoint that was there before is then left unchanged.
    """
    built.set_head(head.weight, head.bias)
    state = {name: tensor.contiguous() for name, tensor in built.module.state_dict().items()}
    others = {
        "weight": head.weight,
        "bias": head.bias,
        "directions": torch.from_numpy(reference.directions),
        "threshold": torch.tensor([reference.threshold]),
    }
    extra = {
        f"{number}.{part}": getattr(task.head, part)
        for number, task in enumerate(tasks)
        for part in ("weight", "bias")
    }
    # All are written before any old file is replaced: new weights with the head of an earlier
    # epoch would give wrong predictions without an error.
    with (
        _written(checkpoint.weights, state),
        _written(checkpoint.reference, others),
        _written(checkpoint.tasks, extra) if extra else nullcontext(),
    ):
        pass
    atomic_files.write_json(
        checkpoint.description,
        {
            "format": _FORMAT,
            "model": built.card.id,
            # The model's file may be missing when the run is opened: its card is stored.
            **({"card": added.to_json(built.card)} if built.card.source == "file" else {}),
            "classes": list(classes),
            **(
                {"tasks": [{"name": t.name, "classes": list(t.classes)} for t in tasks]}
                if tasks
                else {}
            ),
            "preprocessing": dataclasses.asdict(built.preprocessing),
            "compute": compute.to_dict(),
            **metadata,
        },
    )


@contextmanager
def _written(path: Path, tensors: dict[str, torch.Tensor]) -> Iterator[None]:
    """Write tensors to a temporary file, which replaces `path` if the block succeeds.

    Raises: OSError.
    """
    try:
        with atomic_files.replacing(path) as temporary:
            # Copies, because safetensors refuses tensors that share memory (tied weights).
            save_file({name: tensor.clone() for name, tensor in tensors.items()}, temporary)
            yield
    except SafetensorError as error:  # safetensors wraps the errors of the system
        raise OSError(str(error)) from error


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A trained model, ready for inference."""

    built: BuiltModel
    classes: tuple[str, ...]
    head: Head
    reference: Reference
    precision: str
    """The precision of the backbone during training."""
    tasks: tuple[TaskHead, ...] = ()


def load_checkpoint(checkpoint: Checkpoint) -> LoadedCheckpoint:
    """Build the model and load its weights; every weight must match.

    Raises: RunError that names what is missing or does not fit.
    """
    run = checkpoint.folder.parent.parent.name
    try:
        about = json.loads(checkpoint.description.read_text(encoding="utf-8"))
        classes = tuple(about["classes"])
        is_kept = "card" in about
        card = added.from_json(about["card"]) if is_kept else resolve_model(about["model"])
        built = build(card, num_classes=len(classes), pretrained=False)
        skeleton.load(built.module, load_file(checkpoint.weights))
        built.preprocessing = _read_preprocessing(about["preprocessing"])
        tensors = load_file(checkpoint.reference)
        reference = Reference(
            directions=tensors["directions"].numpy(),
            threshold=float(tensors["threshold"][0]),
        )
        head = Head(tensors["weight"], tensors["bias"])
        tasks = _read_tasks(checkpoint, about.get("tasks", []))
        precision = about["compute"]["precision"]
        return LoadedCheckpoint(built, classes, head, reference, precision, tasks)
    except FileNotFoundError as error:
        raise RunError(
            f"The run {run} has no trained model.",
            "It was stopped before it had one. Train again: computed features are reused.",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(
            f"The model of the run {run} is damaged: {first_line}", "Train the model again."
        ) from error


def _read_tasks(checkpoint: Checkpoint, about: list[dict[str, Any]]) -> tuple[TaskHead, ...]:
    if not about:
        return ()
    tensors = load_file(checkpoint.tasks)
    return tuple(
        TaskHead(
            task["name"],
            tuple(task["classes"]),
            Head(tensors[f"{number}.weight"], tensors[f"{number}.bias"]),
        )
        for number, task in enumerate(about)
    )


def _read_preprocessing(fields: dict[str, Any]) -> Preprocessing:
    lists_as_tuples: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return Preprocessing(**lists_as_tuples)
