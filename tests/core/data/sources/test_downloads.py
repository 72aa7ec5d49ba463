"""Ready-made datasets: torchvision's files become ordinary folders; a failed download leaves none.

The files are made here in the form each of torchvision's classes keeps them, and its own classes
read them; only checksums are taken as right.
"""

from __future__ import annotations

import http.server
import io
import json
import socket
import sys
import tarfile
import threading
import types
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import torchvision_files
from core.cli import app, subprocess_work
from core.data.sources import download_worker, downloads
from core.data.sources.downloads import all_sets, download, find, folder_of, is_here
from core.data.sources.scan import scan
from core.errors import Cancelled, DatasetError
from core.system import paths
from helpers import WAIT_S
from torchvision_files import MADE, FakeHdf5, fgvc_aircraft, flowers102, idx


@pytest.fixture(autouse=True)
def random_anew(monkeypatch) -> None:
    """The pictures of a test do not depend on how many were made before it."""
    monkeypatch.setattr(torchvision_files, "RANDOM", np.random.default_rng(0))


@pytest.fixture
def trusting(monkeypatch) -> Iterator[None]:
    """Checksums are taken as right; nothing is fetched."""
    import torchvision.datasets as sets
    from torchvision.datasets import utils

    for name in ("cifar", "flowers102", "stl10", "svhn", "mnist", "utils"):
        module = getattr(sets, name)
        monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())
    monkeypatch.setattr(utils, "_urlretrieve", _no_network)
    monkeypatch.setattr(utils, "tqdm", utils.tqdm)  # put back when the test is over
    monkeypatch.setitem(sys.modules, "h5py", types.SimpleNamespace(File=FakeHdf5))
    before = socket.getdefaulttimeout()
    yield
    socket.setdefaulttimeout(before)


def _no_network(*args: object, **kwargs: object) -> None:
    raise AssertionError("a test asked for the network")


def test_every_set_on_offer_is_tested_and_can_be_fetched():
    ids = [entry.id for entry in all_sets()]
    assert ids[0] == "digits"
    assert len(ids) == len(set(ids))
    assert set(ids[1:]) == set(MADE) == set(download_worker.SETS)


@pytest.mark.parametrize("name", MADE)
def test_the_files_of_torchvision_become_an_ordinary_dataset(tmp_path, trusting, name):
    make, counts = MADE[name]
    (tmp_path / "raw").mkdir()
    make(tmp_path / "raw")
    told: list[dict] = []
    request = {"id": name, "folder": str(tmp_path), "images": 8}
    folder = download_worker.fetch(request, told.append)
    index = scan(folder, verify=True)
    assert index.class_counts() == counts
    assert not [problem for problem in index.problems if problem.kind == "unreadable"]
    assert set(index.split_counts()) >= set(find(name).splits)
    assert told[-1]["note"] == "sorting images"
    assert told[-1]["done"] == told[-1]["total"] == len(index)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"], "torchvision's files are gone"


def test_the_official_split_is_kept(tmp_path, trusting):
    (tmp_path / "raw").mkdir()
    flowers102(tmp_path / "raw")
    folder = download_worker.fetch(
        {"id": "flowers102", "folder": str(tmp_path), "images": 9}, lambda message: None
    )
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    assert found[0] == "test/blackberry lily/image_00009.jpg"
    assert "train/pink primrose/image_00001.jpg" in found
    assert "val/californian poppy/image_00005.jpg" in found


def test_letters_of_emnist_stand_upright(tmp_path, trusting):
    (tmp_path / "raw").mkdir()
    idx(tmp_path / "raw", name="EMNIST", prefix="emnist-balanced-")
    folder = download_worker.fetch(
        {"id": "emnist", "folder": str(tmp_path), "images": 8}, lambda message: None
    )
    first = np.asarray(Image.open(folder / "train" / "upper A" / "000001.png"))
    assert (first[5, 0], first[0, 5]) == (255, 0), "rows and columns are exchanged in the file"


def test_the_table_says_what_a_person_must_know():
    for entry in all_sets():
        assert all((entry.title, entry.shows, entry.home, entry.citation, entry.licence))
        assert entry.disk_mb > entry.download_mb
        assert not entry.splits or sum(entry.splits.values()) == entry.images


