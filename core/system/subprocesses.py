"""Work in a process of its own that may be ended at any moment: downloads, code of repositories.

The child is this command line (`weights child`), given one request as a line of JSON; it answers
in lines of JSON. It ends itself when its parent is gone. What it does is in
`core.cli.subprocess_work`. No torch here.
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
"""For the child to clean up behind itself, before it is ended without a question."""
_ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A running child. Use it in a `with` block, which ends it; one thread at a time."""

    def __init__(self, request: Message) -> None:
        environment = dict(os.environ)
        # -P: no folder that happens to be the current one is searched for modules.
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
        self.say(request)

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

    def say(self, message: Message) -> None:
        """Hand the child a line. A child that is gone hears nothing; its answers end."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            return

    def messages(
        self, *, seconds: float | None = None, should_stop: ShouldStop = never_stop
    ) -> Iterator[Message]:
        """What it answers, until it ends.

        Raises: Cancelled; AppError where it takes longer than `seconds`.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            check_stop(should_stop)
            if until is not None and time.monotonic() > until:
                raise AppError(f"No answer within {seconds:,.0f} seconds; it was ended.")
            try:
                message = self._messages.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if message is None:
                return
            yield message

    def end(self) -> None:
        """End the child if it still runs: within a second, whatever it does."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # what was not read
            self._process.stdin.close()
        # A grandchild may hold the other end: its answers are not waited for.
        self._reader.join(_GRACE_SECONDS)
        if not self._reader.is_alive():
            self._process.stdout.close()
