"""What every test stands on: a home of its own, the shared test data, small learnable pictures.

Nothing here imports torch or Qt, so that tests of one side never load the other.
"""

from __future__ import annotations

import colorsys
import functools
import gc
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from helpers import REPOSITORY, TINY, WAIT_MS

MakeImageFolder = Callable[..., Path]

# Before torch is loaded, and for the processes that tests start. Several test processes share the
# cores; threads that wait for each other inside a layer then take many times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Torch's random numbers begin anew for each test and the fixtures it is the first to ask for,
    as pytest-randomly has it for Python's and numpy's: no number depends on what ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def full_priority(nothing_is_left_behind: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window's jobs at the priority of their process: on a busy machine they would get what
    other processes leave, and a training of seconds took more than 200 s."""
    if "gui.kit.workers" in sys.modules:
        monkeypatch.setattr(sys.modules["gui.kit.workers"], "_COMPUTE_NICENESS", 0)


@pytest.fixture(autouse=True, scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The home of fixtures that serve several tests: they begin before a test has its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFTWORK_HOME", str(tmp_path_factory.mktemp("session-home")))
        yield


@pytest.fixture(scope="module")
def tiny_weights() -> Iterator[None]:
    """The pretrained weights of `TINY`: random numbers, the same each time. Where it does not
    matter what a model has learned before, a run on it takes a tenth of the time."""
    import timm
    import torch

    from core.models import build

    plain = build.pretrained_module

    def pretrained_module(card: Any) -> Any:
        if not TINY.startswith(f"{card.source}/{card.arch}."):
            return plain(card)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = timm.create_model(card.arch, pretrained=False).eval()
            for part in module.modules():  # timm begins with nought, which lets no gradient through
                if isinstance(part, torch.nn.BatchNorm2d):
                    torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            return module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "pretrained_module", pretrained_module)
        yield


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fails the test that changes what belongs to the whole process and does not put it back:
    the test that would fail of it is another one, and only in some orders."""
    before = _process_state()
    yield
    after = _process_state()
    if "torch" not in before:  # loaded meanwhile
        after.pop("torch", None)
    changed = [name for name in before | after if before.get(name) != after.get(name)]
    assert not changed, {name: (before.get(name), after.get(name)) for name in changed}


# Beginnings of environment variables that pytest, and libraries when they are loaded, set.
_LIBRARIES = ("PYTEST_", "KMP_", "TORCHINDUCTOR_")


def _process_state() -> dict[str, Any]:
    state: dict[str, Any] = {
        "working folder": os.getcwd(),  # noqa: PTH109
        **{f"${name}": os.environ[name] for name in os.environ if not name.startswith(_LIBRARIES)},
        "socket timeout": socket.getdefaulttimeout(),
        "signal handlers": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        "switch interval": sys.getswitchinterval(),
        "garbage collection": gc.isenabled(),
        "import path": list(sys.path),
        "output": (sys.stdout, sys.stderr),
    }
    if torch := sys.modules.get("torch"):
        state["torch"] = (
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_grad_enabled(),
        )
    return state


@pytest.fixture
def qtbot(qtbot):
    """pytest-qt's; what it waits for may take as long as a busy machine needs."""
    for wait in ("waitUntil", "waitSignal"):
        setattr(qtbot, wait, functools.partial(getattr(qtbot, wait), timeout=WAIT_MS))
    return qtbot


@pytest.fixture(autouse=True)
def graftwork_home(
    nothing_is_left_behind, tmp_path_factory: pytest.TempPathFactory, monkeypatch
) -> Path:
    """A fresh `GRAFTWORK_HOME`: no test reads or writes the folders of the person running it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("GRAFTWORK_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data, which never ships with the project.

    `GRAFTWORK_SHARED`, or `shared/data` beside the repository; skips where neither is there.
    """
    named = os.environ.get("GRAFTWORK_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"needs the shared test data (no folder {folder}; GRAFTWORK_SHARED names another)"
        )
    return folder


@pytest.fixture(scope="session")
def make_image_folder() -> MakeImageFolder:
    """`make_image_folder(folder, classes=…, per_class=…, splits=…)` → folder, an image dataset."""
    return _make_image_folder


def _make_image_folder(
    folder: Path,
    *,
    classes: Sequence[str] = ("circle", "square", "triangle"),
    per_class: int | Mapping[str, int] = 8,
    splits: Sequence[str] = ("train", "val"),
    size_px: int = 64,
    suffix: str = ".png",
    seed: int = 0,
) -> Path:
    """Small pictures a frozen backbone tells apart: one shape and one hue per class, noisy.

    `per_class` images of each class in each split (a mapping gives each split its own number);
    `splits=()` makes the class folders stand directly in `folder`. No two pictures are equal.
    """
    rng = random.Random(seed)
    for split in splits or ("",):
        count = per_class[split] if isinstance(per_class, Mapping) else per_class
        for label, name in enumerate(classes):
            target = folder / split / name
            target.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                picture = draw_shape(label, len(classes), size_px=size_px, rng=rng)
                picture.save(target / f"{split or 'image'}_{number:04d}{suffix}")
    return folder


def draw_shape(label: int, classes: int, *, size_px: int, rng: random.Random) -> Image.Image:
    """An RGB picture of the shape and hue that stand for `label`, on a noisy ground."""
    noise = Image.frombytes("RGB", (16, 16), rng.randbytes(16 * 16 * 3))
    ground = Image.new("RGB", (size_px, size_px), (rng.randint(90, 160),) * 3)
    picture = Image.blend(ground, noise.resize(ground.size), 0.25)
    hue = label / classes + rng.uniform(-0.1, 0.1) / classes
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, 0.9, rng.uniform(0.75, 1.0))
    colour = (round(255 * red), round(255 * green), round(255 * blue))
    radius = size_px * rng.uniform(0.25, 0.36)
    x, y = (size_px / 2 + rng.uniform(-0.1, 0.1) * size_px for _ in range(2))
    draw = ImageDraw.Draw(picture)
    sides = label + 2
    if sides == 2:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    else:
        draw.regular_polygon(
            (x, y, radius), n_sides=sides, rotation=rng.randint(0, 359), fill=colour
        )
    return picture
