"""Finds the class and split of each file of a folder, from the names of the folders alone.

Folders are listed; no file is opened (`scan` does that). `sources` makes the same `Layout` of
tables, archives and several folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from core.data.dataset import NO_LABEL, NO_SPLIT, Problem
from core.data.sources.split_names import is_generic, split_of
from core.errors import DatasetError
from core.events import ShouldStop, check_stop, never_stop

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp",
        ".avif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".qoi",
        ".sgi", ".heic", ".heif", ".hif", ".dcm", ".dicom",
    }
)  # fmt: skip
"""A file with such a suffix that cannot be read is a broken picture; any other is not a picture."""

_SYSTEM = frozenset(
    {
        "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "#recycle",
        "$recycle.bin", "system volume information", "lost+found", "__pycache__",
    }
)  # fmt: skip
_LAYOUT_HINT = "Make one folder per class, named after it, and put its pictures inside."
_UNLABELLED_HINT = f"{_LAYOUT_HINT} Or open the folder in the window and label them there."


class UnlabelledError(DatasetError):
    """A folder has pictures, but no class folders."""


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """The folder of a class (`label`, an index into `Layout.classes`) in a split."""

    path: str
    label: int
    split: int


@dataclass
class LayoutTask:
    """A further label column; as `dataset.Task`."""

    name: str
    classes: tuple[str, ...]
    labels: list[int]


@dataclass
class Layout:
    """The files of a dataset before they are read, as columns, with their classes and splits.

    files[i] (relative to `root`, POSIX separators) has labels[i] and splits[i]; pictures without a
    label have NO_LABEL and NO_SPLIT.
    """

    root: Path
    name: str
    classes: tuple[str, ...] = ()
    has_splits: bool = False
    folders: list[ClassFolder] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_table: bool = False
    """A table lists the files as pictures: one that cannot be read is a problem, whatever its
    suffix."""
    sources: tuple[Path, ...] = ()
    stamps: tuple[tuple[Path, int, int], ...] = ()
    groups: list[int] | None = None
    tasks: list[LayoutTask] = field(default_factory=list)


@dataclass(slots=True)
class _Listing:
    """The names in one folder, sorted by kind; hidden folders are left out."""

    folders: list[str] = field(default_factory=list)
    linked: set[str] = field(default_factory=set)
    files: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)

    def pictures(self) -> list[str]:
        return [name for name in self.files if is_image_name(name)]


def is_image_name(name: str) -> bool:
    """Whether a file's name has the suffix of a picture."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - per file, and hot


def find_layout(
    path: Path | str, *, allow_unlabelled: bool = False, should_stop: ShouldStop = never_stop
) -> Layout:
    """The layout of a dataset folder with class folders, or splits that contain class folders.

    With `allow_unlabelled` pictures outside of class folders are kept without a label; a folder
    without class folders is then accepted, too.

    Raises: DatasetError if it is not a dataset (UnlabelledError if only class folders are missing);
    Cancelled.
    """
    given = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - links stay as they are
    root, notes = _dataset_root(given, _list_root(given))
    listing = _list_root(root)
    layout = Layout(root, root.name or str(root), notes=notes)
    if split_of(root.name) is not None and root.parent.name:
        layout.name = root.parent.name
    try:
        split_folders = _split_folders(root, listing)
        if not split_folders:
            _refuse_without_classes(root, listing)
    except UnlabelledError:
        if not allow_unlabelled:
            raise
        _walk_class(layout, ClassFolder("", NO_LABEL, NO_SPLIT), should_stop)
        return layout
    _set_aside(layout, "", listing, keeps=allow_unlabelled)
    if split_folders:
        layout.has_splits = True
        _read_splits(layout, split_folders, should_stop, allow_unlabelled=allow_unlabelled)
        others = [name for name in listing.folders if name not in split_folders]
        if others:
            layout.notes.append(
                f"Beside {_names(split_folders)} stands {_names(others)}, which is not used."
            )
    else:
        layout.classes = tuple(sorted(listing.folders))
        for label, name in enumerate(layout.classes):
            _walk_class(layout, ClassFolder(name, label, 0), should_stop)
    return layout


def files_below(folder: Path, *, should_stop: ShouldStop) -> list[Path]:
    """Every file in a folder and its subfolders, sorted, without hidden and system files.

    Raises: DatasetError if the folder cannot be read; Cancelled.
    """
    _list_root(folder)
    layout = Layout(folder, folder.name)
    _walk_class(layout, ClassFolder("", NO_LABEL, NO_SPLIT), should_stop)
    return [folder / file for file in layout.files]


