"""A report as text, and whether its images are still there."""

from __future__ import annotations

import csv
import hashlib
import io
import os

from core.evaluation.image_files import check_images
from core.evaluation.tables import to_csv, to_markdown
from core.runs.report import ClassScore, Report

REPORT = Report(
    split="val", n=10, top1=0.9, interval=(0.6, 0.98), balanced_accuracy=0.9, macro_f1=0.9,
    ece=0.05, classes=("a|b", "=c"),
    per_class=(ClassScore("a|b", 5, 1.0, 0.8, 0.89), ClassScore("=c", 5, 0.83, 1.0, 0.91)),
    confusion=((4, 1), (0, 5)), selected_on="nothing",
)  # fmt: skip


def test_markdown_holds_the_figures_and_a_name_cannot_break_the_table() -> None:
    text = to_markdown(REPORT, title="ants")
    assert "90.0% (95% interval 60.0% – 98.0%) on 10 val images" in text
    assert "| a\\|b | 5 | 100.0% | 80.0% | 0.890 |" in text


def test_csv_comes_back_with_full_precision_and_a_name_is_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(REPORT))))
    assert [row["class"] for row in rows] == ["a|b", "'=c"]
    assert float(rows[1]["precision"]) == 0.83


def test_images_that_are_gone_or_were_written_anew_are_named(tmp_path) -> None:
    for name in ("kept.png", "touched.png", "changed.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "old.png").write_bytes(b"other content, but from before the run")
    os.utime(tmp_path / "old.png", (1, 1))
    files = ["kept.png", "touched.png", "changed.png", "old.png", "gone.png"]
    hashes = [hashlib.blake2b(f.encode(), digest_size=16).hexdigest() for f in files]
    (tmp_path / "changed.png").write_bytes(b"new")
    state = check_images(
        {"root": str(tmp_path), "files": files, "hashes": hashes}, files, since=100.0
    )
    assert state.is_there
    assert state.missing == ("gone.png",)
    assert state.changed == ("changed.png",)


def test_a_folder_that_is_gone_is_one_fact_not_a_thousand_missing_files(tmp_path) -> None:
    state = check_images({"root": str(tmp_path / "x")}, ["a.png"], since=0.0)
    assert not state.is_there
    assert state.missing == ()
