"""How good a run is, in one card: accuracy with its interval, and the figures beside it."""

from __future__ import annotations

from PySide6.QtCore import Qt

from core.runs.report import Report
from gui.kit import theme
from gui.kit.basics import Card, ElidedLabel, Stat, hbox, label, vbox
from gui.kit.interval_bar import IntervalBar
from gui.kit.theme import Theme
from gui.kit.words import count
from gui.results.jobs import RunResults

_MEANINGS = {
    "balanced": "The mean of the classes' recalls: every class counts the same.",
    "macro F1": "The mean of the classes' F1.",
    "calibration error": "How far the probabilities are from the shares that turn out right; "
    "0 is best.",
    "held-out check": "Accuracy on the images that chose epoch and penalty: no estimate for new "
    "ones.",
    "frozen features": "Accuracy in the held-out check of the classifier that fine-tuning "
    "began with; compare it with the one beside it.",
}


class ResultSummary(Card):
    """Shows the report where there is one, else what the run knows of itself."""

    def __init__(self, look: Theme) -> None:
        super().__init__(margin=theme.M)
        self.body.setSpacing(theme.XS)
        line = hbox(spacing=theme.L)
        first = vbox(spacing=0)
        self.caption = label("", "muted-small")
        self.accuracy = label("", "display")
        first.addWidget(self.caption)
        first.addWidget(self.accuracy)
        line.addLayout(first)
        second = vbox(spacing=theme.XS)
        second.addStretch(1)
        self.bar = IntervalBar(look)
        self.bar.setMaximumWidth(280)
        second.addWidget(self.bar)
        self.interval = ElidedLabel("", "muted-small")
        second.addWidget(self.interval)
        second.addStretch(1)
        line.addLayout(second, 1)
        line.addSpacing(theme.S)
        self.stats = {name: Stat(name) for name in _MEANINGS}
        for name, stat in self.stats.items():
            stat.setToolTip(_MEANINGS[name])
            stat.layout().setContentsMargins(0, 0, theme.M, 0)  # type: ignore[union-attr]
            line.addWidget(stat, 0, Qt.AlignmentFlag.AlignVCenter)
        self.body.addLayout(line)
        self.selected_on = label("", "muted-small", wraps=True)
        self.body.addWidget(self.selected_on)
        self.tasks = label("", "small", wraps=True)
        self.body.addWidget(self.tasks)
        self.trouble = label("", wraps=True)
        self.trouble.setProperty("tone", "warning")
        self.body.addWidget(self.trouble)

    def show_results(self, results: RunResults) -> None:
        """Show the figures of a run."""
        report, chosen = results.report, results.summary.best_selection_accuracy
        for name in ("balanced", "macro F1", "calibration error"):
            self.stats[name].setVisible(report is not None)
        self.bar.setVisible(report is not None)
        self.stats["held-out check"].setVisible(report is not None and chosen is not None)
        self.stats["held-out check"].set_value(f"{chosen or 0:.1%}")
        self.stats["frozen features"].setVisible(results.probe is not None)
        self.stats["frozen features"].set_value(f"{results.probe or 0:.1%}")
        self.trouble.setText(describe_images(results))
        self.trouble.setVisible(bool(self.trouble.text()))
        self.tasks.setText(describe_tasks(report))
        self.tasks.setVisible(bool(self.tasks.text()))
        if report is None:
            self.caption.setText("Accuracy in the held-out check")
            self.accuracy.setText("–" if chosen is None else f"{chosen:.1%}")
            self.interval.setText("There is no report: no image was judged that chose nothing.")
            self.selected_on.hide()
            return
        name = {"val": "Validation", "test": "Test"}.get(report.split, report.split)
        self.caption.setText(f"{name} accuracy")
        self.accuracy.setText(f"{report.top1:.1%}")
        low, high = report.interval
        self.interval.setText(f"95% interval {low:.1%} – {high:.1%}")
        most = max((sum(row) for row in report.confusion), default=0)
        self.bar.show_share(report.top1, report.interval, chance=most / max(1, report.n))
        self.stats["balanced"].set_value(f"{report.balanced_accuracy:.1%}")
        self.stats["macro F1"].set_value(f"{report.macro_f1:.3f}")
        self.stats["calibration error"].set_value(f"{report.ece:.3f}")
        text = f"Judged on {count(report.n, 'image')}. {_sentence(report.selected_on)} "
        text = f"{text}{describe_gain(results)}".strip()
        self.selected_on.setText(text)
        self.selected_on.setVisible(bool(text))


def describe_tasks(report: Report | None) -> str:
    """A line for each label column that was learned along."""
    return "\n".join(
        f"{task.name}: {task.accuracy:.1%} of {count(task.n, 'image')} right (95% interval "
        f"{task.interval[0]:.1%} – {task.interval[1]:.1%}), balanced {task.balanced_accuracy:.1%}"
        for task in (report.tasks if report is not None else ())
    )


def describe_gain(results: RunResults) -> str:
    """What fine-tuning brought over the head it began with; nothing for other runs."""
    probe, tuned = results.probe, results.summary.best_selection_accuracy
    if probe is None or tuned is None:
        return ""
    if results.summary.best_epoch == 0 or tuned <= probe:
        return f"Fine-tuning brought nothing over a classifier on frozen features ({probe:.1%})."
    return (
        f"In the held-out check fine-tuning went from {probe:.1%}, of a classifier on frozen "
        f"features, to {tuned:.1%}."
    )


def describe_images(results: RunResults) -> str:
    """One sentence where images of the run are gone or were changed; else nothing."""
    images, total = results.images, len(results.predictions)
    if not images.is_there:
        return (
            f"The dataset is no longer at {images.root}: the figures stay, the pictures cannot be "
            "shown."
        )
    parts = []
    if images.missing:
        parts.append(f"{len(images.missing):,} of the {total:,} pictures are no longer there")
    if images.changed:
        changed = count(len(images.changed), "picture was", "pictures were")
        parts.append(f"{changed} changed since the run")
    return f"{' and '.join(parts)}: the figures are of those the run saw." if parts else ""


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")
