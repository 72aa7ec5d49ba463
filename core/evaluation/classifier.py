"""Classifies pictures by the model of a run, or by a pretrained model's own classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from core.catalog import added
from core.catalog.added import FILE_PREFIX as FILE_PREFIX
from core.compute.choose import resolve_compute
from core.compute.device import Compute
from core.compute.embedder import Embedder, worker_pool
from core.errors import AppError, DecodeError, ModelError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.images.decode import read_image
from core.models.build import BuiltModel, build
from core.models.outline import bare_outline
from core.models.resolve import resolve_model
from core.recipe.recipe import Recipe
from core.runs.checkpoints import Head, Reference, TaskHead, load_checkpoint
from core.runs.run_folder import is_run
from core.runs.store import RunStore

Picture = Path | Image.Image


@dataclass(frozen=True, slots=True)
class LabelProbability:
    """A class name and its probability, 0…1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class TaskClassification:
    """The most probable classes of one task; `top` is sorted, best first."""

    name: str
    top: tuple[LabelProbability, ...]


@dataclass(frozen=True, slots=True)
class Classification:
    """The classification of one picture.

    `top` is sorted, best first; it is empty if `error` says why the picture cannot be read.
    `unlike_training` is None if the model has no training features (a pretrained model).
    """

    file: str
    top: tuple[LabelProbability, ...]
    unlike_training: bool | None = None
    error: str = ""
    tasks: tuple[TaskClassification, ...] = ()
    """The classifications by the further label columns that were learned."""


@dataclass(frozen=True)
class Scores:
    """The probabilities of all classes for N pictures.

    probabilities: float32 [N, C]; rows in `errors` (position → reason) have no meaning. is_unlike:
    bool [N], None if the model has no training features.
    """

    probabilities: torch.Tensor
    is_unlike: npt.NDArray[np.bool_] | None
    errors: dict[int, str]
    tasks: tuple[torch.Tensor, ...] = ()
    """float32 [N, classes of the task] for each of the classifier's tasks."""


