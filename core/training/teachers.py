"""Who teaches: a model, a file or a run is opened and made ready to answer for a student."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from core.catalog.names import full_name
from core.errors import AppError, ModelError, RunError
from core.events import Notice, Progress, no_sink
from core.features.cache import state_digest
from core.models.build import build
from core.models.outline import bare_outline
from core.models.resolve import resolve_model
from core.recipe.recipe import Recipe
from core.runs.checkpoints import Head, load_checkpoint
from core.runs.run_folder import Run, is_run
from core.runs.store import RunStore
from core.system import atomic_files
from core.training.context import FrozenFeatures, TrainingContext, embed
from core.training.distillation import LoadedTeacher, Teacher
from core.training.loop.batches import TrainingSet
from core.training.loop.validate import judgement_of
from core.training.probe import probe_head
from core.words import list_some

_NAMES_SHOWN = 5


def check_teacher(recipe: Recipe) -> None:
    """Raises: AppError where the recipe's strategy leaves nothing to teach."""
    if recipe.teacher is not None and recipe.strategy == "feature-extraction":
        raise AppError(
            f"“{recipe.teacher}” cannot teach feature extraction: its head is solved for on stored "
            "features, in no steps that a teacher could look at.",
            "Choose the strategy partial, full or scratch, or take the teacher away.",
        )


def open_expert(recipe: Recipe, classes: tuple[str, ...]) -> LoadedTeacher | None:
    """The recipe's teacher; None where it names none or gives it no weight.

    Raises: AppError where there is no such model or run, or a run answers for other classes.
    """
    check_teacher(recipe)
    text = recipe.teacher
    if text is None or not recipe.distill_weight:
        return None
    store = RunStore()
    if text.startswith("run:") or is_run(Path(text)) or is_run(store.root / text):
        return _open_run(store.open(text), classes)
    try:
        card = resolve_model(text)
    except ModelError as error:
        raise ModelError(
            f"No teacher “{text}”: {error.message}",
            f"{error.hint} Or name a run (run:NAME, or its folder).".strip(),
        ) from error
    if card.source in ("hub", "hf-hub"):
        card, _ = bare_outline(card)  # only the model itself can tell its classes
    if card.num_classes:
        built = build(card)
        names = built.label_names()
        if set(names) == set(classes) and len(names) == len(classes):
            order = tuple(names.index(name) for name in classes)
            return LoadedTeacher(
                card.id, built, None, order, state_digest(built.module, without=())
            )
    built = build(card, num_classes=len(classes))
    digest = state_digest(built.module, without=built.head_names)
    return LoadedTeacher(card.id, built, None, (), digest)


def _open_run(run: Run, classes: tuple[str, ...]) -> LoadedTeacher:
    loaded = load_checkpoint(run.best)
    if sorted(loaded.classes) != sorted(classes):
        raise AppError(
            f"The run {run.path.name} cannot teach here: it answers for "
            f"{list_some(loaded.classes, _NAMES_SHOWN)}, and the dataset has "
            f"{list_some(classes, _NAMES_SHOWN)}.",
            "Choose a run on the same classes, or a pretrained model, which gets a head for them.",
        )
    order = tuple(loaded.classes.index(name) for name in classes)
    digest = state_digest(loaded.built.module, without=())
    return LoadedTeacher(run.path.name, loaded.built, loaded.head, order, digest, run)


def notices_of_teacher(recipe: Recipe, expert: LoadedTeacher | None) -> list[Notice]:
    """Who teaches, and how much of a say it has."""
    if recipe.teacher is None:
        return []
    if expert is None:
        text = f"The teacher model {recipe.teacher} is not used: distill_weight is 0."
    else:
        text = (
            f"Teacher model: {full_name(expert.name)}. Its answers weigh "
            f"{recipe.distill_weight:.0%} of the loss, at temperature "
            f"{recipe.distill_temperature:g}."
        )
    return [Notice("info", text)]


