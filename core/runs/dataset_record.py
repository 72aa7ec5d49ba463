"""dataset.json of a run: writes and reads the files that were used, their roles and hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.data.dataset import SPLITS, DatasetIndex, Task
from core.data.sources.archives import is_archive, unpack
from core.data.splits import HonestSets
from core.errors import RunError
from core.features.cache import Features
from core.runs.run_folder import Run


def to_document(index: DatasetIndex, sets: HonestSets, features: Features) -> dict[str, Any]:
    """The content of dataset.json: columns over the training images, then the report images.

    `features`: those of the images in that order.
    """
    positions = np.concatenate([sets.train, sets.report])
    everything = np.concatenate([positions, index.indices("test")])
    roles = ["train"] * len(sets.train) + [sets.report_split] * len(sets.report)
    return {
        "root": str(index.root),
        "name": index.name,
        "split_origin": index.split_origin,
        "classes": list(index.classes),
        "files": [index.files[int(i)] for i in positions],
        "labels": index.labels[positions].tolist(),
        "roles": roles,
        "folds": sets.fold.tolist() + [-1] * len(sets.report),
        "hashes": list(features.hashes),
        "left_out": [list(pair) for pair in sets.left_out],
        "unreadable": [[index.files[int(positions[i])], reason] for i, reason in features.failures],
        "test_files": [index.files[int(i)] for i in index.indices("test")],
        "test_labels": index.labels[index.indices("test")].tolist(),
        "sources": [str(path) for path in index.sources],
        "class_keys": list(index.class_keys),
        # Of `files`, then of `test_files`.
        "groups": None if index.groups is None else index.groups[everything].tolist(),
        "tasks": [
            {
                "name": task.name,
                "classes": list(task.classes),
                "labels": task.labels[everything].tolist(),
            }
            for task in index.tasks
        ],
    }


def root_of(run: Run, document: dict[str, Any]) -> Path:
    """The folder of the run's dataset; an archive whose folder was deleted is unpacked again.

    Raises: RunError if the folder is missing.
    """
    root = Path(document["root"])
    for source in map(Path, document.get("sources", ())):
        if not root.is_dir() and source.is_file() and is_archive(source):
            unpack(source)
    if not root.is_dir():
        raise RunError(
            f"The dataset of the run {run.path.name} is no longer at {root}.",
            "Move the folder back, or train on its new path.",
        )
    return root


def from_document(run: Run) -> tuple[DatasetIndex, HonestSets, tuple[str, ...]]:
    """(dataset, honest sets, hash of each file) as the run used them; no picture is read.

    Raises: RunError if the run has no readable dataset.json, or the dataset's folder is missing.
    """
    document = run.read_dataset()
    root = root_of(run, document)
    try:
        roles = document["roles"]
        files = [*document["files"], *document["test_files"]]
        labels = [*document["labels"], *document["test_labels"]]
        is_train = np.array([role == "train" for role in roles])
        report_split = next((role for role in roles if role != "train"), "val")
        splits = [SPLITS.index(role) for role in roles]
        splits += [SPLITS.index("test")] * len(document["test_files"])
        unknown = np.zeros(len(files), np.int32)
        groups = document.get("groups")
        index = DatasetIndex(
            root=root,
            classes=tuple(document["classes"]),
            files=tuple(files),
            labels=np.array(labels, np.int32),
            splits=np.array(splits, np.uint8),
            bytes=unknown.astype(np.int64),
            widths=unknown,
            heights=unknown,
            split_origin=document["split_origin"],
            name=document["name"],
            sources=tuple(map(Path, document.get("sources", ()))),
            class_keys=tuple(document.get("class_keys", ())),
            groups=None if groups is None else np.array(groups, np.int32),
            tasks=tuple(
                Task(task["name"], tuple(task["classes"]), np.array(task["labels"], np.int32))
                for task in document.get("tasks", ())
            ),
        )
        sets = HonestSets(
            train=np.flatnonzero(is_train),
            fold=np.array(document["folds"], np.int64)[is_train],
            report=np.flatnonzero(~is_train),
            report_split=report_split,
            left_out=tuple((file, reason) for file, reason in document["left_out"]),
        )
        return index, sets, tuple(document["hashes"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"The record of the dataset in the run {run.path.name} is damaged: {error}.",
            "Train again with the same recipe.",
        ) from error
