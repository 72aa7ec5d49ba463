"""Downloads in a real child process from a server on this machine."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.catalog import catalog
from core.cli import subprocess_work
from core.errors import Cancelled, WeightsError
from core.models.resolve import resolve_model
from core.models.weights import reach, weights
from core.models.weights.download import download
from helpers import WAIT_S

CONTENT = bytes(range(256)) * 12_000
HALF = 2_000_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0" * 39 + "1"


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    over: threading.Event
    has_hung_up: threading.Event
    """A request that came to a stop half-way has ended."""


class Handler(http.server.BaseHTTPRequestHandler):
    """`slow…` stops half-way, `short…` breaks off, `OWNER/NAME/resolve/…` is a hub."""

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        status = {"gone": 404, "gated": 403}.get(self.path.strip("/").partition("-")[0], 200)
        if "/resolve/" in self.path and not self.path.endswith("/model.safetensors"):
            status = 404
        if status != 200:
            self.send_response(status)
            if "/resolve/" in self.path:
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        if "/resolve/" in self.path:
            wrong = "damaged" in self.path
            self.send_header("ETag", f'"{"f" * 64 if wrong else DIGEST}"')
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not body:
            return
        if "short" in self.path:
            self.wfile.write(CONTENT[:1000])
            return
        self.wfile.write(CONTENT[:HALF])
        self.wfile.flush()
        if "slow" in self.path:
            self.server.over.wait(WAIT_S)  # type: ignore[attr-defined]
            self.server.has_hung_up.set()  # type: ignore[attr-defined]
            return
        self.wfile.write(CONTENT[HALF:])


@pytest.fixture
def running(tmp_path, monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    with Server(("127.0.0.1", 0), Handler) as made:
        made.over, made.has_hung_up = threading.Event(), threading.Event()
        threading.Thread(target=made.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{made.server_port}")
        yield made
        made.over.set()
        made.shutdown()


@pytest.fixture
def server(running) -> str:
    """The address."""
    return f"http://127.0.0.1:{running.server_port}"


def card(place: str):
    found = catalog.load().resolve("torchvision/resnet18")
    return dataclasses.replace(found, weights=place)


def files_below(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".lock"))


def test_a_file_with_the_right_checksum_is_kept_where_torch_looks_for_it(server, tmp_path):
    wanted = card(f"{server}/net-{DIGEST[:8]}.pth")
    assert weights.state_of(wanted).where == "online"
    told: list[tuple[int, int]] = []
    path = download(wanted, on_progress=lambda done, total, note: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert path == tmp_path / "torch" / "hub" / "checkpoints" / f"net-{DIGEST[:8]}.pth"
    assert told[-1] == (len(CONTENT), len(CONTENT))
    state = weights.state_of(wanted)
    assert (state.where, state.path, state.size_bytes) == ("downloaded", path, len(CONTENT))
    assert download(wanted) == path  # here already: no second download


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("net-00000000.pth", "the downloaded file is damaged"),
        (f"short-{DIGEST[:8]}.pth", "the connection broke off"),
        ("short.pth", "the connection broke off"),
        ("gone-00000000.pth", "no longer where they were"),
        ("gated-00000000.pth", "account or consent"),
    ],
)
def test_what_fails_is_one_sentence_and_leaves_nothing(server, tmp_path, name, said):
    with pytest.raises(WeightsError, match=said) as caught:
        download(card(f"{server}/{name}"))
    assert "bundled/tf_efficientnet_lite0" in caught.value.hint
    assert files_below(tmp_path / "torch") == []


@pytest.mark.parametrize("place", ["{}/slow-00000000.pth", "hf-hub:slow/net"])
def test_a_cancel_in_the_middle_is_quick_and_leaves_nothing(running, server, tmp_path, place):
    def stop() -> bool:
        return any(
            path.stat().st_size
            for end in ("partial", "incomplete")
            for path in tmp_path.rglob(f"*.{end}")
        )

    with pytest.raises(Cancelled):
        download(_hub_or_url(place, server), should_stop=stop)
    assert not running.has_hung_up.is_set(), "the half that did not come was waited for"
    assert files_below(tmp_path / "torch") == []
    assert [
        n for n in files_below(tmp_path / "hf" / "hub") if "incomplete" in n or "safe" in n
    ] == []


def _hub_or_url(place: str, server: str):
    if place.startswith("hf-hub:"):
        return resolve_model(place)
    return card(place.format(server))


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(server, tmp_path, monkeypatch):
    usage = SimpleNamespace(total=10**9, used=0, free=1_500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(WeightsError, match=r"take 3 MB, and 2 MB are free where.*checkpoints"):
        download(card(f"{server}/net-{DIGEST[:8]}.pth"))
    assert files_below(tmp_path / "torch") == []


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(server, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(WeightsError, match="The disk is full"):
            download(card(f"{server}/net-{DIGEST[:8]}.pth"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files_below(tmp_path / "torch") == []


def test_every_way_of_a_full_disk_is_known():
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        assert subprocess_work._reason(OSError(number, "no room")) == "full"


def test_without_a_network_it_is_the_sentence_with_what_is_here(server, monkeypatch):
    monkeypatch.setattr(reach, "_reachable", lambda address, **limits: False)
    with pytest.raises(WeightsError, match="the network cannot be reached"):
        download(card(f"{server}/net-{DIGEST[:8]}.pth"))


def test_a_hub_file_is_checked_against_the_hubs_own_checksum(server, tmp_path):
    request = {
        "do": "hf",
        "repo": "owner/net",
        "revision": "",
        "cache": str(tmp_path / "hf" / "hub"),
        "timm": "",
        "names": ["model.safetensors"],
        "beside": [],
    }
    from core.system.subprocesses import Child

    def outcome(repo: str) -> dict[str, object]:
        with Child({**request, "repo": repo}) as child:
            for message in child.messages(seconds=WAIT_S):
                if message["event"] == "size":
                    assert message["bytes"] == len(CONTENT)
                    child.send({"do": "go"})
                last = message
        return last

    done = outcome("owner/net")
    assert done["event"] == "done", done
    assert Path(str(done["path"])).read_bytes() == CONTENT
    failed = outcome("owner/damaged")
    assert (failed["event"], failed["reason"]) == ("failed", "the downloaded file is damaged")
    left = tmp_path / "hf" / "hub" / "models--owner--damaged"
    assert not [name for name in files_below(left) if name != "main"]


def test_bundled_weights_are_never_downloaded():
    lite = catalog.load().resolve("bundled/tf_efficientnet_lite0")
    assert download(lite).is_file()
