"""The feature cache: features of a frozen backbone are computed once per image and stored.

Keyed by weights, preprocessing, precision, device and image content: ten new images cost ten
forward passes. One SQLite file per key in the cache folder; deleting it costs time only. Knows
nothing of datasets and labels.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from core.compute.device import Compute
from core.compute.embedder import Embedder, worker_pool
from core.errors import AppError, DecodeError
from core.events import OnProgress, ShouldStop, check_stop
from core.images.decode import decode
from core.images.preprocess import Preprocessing
from core.models.build import BuiltModel
from core.system import paths as app_paths

_COMMIT_EVERY = 256
_QUERY_CHUNK = 500


@dataclass(frozen=True)
class Features:
    """The features of a list of files, in its order.

    vectors: float32 [N, D], zero where `is_ok` (bool [N]) is False. hashes: content hashes, "" for
    files that could not be read. failures: (position, reason).
    """

    vectors: npt.NDArray[np.float32]
    is_ok: npt.NDArray[np.bool_]
    hashes: tuple[str, ...]
    failures: tuple[tuple[int, str], ...]
    computed: int
    """Number of vectors that were computed, not found in the cache."""
    seconds: float


def join_features(parts: Sequence[tuple[npt.NDArray[np.int64], Features]]) -> Features:
    """Join the features of the parts of a list of files.

    parts: (positions in the list, int64 [n]; features of those files).
    """
    count = sum(len(own) for own, _ in parts)
    vectors = np.zeros((count, parts[0][1].vectors.shape[1]), dtype=np.float32)
    is_ok = np.zeros(count, dtype=bool)
    hashes = [""] * count
    failures = []
    for own, part in parts:
        vectors[own], is_ok[own] = part.vectors, part.is_ok
        for position, content in zip(own.tolist(), part.hashes, strict=True):
            hashes[position] = content
        failures += [(int(own[i]), reason) for i, reason in part.failures]
    return Features(
        vectors=vectors,
        is_ok=is_ok,
        hashes=tuple(hashes),
        failures=tuple(sorted(failures)),
        computed=sum(part.computed for _, part in parts),
        seconds=max(part.seconds for _, part in parts),
    )


@dataclass
class _Batch:
    """The result of one worker for its share of the files."""

    positions: list[int] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    vectors: npt.NDArray[np.float32] | None = None
    failures: list[tuple[int, str]] = field(default_factory=list)
    computed: int = 0
    seen: list[tuple[int, int]] = field(default_factory=list)
    """(bytes, modified_ns) of each file before it was read: a file that changes meanwhile is read
    again next time."""


def cache_key(
    model: str, weights_digest: str, preprocessing: Preprocessing, compute: Compute
) -> str:
    """A hash of everything that determines a feature vector, except for the image."""
    parts = json.dumps(
        [model, weights_digest, repr(preprocessing), compute.precision, compute.device, 1]
    )
    return hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()


def state_digest(module: torch.nn.Module, *, without: Sequence[str]) -> str:
    """A hash of all weights except those of the modules `without` (the heads).

    With it in the key, retrained weights under an old name never get old features.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in module.state_dict().items():
        if any(name.startswith(f"{head}.") for head in without):
            continue
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


