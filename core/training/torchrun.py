"""Training in several processes of this machine: torchrun starts them, this process follows them.

Each process runs this project's command line; see `core.compute.distributed` for how they work
together. Their events are read from the run's `events.jsonl` as it grows, so a listener gets the
same events as from a training in this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from core import events
from core.data.dataset import DatasetIndex
from core.errors import Cancelled, RunError
from core.events import EpochDone, Event, RunEnded, ShouldStop, Sink, never_stop, no_sink
from core.recipe.recipe import Recipe
from core.runs.report import RunResult
from core.runs.run_folder import Run
from core.runs.store import RunStore

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 60
"""For saving after a stop was asked for; torchrun itself waits half as long."""
_ROOT = Path(__file__).resolve().parents[2]


def process_count(recipe: Recipe) -> int:
    """How many processes the recipe asks for on this machine; 0 means one for each GPU."""
    if recipe.processes or recipe.device not in ("auto", "cuda"):
        return recipe.processes or 1
    import torch

    return max(1, torch.cuda.device_count())


def fit_with_torchrun(
    recipe: Recipe,
    index: DatasetIndex,
    *,
    store: RunStore | None = None,
    path: Path | None = None,
    sink: Sink = no_sink,
    should_stop: ShouldStop = never_stop,
) -> RunResult:
    """Train in as many processes as the recipe says, in a new run folder (`path`, or of `store`).

    The processes open the dataset themselves, from the paths that were opened.
    Raises: RunError with the reason where they fail; Cancelled where a stop left no model.
    """
    folder = path or (store or RunStore()).free_path(index.name or index.root.name)
    with tempfile.TemporaryDirectory(prefix="graftwork-") as temporary:
        file = Path(temporary) / "of_the_parent.toml"
        file.write_text(recipe.to_toml(), encoding="utf-8")
        opened = [str(path) for path in index.opened]
        arguments = ["train", *opened, "--recipe", str(file), "--out", str(folder)]
        return _follow(arguments, folder, process_count(recipe), 0, sink, should_stop)


def resume_with_torchrun(
    run: Run,
    *,
    sink: Sink = no_sink,
    should_stop: ShouldStop = never_stop,
    rate_factor: float | None = None,
) -> RunResult:
    """Go on with a run in as many processes as its recipe says. Raises: as `fit_with_torchrun`."""
    processes = process_count(run.read_recipe())
    offset = run.events_bytes()
    factor = [] if rate_factor is None else ["--rate-factor", str(rate_factor)]
    arguments = ["resume", str(run.path), *factor]
    return _follow(arguments, run.path, processes, offset, sink, should_stop)


def _follow(
    arguments: Sequence[str],
    folder: Path,
    processes: int,
    offset: int,
    sink: Sink,
    should_stop: ShouldStop,
) -> RunResult:
    """Run torchrun and pass on the events that the run appends after its first `offset` bytes."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", "--standalone",
                "--nproc-per-node", str(processes), "-m", "core.cli", *arguments, "--json",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            env=_environment(processes), cwd=_ROOT,
        )  # fmt: skip
        try:
            reader = _EventReader(Run(folder), offset, sink)
            _wait(process, reader.read, should_stop)
            reader.read()
        finally:
            _end(process)
        stderr.seek(0)
        errors = stderr.read().decode(errors="replace")
    return _result_of(reader.events, folder, errors, time.perf_counter() - begin)


def _environment(processes: int) -> dict[str, str]:
    environment = dict(os.environ)
    paths = [str(_ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # Unset, torchrun would set it to 1 and warn; each process sizes its own pool.
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    return environment


class _EventReader:
    """Reads the events of a growing run, whole lines only; `events` keeps all but StepDone."""

    def __init__(self, run: Run, offset: int, sink: Sink) -> None:
        self.events: list[Event] = []
        self._run, self._offset, self._sink = run, offset, sink
        self._rest = b""

    def read(self) -> None:
        """Pass on what was appended since the last call."""
        content = self._run.read_events_from(self._offset)
        self._offset += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            with suppress(KeyError, TypeError, ValueError):  # half a line of a killed process
                event = events.from_json(line.decode("utf-8"))
                if not isinstance(event, events.StepDone):
                    self.events.append(event)
                self._sink(event)


def _wait(
    process: subprocess.Popen[bytes], read: Callable[[], None], should_stop: ShouldStop
) -> None:
    """Wait until it ends; after a stop was asked for, at most `_GRACE_SECONDS`."""
    until: float | None = None
    while process.poll() is None:
        read()
        if until is None and should_stop():
            process.terminate()  # torchrun passes it on; each process stops at its next boundary
            until = time.monotonic() + _GRACE_SECONDS
        if until is not None and time.monotonic() > until:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    if process.poll() is None:
        process.kill()
        process.wait()


def _result_of(found: list[Event], folder: Path, errors: str, seconds: float) -> RunResult:
    """The result of a run from its events. Raises: RunError, Cancelled."""
    ended = next((e for e in reversed(found) if isinstance(e, RunEnded)), None)
    if ended is None or ended.status == "failed":
        reason = ended.error if ended is not None else _reason(errors)
        raise RunError(f"The processes ended with an error: {reason}", "The log says more.")
    if ended.best_epoch < 0:
        raise Cancelled
    run = Run(folder)
    recipe = run.read_recipe()
    epochs = [event for event in found if isinstance(event, EpochDone)]
    probe = next((e.selection_accuracy for e in epochs if e.epoch == 0), None)
    return RunResult(
        run=folder,
        status="done" if ended.status == "done" else "stopped",
        model=recipe.model,
        strategy=recipe.strategy,
        epochs=max((event.epoch for event in epochs), default=0),
        best_selection_accuracy=ended.best_selection_accuracy,
        report=run.read_report(),
        seconds=seconds,
        best_epoch=ended.best_epoch,
        probe_selection_accuracy=probe,
    )


def _reason(errors: str) -> str:
    """The error message of the first process that failed, out of torchrun's output."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.startswith("Error:"):
            return " ".join(lines[number : number + 3]).removeprefix("Error:").strip()
    return lines[-1] if lines else "no message."
