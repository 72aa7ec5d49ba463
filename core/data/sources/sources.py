"""Finds the files of whatever is opened, as one `Layout`: folder, table, archive, or several.

Knows nothing of the content of pictures; `scan` reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from core.data.dataset import NO_GROUP, NO_LABEL
from core.data.sources.archives import is_archive, unpack
from core.data.sources.folders import ClassFolder, Layout, LayoutTask, UnlabelledError, find_layout
from core.data.sources.table_paths import table_in
from core.data.sources.tables import is_table, read_table
from core.errors import DatasetError
from core.events import OnProgress, ShouldStop, never_stop, no_progress
from core.system.threads import run_interruptible

_T = TypeVar("_T")
_HINT = (
    "Open a folder with one folder per class, a table with the columns path and label, or a zip"
    " or tar archive of these."
)


def find_sources(
    source: Path | str | Sequence[Path],
    *,
    allow_unlabelled: bool = False,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> Layout:
    """Find the class and split of each file of one or several sources.

    Several sources become one dataset under their common parent folder: classes of the same name
    are one class, splits are kept, and a source inside another counts once.

    Raises: DatasetError if a source is not a dataset; Cancelled.
    """
    given = [source] if isinstance(source, (Path, str)) else list(source)
    paths = [_absolute(path) for path in dict.fromkeys(map(str, given))]
    if not paths:
        raise DatasetError("Nothing was given to open.", _HINT)
    outer = [path for path in paths if not any(_is_inside(path, other) for other in paths)]

    def find(path: Path) -> Layout:
        return _find_one(
            path,
            allow_unlabelled=allow_unlabelled,
            on_progress=on_progress,
            should_stop=should_stop,
        )

    if len(outer) == 1:
        layout = find(outer[0])
    else:
        layouts = _as_classes(outer, should_stop) or [find(path) for path in outer]
        # train and val of one dataset, both dropped, give the same folder.
        different = {(str(each.root), each.sources): each for each in layouts}
        layout = _merge(list(different.values()), outer)
    inner = [path for path in paths if path not in outer]
    if inner:
        named = ", ".join(f"“{path.name}”" for path in inner[:3])
        layout.notes.append(f"{named} lies inside another of the folders and counts once.")
    return layout


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - links stay as they are


def _is_inside(path: Path, other: Path) -> bool:
    """Whether `path` is a folder inside `other`; a table there is a source of its own."""
    return path != other and path.is_relative_to(other) and path.is_dir()


def _find_one(
    path: Path, *, allow_unlabelled: bool, on_progress: OnProgress, should_stop: ShouldStop
) -> Layout:
    """The layout of one source: a folder, a table or an archive. Raises: as `find_sources`."""

    def run(work: Callable[[ShouldStop], _T], what: str = "") -> _T:
        return run_interruptible(
            work,
            note="Looking for pictures",
            name=f"{what or 'the folder'} {path.name}",
            on_progress=on_progress,
            should_stop=should_stop,
        )

    def find_folder(folder: Path) -> Layout:
        return run(lambda stopping: _find_folder(folder, allow_unlabelled, stopping))

    if run(lambda stopping: path.is_file()):
        if is_table(path):
            return run(lambda stopping: read_table(path, should_stop=stopping), "the table")
        if is_archive(path):
            status = path.stat()
            folder = unpack(path, on_progress=on_progress, should_stop=should_stop)
            on_progress(0, 0, "Looking for pictures")
            try:
                layout = find_folder(folder)
            except DatasetError as error:  # the user knows the archive's name, not the folder's
                message = error.message.replace(folder.name, path.name)
                raise type(error)(message, error.hint) from error
            layout.name = _stem(path)
            layout.sources = (path,)
            layout.stamps = ((path, status.st_size, status.st_mtime_ns),)
            return layout
        raise DatasetError(
            f"“{path.name}” is a file, not a folder of images, a table or an archive.", _HINT
        )
    return find_folder(path)


def _find_folder(path: Path, allow_unlabelled: bool, should_stop: ShouldStop) -> Layout:
    table = table_in(path)
    if table is None:
        return find_layout(path, allow_unlabelled=allow_unlabelled, should_stop=should_stop)
    layout = read_table(table, should_stop=should_stop)
    layout.name = table.parent.name or layout.name
    layout.notes.insert(0, f"Labels are from the table {table.name} in the folder.")
    layout.sources = () if layout.root == table.parent else (table.parent,)
    return layout


def _stem(path: Path) -> str:
    stem = path.name
    for suffix in (path.suffix, ".tar"):
        stem = stem[: -len(suffix)] if suffix and stem.lower().endswith(suffix.lower()) else stem
    return stem or path.name


def _as_classes(paths: list[Path], should_stop: ShouldStop) -> list[Layout]:
    """A layout of one class for each folder, if all of them have pictures only; else empty."""
    layouts = []
    for label_folder in paths:
        if not label_folder.is_dir():
            return []
        try:
            if table_in(label_folder) is not None:
                return []
            find_layout(label_folder, should_stop=should_stop)
        except UnlabelledError:
            layout = find_layout(label_folder, allow_unlabelled=True, should_stop=should_stop)
            layout.classes = (label_folder.name,)
            layout.labels, layout.splits = [0] * len(layout.files), [0] * len(layout.files)
            layout.folders = [ClassFolder("", 0, 0)]
            layouts.append(layout)
        except DatasetError:
            return []
        else:
            return []
    return layouts


def _merge(layouts: list[Layout], sources: list[Path]) -> Layout:
    """One layout under the common parent folder; classes of the same name become one.

    Raises: DatasetError if the folders are on different drives or have the same pictures.
    """
    if len(layouts) == 1:
        return layouts[0]
    try:
        root = Path(os.path.commonpath([layout.root for layout in layouts]))
    except ValueError:
        raise DatasetError(
            "The folders are on different drives.", "Put them on one, or open them one by one."
        ) from None
    names = [layout.name for layout in layouts]
    shown = " + ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} more"
    merged = Layout(root, shown, sources=tuple(sources))
    merged.classes = tuple(sorted({name for layout in layouts for name in layout.classes}))
    merged.has_splits = any(layout.has_splits for layout in layouts)
    merged.is_table = all(layout.is_table for layout in layouts)
    merged.stamps = tuple(stamp for layout in layouts for stamp in layout.stamps)
    merged.tasks = _merged_tasks(layouts)
    if any(layout.groups is not None for layout in layouts):
        merged.groups = []
    label_of = {name: label for label, name in enumerate(merged.classes)}
    label_of_none = {NO_LABEL: NO_LABEL}
    known: set[str] = set()
    offset = 0
    for layout in layouts:
        inside = layout.root.relative_to(root).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        new = label_of_none | {i: label_of[name] for i, name in enumerate(layout.classes)}
        files = [prefix + file for file in layout.files]
        again = known.intersection(files)
        known.update(files)
        if again:
            raise DatasetError(
                f"Two of the sources name the same pictures ({min(again)}).",
                "Open one of them alone, or put all rows into one table.",
            )
        merged.files += files
        merged.labels += [new[label] for label in layout.labels]
        merged.splits += layout.splits
        merged.folders += [
            ClassFolder(
                folder.path if layout.is_table else (prefix + folder.path).rstrip("/"),
                new[folder.label],
                folder.split,
            )
            for folder in layout.folders
        ]
        merged.problems += [
            type(p)(p.file if layout.is_table else prefix + p.file, p.kind, p.reason)
            for p in layout.problems
        ]
        merged.ignored += [prefix + file for file in layout.ignored]
        merged.notes += layout.notes
        if merged.has_splits and not layout.has_splits and layout.classes:
            merged.notes.append(f"“{layout.name}” has no split of its own: all of it trains.")
        if merged.groups is not None:
            groups = layout.groups or [NO_GROUP] * len(files)
            merged.groups += [g if g == NO_GROUP else g + offset for g in groups]
            offset += max(groups, default=NO_GROUP) + 1
    return merged


def _merged_tasks(layouts: list[Layout]) -> list[LayoutTask]:
    tasks = []
    for name in dict.fromkeys(task.name for layout in layouts for task in layout.tasks):
        each = [next((t for t in layout.tasks if t.name == name), None) for layout in layouts]
        classes = tuple(sorted({c for task in each if task for c in task.classes}))
        label_of = {c: label for label, c in enumerate(classes)}
        labels: list[int] = []
        for layout, task in zip(layouts, each, strict=True):
            if task is None:
                labels += [NO_LABEL] * len(layout.files)
            else:
                new = {NO_LABEL: NO_LABEL} | {i: label_of[c] for i, c in enumerate(task.classes)}
                labels += [new[label] for label in task.labels]
        tasks.append(LayoutTask(name, classes, labels))
    return tasks
