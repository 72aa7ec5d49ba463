"""The pixel cache: stores decoded pictures at their working size, so that they are decoded once.

As uint8: in memory up to a budget, then in a memory-mapped file of the cache folder. Pictures that
fit in neither are decoded again each time, and `shortage` says so. Validation pixels cropped from
the cache equal those of `Preprocessing.pixels`. Knows nothing of labels and augmentation.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import numpy.typing as npt
import psutil
from PIL import Image

from core.errors import AppError
from core.images.decode import read_image
from core.images.preprocess import Preprocessing
from core.system import paths as app_paths

_SHARE_OF_FREE_MEMORY = 0.4
_SHARE_OF_FREE_DISK = 0.5
_CHECK_EVERY = 64 << 20
"""Bytes written after which the free space of the disk is checked again."""

_NO_ROOM = "there is no room for them in memory and on the disk"

Pixels = npt.NDArray[np.uint8]


def memory_budget() -> int:
    """Bytes of memory that pictures may use: four tenths of the memory available now."""
    return int(psutil.virtual_memory().available * _SHARE_OF_FREE_MEMORY)


class PixelFile:
    """Stores pictures in one temporary file, deleted when it is closed or its process ends.

    One thread at a time may call. Written by the file's own functions and only read through the
    memory map: a full disk then raises an error, while a write through the map would end the
    process.
    """

    def __init__(self, *, most_bytes: int | None = None) -> None:
        """`most_bytes`: by default half of the free space, which is checked repeatedly.

        Raises: OSError, AppError if the cache folder cannot be written.
        """
        folder = app_paths.cache_dir() / "pixels"
        folder.mkdir(exist_ok=True)
        self._folder, self._most = folder, most_bytes
        # Unlinked from the start (POSIX), or deleted by Windows with its last handle.
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in close
        self._map: mmap.mmap | None = None
        self.bytes = 0
        self._free = 0

    def add(self, pixels: Pixels) -> int | None:
        """Write a picture; returns its offset, None if there is no space. Raises: OSError."""
        if pixels.nbytes > self._free:
            self._free = self._find_room()
            if pixels.nbytes > self._free:
                return None
        offset = self.bytes
        self._file.seek(offset)
        self._file.write(pixels.tobytes())
        self.bytes += pixels.nbytes
        self._free -= pixels.nbytes
        return offset

    def _find_room(self) -> int:
        if self._most is not None:
            return self._most - self.bytes
        free = shutil.disk_usage(self._folder).free
        return min(_CHECK_EVERY, int((free + self.bytes) * _SHARE_OF_FREE_DISK) - self.bytes)

    def read(self, offset: int, shape: tuple[int, ...]) -> Pixels:
        """The picture at `offset`, a view of the map. Raises: OSError, ValueError."""
        count = int(np.prod(shape))
        if self._map is None or offset + count > len(self._map):
            self._file.flush()
            # The old map stays valid as long as pictures in it are in use.
            self._map = mmap.mmap(self._file.fileno(), self.bytes, access=mmap.ACCESS_READ)
        return np.frombuffer(self._map, np.uint8, count, offset).reshape(shape)

    def close(self) -> None:
        """Delete the file; pictures that are in use stay valid."""
        self._map = None
        self._file.close()


class PixelCache:
    """Decoded pictures by their position in `paths`. Any thread may call.

    Close it, or use it in `with`; pictures that were returned before stay valid.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        *,
        budget_bytes: int | None = None,
        disk_bytes: int | None = None,
    ) -> None:
        """`budget_bytes`, `disk_bytes`: limits for memory and for the file.

        By default four tenths of the available memory and half of the free disk.
        """
        self.preprocessing = preprocessing
        self._paths = paths
        self._read: Callable[[Path, Preprocessing], Pixels] = read_working
        self._cached: dict[int, Pixels] = {}
        self._on_disk: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._lock = threading.Lock()
        self._left = memory_budget() if budget_bytes is None else budget_bytes
        self._disk_bytes = disk_bytes
        self._file: PixelFile | None = None
        self._is_full = disk_bytes == 0
        self._reason = _NO_ROOM
        self._uncached: set[int] = set()
        self._decoded = 0

    def __enter__(self) -> PixelCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the memory and delete the file; nothing is cached any more."""
        with self._lock:
            self._cached.clear()
            self._on_disk.clear()
            self._is_full = True
            if self._file is not None:
                self._file.close()
                self._file = None

    def set_reader(self, read: Callable[[Path, Preprocessing], Pixels]) -> None:
        """Use `read` to decode pictures that are not cached; by default the calling thread does."""
        self._read = read

    @property
    def cached(self) -> int:
        """Number of pictures in the cache, in memory and on the disk."""
        return len(self._cached) + len(self._on_disk)

    @property
    def cached_on_disk(self) -> int:
        """Number of pictures in the file."""
        return len(self._on_disk)

    @property
    def decoded(self) -> int:
        """Number of pictures decoded so far, repeated ones included."""
        return self._decoded

    @property
    def uncached(self) -> tuple[int, ...]:
        """Positions of the decoded pictures for which there was no space, ascending."""
        with self._lock:
            return tuple(sorted(self._uncached))

    @property
    def shortage(self) -> str:
        """A sentence that says what is not cached and why; "" if everything is cached."""
        missing = len(self._uncached)
        if not missing:
            return ""
        return (
            f"{self.cached:,} of {self.cached + missing:,} decoded pictures are kept; the others "
            f"are decoded again in each epoch, because {self._reason}."
        )

    def working(self, position: int) -> Pixels:
        """A picture at its working size, before any crop: uint8 [h, w, 3], read-only.

        Raises: DecodeError.
        """
        cached = self._cached.get(position)
        if cached is not None:
            return cached
        if position in self._on_disk:
            with self._lock:
                entry = self._on_disk.get(position)
                if entry is not None and self._file is not None:
                    try:
                        return self._file.read(*entry)
                    except (OSError, ValueError) as error:  # no address space, a removed disk
                        self._stop_caching(error)
                        del self._on_disk[position]
        pixels = self._read(self._paths[position], self.preprocessing)
        with self._lock:
            self._decoded += 1
            if position not in self._cached and position not in self._on_disk:
                if self._store(position, pixels):
                    self._uncached.discard(position)
                else:
                    self._uncached.add(position)
        return pixels

    def _store(self, position: int, pixels: Pixels) -> bool:
        """Add a picture to the cache; returns whether there was space for it."""
        if pixels.nbytes <= self._left:
            self._left -= pixels.nbytes
            self._cached[position] = pixels
            return True
        if self._is_full:
            return False
        try:
            if self._file is None:
                self._file = PixelFile(most_bytes=self._disk_bytes)
            offset = self._file.add(pixels)
        except (OSError, AppError) as error:
            self._stop_caching(error)
            return False
        if offset is None:
            self._is_full, self._reason = True, _NO_ROOM
            return False
        self._on_disk[position] = offset, pixels.shape
        return True

    def _stop_caching(self, error: Exception) -> None:
        self._is_full = True
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self._reason = f"the cache folder cannot be used ({why})"

    def validation(self, position: int) -> Pixels:
        """A picture cropped for validation: uint8 [height, width, 3]. Raises: DecodeError."""
        return self.preprocessing.crop(Image.fromarray(self.working(position)))


def read_working(path: Path, preprocessing: Preprocessing) -> Pixels:
    """Decode a file to its working size: uint8 [h, w, 3]. Raises: DecodeError."""
    image = read_image(path, short_side=preprocessing.resize_px)
    return np.asarray(preprocessing.resized(image), dtype=np.uint8)
