"""Tables as text for the clipboard: Markdown, CSV and what spreadsheets paste. No Qt."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

Cells = Sequence[Sequence[str]]


def markdown(headings: Sequence[str], rows: Cells) -> str:
    """A Markdown table that ends with a line break; a bar in a cell is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(_cell(text) for text in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def comma_separated(headings: Sequence[str], rows: Cells) -> str:
    """The table as CSV, headings first."""
    return _separated(headings, rows, ",")


def tab_separated(headings: Sequence[str], rows: Cells) -> str:
    """The table with tabs between cells, as spreadsheets paste it."""
    return _separated(headings, rows, "\t")


def _separated(headings: Sequence[str], rows: Cells, delimiter: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)
    return out.getvalue()
