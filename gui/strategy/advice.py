"""The wizard's answer: the strategy, its plan as a picture, why, and what else there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QScrollArea, QWidget

from core.advice.rules import rule_tables
from gui.kit import theme
from gui.kit.basics import Card, Stat, button, hbox, label, row, vbox
from gui.kit.theme import Theme
from gui.kit.words import duration, strategy_in_words
from gui.strategy.alternatives import AlternativesTable, RuleGrid
from gui.train.plan_picture import PlanPicture

if TYPE_CHECKING:
    from core.advice.advise import Advice, Alternative
    from core.advice.check import Check
    from core.advice.rules import Thresholds


class AdviceView(QScrollArea):
    """Shows one `Advice`; `alternative` is what Finish will take."""

    check_wanted = Signal()
    alternative_changed = Signal()

    def __init__(self, look: Theme) -> None:
        super().__init__()
        self._theme = look
        self.advice: Advice | None = None
        self._chosen = 0
        self._image_px: int | None = None
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Advice")
        self.setObjectName("run")  # framed when it has the focus, as every page that scrolls
        inside = QWidget()
        self._column = vbox(inside, margins=(0, 0, theme.S, 0), spacing=theme.M)
        self._column.addWidget(self._make_plan())
        self._column.addWidget(self._make_alternatives(look))
        across = hbox(spacing=theme.M)
        across.addWidget(self._make_reasons(), 3)
        across.addWidget(self._make_evidence(), 2)
        self._column.addLayout(across)
        self._rules = Card()
        self._rules.body.setSpacing(theme.L)
        self._grids: list[RuleGrid] = []
        self._column.addWidget(self._rules)
        self._column.addStretch(1)
        self.setWidget(inside)

    # -- building ----------------------------------------------------------------------------

    def _make_plan(self) -> Card:
        card = Card()
        self.headline = label("", "title", wraps=True)
        card.body.addWidget(self.headline)
        self.estimate = label("", "muted", wraps=True)
        card.body.addWidget(self.estimate)
        self.picture = PlanPicture(self._theme)
        card.body.addSpacing(theme.XS)
        card.body.addWidget(self.picture)
        return card

    def _make_alternatives(self, look: Theme) -> Card:
        card = Card("Every strategy here")
        self.table = AlternativesTable(look)
        self.table.alternative_chosen.connect(self._choose)
        card.body.addWidget(self.table)
        self.why = label("", "muted", wraps=True)
        card.body.addWidget(self.why)
        self.check_button = button(
            "Check it", self.check_wanted.emit, icon=(look, "scale-balance", "muted")
        )
        self.check_line = label(
            "Tries fine-tuning for a few epochs on up to 200 training images.", "muted", wraps=True
        )
        line = row(self.check_button, spacing=theme.M, stretch=False)
        line.addWidget(self.check_line, 1)
        card.body.addLayout(line)
        return card

    def _make_reasons(self) -> Card:
        card = Card("Why")
        self._reasons = vbox()
        card.body.addLayout(self._reasons)
        card.body.addStretch(1)
        self.reasons: list[str] = []
        return card

    def _make_evidence(self) -> Card:
        card = Card("Measured on your images")
        captions = {
            "accuracy": "held-out accuracy on frozen features",
            "domain": "uncertainty of the pretrained classifier",
            "speed": "images a second, read and embedded",
        }
        self.stats = {key: Stat(caption) for key, caption in captions.items()}
        for stat in self.stats.values():
            card.body.addWidget(stat)
        self.interval = label("", "muted-small", wraps=True)
        card.body.addWidget(self.interval)
        card.body.addStretch(1)
        return card

    # -- showing -----------------------------------------------------------------------------

    @property
    def alternative(self) -> Alternative | None:
        return self.advice.alternatives[self._chosen] if self.advice is not None else None

    def show_advice(self, advice: Advice, *, image_px: int | None, thresholds: Thresholds) -> None:
        self.advice = advice
        self._image_px = image_px
        self._chosen = next(i for i, o in enumerate(advice.alternatives) if o.is_advised)
        self._show_reasons(advice.reasons)
        evidence = advice.evidence
        low, high = evidence.interval
        self.stats["accuracy"].set_value(f"{evidence.accuracy:.1%}")
        entropy = evidence.head_entropy
        self.stats["domain"].setVisible(entropy is not None)
        self.stats["domain"].set_value(f"{entropy:.0%} of its most" if entropy is not None else "")
        self.stats["speed"].set_value(f"{evidence.images_per_s:,.0f}")
        self.interval.setText(
            f"95% interval of the accuracy: {low:.1%}–{high:.1%}, on {evidence.images:,} sampled "
            "training images."
        )
        self._show_rules(advice, thresholds)
        self.check_line.setText("Tries fine-tuning for a few epochs on up to 200 training images.")
        self.table.show_alternatives(advice.alternatives)
        self._show_chosen()
        self.verticalScrollBar().setValue(0)

    def _show_reasons(self, reasons: tuple[str, ...]) -> None:
        while (item := self._reasons.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.reasons = list(reasons)
        for reason in reasons:
            line = QWidget()
            across = hbox(line)
            across.addWidget(label("•", "number"), 0, Qt.AlignmentFlag.AlignTop)
            across.addWidget(label(reason, wraps=True), 1, Qt.AlignmentFlag.AlignTop)
            self._reasons.addWidget(line)

    def _show_rules(self, advice: Advice, thresholds: Thresholds) -> None:
        for grid in self._grids:
            self._rules.body.removeWidget(grid)
            grid.hide()
            grid.deleteLater()
        tables = rule_tables(advice.images_per_class, advice.domain, thresholds=thresholds)
        self._grids = [RuleGrid(table) for table in tables]
        for grid in self._grids:
            self._rules.body.addWidget(grid)

    def _choose(self, position: int) -> None:
        if self.advice is not None and position != self._chosen:
            self._chosen = position
            self._show_chosen()
            self.alternative_changed.emit()

    def _show_chosen(self) -> None:
        option = self.alternative
        if option is None or self.advice is None:
            return
        name = strategy_in_words(option.strategy, gradual=option.gradual)
        if option.augmentation != "none":
            name += f", {option.augmentation} augmentation"
        self.headline.setText(name if option.is_advised else f"{name} – your choice")
        self.estimate.setText(
            f"Trains {option.trains}. About {duration(option.seconds)} and "
            f"{option.memory_mb / 1024:.1f} GB of memory here; {option.risk} risk of overfitting."
            + ("" if option.fits_budget else " That is more than your budget.")
        )
        self.why.setText(f"{strategy_in_words(option.strategy)}: {option.why}.")
        self.picture.show_plan(option.plan, model=option.recipe.model, image_px=self._image_px)

    def show_checking(self, text: str) -> None:
        """Show that a check is running; `text` is its progress."""
        self.check_button.setEnabled(False)
        self.check_line.setText(text)

    def show_check(self, check: Check | None) -> None:
        """Show the result of the check; None where it ended without one."""
        self.check_button.setEnabled(True)
        if check is None:
            self.check_line.setText("There is no result: the check did not come to its end.")
            return
        arms = "; ".join(
            f"{strategy_in_words(arm.strategy).lower()} {arm.accuracy:.1%} "
            f"({arm.interval[0]:.0%}–{arm.interval[1]:.0%})"
            for arm in check.arms
        )
        self.check_line.setText(
            f"{check.verdict} On {check.selection_images} held-out images, after "
            f"{check.epochs} epochs on {check.images - check.selection_images} others, with 95% "
            f"intervals: {arms}. For fine-tuning it is the best epoch, chosen on these images."
        )
