"""A trained model on disk: weights, how to build it again, and what it was trained on.

Weights are safetensors; nothing here is ever unpickled.
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
    """Training features that tell pictures unlike the training data (Sun et al. 2022, k-NN).

    directions: float32 [M, D], features scaled to unit length. A picture is unlike them when its
    nearest one is farther than `threshold`, the 99th percentile of that distance among the
    training images themselves, each against the others.
    """

    directions: npt.NDArray[np.float32]
    threshold: float

    def distances(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """1 − cosine to the nearest reference; float32 [N, D] → [N]"""
        result: npt.NDArray[np.float32] = 1 - (_directions(vectors) @ self.directions.T).max(1)
        return result

    def is_unlike(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        result: npt.NDArray[np.bool_] = self.distances(vectors) > self.threshold
        return result


def _directions(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directed: npt.NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12)
    return directed


@dataclass(frozen=True)
class Head:
    """logits = features @ weight.T + bias, in float32 whatever the backbone runs in.

    weight: float32 [C, D], bias: float32 [C]. The model's own head holds the same numbers; this
    form is the one that was evaluated.
    """

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True)
class TaskHead:
    """The head of a task that was learned beside the label."""

    name: str
    classes: tuple[str, ...]
    head: Head


def make_reference(vectors: npt.NDArray[np.float32], seed: int) -> Reference:
    """From the training features, float32 [N, D], N ≥ 2; a seeded sample of at most 5,000.

    The features are not standardised first: that lets noise in weak features outweigh what sets
    pictures apart (with Lite0 trained on ants and bees, steel was told apart in 9 % of the
    pictures standardised, in 68 % as they are; photographs of other things in 14 % and 86 %).
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
    facts: dict[str, Any],
    tasks: Sequence[TaskHead] = (),
) -> None:
    """Set the head, write model, reference, heads of tasks and description; the description comes
    last, as the sign that all is there.

    Raises: OSError (a full disk): what stood there before is left, all of it.
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
    # All are written before any takes its place: new weights under the head of the epoch before
    # would answer, and wrongly.
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
            # A file may be gone when the run is opened: what it was built like is kept.
            **({"card": added.to_json(built.card)} if built.card.source == "file" else {}),
            "classes": list(classes),
            **(
                {"tasks": [{"name": t.name, "classes": list(t.classes)} for t in tasks]}
                if tasks
                else {}
            ),
            "preprocessing": dataclasses.asdict(built.preprocessing),
            "compute": compute.to_dict(),
            **facts,
        },
    )


@contextmanager
def _written(path: Path, tensors: dict[str, torch.Tensor]) -> Iterator[None]:
    """The tensors beside `path`; they take its place where the block ends well."""
    try:
        with atomic_files.replacing(path) as temporary:
            # Copies: tensors that share memory (tied weights) cannot be stored as they are.
            save_file({name: tensor.clone() for name, tensor in tensors.items()}, temporary)
            yield
    except SafetensorError as error:  # it wraps the operating system's errors
        raise OSError(str(error)) from error


@dataclass(frozen=True)
class LoadedCheckpoint:
    built: BuiltModel
    classes: tuple[str, ...]
    head: Head
    reference: Reference
    precision: str
    """What the backbone ran in when it was trained."""
    tasks: tuple[TaskHead, ...] = ()


def load_checkpoint(checkpoint: Checkpoint) -> LoadedCheckpoint:
    """Build the model and fill in its weights, strictly.

    Raises: RunError naming what is missing or does not fit.
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
            f"The run {run} holds no trained model.",
            "It was stopped before it had one. Train again: computed features are kept.",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"The model of the run {run} is damaged: {first_line}") from error


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
