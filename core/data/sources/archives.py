"""Unpacks zip and tar archives once into the application's data folder, completely or not at all.

Archives are not trusted: no entry may be written outside of the folder, links become copies of
their targets inside the archive, devices are ignored, and archives that unpack to far more than
their size are refused.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import ntpath
import os
import re
import shutil
import tarfile
import tempfile
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from core.errors import DatasetError
from core.events import OnProgress, ShouldStop, check_stop, never_stop, no_progress
from core.system import paths

MOST_FILES = 5_000_000
MOST_BYTES = 2 * 2**40
MOST_RATIO = 200
"""Most unpacked bytes per packed byte, above `FREE_BYTES`. Pictures hardly shrink, text shrinks to
a tenth."""
FREE_BYTES = 2**28
RESERVE_BYTES = 2**29
"""Bytes that must stay free on the disk."""

_SUFFIXES = (
    ".zip", ".tar", ".tgz", ".tar.gz", ".tbz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tar.lzma",
)  # fmt: skip
_OTHERS = {".7z": "7-Zip", ".rar": "RAR", ".zst": "Zstandard", ".gz": "gzip", ".xz": "xz"}
_TEMPORARY = ".unpacking-"
_ABANDONED_SECONDS = 24 * 3600
_CHUNK_BYTES = 2**20
_LONGEST_NAME = 200
"""Bytes; file systems allow 255, and a suffix for duplicates may need some."""
_SAMPLE_BYTES = 2**16
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError,
    NotImplementedError, OSError,
)  # fmt: skip
_WHOLE = "Download it again, or unpack it yourself and open the folder."


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive, by its suffix, else by its content.

    Raises: DatasetError for other kinds of archives and for workbooks.
    """
    name = path.name.lower()
    if name.endswith(_SUFFIXES):
        return True
    if name.endswith((".xlsx", ".xlsm", ".ods")):
        raise DatasetError(
            f"“{path.name}” is a workbook, which cannot be opened.",
            "Save its table as CSV and open that.",
        )
    for suffix, kind in _OTHERS.items():
        if name.endswith(suffix):
            raise DatasetError(
                f"“{path.name}” is packed with {kind}, which Graftwork cannot unpack.",
                "Unpack it yourself and open the folder, or pack it as zip or tar.",
            )
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except OSError:
        return False