def check_unchanged(expert: LoadedTeacher | None, before: dict[str, Any]) -> None:
    """`before`: what the run noted of its teacher when it began.

    Raises: RunError where that one had other weights: the run would not go on as it began.
    """
    was = before.get("teacher") or {}
    if expert is not None and was.get("digest") not in (None, expert.digest):
        raise RunError(
            f"The teacher {full_name(expert.name)} has other weights than when the run began.",
            "Put its files back as they were, or train anew with the run's settings.",
        )


def ready_teacher(
    job: TrainingContext, frozen: FrozenFeatures, data: TrainingSet
) -> Teacher | None:
    """The job's teacher, ready to answer; where its head knows other classes it first gets one on
    its own frozen features of the images that are learned from, which the run keeps.

    Raises: DatasetError, Cancelled.
    """
    expert = job.expert
    if expert is None:
        return None
    head, order = expert.head, expert.order
    if expert.needs_head:
        head = job.world.broadcast_call(lambda: _read_head(job.run.teacher))
        if head is None:
            head = _fitted(job, expert, frozen, data)
        order = tuple(range(len(job.index.classes)))
    _tell_seen_pictures(job, expert, frozen)
    return Teacher(
        expert.built,
        head,
        order,
        job.compute,
        student=job.built.preprocessing,
        temperature=job.recipe.distill_temperature,
        weight=job.recipe.distill_weight,
    )


def _fitted(
    job: TrainingContext, expert: LoadedTeacher, frozen: FrozenFeatures, data: TrainingSet
) -> Head:
    """The probe on the teacher's features, and what the selection images say of it."""

    def sink(event: object) -> None:
        if isinstance(event, Progress):
            job.sink(dataclasses.replace(event, note=f"{event.note} for the teacher"))

    # What cannot be read was said already, of the student's own features.
    theirs = dataclasses.replace(job, built=expert.built, tell=no_sink, sink=sink)
    seen = embed(theirs)

    def fit() -> Head:
        job.sink(Progress(0, 0, "fitting the teacher's head"))
        rows = data.fit[seen.features.is_ok[data.fit]]
        fitted = probe_head(theirs, seen, rows, frozen.labels[rows], classes=len(job.index.classes))
        head = Head(fitted.weight.cpu(), fitted.bias.cpu())
        chosen = data.selection[seen.features.is_ok[data.selection]]
        judged = judgement_of(seen.vectors[chosen], head, frozen.labels[chosen])
        job.tell(
            Notice(
                "info",
                f"{full_name(expert.name)} was pretrained for other classes: it teaches with a "
                "head on its "
                f"own frozen features, right on {judged.accuracy:.1%} of the {len(chosen):,} "
                "selection images.",
            )
        )
        _write_head(job.run.teacher, head)
        return head

    return job.world.broadcast_call(fit)


def _tell_seen_pictures(
    job: TrainingContext, expert: LoadedTeacher, frozen: FrozenFeatures
) -> None:
    """A teacher that learned from images of the report has told of them: the report may flatter."""
    if expert.run is None:
        return
    try:
        about = expert.run.read_dataset()
        learned = {
            content
            for content, role in zip(about["hashes"], about["roles"], strict=True)
            if role == "train" and content
        }
    except (RunError, KeyError, ValueError):  # a run handed over without its record
        return
    reported = {frozen.features.hashes[int(i)] for i in frozen.reports}
    if seen := len(learned & reported):
        job.tell(
            Notice(
                "warning",
                f"The teacher {full_name(expert.name)} was trained on {seen:,} of the "
                f"{len(reported):,} "
                "pictures of the report: what it tells of them may flatter the report.",
            )
        )


def _read_head(path: Path) -> Head | None:
    if not path.is_file():
        return None
    tensors = load_file(path)
    return Head(tensors["weight"], tensors["bias"])


def _write_head(path: Path, head: Head) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_files.replacing(path) as temporary:
        save_file({"weight": head.weight, "bias": head.bias}, temporary)