class FeatureCache:
    """The stored features of one key. Thread-safe.

    A cache that cannot be used (full disk, no permission) raises nothing: features are computed
    again next time, and `trouble` says why.
    """

    def __init__(self, key: str, root: Path | None = None) -> None:
        self.trouble = ""
        self._lock = threading.Lock()
        try:
            folder = (root or app_paths.cache_dir()) / "features"
            folder.mkdir(parents=True, exist_ok=True)
            self._db: sqlite3.Connection | None = sqlite3.connect(
                folder / f"{key}.sqlite", timeout=10, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=OFF")  # a cache may be lost
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS features (hash TEXT PRIMARY KEY, vector BLOB NOT NULL)"
                " WITHOUT ROWID"
            )
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER,"
                " modified_ns INTEGER, hash TEXT) WITHOUT ROWID"
            )
        except (OSError, AppError, sqlite3.Error) as error:
            self._db = None
            self.trouble = str(error)

    @classmethod
    def of(cls, built: BuiltModel, compute: Compute) -> FeatureCache:
        """The cache for this backbone with this device and precision."""
        heads = (*built.head_names, *built.heads.auxiliary)
        digest = state_digest(built.module, without=heads)
        return cls(cache_key(built.card.id, digest, built.preprocessing, compute))

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()

    def known_hashes(self, paths: Sequence[Path]) -> dict[int, str]:
        """Position → content hash, of the files whose size and time have not changed."""
        if self._db is None:
            return {}
        known: dict[int, str] = {}
        for start in range(0, len(paths), _QUERY_CHUNK):
            chunk = {
                os.fsencode(path): start + i
                for i, path in enumerate(paths[start : start + _QUERY_CHUNK])
            }
            marks = ",".join("?" * len(chunk))
            try:
                with self._lock:
                    rows = self._db.execute(
                        f"SELECT path, size, modified_ns, hash FROM files WHERE path IN ({marks})",
                        list(chunk),
                    ).fetchall()
            except sqlite3.Error as error:
                self.trouble = str(error)
                return known
            for path, size, modified_ns, content in rows:
                try:
                    stat = os.stat(path)  # noqa: PTH116 - of bytes
                except OSError:
                    continue
                if (stat.st_size, stat.st_mtime_ns) == (size, modified_ns):
                    known[chunk[path]] = content
        return known

    def vectors(self, hashes: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        """Content hash → vector, float32 [D], of those that are stored."""
        found: dict[str, npt.NDArray[np.float32]] = {}
        if self._db is None:
            return found
        unique = list(dict.fromkeys(hashes))
        for start in range(0, len(unique), _QUERY_CHUNK):
            chunk = unique[start : start + _QUERY_CHUNK]
            marks = ",".join("?" * len(chunk))
            try:
                with self._lock:
                    rows = self._db.execute(
                        f"SELECT hash, vector FROM features WHERE hash IN ({marks})", chunk
                    ).fetchall()
            except sqlite3.Error as error:
                self.trouble = str(error)
                return found
            for content, blob in rows:
                found[content] = np.frombuffer(blob, dtype=np.float32)
        return found

    def add(
        self,
        paths: Sequence[Path],
        hashes: Sequence[str],
        vectors: npt.NDArray[np.float32],
        seen: Sequence[tuple[int, int]],
    ) -> None:
        """Store vectors, float32 [N, D], and the content hash of each file.

        seen: (bytes, modified_ns) of each file before it was read.
        """
        if self._db is None:
            return
        files = [
            (os.fsencode(path), *size_and_time, content)
            for path, content, size_and_time in zip(paths, hashes, seen, strict=True)
        ]
        try:
            with self._lock, self._db:
                self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", files)
                self._db.executemany(
                    "INSERT OR IGNORE INTO features VALUES (?, ?)",
                    [
                        (content, row.tobytes())
                        for content, row in zip(hashes, vectors, strict=True)
                    ],
                )
        except sqlite3.Error as error:
            self.trouble = str(error)


def embed_files(
    paths: Sequence[Path],
    embedder: Embedder,
    compute: Compute,
    *,
    cache: FeatureCache,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> Features:
    """The features of files: from the cache, else computed and stored.

    A file that cannot be decoded is a failure in the result, not an exception.

    Raises: Cancelled; features computed so far are stored.
    """
    start = time.perf_counter()
    vectors = np.zeros((len(paths), embedder.feature_dim), dtype=np.float32)
    hashes = [""] * len(paths)
    is_ok = np.zeros(len(paths), dtype=bool)
    failures: list[tuple[int, str]] = []
    computed = 0

    known = cache.known_hashes(paths)
    stored = cache.vectors(list(known.values()))
    for i, content in known.items():
        if content in stored:
            vectors[i], hashes[i], is_ok[i] = stored[content], content, True
    missing = [int(i) for i in np.flatnonzero(~is_ok)]
    done = len(paths) - len(missing)
    on_progress(done, len(paths), "reading and embedding images")

    pending: _Batch = _Batch()
    pending_vectors: list[npt.NDArray[np.float32]] = []

    def store() -> None:
        if pending.positions:
            files = [paths[i] for i in pending.positions]
            cache.add(files, pending.hashes, np.concatenate(pending_vectors), pending.seen)
            pending.positions.clear()
            pending.seen.clear()
            pending.hashes.clear()
            pending_vectors.clear()

    try:
        for batch in _embed_missing(paths, missing, embedder, compute, cache, should_stop):
            if batch.vectors is not None:
                vectors[batch.positions] = batch.vectors
                is_ok[batch.positions] = True
                pending.positions += batch.positions
                pending.hashes += batch.hashes
                pending.seen += batch.seen
                pending_vectors.append(batch.vectors)
            for i, content in zip(batch.positions, batch.hashes, strict=True):
                hashes[i] = content
            failures += batch.failures
            computed += batch.computed
            done += len(batch.positions) + len(batch.failures)
            on_progress(done, len(paths), "reading and embedding images")
            if len(pending.positions) >= _COMMIT_EVERY:
                store()
            check_stop(should_stop)
    finally:
        store()
    return Features(
        vectors=vectors,
        is_ok=is_ok,
        hashes=tuple(hashes),
        failures=tuple(sorted(failures)),
        computed=computed,
        seconds=time.perf_counter() - start,
    )


def _embed_missing(
    paths: Sequence[Path],
    missing: Sequence[int],
    embedder: Embedder,
    compute: Compute,
    cache: FeatureCache,
    should_stop: ShouldStop,
) -> Iterator[_Batch]:
    """Yield batches as workers finish them; at most two per worker are in progress."""
    size = compute.embed_batch_size
    shares = [missing[i : i + size] for i in range(0, len(missing), size)]
    is_stopping = threading.Event()

    def work(share: Sequence[int]) -> _Batch:
        batch = _Batch()
        contents: dict[int, tuple[str, bytes]] = {}
        seen: dict[int, tuple[int, int]] = {}
        for i in share:
            try:
                status = paths[i].stat()
                content = paths[i].read_bytes()
            except OSError as error:
                batch.failures.append((i, error.strerror or str(error)))
                continue
            seen[i] = status.st_size, status.st_mtime_ns
            contents[i] = hashlib.blake2b(content, digest_size=16).hexdigest(), content
        # A moved or copied file is found by its content, and then not even decoded.
        stored = cache.vectors([digest for digest, _ in contents.values()])
        rows = {i: stored[digest] for i, (digest, _) in contents.items() if digest in stored}
        pixels: dict[int, npt.NDArray[np.uint8]] = {}
        for i, (_, content) in contents.items():
            if is_stopping.is_set() or should_stop():
                return _Batch()
            if i in rows:
                continue
            try:
                image = decode(content, paths[i].name, short_side=embedder.preprocessing.resize_px)
                pixels[i] = embedder.preprocessing.pixels(image)
            except DecodeError as error:
                batch.failures.append((i, error.reason))
        if pixels:
            vectors = embedder.embed(torch.from_numpy(np.stack(list(pixels.values())))).numpy()
            for i, vector in zip(pixels, vectors, strict=True):
                if np.isfinite(vector).all():
                    rows[i] = vector
                else:  # must not be stored: it would break every later training
                    batch.failures.append((i, "the model gives no finite features for it"))
            batch.computed = len(pixels)
        if rows:
            batch.positions = list(rows)
            batch.hashes = [contents[i][0] for i in rows]
            batch.seen = [seen[i] for i in rows]
            batch.vectors = np.stack(list(rows.values()))
        return batch

    with worker_pool(compute) as pool:
        running: set[Future[_Batch]] = set()
        try:
            for share in shares:
                if len(running) >= 2 * compute.workers:
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()
                running.add(pool.submit(work, share))
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            is_stopping.set()
