"""Zip and tar archives, unpacked once into the application's data folder, whole or not at all.

An archive is a stranger's: no entry may leave the folder, links become copies of what they point
to inside, devices are passed over, and what unpacks to far more than it is large is refused.
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
"""Unpacked to packed bytes, above `FREE_BYTES`: pictures hardly shrink, text to a tenth."""
FREE_BYTES = 2**28
RESERVE_BYTES = 2**29
"""What stays free on the disk."""

_SUFFIXES = (
    ".zip", ".tar", ".tgz", ".tar.gz", ".tbz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tar.lzma",
)  # fmt: skip
_OTHERS = {".7z": "7-Zip", ".rar": "RAR", ".zst": "Zstandard", ".gz": "gzip", ".xz": "xz"}
_TEMPORARY = ".unpacking-"
_ABANDONED_SECONDS = 24 * 3600
_CHUNK_BYTES = 2**20
_LONGEST_NAME = 200
"""Bytes; file systems take 255, of which a suffix for duplicates may want some."""
_SAMPLE_BYTES = 2**16
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError,
    NotImplementedError, OSError,
)  # fmt: skip
_WHOLE = "Download it again, or unpack it yourself and open the folder."


def is_archive(path: Path) -> bool:
    """By its suffix, else by its content.

    Raises: DatasetError for an archive of a kind that is not unpacked here.
    """
    name = path.name.lower()
    if name.endswith(_SUFFIXES):
        return True
    if name.endswith((".xlsx", ".xlsm", ".ods")):
        raise DatasetError(f"“{path.name}” is a workbook.", "Save its table as CSV and open that.")
    for suffix, kind in _OTHERS.items():
        if name.endswith(suffix):
            raise DatasetError(
                f"“{path.name}” is packed with {kind}, which is not unpacked here.",
                "Unpack it yourself and open the folder; zip and tar archives are.",
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
    """The folder with the archive's files; unpacked on the first call, found again later.

    Raises: DatasetError for what is damaged, locked, unsafe or too large; Cancelled. Either way
    nothing of it is left behind.
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
            if not folder.is_dir():  # another process was first: its folder is as good
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
    """Changes when the archive does: its name, size, time and both its ends."""
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
    """What a killed process left; another's that is at work is younger."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


class _Unpacking:
    """One archive on its way into a folder."""

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
        self.on_progress(0, 0, self.note)
        if zipfile.is_zipfile(self.archive):
            self._unpack_zip()
        else:
            self._unpack_tar()
        if not self.files:
            raise DatasetError(
                f"The archive “{self.archive.name}” holds no files.", "Check what was packed."
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
            while chunk := stream.read(_CHUNK_BYTES):  # the check sum stands at the very end
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
        """A link as a copy of the file it points to; to nothing, where that was not packed."""
        source = self._paths.get(_plain(linked))
        if source is not None:
            with source.open("rb") as file:
                self._write(name, file)

    def _path_for(self, name: str) -> Path:
        """Where an entry goes, its folder made. Raises: DatasetError where that is outside."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        is_rooted = name.startswith(("/", "\\")) or ntpath.splitdrive(name)[0]
        if is_rooted or ".." in parts or not parts:
            raise DatasetError(
                f"The archive “{self.archive.name}” is not safe: its entry “{name[:80]}” leads out"
                " of the folder.",
                "Do not trust it; if you do, unpack it yourself and open the folder.",
            )
        path = self.target.joinpath(*(_fitting(part) for part in parts))
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        return path

    def _check_size(self, files: int, size: int) -> None:
        if files > MOST_FILES or size > MOST_BYTES:
            raise self._too_large(f"more than {MOST_FILES:,} files or {MOST_BYTES >> 40} TiB")
        if size > FREE_BYTES and size > MOST_RATIO * self.packed_bytes:
            raise self._too_large(f"more than {MOST_RATIO} times its own size")
        if size > self.bytes or not self.files % 256:
            free = shutil.disk_usage(self.target).free
            if size - self.bytes + RESERVE_BYTES > free:
                raise DatasetError(
                    f"There is no room to unpack “{self.archive.name}”: {free / 2**30:.1f} GiB are"
                    f" free, {(size - self.bytes + RESERVE_BYTES) / 2**30:.1f} are needed.",
                    "Make room, or unpack it on another drive and open the folder.",
                )

    def _too_large(self, what: str) -> DatasetError:
        return DatasetError(
            f"The archive “{self.archive.name}” unpacks to {what}.",
            "If you trust it, unpack it yourself and open the folder.",
        )

    def _locked(self, name: str) -> DatasetError:
        return DatasetError(
            f"The archive “{self.archive.name}” is locked with a password ({name[:80]}).",
            "Unpack it yourself and open the folder.",
        )


def _opened(raw: IO[bytes]) -> Any:
    """The tar inside its compression, which its first bytes tell."""
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
    """What macOS packs beside every file."""
    return "__MACOSX/" in name or name.rpartition("/")[2].startswith("._")


def _plain(name: str) -> str:
    return os.path.normpath(name).replace(os.sep, "/").lstrip("/")


def _fitting(part: str) -> str:
    """A name the file system takes: too long ones are cut and told apart by a hash."""
    if os.name == "nt":
        part = re.sub(r'[<>:"|?*\x00-\x1f]', "_", part).rstrip(". ") or "_"
    raw = part.encode("utf-8", "surrogateescape")
    if len(raw) <= _LONGEST_NAME:
        return part
    stem, suffix = os.path.splitext(part)  # noqa: PTH122 - a part of a name
    suffix = suffix if len(suffix) < 12 else ""
    mark = hashlib.blake2b(raw, digest_size=5).hexdigest()
    cut = stem.encode("utf-8", "surrogateescape")[: _LONGEST_NAME - 24].decode("utf-8", "ignore")
    return f"{cut}-{mark}{suffix}"
