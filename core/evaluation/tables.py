"""A report as text to take along: Markdown for notes, CSV for a spreadsheet. No torch."""

from __future__ import annotations

import csv
import io

from core.runs.report import Report


def to_markdown(report: Report, *, title: str) -> str:
    """The figures and the per-class table under `title`."""
    low, high = report.interval
    lines = [
        f"## {_cell(title)}",
        "",
        f"- Accuracy: {report.top1:.1%} (95% interval {low:.1%} – {high:.1%}) "
        f"on {report.n:,} {report.split} images",
        f"- Balanced accuracy: {report.balanced_accuracy:.1%}",
        f"- Macro F1: {report.macro_f1:.3f}",
        f"- Calibration error: {report.ece:.3f}",
    ]
    if report.selected_on:
        lines.append(f"- Selection: {report.selected_on}")
    lines += [
        "",
        "| Class | Images | Precision | Recall | F1 |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {_cell(score.name)} | {score.n:,} | {score.precision:.1%} | {score.recall:.1%} "
        f"| {score.f1:.3f} |"
        for score in report.per_class
    ]
    return "\n".join(lines) + "\n"


def to_csv(report: Report) -> str:
    """The per-class table with full precision, a header line first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("class", "images", "precision", "recall", "f1"))
    for score in report.per_class:
        writer.writerow((_plain(score.name), score.n, score.precision, score.recall, score.f1))
    return text.getvalue()


def _cell(text: str) -> str:
    """Class names are not markup: a bar would end the cell, a line break the row."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def _plain(name: str) -> str:
    """A name that a spreadsheet would run as a formula is made text."""
    return "'" + name if name[:1] in ("=", "+", "-", "@", "\t") else name