def _dataset_root(given: Path, listing: _Listing) -> tuple[Path, list[str]]:
    """The dataset's folder, and notes if that is not the `given` one.

    `given` may be one split of the dataset, or a folder around it.
    """
    parent = given.parent
    if split_of(given.name) is not None and parent != given and listing.folders:
        try:
            beside = _split_folders(parent, _list(str(parent)))
        except (OSError, UnlabelledError):
            beside = {}
        if given.name in beside and len(set(beside.values())) > 1:
            others = [name for name in beside if name != given.name]
            note = f"{given.name} is a part of {parent.name}: {_names(others)} is used with it."
            return parent, [note]
    # An unpacked archive often has the dataset inside one or two further folders.
    inner = given
    while len(listing.folders) == 1 and not listing.pictures():
        only = listing.folders[0]
        if split_of(only) is not None or only in listing.linked:
            break
        inner = inner / only
        listing = _list_root(inner)
        if not listing.pictures() and (len(listing.folders) > 1 or _split_folders(inner, listing)):
            return inner, []
    return given, []


def _list_root(root: Path) -> _Listing:
    """The names in the folder that was opened. Raises: DatasetError."""
    try:
        return _list(str(root))
    except FileNotFoundError:
        raise DatasetError(
            f"There is no folder {root}.", "Check the path, or drop the folder itself."
        ) from None
    except NotADirectoryError:
        raise DatasetError(
            f"“{root.name}” is a file, not a folder of images.", _LAYOUT_HINT
        ) from None
    except PermissionError:
        raise DatasetError(
            f"There is no permission to read the folder {root}.",
            "Ask for read permission, or copy the folder.",
        ) from None
    except OSError as error:
        raise DatasetError(
            f"The folder {root} cannot be read: {error.strerror or error}.",
            "Check the drive or the network.",
        ) from error


def _split_folders(root: Path, listing: _Listing) -> dict[str, int]:
    """Name of a split folder → its split; empty if the folders are classes.

    A class may be called "train" (beside "car" and "plane"): it contains pictures, while a split
    contains folders.

    Raises: UnlabelledError, DatasetError for splits without class folders or without train.
    """
    splits = {name: split_of(name) for name in listing.folders}
    found = {name: split for name, split in splits.items() if split is not None}
    training = [name for name, split in found.items() if split == 0]
    others = len(listing.folders) - len(found)
    for name in training:
        try:
            inside = _list(str(root / name))
        except OSError:
            continue
        if inside.folders and (len(found) > 1 or not others or not inside.pictures()):
            return found
        if not others and inside.pictures():
            raise UnlabelledError(
                f"“{root.name}/{name}” has {_count(inside.pictures(), 'picture')}"
                " but no class folders.",
                _UNLABELLED_HINT,
            )
    if found and not training and not others:
        raise DatasetError(
            f"“{root.name}” has {_names(found)} but no folder train.",
            "Put the training images into a folder train, one folder per class.",
        )
    return {}


def _refuse_without_classes(root: Path, listing: _Listing) -> None:
    """Raise UnlabelledError or DatasetError if there is no class folder."""
    pictures, shown = listing.pictures(), root.name
    if len(listing.folders) == 1 and is_generic(listing.folders[0]) and not pictures:
        shown = f"{root.name}/{listing.folders[0]}"
        try:
            inside = _list(str(root / listing.folders[0]))
        except OSError:
            return
        if inside.folders:
            return
        pictures = inside.pictures()
    elif listing.folders:
        return
    if pictures:
        raise UnlabelledError(
            f"“{shown}” has {_count(pictures, 'picture')} but no class folders.",
            _UNLABELLED_HINT,
        )
    if not (listing.files or listing.hidden or listing.dangling or listing.special):
        raise DatasetError(f"The folder “{root.name}” is empty.", _LAYOUT_HINT)
    raise DatasetError(f"“{root.name}” has no class folders and no pictures.", _LAYOUT_HINT)


def _read_splits(
    layout: Layout, splits: dict[str, int], should_stop: ShouldStop, *, allow_unlabelled: bool
) -> None:
    listings: dict[str, _Listing] = {}
    for folder in sorted(splits, key=lambda name: (splits[name], name)):
        try:
            listings[folder] = _list(str(layout.root / folder))
        except OSError as error:
            layout.problems.append(_unlisted(folder, error))
            continue
        # A picture that gets a label later goes to train; pictures of val or test must not.
        keeps = allow_unlabelled and splits[folder] == 0
        _set_aside(layout, folder, listings[folder], keeps=keeps)
    layout.classes = tuple(sorted({n for listing in listings.values() for n in listing.folders}))
    label_of = {name: label for label, name in enumerate(layout.classes)}
    for folder, listing in listings.items():
        for name in listing.folders:
            _walk_class(
                layout,
                ClassFolder(f"{folder}/{name}", label_of[name], splits[folder]),
                should_stop,
            )


