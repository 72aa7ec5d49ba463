"""The health of a dataset."""

from pathlib import Path

import numpy as np
from PIL import Image

from core.data.health import health
from core.data.scan import scan


def _folder(root: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("ants", "bees"):
        (root / name).mkdir(parents=True)
        for i in range(6):
            small = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
            small.resize((96, 96)).save(root / name / f"{i}.png")
    with Image.open(root / "ants" / "0.png") as picture:
        picture.save(root / "bees" / "copy.jpg", quality=80)
    Image.new("RGB", (96, 96), (9, 9, 9)).save(root / "ants" / "flat.png")


def test_a_second_look_reads_only_what_changed_and_says_the_same(tmp_path: Path) -> None:
    _folder(tmp_path)
    index = scan(tmp_path)
    look = {"on_progress": lambda *_: None, "should_stop": lambda: False}
    first = health(index, **look)  # type: ignore[arg-type]
    second = health(index, **look)  # type: ignore[arg-type]
    assert (first.read, second.read) == (14, 0)
    assert first.findings == second.findings
    kinds = {f.kind: {index.files[i] for i in f.pictures} for f in first.findings}
    assert kinds["two labels"] == {"ants/0.png", "bees/copy.jpg"}
    assert kinds["flat"] == {"ants/flat.png"}
    assert set(kinds) == {"two labels", "flat"}
