"""Ready-made datasets: torchvision's files become ordinary folders; a failed download leaves none.

The files are made here in the form each of torchvision's classes keeps them, and its own classes
read them; only checksums are taken as right.
"""

from __future__ import annotations

import bz2
import functools
import http.server
import io
import itertools
import json
import pickle
import socket
import struct
import sys
import tarfile
import threading
import types
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from core.cli import app, subprocess_work
from core.data.sources import download_worker, downloads
from core.data.sources.downloads import all_sets, download, find, folder_of, is_here
from core.data.sources.scan import scan
from core.errors import Cancelled, DatasetError
from core.system import paths
from helpers import WAIT_S

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def random_anew(monkeypatch) -> None:
    """The pictures of a test do not depend on how many were made before it."""
    monkeypatch.setitem(globals(), "RANDOM", np.random.default_rng(0))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 255, (12, 12, 3), np.uint8)).save(path)


def text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def flowers102(raw: Path) -> None:
    folder = raw / "flowers-102"
    for number in range(1, 10):
        picture(folder / "jpg" / f"image_{number:05d}.jpg")
    labels = [1, 1, 1, 65, 65, 65, 102, 102, 102]
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": np.array([labels])})
    ids = {"trnid": [[1, 4, 7]], "valid": [[2, 5, 8]], "tstid": [[3, 6, 9]]}
    scipy.io.savemat(folder / "setid.mat", {k: np.array(v) for k, v in ids.items()})


def oxford_pets(raw: Path) -> None:
    folder = raw / "oxford-iiit-pet"
    for split in ("trainval", "test"):
        names = [f"{b}_{split}{n}" for b in ("Abyssinian", "american_bulldog") for n in (1, 2)]
        text(folder / "annotations" / f"{split}.txt",
             [f"{name} {1 + name.startswith('am')} 1 1" for name in names])  # fmt: skip
        for name in names:
            picture(folder / "images" / f"{name}.jpg")


def eurosat(raw: Path) -> None:
    for name in ("AnnualCrop", "Forest"):
        for number in range(5):
            picture(raw / "eurosat" / "2750" / name / f"{name}_{number}.jpg")


def dtd(raw: Path) -> None:
    folder = raw / "dtd" / "dtd"
    for split in ("train", "val", "test"):
        names = [f"{c}/{c}_{split}.jpg" for c in ("banded", "woven")]
        text(folder / "labels" / f"{split}1.txt", names)
        for name in names:
            picture(folder / "images" / name)


def fgvc_aircraft(raw: Path) -> None:
    folder = raw / "fgvc-aircraft-2013b" / "data"
    text(folder / "variants.txt", ["737-700", "F/A-18"])
    for k, split in enumerate(("train", "val", "test")):
        text(folder / f"images_variant_{split}.txt", [f"{k}1 737-700", f"{k}2 F/A-18"])
        for name in (f"{k}1", f"{k}2"):
            picture(folder / "images" / f"{name}.jpg")


def food101(raw: Path) -> None:
    for split in ("train", "test"):
        names = {c: [f"{c}/{split}{n}" for n in (1, 2)] for c in ("apple_pie", "waffles")}
        text(raw / "food-101" / "meta" / f"{split}.json", [json.dumps(names)])
        for name in itertools.chain(*names.values()):
            picture(raw / "food-101" / "images" / f"{name}.jpg")


def pcam(raw: Path) -> None:
    from torchvision.datasets import PCAM

    for files in PCAM._FILES.values():
        for key, values in (
            ("images", RANDOM.integers(0, 255, (4, 96, 96, 3), np.uint8)),
            ("targets", np.array([0, 1, 0, 1], np.uint8).reshape(4, 1, 1, 1)),
        ):
            path = raw / "pcam" / files[key][0]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                np.savez(file, **{key: values})


class FakeHdf5:
    """h5py's `File`, on the files of `pcam`: h5py is installed only by who wants this set."""

    def __init__(self, path: Path) -> None:
        self._arrays = np.load(path)

    def __enter__(self) -> dict[str, np.ndarray]:
        return {"x": self._arrays["images"]} if "images" in self._arrays else {
            "y": self._arrays["targets"]
        }  # fmt: skip

    def __exit__(self, *error: object) -> None:
        self._arrays.close()


