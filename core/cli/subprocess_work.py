"""The work of a child process (`core.system.subprocesses`): a download, a look into a repository.

The libraries' own clients download: torch.hub, huggingface_hub and, for datasets, torchvision, with
their checks.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

Emit = Callable[[dict[str, Any]], None]

_SILENCE_SECONDS = 30.0
"""A server that says nothing for so long is given up."""
_EMIT_SECONDS = 0.1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BLOCK = 1 << 20


class BrokenOffError(OSError):
    """A server that closed the connection before the end."""


class DamagedError(OSError):
    """A file whose checksum is not the published one."""


def serve() -> None:
    """Read the request from stdin, do it, and answer on stdout. Never raises an error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    questions = os.fdopen(os.dup(0), encoding="utf-8")
    # Nothing that a library or a repository prints may get between the answers, or read them.
    os.dup2(2, 1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.stdout, sys.stdin = sys.stderr, Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    signal.signal(signal.SIGTERM, _leave)
    lock, go = threading.Lock(), threading.Event()

    def emit(message: dict[str, Any]) -> None:
        with lock:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

    def listen() -> None:
        for line in questions:
            if json.loads(line).get("do") == "go":
                go.set()
        # The parent has ended: leave as if it had asked to, so that partial files are removed.
        if hasattr(signal, "pthread_kill"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        os._exit(1)

    request = json.loads(questions.readline())
    threading.Thread(target=listen, daemon=True).start()
    work(request, emit, go.wait)
    answers.flush()
    # Threads that a repository started, and its exit handlers, have no say.
    os._exit(0)


def _leave(*signal_and_frame: object) -> None:
    raise SystemExit(1)


def work(request: dict[str, Any], emit: Emit, wait: Callable[[], object]) -> None:
    """Do `request`; whatever goes wrong is the last message, `failed`."""
    try:
        if request["do"] == "hub":
            emit({"event": "entries", "entries": _hub_entries(request)})
            return
        if request["do"] == "dataset":
            from core.data.sources import download_worker

            emit({"event": "done", "path": str(download_worker.fetch(request, emit))})
            return
        fetch = _fetch_url if request["do"] == "url" else _fetch_from_hub
        emit({"event": "done", "path": str(fetch(request, emit, wait))})
    except BaseException as error:  # SystemExit of a repository, too
        reason = _reason(error, is_dataset=request["do"] == "dataset")
        emit({"event": "failed", "reason": reason, "text": _text(error)})
        if isinstance(error, SystemExit) and request["do"] != "hub":
            raise


def _reason(error: BaseException, *, is_dataset: bool = False) -> str:
    if isinstance(error, OSError) and error.errno in _FULL:
        return "full"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return "not writable"
    if isinstance(error, BrokenOffError):
        return "the connection broke off"
    if isinstance(error, DamagedError):
        return "the downloaded file is damaged"
    if isinstance(error, Exception):
        if is_dataset:
            from core.data.sources.download_worker import reason_of as reason_of_dataset

            return reason_of_dataset(error)
        from core.models.weights.reach import reason_of

        return reason_of(error)
    return "it was stopped"


def _text(error: BaseException) -> str:
    from core.models.weights.torch_hub import last_line

    return last_line(error)


def _fetch_url(request: dict[str, Any], emit: Emit, wait: Callable[[], object]) -> Path:
    """One file by torch.hub, into the folder where torch looks for it."""
    import socket

    import torch.hub

    socket.setdefaulttimeout(_SILENCE_SECONDS)
    url, target = str(request["url"]), Path(request["path"])
    emit({"event": "size", "bytes": _announced_size(url), "name": target.name})
    wait()
    target.parent.mkdir(parents=True, exist_ok=True)
    bars: list[Any] = []
    setattr(torch.hub, "tqdm", _bar(emit, bars))  # noqa: B010 - a name it does not export
    found = torch.hub.HASH_REGEX.search(target.name)
    try:
        torch.hub.download_url_to_file(url, str(target), found[1] if found else None)
    except RuntimeError as error:
        if "hash value" in str(error) and _is_cut_off(bars):
            raise BrokenOffError(str(error)) from error
        raise
    if _is_cut_off(bars):  # without a checksum the library takes what it got for the whole
        target.unlink()
        raise BrokenOffError(f"{target.name} was cut off")
    return target


def _announced_size(url: str) -> int | None:
    try:
        asked = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "torch.hub"})
        with urllib.request.urlopen(asked) as answer:
            length = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        if error.code in (405, 501):  # this server does not say
            return None
        raise
    return int(length) if length else None