def unpack(
    archive: Path,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> Path:
    """The folder with the archive's files, which are unpacked on the first call.

    Raises: DatasetError for an archive that is damaged, locked, unsafe or too large; Cancelled.
    Then no file is left behind.
    """
    try:
        folder = paths.data_dir() / "archives" / _name_of(archive)
        if folder.is_dir():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        unfinished = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder.parent))
    except OSError as error:
        raise DatasetError(
            f"“{archive.name}” cannot be unpacked: {error.strerror or error}.",
            "Unpack it yourself and open the folder.",
        ) from error
    try:
        unpacking = _Unpacking(archive, unfinished, on_progress, should_stop)
        unpacking.run()
        unfinished.chmod(0o755)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # if another process was first, its folder is used
                raise
    except DatasetError:
        raise
    except _DAMAGED as error:
        raise _failure(archive, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _failure(archive: Path, error: Exception) -> DatasetError:
    if isinstance(error, OSError) and error.errno is not None:
        return DatasetError(
            f"“{archive.name}” cannot be unpacked: {error.strerror or error}.",
            "Check the drive, or unpack it yourself and open the folder.",
        )
    detail = " ".join(str(error).split())[:100].rstrip(".")
    return DatasetError(
        f"The archive “{archive.name}” is damaged ({detail or 'cut short'}).", _WHOLE
    )


def _name_of(archive: Path) -> str:
    """A folder name that changes with the archive's name, size, time, first and last bytes."""
    status = archive.stat()
    digest = hashlib.blake2b(digest_size=8)
    digest.update(
        f"{archive.name}\0{status.st_size}\0{status.st_mtime_ns}".encode(errors="replace")
    )
    with archive.open("rb") as file:
        digest.update(file.read(_SAMPLE_BYTES))
        file.seek(max(0, status.st_size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    stem = re.sub(r"[^\w.\-]+", "_", archive.name)[:60].strip("._") or "archive"
    return f"{stem}-{digest.hexdigest()}"


def _remove_abandoned(folder: Path) -> None:
    """Remove the folders of killed processes: those older than a running process can be."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


class _Unpacking:
    """Unpacks one archive into a folder; checks sizes and paths while it does."""

    def __init__(
        self, archive: Path, target: Path, on_progress: OnProgress, should_stop: ShouldStop
    ) -> None:
        self.archive, self.target = archive, target
        self.on_progress, self.should_stop = on_progress, should_stop
        self.packed_bytes = archive.stat().st_size
        self.note = f"Unpacking {archive.name}"
        self.files = 0
        self.bytes = 0
        self._folders = {target}
        self._paths: dict[str, Path] = {}
        """Name in the archive → file, for links to it."""

    def run(self) -> None:
        """Unpack all files. Raises: DatasetError, Cancelled, any of `_DAMAGED`."""
        self.on_progress(0, 0, self.note)
        if zipfile.is_zipfile(self.archive):
            self._unpack_zip()
        else:
            self._unpack_tar()
        if not self.files:
            raise DatasetError(
                f"The archive “{self.archive.name}” has no files.", "Check what was packed."
            )

    def _unpack_zip(self) -> None:
        with zipfile.ZipFile(self.archive) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            self._check_size(len(entries), sum(entry.file_size for entry in entries))
            locked = next((entry for entry in entries if entry.flag_bits & 1), None)
            if locked is not None:
                raise self._locked(locked.filename)
            for number, entry in enumerate(entries):
                if number % 64 == 0:
                    self.on_progress(number, len(entries), self.note)
                is_link = (entry.external_attr >> 16) & 0o170000 == 0o120000
                if is_link or _is_litter(entry.filename):
                    continue
                try:
                    with packed.open(entry) as source:
                        self._write(entry.filename, source)
                except RuntimeError as error:
                    raise self._locked(entry.filename) from error
            self.on_progress(len(entries), len(entries), self.note)

    def _unpack_tar(self) -> None:
        total = max(1, self.packed_bytes // 2**20)
        links: list[tuple[str, str]] = []
        with self.archive.open("rb") as raw:
            stream = _opened(raw)
            with tarfile.open(fileobj=stream, mode="r|") as packed:
                self._unpack_entries(packed, raw, total, links)
            rest = 0
            while chunk := stream.read(_CHUNK_BYTES):  # the checksum is at the very end
                check_stop(self.should_stop)
                rest += len(chunk)
                self._check_size(self.files, self.bytes + rest)
        for name, linked in links:
            self._copy(name, linked)
        self.on_progress(total, total, self.note)

    def _unpack_entries(
        self, packed: tarfile.TarFile, raw: IO[bytes], total: int, links: list[tuple[str, str]]
    ) -> None:
        for number, entry in enumerate(packed):
            if number % 64 == 0:
                self.on_progress(min(total, raw.tell() // 2**20), total, self.note)
                check_stop(self.should_stop)
            if _is_litter(entry.name):
                continue
            if entry.issym():
                beside = entry.name.rpartition("/")[0]
                links.append((entry.name, f"{beside}/{entry.linkname}"))
            elif entry.islnk():
                links.append((entry.name, entry.linkname))
            elif entry.isreg():
                self._check_size(self.files + 1, self.bytes + entry.size)
                source = packed.extractfile(entry)
                if source is not None:
                    self._write(entry.name, source)

    def _write(self, name: str, source: IO[bytes]) -> None:
        path = self._path_for(name)
        with path.open("wb") as file:
            while chunk := source.read(_CHUNK_BYTES):
                check_stop(self.should_stop)
                self.bytes += len(chunk)
                self._check_size(self.files, self.bytes)
                file.write(chunk)
        self.files += 1
        self._paths[_plain(name)] = path

    def _copy(self, name: str, linked: str) -> None:
        """Write a link as a copy of its target; nothing, if the target is not in the archive."""
        source = self._paths.get(_plain(linked))
        if source is not None:
            with source.open("rb") as file:
                self._write(name, file)

    def _path_for(self, name: str) -> Path:
        """The path for an entry; creates its folder. Raises: DatasetError if it is outside."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        is_rooted = name.startswith(("/", "\\")) or ntpath.splitdrive(name)[0]
        if is_rooted or ".." in parts or not parts:
            raise DatasetError(
                f"The archive “{self.archive.name}” is not safe: its entry “{name[:80]}” would be"
                " written outside of its folder.",
                "If you trust it all the same, unpack it yourself and open the folder.",
            )
        path = self.target.joinpath(*(_fitting(part) for part in parts))
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        return path

    def _check_size(self, files: int, size: int) -> None:
        """Raise DatasetError if so many files or unpacked bytes are too many, or do not fit."""
        if files > MOST_FILES or size > MOST_BYTES:
            raise self._too_large(f"more than {MOST_FILES:,} files or {MOST_BYTES >> 40} TiB")
        if size > FREE_BYTES and size > MOST_RATIO * self.packed_bytes:
            raise self._too_large(f"more than {MOST_RATIO} times its own size")
        if size > self.bytes or not self.files % 256:
            free = shutil.disk_usage(self.target).free
            if size - self.bytes + RESERVE_BYTES > free:
                raise DatasetError(
                    f"There is not enough space to unpack “{self.archive.name}”:"
                    f" {free / 2**30:.1f} GiB are free,"
                    f" {(size - self.bytes + RESERVE_BYTES) / 2**30:.1f} GiB are needed.",
                    "Free some space, or unpack it on another drive and open the folder.",
                )

    def _too_large(self, what: str) -> DatasetError:
        return DatasetError(
            f"The archive “{self.archive.name}” unpacks to {what}.",
            "If you trust it, unpack it yourself and open the folder.",
        )

    def _locked(self, name: str) -> DatasetError:
        return DatasetError(
            f"The archive “{self.archive.name}” is protected by a password ({name[:80]}).",
            "Unpack it yourself and open the folder.",
        )


def _opened(raw: IO[bytes]) -> Any:
    """The tar stream, decompressed as its first bytes require."""
    start = raw.read(6)
    raw.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if start.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        return lzma.LZMAFile(raw)
    return raw


def _is_litter(name: str) -> bool:
    """Whether an entry is one of those that macOS adds beside every file."""
    return "__MACOSX/" in name or name.rpartition("/")[2].startswith("._")


def _plain(name: str) -> str:
    return os.path.normpath(name).replace(os.sep, "/").lstrip("/")


def _fitting(part: str) -> str:
    """A name that the file system accepts: a long one is shortened and made unique by a hash."""
    if os.name == "nt":
        part = re.sub(r'[<>:"|?*\x00-\x1f]', "_", part).rstrip(". ") or "_"
    raw = part.encode("utf-8", "surrogateescape")
    if len(raw) <= _LONGEST_NAME:
        return part
    stem, suffix = os.path.splitext(part)  # noqa: PTH122 - a part of a name
    suffix = suffix if len(suffix) < 12 else ""
    digest = hashlib.blake2b(raw, digest_size=5).hexdigest()
    start = stem.encode("utf-8", "surrogateescape")[: _LONGEST_NAME - 24].decode("utf-8", "ignore")
    return f"{start}-{digest}{suffix}"