def test_the_facts_of_the_digits_are_those_of_the_files():
    from core.data.sources.samples import digits

    index = scan(digits())
    assert (len(index), index.split_counts()) == (
        downloads.DIGITS.images,
        downloads.DIGITS.splits,
    )


# -- the whole way, in a child process, against a server on this machine ---------------------------


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    over: threading.Event
    content: bytes
    manner: str


class Handler(http.server.BaseHTTPRequestHandler):
    """Also a proxy: asked for any address, it answers with its own content."""

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server: Server = self.server  # type: ignore[assignment]
        if server.manner == "gone":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(server.content)))
        self.end_headers()
        half = len(server.content) // 2
        self.wfile.write(server.content[:half])
        self.wfile.flush()
        if server.manner == "slow":
            server.over.wait(WAIT_S)
        elif server.manner != "cut":
            self.wfile.write(server.content[half:])


@pytest.fixture
def server(monkeypatch):
    made = Server(("127.0.0.1", 0), Handler)
    made.over, made.content, made.manner = threading.Event(), bytes(3_000_000), "whole"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{made.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the proxy of its first use
    yield made
    made.over.set()
    made.shutdown()
    made.server_close()


class ChildHere:
    """The child's own work without a second process, whose imports take seconds."""

    def __init__(self, request: dict) -> None:
        self._answers: list[dict] = []
        subprocess_work.work(request, self._answers.append, lambda: None)

    def __enter__(self) -> ChildHere:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def messages(self, **_: object) -> list[dict]:
        return self._answers


@pytest.fixture
def in_this_process(monkeypatch) -> Iterator[None]:
    from torchvision.datasets import utils

    monkeypatch.setattr(downloads, "Child", ChildHere)
    monkeypatch.setattr(utils, "tqdm", utils.tqdm)  # put back when the test is over
    monkeypatch.setattr(tarfile.TarFile, "extraction_filter", None, raising=False)
    before = socket.getdefaulttimeout()
    yield
    socket.setdefaulttimeout(before)


def left_over() -> list[str]:
    folder = paths.data_dir() / "datasets"
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("whole", "the downloaded file is damaged"),
        ("cut", "the connection broke off"),
        ("gone", "its files are no longer where they were"),
    ],
)
def test_a_download_that_fails_is_one_sentence_and_leaves_nothing(
    server, in_this_process, manner, reason
):
    server.manner = manner
    with pytest.raises(DatasetError) as caught:
        download("svhn")
    assert caught.value.message == (
        f"Street View House Numbers (SVHN) could not be downloaded: {reason}."
    )
    assert left_over() == []
    assert not is_here(find("svhn"))


def test_without_a_network_it_is_said_and_nothing_is_left(server, in_this_process):
    server.server_close()
    with pytest.raises(DatasetError, match="the network or the server cannot be reached"):
        download("svhn")
    assert left_over() == []


def test_a_cancelled_download_leaves_nothing_behind(server):
    server.manner = "slow"
    told: list[tuple[int, int, str]] = []
    with pytest.raises(Cancelled):
        download(
            "svhn",
            on_progress=lambda *now: told.append(now),
            should_stop=lambda: bool(told) and told[-1][0] > 0,
        )
    done, total, note = told[-1]
    assert (total, note) == (3_000_000, "downloading")
    assert 0 < done <= 1_500_000
    assert left_over() == []


