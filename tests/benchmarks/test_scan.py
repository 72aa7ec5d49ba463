"""How fast a folder is scanned, first and again, and what a file costs in memory.

Figures are printed; run with `make bench`. What is asserted is processor time, because the machine
may be busy with something else; the time on the clock is printed beside it. Each scan has a process
of its own and draws its val: what a person waits for. (Listing and asking the system for sizes and
times is what is left of a second scan: 6 of the 170 microseconds that a file takes at first.)
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.sources.scan import scan
from core.data.sources.tables import read_table

pytestmark = pytest.mark.benchmark
_CLASSES = 50

_ONE_SCAN = """
import json, sys, time, tracemalloc
from core.data.sources.scan import scan
if sys.argv[2] == "memory":
    tracemalloc.start()
wall, processor = time.perf_counter(), time.process_time()
index = scan(sys.argv[1])
seconds = time.perf_counter() - wall, time.process_time() - processor
kept, peak = tracemalloc.get_traced_memory()
print(json.dumps([len(index), *seconds, kept / len(index), peak / len(index)]))
"""


def _make(root: Path, count: int) -> None:
    """Small JPEGs of many sizes in 50 classes, no two alike."""
    rng = np.random.default_rng(0)
    bases = []
    for number in range(100):
        noise = rng.integers(0, 255, (12 + number % 7, 16, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).resize((160, 120)).save(buffer, "JPEG", quality=80)
        bases.append(buffer.getvalue())
    for number in range(count):
        folder = root / f"class_{number % _CLASSES:02d}"
        if number < _CLASSES:
            folder.mkdir(parents=True)
        tail = number.to_bytes(4, "big") + bytes(number * 37 % 4093)
        (folder / f"image_{number:06d}.jpg").write_bytes(bases[number % 100] + tail)


def _scan_apart(root: Path, what: str = "time") -> list[float]:
    """(images, seconds, processor seconds, bytes kept, bytes at most) in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _ONE_SCAN, str(root), what],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    figures: list[float] = json.loads(done.stdout)
    return figures


@pytest.mark.parametrize("count", [20_000, 100_000])
def test_a_second_scan_is_twenty_times_faster(tmp_path, count):
    _make(tmp_path / "many", count)
    images, wall, processor, _, _ = _scan_apart(tmp_path / "many")
    assert images == count
    _, wall_again, processor_again, _, _ = _scan_apart(tmp_path / "many")
    _, _, _, kept, peak = _scan_apart(tmp_path / "many", "memory")
    print(
        f"\n{count:,} files, first: {count / wall:,.0f}/s ({count / processor:,.0f} per processor"
        f" second); again: {wall_again:.2f} s, {wall / wall_again:.0f}× as fast"
        f" ({processor / processor_again:.0f}× by processor time);"
        f" {kept:.0f} bytes a file kept, {peak:.0f} at most"
    )
    assert count / processor > 3000
    assert processor / processor_again > 20
    assert kept < 1024
    assert peak < 1024


def test_a_table_of_a_million_lines(tmp_path):
    table = tmp_path / "labels.csv"
    with table.open("w") as file:
        file.write("path,label,split,patient\n")
        for i in range(1_000_000):
            file.write(f"images/{i:07d}.jpg,class_{i % 500},train,p{i // 10}\n")
    begin, processor = time.perf_counter(), time.process_time()
    layout = read_table(table)
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    print(f"\na million lines: {seconds:.1f} s ({processor:.1f} s of processor)")
    assert len(layout.files) == 1_000_000
    assert processor < 20


def test_a_file_added_to_many_costs_one_file(tmp_path, make_image_folder):
    _make(tmp_path / "many", 5_000)
    scan(tmp_path / "many")
    picture = next((tmp_path / "many").rglob("*.jpg")).read_bytes()
    (tmp_path / "many" / "class_00" / "new.jpg").write_bytes(picture + b"new")
    begin = time.process_time()
    index = scan(tmp_path / "many")
    print(f"\none of 5,001 files new: {time.process_time() - begin:.2f} s of processor")
    assert len(index) == 5_001
