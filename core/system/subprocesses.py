"""Runs work in a child process that can be ended at any time: downloads, code of repositories.

The child is this command line (`weights child`). It gets one request as a line of JSON, answers in
lines of JSON, and exits when its parent exits. What it does is in `core.cli.subprocess_work`. No
torch here.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import AppError
from core.events import ShouldStop, check_stop, never_stop

Message = dict[str, Any]

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 0.5
"""Time for the child to clean up after SIGTERM, before it is killed."""
_ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A running child process. Use it in a `with` block, which ends it; one thread at a time."""

    def __init__(self, request: Message) -> None:
        environment = dict(os.environ)
        # -P: modules are not searched for in the current folder.
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *([before] if before else [])])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "core.cli", "weights", "child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env=environment,
        )
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="child answers", daemon=True)
        self._reader.start()
        self.send(request)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        for line in stream:
            try:
                self._messages.put(json.loads(line))
            except ValueError:  # something else wrote there
                continue
        self._messages.put(None)

    def send(self, message: Message) -> None:
        """Send the child a message. Nothing happens if it has ended; its messages end then."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            return

    def messages(
        self, *, seconds: float | None = None, should_stop: ShouldStop = never_stop
    ) -> Iterator[Message]:
        """The child's messages as they arrive, until it ends.

        Raises: Cancelled; AppError if it runs longer than `seconds`.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            check_stop(should_stop)
            if until is not None and time.monotonic() > until:
                raise AppError(f"No answer within {seconds:,.0f} seconds; the work was stopped.")
            try:
                message = self._messages.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if message is None:
                return
            yield message

    def end(self) -> None:
        """End the child if it still runs, within a second: SIGTERM first, then SIGKILL."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # the flush of a message that the child never read
            self._process.stdin.close()
        # A grandchild may keep the pipe open: do not wait for the reader for long.
        self._reader.join(_GRACE_SECONDS)
        if not self._reader.is_alive():
            self._process.stdout.close()
