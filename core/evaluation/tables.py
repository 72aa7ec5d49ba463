"""Formats a report as Markdown or CSV. No torch."""

from __future__ import annotations

import csv
import io

from core.runs.report import Report


def to_markdown(report: Report, *, title: str) -> str:
    """The report as Markdown: a heading `title`, the scores, and the table of classes."""
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
        lines.append(f"- Note: {report.selected_on}")
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
    """The table of classes as CSV, with a header line and full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("class", "images", "precision", "recall", "f1"))
    for score in report.per_class:
        writer.writerow((_plain(score.name), score.n, score.precision, score.recall, score.f1))
    return text.getvalue()


def _cell(text: str) -> str:
    """Text for a Markdown table: a bar would end the cell, a line break the row."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def _plain(name: str) -> str:
    """A name for a spreadsheet: one that looks like a formula gets an apostrophe."""
    return "'" + name if name[:1] in ("=", "+", "-", "@", "\t") else name
