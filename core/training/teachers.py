"""Loads the teacher of a distillation (a model, a file or a run) and makes it answer for the
student's classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
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
from core.plan.check import check
from core.recipe.recipe import Recipe
from core.runs.checkpoints import Head, load_checkpoint
from core.runs.run_folder import Run, is_run
from core.runs.store import RunStore
from core.system import atomic_files
from core.training.context import FrozenFeatures, TrainingContext, embed
from core.training.distillation import LoadedTeacher, Teacher
from core.training.loop.batches import TrainingSet
from core.training.loop.validate import validation_result
from core.training.probe import probe_head
from core.words import list_some

_NAMES_SHOWN = 5


def load_teacher(recipe: Recipe, classes: tuple[str, ...]) -> LoadedTeacher | None:
    """The recipe's teacher; None where there is none or its weight in the loss is 0.

    Raises: AppError where there is no such model or run, or a run answers for other classes.
    """
    check(recipe)
    text = recipe.teacher
    if text is None or not recipe.distill_weight:
        return None
    store = RunStore()
    if text.startswith("run:") or is_run(Path(text)) or is_run(store.root / text):
        return _load_run(store.open(text), classes)
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


def _load_run(run: Run, classes: tuple[str, ...]) -> LoadedTeacher:
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


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def teacher_notices(recipe: Recipe, teacher: LoadedTeacher | None) -> list[Notice]:
    """The teacher and its weight in the loss, for the log; nothing without one."""
    if recipe.teacher is None:
        return []
    if teacher is None:
        text = f"The teacher model {recipe.teacher} is not used: distill_weight is 0."
    else:
        text = (
            f"Teacher model: {full_name(teacher.name)}. Its answers weigh "
            f"{recipe.distill_weight:.0%} of the loss, at temperature "
            f"{recipe.distill_temperature:g}."
        )
    return [Notice("info", text)]


def check_unchanged(teacher: LoadedTeacher | None, before: Mapping[str, Any]) -> None:
    """Check a resumed run's teacher. `before`: `resolved` of the run's environment.

    Raises: RunError where its weights are others than when the run began.
    """
    recorded = before.get("teacher") or {}
    if teacher is not None and recorded.get("digest") not in (None, teacher.digest):
        raise RunError(
            f"The teacher {full_name(teacher.name)} has other weights than when the run began.",
            "Put its files back as they were, or train anew with the run's settings.",
        )


def make_teacher(
    context: TrainingContext, features: FrozenFeatures, data: TrainingSet
) -> Teacher | None:
    """The teacher of the context, ready to answer for the student's classes; None without one.

    A teacher of other classes first gets a head, fitted to its own frozen features of the training
    images; the run keeps it until it is done. Raises: DatasetError, Cancelled.
    """
    teacher = context.teacher
    if teacher is None:
        return None
    head, order = teacher.head, teacher.order
    if teacher.needs_head:
        head = context.world.broadcast_call(lambda: _read_head(context.run.teacher))
        if head is None:
            head = _fit_head(context, teacher, features, data)
        order = tuple(range(len(context.index.classes)))
    _warn_of_report_images(context, teacher, features)
    return Teacher(
        teacher.built,
        head,
        order,
        context.compute,
        student=context.built.preprocessing,
        temperature=context.recipe.distill_temperature,
        weight=context.recipe.distill_weight,
    )


def _fit_head(
    context: TrainingContext, teacher: LoadedTeacher, features: FrozenFeatures, data: TrainingSet
) -> Head:
    """A head on the teacher's features; its accuracy on the selection images is logged."""

    def emit(event: object) -> None:
        if isinstance(event, Progress):
            context.emit(dataclasses.replace(event, note=f"{event.note} for the teacher"))

    # Unreadable files were logged already, with the student's own features.
    own = dataclasses.replace(context, built=teacher.built, log_event=no_sink, emit=emit)
    embedded = embed(own)

    def fit() -> Head:
        context.emit(Progress(0, 0, "fitting the teacher's head"))
        rows = data.fit[embedded.raw.is_ok[data.fit]]
        labels, classes = features.labels[rows], len(context.index.classes)
        fitted = probe_head(own, embedded, rows, labels, classes=classes)
        head = Head(fitted.weight.cpu(), fitted.bias.cpu())
        rows = data.selection[embedded.raw.is_ok[data.selection]]
        result = validation_result(embedded.vectors[rows], head, features.labels[rows])
        context.log_event(
            Notice(
                "info",
                f"{full_name(teacher.name)} was pretrained for other classes: it answers with a "
                f"head on its own frozen features, right on {result.accuracy:.1%} of the "
                f"{len(rows):,} selection images.",
            )
        )
        _write_head(context.run.teacher, head)
        return head

    return context.world.broadcast_call(fit)


def _warn_of_report_images(
    context: TrainingContext, teacher: LoadedTeacher, features: FrozenFeatures
) -> None:
    """Warn where the teacher was trained on images of the report, which makes it look better."""
    if teacher.run is None:
        return
    try:
        record = teacher.run.read_dataset()
        trained_on = {
            content
            for content, role in zip(record["hashes"], record["roles"], strict=True)
            if role == "train" and content
        }
    except (RunError, KeyError, ValueError):  # a run handed over without its record
        return
    reported = {features.raw.hashes[int(i)] for i in features.report_rows}
    if shared := len(trained_on & reported):
        context.log_event(
            Notice(
                "warning",
                f"The teacher {full_name(teacher.name)} was trained on {shared:,} of the "
                f"{len(reported):,} images of the report: the report may be too good.",
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