def cifar(raw: Path, *, hundred: bool) -> None:
    folder = raw / ("cifar-100-python" if hundred else "cifar-10-batches-py")
    folder.mkdir(parents=True)
    names = (
        ("train", "test") if hundred else (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
    )
    for name in names:
        entry = {
            "data": RANDOM.integers(0, 255, (4, 3072), np.uint8),
            "fine_labels" if hundred else "labels": [0, 1, 0, 1],
        }
        (folder / name).write_bytes(pickle.dumps(entry))
    meta = {"fine_label_names" if hundred else "label_names": ["maple_tree", "train"]}
    (folder / ("meta" if hundred else "batches.meta")).write_bytes(pickle.dumps(meta))


def caltech101(raw: Path) -> None:
    for name in ("Faces_easy", "crab", "BACKGROUND_Google"):
        for number in range(1, 6):
            path = raw / "caltech101" / "101_ObjectCategories" / name
            picture(path / f"image_{number:04d}.jpg")
    (raw / "caltech101" / "Annotations").mkdir()


def stl10(raw: Path) -> None:
    folder = raw / "stl10_binary"
    folder.mkdir(parents=True)
    text(folder / "class_names.txt", ["airplane", "bird"])
    (folder / "unlabeled_X.bin").touch()
    for split in ("train", "test"):
        RANDOM.integers(0, 255, (4, 3, 96, 96), np.uint8).tofile(folder / f"{split}_X.bin")
        np.array([1, 2, 1, 2], np.uint8).tofile(folder / f"{split}_y.bin")


def svhn(raw: Path) -> None:
    for split in ("train", "test"):
        arrays = {
            "X": RANDOM.integers(0, 255, (32, 32, 3, 4), np.uint8),
            "y": np.array([[10], [1], [10], [1]]),
        }
        scipy.io.savemat(raw / f"{split}_32x32.mat", arrays)


def gtsrb(raw: Path) -> None:
    folder = raw / "gtsrb"
    for label in (0, 14):
        for number in (1, 2):
            picture(folder / "GTSRB" / "Training" / f"{label:05d}" / f"0000{number}.ppm")
    names = [f"0000{n}.ppm" for n in range(4)]
    for name in names:
        picture(folder / "GTSRB" / "Final_Test" / "Images" / name)
    rows = [f"{name};{14 * (k % 2)}" for k, name in enumerate(names)]
    text(folder / "GT-final_test.csv", ["Filename;ClassId", *rows])


def imagenette(raw: Path) -> None:
    for split in ("train", "val"):
        for wnid in ("n01440764", "n03028079"):
            for number in range(2):
                picture(raw / "imagenette2-320" / split / wnid / f"{number}.JPEG")


def country211(raw: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in ("AD", "ZW"):
            picture(raw / "country211" / split / name / "1.jpg")


def rendered_sst2(raw: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in ("negative", "positive"):
            picture(raw / "rendered-sst2" / split / name / "1.png")


def idx(raw: Path, *, name: str, prefix: str = "") -> None:
    folder = raw / name / "raw"
    folder.mkdir(parents=True)
    for split in ("train", "t10k") if not prefix else ("train", "test"):
        values = RANDOM.integers(0, 255, (4, 28, 28), np.uint8)
        values[0, 0, 5], values[0, 5, 0] = 255, 0
        header = struct.pack(">IIII", 0x803, *values.shape)
        (folder / f"{prefix}{split}-images-idx3-ubyte").write_bytes(header + values.tobytes())
        labels = bytes([0, 1, 0, 1]) if not prefix else bytes([10, 36, 10, 36])
        (folder / f"{prefix}{split}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, 4) + labels
        )


def usps(raw: Path) -> None:
    raw.mkdir(parents=True, exist_ok=True)
    line = " ".join(f"{k}:0.5" for k in range(1, 257))
    for name in ("usps.bz2", "usps.t.bz2"):
        data = "".join(f"{label} {line}\n" for label in (1, 2, 1, 2))
        (raw / name).write_bytes(bz2.compress(data.encode()))


Counts = dict[str, int]
TWO, ONE = {"train": 2, "test": 2}, {"train": 1, "val": 1, "test": 1}
MADE: dict[str, tuple[Callable[[Path], None], Counts]] = {
    # images of each class in each split, by the class's folder name
    "flowers102": (flowers102, {"pink primrose": 3, "californian poppy": 3, "blackberry lily": 3}),
    "oxford-pets": (oxford_pets, {"Abyssinian": 4, "American Bulldog": 4}),
    "eurosat": (eurosat, {"AnnualCrop": 5, "Forest": 5}),
    "dtd": (dtd, {"banded": 3, "woven": 3}),
    "fgvc-aircraft": (fgvc_aircraft, {"737-700": 3, "F-A-18": 3}),
    "food101": (food101, {"apple pie": 4, "waffles": 4}),
    "pcam": (pcam, {"normal": 6, "metastasis": 6}),
    "cifar10": (functools.partial(cifar, hundred=False), {"maple tree": 12, "train": 12}),
    "cifar100": (functools.partial(cifar, hundred=True), {"maple tree": 4, "train": 4}),
    "caltech101": (caltech101, {"Faces easy": 5, "crab": 5}),
    "stl10": (stl10, {"airplane": 4, "bird": 4}),
    "svhn": (svhn, {"0": 4, "1": 4}),
    "gtsrb": (gtsrb, {"00 limit 20": 4, "14 stop": 4}),
    "imagenette": (imagenette, {"tench": 4, "church": 4}),
    "country211": (country211, {"AD": 3, "ZW": 3}),
    "rendered-sst2": (rendered_sst2, {"negative": 3, "positive": 3}),
    "mnist": (functools.partial(idx, name="MNIST"), {"0": 4, "1": 4}),
    "fashion-mnist": (
        functools.partial(idx, name="FashionMNIST"),
        {"T-shirt-top": 4, "Trouser": 4},
    ),
    "kmnist": (functools.partial(idx, name="KMNIST"), {"o": 4, "ki": 4}),
    "emnist": (
        functools.partial(idx, name="EMNIST", prefix="emnist-balanced-"),
        {"upper A": 4, "lower a": 4},
    ),
    "usps": (usps, {"0": 4, "1": 4}),
}  # fmt: skip


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
