"""The health report: a page that stands alone, a table, and the command."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.cli import app
from core.data.health.check import check_health
from core.data.health.findings import HealthFinding, HealthReport
from core.data.health.report import SHOWN, to_csv, to_html, write_report
from core.data.journal import Edit
from core.data.sources.scan import scan
from core.errors import AppError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, a copy in each, and a name that is no good in HTML."""
    rng = np.random.default_rng(0)
    for name in ("ants", "bees"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(5):
            small = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
            small.resize((96, 96)).save(tmp_path / "set" / name / f"{i}.png")
    Image.new("RGB", (96, 96), (90, 90, 90)).save(tmp_path / "set" / "ants" / "a<b>&c.png")
    return tmp_path / "set"


@pytest.fixture
def looked(folder):
    index = scan(folder)
    return index, check_health(index, on_progress=lambda *_: None, should_stop=lambda: False)


def test_the_page_needs_nothing_else_and_escapes_names(looked):
    index, report = looked
    page = to_html(report, index)
    assert re.findall(r'(?:src|href)="(?!data:image/jpeg|#)', page) == []
    assert "prefers-color-scheme:dark" in page
    assert "a&lt;b&gt;&amp;c.png" in page
    assert "<b>&c" not in page
    assert page.count("data:image/jpeg;base64,") == 1
    for method in report.methods:
        assert method.split(":")[0] in page


def test_of_many_findings_the_rest_is_listed_by_name(looked):
    index, _ = looked
    file = index.files[0]
    many = tuple(
        HealthFinding("dark", (file,), (0,), f"Number {i}.", "note", Edit("keep", (file,), "dark"))
        for i in range(SHOWN + 7)
    )
    page = to_html(HealthReport(many, len(index), 0), index)
    assert page.count("<article") == SHOWN
    assert "7 more" in page
    assert f"Number {SHOWN + 6}." in page


def test_a_picture_that_is_gone_is_shown_by_its_name(looked, folder):
    index, report = looked
    (folder / "ants" / "a<b>&c.png").unlink()
    page = to_html(report, index)
    assert "not shown" in page


def test_the_table_has_a_row_for_each_picture_of_a_finding(looked):
    index, _ = looked
    edit = Edit("exclude", index.files[1:2])
    finding = HealthFinding("near duplicates", index.files[:2], (0, 1), "Alike.", "note", edit)
    rows = list(csv.DictReader(io.StringIO(to_csv(HealthReport((finding,), 11, 0), index))))
    assert [(row["file"], row["acts on this"], row["class"]) for row in rows] == [
        (index.files[0], "no", "ants"),
        (index.files[1], "yes", "ants"),
    ]


def test_the_ending_decides_between_page_and_table(looked, tmp_path):
    index, report = looked
    for name, begin in (("r.html", "<!doctype html>"), ("r.csv", "finding,kind")):
        write_report(index, report, tmp_path / name)
        assert (tmp_path / name).read_text().startswith(begin)
    with pytest.raises(AppError, match="no folder"):
        write_report(index, report, tmp_path / "nowhere" / "r.html")


def test_the_command_writes_both_and_prints_json(folder, tmp_path, capsys):
    page, table = tmp_path / "r.html", tmp_path / "r.csv"
    words = ["health", str(folder), "--no-features", "--json"]
    assert app.main([*words, "--html", str(page), "--csv", str(table)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["counts"] == {"flat": 1}
    assert said["findings"][0]["files"] == ["ants/a<b>&c.png"]
    assert page.exists()
    assert table.exists()
    assert app.main([*words, "--html", str(page)]) == 1
    assert "exists already" in capsys.readouterr().err.replace("\n", " ")
    assert app.main([*words, "--html", str(page), "--force"]) == 0


def test_what_was_kept_is_not_said_again(folder, capsys):
    from core.data.journal import Journal

    Journal(folder).add(Edit("keep", ("ants/a<b>&c.png",), "flat"))
    assert app.main(["health", str(folder), "--no-features"]) == 0
    out = capsys.readouterr().out
    assert "nothing found" in out
    assert "1 more" in out