class Classifier:
    """A model that is ready to classify. One thread at a time may call it."""

    def __init__(
        self,
        name: str,
        built: BuiltModel,
        compute: Compute,
        *,
        classes: tuple[str, ...],
        head: Head | None = None,
        reference: Reference | None = None,
        tasks: tuple[TaskHead, ...] = (),
    ) -> None:
        """Without `head` the model's own, pretrained head is used."""
        self.tasks = tasks
        self.name = name
        self.classes = classes
        self._compute = compute
        self._embedder = Embedder(built, compute)
        self._head = head
        self._reference = reference

    @classmethod
    def open(cls, ref: str | Path, *, store: RunStore | None = None) -> Classifier:
        """Open a run (folder or name), a pretrained model (id), or `file:` and a path to weights.

        Raises: AppError if it does not exist, or its weights are missing or do not fit.
        """
        store = store or RunStore()
        text = str(ref)
        if text.startswith(FILE_PREFIX):
            return cls._open_file(Path(text.removeprefix(FILE_PREFIX)))
        if text.startswith("run:") or is_run(Path(text)) or is_run(store.root / text):
            return cls._open_run(text, store)
        if isinstance(ref, Path) or Path(text).exists():
            store.open(text)  # raises an error that lists the runs
        try:
            card = resolve_model(text)
        except ModelError as error:
            hint = f"{error.hint} Or give the folder or the name of a run.".strip()
            raise ModelError(error.message, hint) from error
        if card.source in ("hub", "hf-hub"):
            card, _ = bare_outline(card)  # only the model itself knows its classes
        if card.num_classes == 0:
            raise ModelError(
                f"{card.full_name} has no classifier of its own.",
                "Train it on your classes first.",
            )
        # In float32, as the published accuracies of pretrained models are measured.
        built = build(card)
        compute = resolve_compute(Recipe(precision="float32"), built)
        return cls(card.id, built, compute, classes=tuple(built.label_names()))

    @classmethod
    def _open_file(cls, path: Path) -> Classifier:
        if not path.is_file():
            raise ModelError(
                f"The file {path.name} is no longer there.", f"It was at {path.absolute()}."
            )
        card = resolve_model(added.file_id(path))
        if card.num_classes == 0:
            raise ModelError(
                f"{path.name} has no classifier of {card.arch}'s own form.",
                "Train it on your classes first.",
            )
        built = build(card)
        compute = resolve_compute(Recipe(precision="float32"), built)
        return cls(path.name, built, compute, classes=tuple(built.label_names()))

    @classmethod
    def _open_run(cls, text: str, store: RunStore) -> Classifier:
        run = store.open(text)
        loaded = load_checkpoint(run.best)
        recipe = run.read_recipe()
        # The same precision as in training if the device supports it, else the best it supports.
        try:
            compute = resolve_compute(recipe.with_values(precision=loaded.precision), loaded.built)
        except AppError:
            compute = resolve_compute(
                recipe.with_values(device="auto", precision="auto"), loaded.built
            )
        return cls(
            run.path.name,
            loaded.built,
            compute,
            classes=loaded.classes,
            head=loaded.head,
            reference=loaded.reference,
            tasks=loaded.tasks,
        )

    def classify(
        self,
        pictures: Sequence[Picture],
        *,
        top: int = 5,
        on_progress: OnProgress = no_progress,
        should_stop: ShouldStop = never_stop,
    ) -> list[Classification]:
        """Classify pictures; the results are in the same order.

        A file that cannot be read gives a result with an `error`. `top`: number of classes.

        Raises: Cancelled.
        """
        scores = self.score(pictures, on_progress=on_progress, should_stop=should_stop)
        results = []
        for i, picture in enumerate(pictures):
            if i in scores.errors:
                results.append(Classification(_name(picture), (), None, scores.errors[i]))
                continue
            tasks_and_scores = zip(self.tasks, scores.tasks, strict=True)
            results.append(
                Classification(
                    _name(picture),
                    _best(scores.probabilities[i], self.classes, top),
                    None if scores.is_unlike is None else bool(scores.is_unlike[i]),
                    tasks=tuple(
                        TaskClassification(task.name, _best(probabilities[i], task.classes, top))
                        for task, probabilities in tasks_and_scores
                    ),
                )
            )
        return results

    def score(
        self,
        pictures: Sequence[Picture],
        *,
        on_progress: OnProgress = no_progress,
        should_stop: ShouldStop = never_stop,
    ) -> Scores:
        """The probability of every class for each picture. Raises: Cancelled."""
        size = self._compute.embed_batch_size
        shares = [range(i, min(i + size, len(pictures))) for i in range(0, len(pictures), size)]
        sizes = [len(self.classes), *(len(task.classes) for task in self.tasks)]
        logits = torch.zeros(len(pictures), sum(sizes))
        is_unlike = np.zeros(len(pictures), dtype=bool)
        errors: dict[int, str] = {}

        def work(share: range) -> dict[int, str]:
            check_stop(should_stop)
            pixels, failed = self._read_share(pictures, share)
            if pixels:
                rows = list(pixels)
                batch = torch.from_numpy(np.stack(list(pixels.values())))
                logits[rows], is_unlike[rows] = self._infer(batch)
            return failed

        with worker_pool(self._compute) as pool:
            for share, failed in zip(shares, pool.map(work, shares), strict=True):
                errors |= failed
                on_progress(share.stop, len(pictures), "classifying")
        own, *others = (part.softmax(1) for part in torch.split(logits, sizes, dim=1))
        return Scores(own, is_unlike if self._reference else None, errors, tuple(others))

    def _infer(self, batch: torch.Tensor) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """Run the model on a batch of pixels, uint8 [N, height, width, 3].

        Returns logits float32 [N, C], with those of the tasks after those of the label, and which
        pictures are unlike the training images, bool [N].
        """
        if self._head is None:
            return self._embedder.logits(batch), np.zeros(len(batch), dtype=bool)
        vectors = self._embedder.embed(batch)
        heads = [self._head, *(task.head for task in self.tasks)]
        logits = torch.cat([vectors @ head.weight.T + head.bias for head in heads], dim=1)
        if self._reference is None:
            return logits, np.zeros(len(batch), dtype=bool)
        return logits, self._reference.is_unlike(vectors.numpy())

    def _read_share(
        self, pictures: Sequence[Picture], share: range
    ) -> tuple[dict[int, npt.NDArray[np.uint8]], dict[int, str]]:
        """Position → pixels of the pictures that can be read, and position → reason of others."""
        preprocessing = self._embedder.preprocessing
        pixels: dict[int, npt.NDArray[np.uint8]] = {}
        errors: dict[int, str] = {}
        for i in share:
            picture = pictures[i]
            try:
                if isinstance(picture, Image.Image):
                    image = picture.convert("RGB")
                else:
                    image = read_image(picture, short_side=preprocessing.resize_px)
                pixels[i] = preprocessing.pixels(image)
            except DecodeError as error:
                errors[i] = error.message
        return pixels, errors


def _best(
    probabilities: torch.Tensor, classes: tuple[str, ...], top: int
) -> tuple[LabelProbability, ...]:
    """The `top` most probable classes, best first; probabilities: float32 [C]."""
    best = probabilities.topk(min(top, len(classes)))
    guesses = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return tuple(LabelProbability(classes[k], p) for k, p in guesses)


def _name(picture: Picture) -> str:
    """The path of a file, or “pasted picture”."""
    return "pasted picture" if isinstance(picture, Image.Image) else str(picture)
