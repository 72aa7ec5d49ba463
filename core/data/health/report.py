"""Writes a health report as one HTML page, as CSV, and as JSON.

The page needs no network and no second file: thumbnails are small JPEGs inside it.
"""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from core.data.dataset import DatasetIndex
from core.data.health.findings import KINDS, HealthFinding, HealthReport, Kind
from core.errors import AppError, DecodeError
from core.events import OnProgress, ShouldStop, never_stop, no_progress
from core.images.decode import read_image
from core.system.atomic_files import write_bytes
from core.system.threads import in_threads
from core.words import list_some

SHOWN = 60
"""Number of findings of a kind that are shown with pictures; the others are listed by name."""
SHOWN_PICTURES = 8
"""Number of pictures shown of one finding."""
_THUMB_PX = 120

MEANING: dict[Kind, tuple[str, str]] = {
    "unreadable": ("Unreadable files", "They are left out of training."),
    "class": ("Classes", "What the scan found wrong with whole classes."),
    "two labels": ("The same picture under two labels", "At most one label can be right."),
    "leak": (
        "The same picture in two splits",
        "Training pictures are evaluated as if they were new: the accuracy shown is too high.",
    ),
    "label error": ("Suspected label errors", "Look at each: the classifiers may be wrong."),
    "exact duplicates": ("Exact duplicates", "A picture that is there twice counts twice."),
    "near duplicates": ("Near duplicates", "The same picture, saved again, cropped or rotated."),
    "unlike its class": (
        "Unlike the rest of their class",
        "Rare views, or pictures of something else.",
    ),
    "blurred": ("Blurred", "Less sharp than is usual here."),
    "dark": ("Dark", "Hardly anything can be seen."),
    "bright": ("Bright", "Hardly anything can be seen."),
    "flat": ("Of one colour", "There is nothing to learn from."),
    "tiny": ("Tiny", "The model sees them enlarged."),
    "odd aspect": ("Long and narrow", "A square crop keeps little of them."),
    "imbalance": ("Class imbalance", "Rare classes are learned worse and count less."),
}
"""Kind → (title, meaning), as shown to people."""

_ROWS = (
    "finding", "kind", "severity", "file", "class", "split", "action", "value", "acts on this",
    "why", "score",
)  # fmt: skip


def action_text(finding: HealthFinding) -> str:
    """The suggested action as a clause: “relabel to bees”."""
    edit = finding.edit
    count = f" {len(edit.files):,} of them" if len(finding.files) > len(edit.files) else ""
    match edit.kind:
        case "relabel":
            return f"relabel{count} to {edit.value}"
        case "move":
            return f"move{count} to {edit.value}"
        case "exclude":
            return f"exclude{count}"
        case _:
            return "keep"


def to_json(report: HealthReport, index: DatasetIndex) -> dict[str, Any]:
    """The report as the JSON document of the command line."""
    return {
        "dataset": index.name,
        "root": str(index.root),
        "images": report.images,
        "read": report.read,
        "counts": report.counts(),
        "findings": [
            {
                "key": finding.key,
                "kind": finding.kind,
                "severity": finding.severity,
                "files": list(finding.files),
                "why": finding.why,
                "action": finding.edit.kind,
                "act_on": list(finding.edit.files),
                "value": finding.edit.value,
                "score": round(finding.score, 4),
            }
            for finding in report.findings
        ],
        "notes": list(report.notes),
        "methods": list(report.methods),
    }


