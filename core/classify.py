"""Pictures in, labels out: with a run, or with a pretrained model's own classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from core.data.decode import read_image
from core.errors import AppError, DecodeError, ModelError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.models import catalog
from core.models.build import BuiltModel, build
from core.recipe import Recipe
from core.training.checkpoints import Reference, load_checkpoint
from core.training.device import Compute, resolve_compute
from core.training.embed import Embedder, worker_pool
from core.training.runs import RunStore, is_run

Picture = Path | Image.Image


@dataclass(frozen=True, slots=True)
class Guess:
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What a model says of one picture.

    `top` is sorted, best first, and empty where `error` says why. `unlike_training` is None where
    the model keeps no training features (a pretrained model).
    """

    file: str
    top: tuple[Guess, ...]
    unlike_training: bool | None = None
    error: str = ""


@dataclass(frozen=True)
class Scores:
    """probabilities: float32 [N, C], meaningless in the rows that `errors` names; is_unlike:
    bool [N] or None where the model keeps no training features."""

    probabilities: torch.Tensor
    is_unlike: npt.NDArray[np.bool_] | None
    errors: dict[int, str]


class Classifier:
    """A model ready to answer. Open it once, ask often; one thread at a time."""

    def __init__(
        self,
        name: str,
        built: BuiltModel,
        compute: Compute,
        *,
        classes: tuple[str, ...],
        reference: Reference | None,
    ) -> None:
        self.name = name
        self.classes = classes
        self._compute = compute
        self._embedder = Embedder(built, compute)
        self._weight, self._bias = built.head_weight()
        self._reference = reference

    @classmethod
    def open(cls, ref: str | Path, *, store: RunStore | None = None) -> Classifier:
        """A run (folder or name) or a pretrained model (its id).

        Raises: AppError where there is no such thing, its weights are missing or do not fit.
        """
        store = store or RunStore()
        text = str(ref)
        if text.startswith("run:") or is_run(Path(text)) or is_run(store.root / text):
            return cls._open_run(text, store)
        if isinstance(ref, Path) or Path(text).exists():
            store.open(text)  # raises, naming the runs there are
        try:
            card = catalog.load().resolve(text)
        except ModelError as error:
            hint = f"{error.hint} Or give the folder or the name of a run.".strip()
            raise ModelError(error.message, hint) from error
        if card.num_classes == 0:
            raise ModelError(
                f"{card.id} has no classifier of its own.", "Train it on your classes first."
            )
        built = build(card)
        return cls(
            card.id,
            built,
            resolve_compute(Recipe(), built),
            classes=tuple(built.label_names()),
            reference=None,
        )

    @classmethod
    def _open_run(cls, text: str, store: RunStore) -> Classifier:
        run = store.open(text)
        loaded = load_checkpoint(run.best)
        recipe = run.read_recipe()
        # The same number format as in training where the device allows it; else what it can.
        try:
            compute = resolve_compute(
                recipe.with_values(precision=loaded.precision), loaded.built
            )
        except AppError:
            compute = resolve_compute(
                recipe.with_values(device="auto", precision="auto"), loaded.built
            )
        return cls(
            run.path.name,
            loaded.built,
            compute,
            classes=loaded.classes,
            reference=loaded.reference,
        )

    def classify(
        self,
        pictures: Sequence[Picture],
        *,
        top: int = 5,
        on_progress: OnProgress = no_progress,
        should_stop: ShouldStop = never_stop,
    ) -> list[Classification]:
        """One answer per picture, in order; a broken file is an answer with an `error`.

        Raises: Cancelled.
        """
        scores = self.score(pictures, on_progress=on_progress, should_stop=should_stop)
        best = scores.probabilities.topk(min(top, len(self.classes)), dim=1)
        answers = []
        for i, picture in enumerate(pictures):
            if i in scores.errors:
                answers.append(Classification(_name(picture), (), None, scores.errors[i]))
                continue
            guesses = zip(best.indices[i].tolist(), best.values[i].tolist(), strict=True)
            answers.append(
                Classification(
                    _name(picture),
                    tuple(Guess(self.classes[k], p) for k, p in guesses),
                    None if scores.is_unlike is None else bool(scores.is_unlike[i]),
                )
            )
        return answers

    def score(
        self,
        pictures: Sequence[Picture],
        *,
        on_progress: OnProgress = no_progress,
        should_stop: ShouldStop = never_stop,
    ) -> Scores:
        """The probability of every class for each picture. Raises: Cancelled."""
        size = self._compute.batch_size
        shares = [range(i, min(i + size, len(pictures))) for i in range(0, len(pictures), size)]
        vectors = np.zeros((len(pictures), self._embedder.feature_dim), dtype=np.float32)
        errors: dict[int, str] = {}

        def work(share: range) -> dict[int, str]:
            check_stop(should_stop)
            return self._embed_share(pictures, share, vectors)

        with worker_pool(self._compute) as pool:
            for share, failed in zip(shares, pool.map(work, shares), strict=True):
                errors |= failed
                on_progress(share.stop, len(pictures), "classifying")
        probabilities = (torch.from_numpy(vectors) @ self._weight.T + self._bias).softmax(1)
        is_unlike = self._reference.is_unlike(vectors) if self._reference else None
        return Scores(probabilities, is_unlike, errors)

    def _embed_share(
        self, pictures: Sequence[Picture], share: range, vectors: npt.NDArray[np.float32]
    ) -> dict[int, str]:
        """Fill in the rows of `share`; returns why the others could not be filled."""
        preprocessing = self._embedder.preprocessing
        errors: dict[int, str] = {}
        pixels: dict[int, npt.NDArray[np.uint8]] = {}
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
        if pixels:
            batch = torch.from_numpy(np.stack(list(pixels.values())))
            vectors[list(pixels)] = self._embedder.embed(batch).numpy()
        return errors


def _name(picture: Picture) -> str:
    """The path of a file; a pasted picture has none."""
    return "pasted picture" if isinstance(picture, Image.Image) else str(picture)