def _set_aside(layout: Layout, folder: str, listing: _Listing, *, keeps: bool) -> None:
    """Record the files beside the class folders, which have no label.

    keeps: the pictures among them are kept, without a label; else they are a problem.
    """
    prefix = f"{folder}/" if folder else ""
    names = listing.files + listing.hidden + listing.dangling + listing.special
    pictures = listing.pictures()
    if keeps and pictures:
        layout.files += [prefix + name for name in pictures]
        layout.labels += [NO_LABEL] * len(pictures)
        layout.splits += [NO_SPLIT] * len(pictures)
        layout.notes.append(
            f"{_count(pictures, 'picture')} beside the class folders"
            f" {'has' if len(pictures) == 1 else 'have'} no label yet."
        )
        kept = set(pictures)
        names = [name for name in names if name not in kept]
        pictures = []
    layout.ignored += [prefix + name for name in names]
    if pictures:
        verb = "belongs" if len(pictures) == 1 else "belong"
        layout.problems.append(
            Problem(
                folder or ".",
                "no class",
                f"{_count(pictures, 'picture')} in it {verb} to no class folder and"
                f" {'is' if len(pictures) == 1 else 'are'} left out (the first: {pictures[0]})",
            )
        )


def _walk_class(layout: Layout, folder: ClassFolder, should_stop: ShouldStop) -> None:
    """Add every file of a class folder and its subfolders to `layout`; links are followed once."""
    if folder.label != NO_LABEL:
        layout.folders.append(folder)
    first = str(layout.root / folder.path)
    waiting = [(first, folder.path, os.path.realpath(first))]
    seen = {waiting[0][2]}
    while waiting:
        absolute, relative, real = waiting.pop()
        try:
            listing = _list(absolute, should_stop)
        except OSError as error:
            layout.problems.append(_unlisted(relative or ".", error))
            continue
        prefix = f"{relative}/" if relative else ""
        layout.files += [prefix + name for name in listing.files]
        layout.ignored += [prefix + name for name in listing.hidden + listing.special]
        for name in listing.dangling:
            file = prefix + name
            if is_image_name(name):
                layout.problems.append(
                    Problem(file, "unreadable", "it is a link to a file that is not there")
                )
            else:
                layout.ignored.append(file)
        for name in reversed(listing.folders):
            inside = os.path.join(absolute, name)  # noqa: PTH118
            # Only a link can lead to a cycle. On Windows, junctions are not reported as links.
            linked = name in listing.linked or os.name == "nt"
            target = os.path.realpath(inside) if linked else os.path.join(real, name)  # noqa: PTH118
            if target not in seen:
                seen.add(target)
                waiting.append((inside, prefix + name, target))
    added = len(layout.files) - len(layout.labels)
    layout.labels += [folder.label] * added
    layout.splits += [folder.split] * added


def _unlisted(folder: str, error: OSError) -> Problem:
    if isinstance(error, PermissionError):
        return Problem(folder, "no permission", "there is no permission to read the folder")
    return Problem(folder, "unreadable", f"the folder cannot be read: {error.strerror or error}")


def _list(folder: str, should_stop: ShouldStop = never_stop) -> _Listing:
    """The names in one folder. Raises: OSError, Cancelled."""
    listing = _Listing()
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number % 4096 == 0:
                check_stop(should_stop)
            name = entry.name
            hidden = name[0] == "." or name.lower() in _SYSTEM
            try:
                is_file = entry.is_file()
                if is_file and not hidden:
                    listing.files.append(name)
                    continue
                is_folder = entry.is_dir()
                is_link = (is_folder or not is_file) and entry.is_symlink()
            except OSError:  # a link to itself
                is_folder = is_file = False
                is_link = True
            if hidden:
                if not is_folder:
                    listing.hidden.append(name)
            elif is_folder:
                listing.folders.append(name)
                if is_link:
                    listing.linked.add(name)
            else:
                (listing.dangling if is_link else listing.special).append(name)
    for names in (
        listing.folders, listing.files, listing.hidden, listing.dangling, listing.special,
    ):  # fmt: skip
        names.sort()
    return listing


def _count(names: list[str], noun: str) -> str:
    return f"{len(names):,} {noun}{'' if len(names) == 1 else 's'}"


def _names(names: Iterable[str]) -> str:
    *most, last = sorted(names, key=_split_order)
    return f"{', '.join(most)} and {last}" if most else last


def _split_order(name: str) -> tuple[int, str]:
    split = split_of(name)
    return (9 if split is None else split), name