def write_report(
    index: DatasetIndex,
    report: HealthReport,
    path: Path,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> None:
    """Write a CSV table if the name ends in .csv, else an HTML page; an old file is replaced.

    Raises: AppError if it cannot be written; Cancelled.
    """
    check_target(path, force=True)
    if path.suffix.lower() == ".csv":
        text = to_csv(report, index)
    else:
        text = to_html(report, index, on_progress=on_progress, should_stop=should_stop)
    try:
        write_bytes(path, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise AppError(
            f"{path} cannot be written: {error.strerror or error}.", "Choose another folder."
        ) from error


def to_csv(report: HealthReport, index: DatasetIndex) -> str:
    """The report as CSV, with a row for each picture of each finding."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_ROWS)
    for finding in report.findings:
        act_on = set(finding.edit.files)
        positions: Iterable[int | None] = finding.pictures or (None,) * len(finding.files)
        for file, i in zip(finding.files, positions, strict=True):
            of = ("", "") if i is None else (index.class_of(i), index.split_of(i))
            writer.writerow(
                [
                    finding.key, finding.kind, finding.severity, file, *of, finding.edit.kind,
                    finding.edit.value, "yes" if file in act_on else "no", finding.why,
                    f"{finding.score:.4f}",
                ]
            )  # fmt: skip
    return text.getvalue()


def check_target(path: Path, *, force: bool) -> None:
    """Check that a report can be written to `path`, before the work for it. Raises: AppError."""
    if path.exists() and not force:
        raise AppError(f"{path} exists already.", "Use another name, or --force to replace it.")
    if not path.parent.is_dir():
        raise AppError(f"There is no folder {path.parent}.", "Create it, or use another folder.")


def to_html(
    report: HealthReport,
    index: DatasetIndex,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: ShouldStop = never_stop,
) -> str:
    """The report as an HTML page. A picture that cannot be read any more is shown by its name.

    Raises: Cancelled.
    """
    by_kind = {kind: [f for f in report.findings if f.kind == kind] for kind in KINDS}
    wanted = sorted(
        {
            i
            for findings in by_kind.values()
            for finding in findings[:SHOWN]
            for i in finding.pictures[:SHOWN_PICTURES]
        }
    )
    thumbs = _thumbnails(index, wanted, on_progress, should_stop)
    problems = sum(finding.severity == "problem" for finding in report.findings)
    name = html.escape(index.name or index.root.name)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Health of {name}</title>"
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f"<header><h1>Health of {name}</h1><p>{report.images:,} images in "
        f"{len(index.classes):,} classes · {_plural(len(report.findings), 'finding')}, "
        f"{_plural(problems, 'problem')} among them · {datetime.now():%Y-%m-%d %H:%M}</p>",
        f'<p class="path">{_text(str(index.root))}</p></header>',
        "".join(f'<p class="notice">{_text(note)}</p>' for note in report.notes),
        _summary(by_kind) if report.findings else "<p>Nothing was found.</p>",
    ]
    for kind, findings in by_kind.items():
        if findings:
            parts.append(_section(kind, findings, index, thumbs))
    parts.append("<section><h2>How it was looked at</h2><ul>")
    parts += [f"<li>{_text(method)}</li>" for method in report.methods]
    parts.append("</ul></section></body></html>\n")
    return "\n".join(parts)


def _summary(by_kind: dict[Kind, list[HealthFinding]]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{_id(kind)}">{MEANING[kind][0]}</a></td><td>{len(findings):,}</td>'
        f"<td>{len({file for finding in findings for file in finding.files}):,}</td></tr>"
        for kind, findings in by_kind.items()
        if findings
    )
    return (
        '<table class="summary"><thead><tr><th>kind</th><th>findings</th><th>files</th></tr>'
        f"</thead><tbody>{rows}</tbody></table>"
        '<p class="meaning">Framed in red: the pictures that a suggestion is about.</p>'
    )


def _section(
    kind: Kind, findings: list[HealthFinding], index: DatasetIndex, thumbs: dict[int, str]
) -> str:
    title, meaning = MEANING[kind]
    parts = [
        f'<section id="{_id(kind)}"><h2>{title} <span class="count">{len(findings):,}</span></h2>'
        f'<p class="meaning">{meaning}</p><div class="findings">'
    ]
    parts += [_card(finding, index, thumbs) for finding in findings[:SHOWN]]
    parts.append("</div>")
    rest = findings[SHOWN:]
    if rest:
        items = "".join(
            f"<li>{_text(', '.join(f.files))}: {_text(f.why)} → {_text(action_text(f))}</li>"
            for f in rest
        )
        parts.append(f"<details><summary>{len(rest):,} more</summary><ul>{items}</ul></details>")
    parts.append("</section>")
    return "".join(parts)


def _card(finding: HealthFinding, index: DatasetIndex, thumbs: dict[int, str]) -> str:
    figures = []
    if finding.pictures:
        for file, i in list(zip(finding.files, finding.pictures, strict=True))[:SHOWN_PICTURES]:
            where = " · ".join(word for word in (index.class_of(i), index.split_of(i)) if word)
            picture = thumbs.get(i)
            image = (
                f'<img src="data:image/jpeg;base64,{picture}" alt="{_text(file)}">'
                if picture
                else '<div class="none">not shown</div>'
            )
            acts = " acts" if file in finding.edit.files and finding.edit.kind != "keep" else ""
            figures.append(
                f'<figure class="picture{acts}">{image}<figcaption>{_text(file)}'
                f"<br><small>{_text(where)}</small></figcaption></figure>"
            )
        more = len(finding.files) - SHOWN_PICTURES
        if more > 0:
            figures.append(f'<div class="more">and {more:,} more</div>')
    else:
        figures.append(f'<div class="name">{_text(", ".join(finding.files))}</div>')
    return (
        f'<article class="{finding.severity}" id="f{finding.key}"><div class="pictures">'
        f"{''.join(figures)}</div><p>{_text(finding.why)}</p>"
        f'<p class="action">Suggested: <b>{_text(action_text(finding))}</b></p></article>'
    )


def _thumbnails(
    index: DatasetIndex, wanted: Sequence[int], on_progress: OnProgress, should_stop: ShouldStop
) -> dict[int, str]:
    """Position → base64 of a small JPEG, of the pictures that can be read. Raises: Cancelled."""
    thumbs: dict[int, str] = {}

    def work(k: int) -> None:
        i = wanted[k]
        try:
            picture = read_image(index.path(i), short_side=_THUMB_PX)
        except DecodeError:
            return
        picture.thumbnail((2 * _THUMB_PX, _THUMB_PX))
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=72, optimize=True)
        thumbs[i] = base64.b64encode(data.getvalue()).decode("ascii")

    in_threads(
        work, len(wanted), note="Making the report", name=lambda k: index.files[wanted[k]],
        on_progress=on_progress, should_stop=should_stop,
    )  # fmt: skip
    return thumbs


def summary_lines(report: HealthReport, *, most: int) -> Iterator[tuple[str, str, str, str, int]]:
    """(kind, files, why, action, number left out) of the first `most` findings of each kind.

    The number left out is that of the kind, in its last row; 0 in the others.
    """
    for kind, count in report.counts().items():
        findings = [finding for finding in report.findings if finding.kind == kind]
        for place, finding in enumerate(findings[:most]):
            files = list_some(finding.files)
            is_last = place == min(most, count) - 1
            more = count - most if is_last and count > most else 0
            yield kind, files, finding.why, action_text(finding), more


def _id(kind: Kind) -> str:
    return kind.replace(" ", "-")


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _text(text: str) -> str:
    # A file name may have bytes that are not UTF-8, but the page must be UTF-8.
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


_STYLE = """
:root{color-scheme:light dark;--ground:#fff;--card:#f6f7f9;--line:#d9dde3;--ink:#1c2128;
--soft:#57606a;--problem:#b3261e;--note:#8a6100;--link:#0b57d0}
@media (prefers-color-scheme:dark){:root{--ground:#16191d;--card:#1f242a;--line:#39414a;
--ink:#e6e9ed;--soft:#a3adb8;--problem:#ff8f85;--note:#e3b341;--link:#8ab4f8}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:24px;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{margin:0 0 4px;font-size:26px}h2{margin:36px 0 4px;font-size:19px}
header p{margin:2px 0}.path,.meaning,small,.count{color:var(--soft)}.count{font-weight:400}
.path{overflow-wrap:anywhere}a{color:var(--link)}
.notice{border-left:4px solid var(--note);padding:8px 12px;background:var(--card)}
.summary{border-collapse:collapse;margin-top:20px}
.summary td,.summary th{padding:4px 18px 4px 0;text-align:left;border-bottom:1px solid var(--line)}
.summary td+td,.summary th+th{text-align:right;font-variant-numeric:tabular-nums}
.findings{display:grid;gap:14px;margin-top:12px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr))}
article{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--note);
border-radius:8px;padding:12px;min-width:0;break-inside:avoid}
article.problem{border-left-color:var(--problem)}
article p{margin:8px 0 0;max-width:62ch;overflow-wrap:anywhere}.action{color:var(--soft)}
.action b{color:var(--ink)}
.pictures{display:flex;flex-wrap:wrap;gap:10px;align-items:flex-start}
figure{margin:0;max-width:240px}figure img{display:block;height:120px;max-width:240px;
object-fit:contain;border-radius:4px;border:2px solid transparent}
figure.acts img{border-color:var(--problem)}
figcaption{font-size:12px;line-height:1.35;overflow-wrap:anywhere;max-width:200px}
.none{height:120px;width:120px;display:grid;place-items:center;border:1px dashed var(--line);
color:var(--soft)}
.more,.name{align-self:center;overflow-wrap:anywhere}details{margin-top:12px}
@media print{body{max-width:none;padding:0}a{color:inherit;text-decoration:none}}
"""