def test_a_download_ends_as_a_dataset_of_its_own(server, tmp_path, monkeypatch):
    made = tmp_path / "made"
    fgvc_aircraft(made)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(made / "fgvc-aircraft-2013b", "fgvc-aircraft-2013b")
    server.content = buffer.getvalue()
    # The set's address is https; the child's own Python is told another one when it starts.
    (tmp_path / "sitecustomize.py").write_text(
        "from torchvision.datasets import FGVCAircraft\n"
        "FGVCAircraft._URL = 'http://example.invalid/fgvc-aircraft-2013b.tar.gz'\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told: list[tuple[int, int, str]] = []
    folder = download("fgvc-aircraft", on_progress=lambda *now: told.append(now))
    assert folder == folder_of(find("fgvc-aircraft"))
    assert scan(folder).class_counts() == {"737-700": 3, "F-A-18": 3}
    assert left_over() == ["fgvc-aircraft"]
    assert (len(server.content), len(server.content), "unpacking") in told
    monkeypatch.setattr(downloads, "_run_child", _no_network)
    assert download("fgvc-aircraft") == folder, "what is here is not fetched again"


def test_an_archive_cannot_write_outside_of_its_folder(server, in_this_process, monkeypatch):
    from torchvision.datasets import FGVCAircraft

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("../../../escaped.txt")
        archive.addfile(entry, io.BytesIO())
    server.content = buffer.getvalue()
    monkeypatch.setattr(FGVCAircraft, "_URL", "http://example.invalid/aircraft.tar.gz")
    with pytest.raises(DatasetError, match="its archive would write outside of its own folder"):
        download("fgvc-aircraft")
    assert not list(paths.data_dir().rglob("escaped.txt"))


# -- before anything is asked of the network -------------------------------------------------------


def test_a_disk_too_small_is_told_before_the_download(monkeypatch):
    monkeypatch.setattr(downloads, "_run_child", _no_network)
    monkeypatch.setattr(
        downloads.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=100 * 10**6)
    )
    with pytest.raises(DatasetError, match=r"needs up to 10,500 MB .* only 100 MB are free"):
        download("food101")
    assert left_over() == []


def test_a_missing_package_is_named_before_the_download(monkeypatch):
    monkeypatch.setattr(downloads, "_run_child", _no_network)
    monkeypatch.setattr(downloads, "find_spec", lambda name: None)
    with pytest.raises(DatasetError, match=r"pip install gdown h5py"):
        download("pcam")


def test_what_a_killed_process_left_is_removed_by_the_next(monkeypatch):
    folder = paths.data_dir() / "datasets"
    (folder / ".mnist-abc" / "raw").mkdir(parents=True)
    (folder / "usps" / "train").mkdir(parents=True)
    monkeypatch.setattr(downloads, "_ABANDONED_SECONDS", -1)
    monkeypatch.setattr(
        downloads, "_run_child", lambda *_: (_ for _ in ()).throw(DatasetError("no"))
    )
    with pytest.raises(DatasetError):
        download("mnist")
    assert left_over() == ["usps"]


# -- the command line ------------------------------------------------------------------------------


def test_the_list_shows_size_licence_and_what_is_here(capsys):
    assert app.main(["datasets", "--json"]) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)["datasets"]}
    assert rows["digits"]["here"] is True
    assert rows["oxford-pets"]["licence"] == "CC BY-SA 4.0"
    assert (rows["oxford-pets"]["here"], rows["oxford-pets"]["download_mb"]) == (False, 811)
    assert app.main(["datasets"]) == 0
    assert "CC BY-SA 4.0" in capsys.readouterr().out


def test_nothing_is_downloaded_unasked(capsys, monkeypatch):
    monkeypatch.setattr(downloads, "_run_child", _no_network)
    assert app.main(["datasets", "download", "food101"]) == 1
    said = capsys.readouterr().err
    assert "Licence: not stated" in said
    assert "4,996 MB" in said
    assert "--yes" in said


def test_a_downloaded_set_is_used_as_a_sample_and_removed(capsys, monkeypatch, make_image_folder):
    make_image_folder(folder_of(find("usps")), per_class=4)
    assert app.main(["scan", "--sample", "usps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 24
    trashed = []
    monkeypatch.setattr("send2trash.send2trash", trashed.append)
    assert app.main(["datasets", "remove", "usps"]) == 0
    assert trashed == [str(folder_of(find("usps")))]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scan", "--sample", "mnist"], "graftwork datasets download mnist (12 MB)"),
        (["datasets", "download", "mnits"], "Did you mean: mnist"),
        (["datasets", "remove", "digits"], "no download of Handwritten digits"),
    ],
)
def test_what_is_not_here_is_said_with_what_to_do(capsys, arguments, said):
    assert app.main(arguments) == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_an_unknown_sample_is_wrong_usage_with_what_was_meant(capsys):
    assert app.main(["scan", "--sample", "mnits"]) == 2
    assert "mnist" in capsys.readouterr().err
