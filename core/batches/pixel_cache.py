"""Decoded pictures kept at their working size, so that later epochs read no picture file.

As uint8: in memory up to a budget, then in a file of the cache folder that is mapped into memory;
what fits in neither is decoded again each time, and `shortage` says so. Validation pixels cut
from here are the ones that `Preprocessing.pixels` gives.
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
_LOOK_EVERY = 64 << 20
"""Bytes after which the disk is asked again how much is free."""

_NO_ROOM = "there is no room for them in memory and on the disk"

Pixels = npt.NDArray[np.uint8]


def memory_budget() -> int:
    """Bytes that pictures may take: four tenths of the memory free now."""
    return int(psutil.virtual_memory().available * _SHARE_OF_FREE_MEMORY)


class PixelFile:
    """Pictures in one file without a name: it is gone when it is closed or its process ends,
    however that ends. One thread at a time may call.

    Written by the file's own functions and only read through the map: a full disk is then an
    error that can be caught, where a write through the map would end the process.
    """

    def __init__(self, *, most_bytes: int | None = None) -> None:
        """`most_bytes`: by default half of what is free on the disk, asked again and again.

        Raises: OSError, AppError where the cache folder cannot be written.
        """
        folder = app_paths.cache_dir() / "pixels"
        folder.mkdir(exist_ok=True)
        self._folder, self._most = folder, most_bytes
        # Unlinked from the start (POSIX), or deleted by Windows with its last handle.
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in close
        self._map: mmap.mmap | None = None
        self.bytes = 0
        self._room = 0

    def add(self, pixels: Pixels) -> int | None:
        """Where it was written, or None where there is no room for it. Raises: OSError."""
        if pixels.nbytes > self._room:
            self._room = self._ask_for_room()
            if pixels.nbytes > self._room:
                return None
        offset = self.bytes
        self._file.seek(offset)
        self._file.write(pixels.tobytes())
        self.bytes += pixels.nbytes
        self._room -= pixels.nbytes
        return offset

    def _ask_for_room(self) -> int:
        if self._most is not None:
            return self._most - self.bytes
        free = shutil.disk_usage(self._folder).free
        return min(_LOOK_EVERY, int((free + self.bytes) * _SHARE_OF_FREE_DISK) - self.bytes)

    def read(self, offset: int, shape: tuple[int, ...]) -> Pixels:
        """The picture, not copied. Raises: OSError, ValueError."""
        count = int(np.prod(shape))
        if self._map is None or offset + count > len(self._map):
            self._file.flush()
            # The map before lives on as long as pictures in it are in use.
            self._map = mmap.mmap(self._file.fileno(), self.bytes, access=mmap.ACCESS_READ)
        return np.frombuffer(self._map, np.uint8, count, offset).reshape(shape)

    def close(self) -> None:
        self._map = None
        self._file.close()


class PixelCache:
    """Pictures by their position in `paths`. Any thread may call. To be closed, or used in `with`;
    pictures already handed out stay usable."""

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        *,
        budget_bytes: int | None = None,
        disk_bytes: int | None = None,
    ) -> None:
        """`budget_bytes`, `disk_bytes`: most that is kept in memory and in the file; by default
        four tenths of the memory free now and half of the free disk."""
        self.preprocessing = preprocessing
        self._paths = paths
        self._read: Callable[[Path, Preprocessing], Pixels] = read_working
        self._kept: dict[int, Pixels] = {}
        self._on_disk: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._lock = threading.Lock()
        self._left = memory_budget() if budget_bytes is None else budget_bytes
        self._disk_bytes = disk_bytes
        self._file: PixelFile | None = None
        self._is_full = disk_bytes == 0
        self._reason = _NO_ROOM
        self._homeless: set[int] = set()
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
        """Let go of everything kept; the file is removed."""
        with self._lock:
            self._kept.clear()
            self._on_disk.clear()
            self._is_full = True
            if self._file is not None:
                self._file.close()
                self._file = None

    def read_with(self, read: Callable[[Path, Preprocessing], Pixels]) -> None:
        """Have pictures that are not kept made by `read` in place of the thread that asks."""
        self._read = read

    @property
    def kept(self) -> int:
        """How many pictures need no file of their own any more."""
        return len(self._kept) + len(self._on_disk)

    @property
    def kept_on_disk(self) -> int:
        return len(self._on_disk)

    @property
    def decoded(self) -> int:
        """How many pictures were decoded so far."""
        return self._decoded

    @property
    def homeless(self) -> tuple[int, ...]:
        """Positions of the pictures that were decoded and for which there was no room."""
        with self._lock:
            return tuple(sorted(self._homeless))

    @property
    def shortage(self) -> str:
        """What is not kept and why, in a sentence; empty where there was room for everything."""
        missing = len(self._homeless)
        if not missing:
            return ""
        return (
            f"{self.kept:,} of {self.kept + missing:,} decoded pictures are kept; the others are "
            f"decoded again in each epoch, because {self._reason}."
        )

    def working(self, position: int) -> Pixels:
        """uint8 [h, w, 3] at the working size, before any cut; not to be written to.

        Raises: DecodeError.
        """
        kept = self._kept.get(position)
        if kept is not None:
            return kept
        if position in self._on_disk:
            with self._lock:
                place = self._on_disk.get(position)
                if place is not None and self._file is not None:
                    try:
                        return self._file.read(*place)
                    except (OSError, ValueError) as error:  # no address space, a disk that went
                        self._stop_keeping(error)
                        del self._on_disk[position]
        pixels = self._read(self._paths[position], self.preprocessing)
        with self._lock:
            self._decoded += 1
            if position not in self._kept and position not in self._on_disk:
                if self._keep(position, pixels):
                    self._homeless.discard(position)
                else:
                    self._homeless.add(position)
        return pixels

    def _keep(self, position: int, pixels: Pixels) -> bool:
        """Whether there was room for it."""
        if pixels.nbytes <= self._left:
            self._left -= pixels.nbytes
            self._kept[position] = pixels
            return True
        if self._is_full:
            return False
        try:
            if self._file is None:
                self._file = PixelFile(most_bytes=self._disk_bytes)
            offset = self._file.add(pixels)
        except (OSError, AppError) as error:
            self._stop_keeping(error)
            return False
        if offset is None:
            self._is_full, self._reason = True, _NO_ROOM
            return False
        self._on_disk[position] = offset, pixels.shape
        return True

    def _stop_keeping(self, error: Exception) -> None:
        self._is_full = True
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self._reason = f"the cache folder cannot be used ({why})"

    def validation(self, position: int) -> Pixels:
        """uint8 [height, width, 3], cut as the model wants it. Raises: DecodeError."""
        return self.preprocessing.crop(Image.fromarray(self.working(position)))


def read_working(path: Path, preprocessing: Preprocessing) -> Pixels:
    """A picture of a file at its working size, uint8 [h, w, 3]. Raises: DecodeError."""
    image = read_image(path, short_side=preprocessing.resize_px)
    return np.asarray(preprocessing.resized(image), dtype=np.uint8)