def _is_cut_off(bars: list[Any]) -> bool:
    return bool(bars and bars[-1].total and bars[-1].done < bars[-1].total)


def _bar(emit: Emit, made: list[Any]) -> type:
    """A progress bar for the libraries that tells the parent instead of drawing."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class ParentProgress(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})
            self.total = kwargs.get("total")
            self.done = int(kwargs.get("initial") or 0)
            self._told = 0.0
            made.append(self)

        def update(self, n: float | None = 1) -> bool | None:
            self.done += int(n or 0)
            now = time.monotonic()
            if now - self._told >= _EMIT_SECONDS or self.done == self.total:
                self._told = now
                emit({"event": "progress", "done": self.done, "total": self.total or 0})
            return None

    return ParentProgress


def _fetch_from_hub(request: dict[str, Any], emit: Emit, wait: Callable[[], object]) -> Path:
    """The weights of one Hugging Face repository, into that library's cache."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    constants.DOWNLOAD_CHUNK_SIZE = _BLOCK  # by default progress comes in steps of 10 MB
    repository, revision = request["repo"], request["revision"] or None
    options: dict[str, Any] = {"revision": revision, "cache_dir": request["cache"]}
    names, tried = _names_of(request), 0
    while True:
        name = names[tried]
        try:
            about = get_hf_file_metadata(hf_hub_url(repository, name, revision=revision))
            break
        except EntryNotFoundError as error:
            tried += 1
            if isinstance(error, LocalEntryNotFoundError) or tried == len(names):
                raise
    emit({"event": "size", "bytes": about.size, "name": f"{repository}/{name}"})
    wait()
    for absent in names[:tried]:  # the library notes that they do not exist, for use offline
        try:
            hf_hub_download(repository, absent, **options)
        except EntryNotFoundError:
            continue
    bars: list[Any] = []
    path = Path(hf_hub_download(repository, name, tqdm_class=_bar(emit, bars), **options))
    if re.fullmatch(r"[0-9a-f]{64}", about.etag or "") and _sha256(path) != about.etag:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise DamagedError(f"the checksum of {name} is not {about.etag}")
    for name in request["beside"]:
        hf_hub_download(repository, name, **options)
    return path


def _names_of(request: dict[str, Any]) -> list[str]:
    """The files that timm asks for, in its order."""
    if not request["timm"]:
        return list(request["names"])
    import timm
    from timm.models._hub import HF_WEIGHTS_NAME, _get_safe_alternatives

    config = timm.get_pretrained_cfg(request["timm"])
    name = getattr(config, "hf_hub_filename", None) or HF_WEIGHTS_NAME
    safe = [] if name.endswith(".safetensors") else list(_get_safe_alternatives(name))
    return [*safe, name]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _hub_entries(request: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, help) of every entry, or of the one asked for. Runs the repository's hubconf.py."""
    if request["folder"]:
        folder = Path(request["folder"])
    else:
        import torch.hub

        # Downloads it if need be; the person's yes came before.
        torch.hub.list(request["repo"], trust_repo=True, verbose=False)
        from core.models.weights.torch_hub import cached_folder

        here = cached_folder(request["repo"])
        if here is None:
            raise FileNotFoundError(f"{request['repo']} was not downloaded")
        folder = here
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("hubconf", folder / "hubconf.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [
        (name, str(getattr(value, "__doc__", None) or ""))
        for name, value in sorted(vars(module).items())
        if callable(value) and not name.startswith("_") and request["entry"] in ("", name)
    ]
