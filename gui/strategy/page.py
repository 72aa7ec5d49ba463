"""Strategy: a wizard from the data to a recipe. Data, domain, budget, advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from gui.base.page import Page
from gui.base.session import Session
from gui.kit import theme
from gui.kit.basics import button, label, progress_bar, row, scroll_area, vbox
from gui.kit.drop_zone import DropZone
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.workers import JobRunner
from gui.strategy.advice import AdviceView
from gui.strategy.commands import AdviceCommands
from gui.strategy.inputs import BudgetStep, DataStep, DomainStep
from gui.strategy.jobs import Question
from gui.strategy.step_bar import StepBar

if TYPE_CHECKING:
    from core.advice.advise import Advice
    from core.advice.check import Check
    from gui.kit.workers import Job

_STEPS = ("Data", "Domain", "Budget", "Advice")
_DATA, _DOMAIN, _BUDGET, _ADVICE = range(4)
_SHARED = ("seed", "selection_folds", "device", "precision", "embed_batch_size")
"""Keys of the recipe that the person set and no strategy overrules."""
_ALWAYS = ("model", "strategy", "gradual", "augmentation")


class StrategyPage(Page):
    """Without a dataset an invitation; else four steps, Enter goes on."""

    folder_wanted = Signal()

    def __init__(
        self,
        session: Session,
        settings: Settings,
        look: Theme,
        runner: JobRunner,
        *,
        commands: AdviceCommands,
    ) -> None:
        super().__init__("Strategy", session, settings, look)
        self._runner = runner
        self._commands = commands
        self._step = _DATA
        self._reached = _DATA
        self._asked: Question | None = None
        self._answered: Question | None = None
        self.stack = QStackedWidget()
        self.body.addWidget(self.stack, 1)
        self._empty = DropZone(
            look,
            icon="compass-outline",
            text="Advice needs a dataset",
            hint="Drop a folder with one folder of images per class, or click to choose one. "
            "Four short steps then lead to a strategy, with the reasons for it.",
        )
        self._empty.activated.connect(self.folder_wanted)
        self.stack.addWidget(self._empty)
        self.stack.addWidget(self._make_wizard())
        session.dataset_changed.connect(self._show_dataset)
        session.models_changed.connect(self._show_models)
        runner.progressed.connect(self._show_progress)
        commands.advised.connect(self._show_advice)
        commands.advice_ended.connect(self._go_without_advice)
        commands.checked.connect(self._show_check)
        commands.check_ended.connect(self._show_no_check)
        self._show_models()
        self._show_dataset()

    # -- building ----------------------------------------------------------------------------

    def _make_wizard(self) -> QWidget:
        wizard = QWidget()
        column = vbox(wizard, spacing=theme.M)
        self.bar = StepBar(self.look, _STEPS)
        self.bar.chosen.connect(self.go_to)
        column.addWidget(self.bar)
        self.steps = QStackedWidget()
        column.addWidget(self.steps, 1)
        self.data_step = DataStep(self.look)
        self.data_step.model_chosen.connect(self.session.set_model)
        self.domain_step = DomainStep()
        self.budget_step = BudgetStep(self.look)
        for step in (self.data_step, self.domain_step, self.budget_step):
            self.steps.addWidget(_scrolled(step))
        self._answer = QStackedWidget()
        self._answer.addWidget(self._make_asking())
        self.advice_view = AdviceView(self.look)
        self.advice_view.check_wanted.connect(self._check)
        self._answer.addWidget(self.advice_view)
        self.steps.addWidget(self._answer)
        self.back_button = button("Back", self.go_back, icon=(self.look, "arrow-left", "muted"))
        self.next_button = button("Next", self.go_on, role="primary")
        line = row(self.back_button)
        self.note = label("", "muted")
        line.addWidget(self.note)
        line.addWidget(self.next_button)
        column.addLayout(line)
        return wizard

    def _make_asking(self) -> QWidget:
        busy = QWidget()
        column = QVBoxLayout(busy)
        column.setSpacing(theme.M)
        column.addStretch(1)
        self._asking = label("", "heading")
        self._asking.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._asking)
        self._asking_bar = progress_bar("Progress of the advice", 320)
        column.addWidget(self._asking_bar, 0, Qt.AlignmentFlag.AlignHCenter)
        self._asking_note = label("", "muted")
        self._asking_note.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._asking_note)
        self.cancel_button = button("Cancel", self._commands.cancel)
        column.addWidget(self.cancel_button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)
        return busy

    # -- stepping ----------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """The position of the step shown, from 0."""
        return self._step

    def go_on(self) -> None:
        """Next; from the advice, Finish."""
        if self.stack.currentWidget() is self._empty:
            return
        if self._step == _ADVICE:
            self._finish()
        else:
            self.go_to(self._step + 1)

    def go_back(self) -> None:
        if self._step > _DATA:
            self.go_to(self._step - 1)

    def go_to(self, step: int) -> None:
        if step > _BUDGET and not self.budget_step.check():
            step = _BUDGET
        self._show_step(step)
        if step == _ADVICE:
            self._ask()

    def _show_step(self, step: int) -> None:
        self._step = step
        self._reached = max(self._reached, step)
        self.steps.setCurrentIndex(step)
        self.bar.show_step(step, self._reached)
        self.back_button.setEnabled(step > _DATA)
        self._show_buttons()
        self._focus_step()

    def _show_buttons(self) -> None:
        is_last = self._step == _ADVICE
        has_answer = self._answer.currentWidget() is self.advice_view
        text = "Finish" if is_last else "Next"
        self.next_button.setText(text)
        self.next_button.setAccessibleName(text)
        self.next_button.setEnabled(not is_last or has_answer)
        self.note.setText("Finish fills the Train page." if is_last and has_answer else "")

    def _focus_step(self) -> None:
        if not self.isVisible():
            return
        first: dict[int, QWidget] = {
            _DATA: self.data_step.model,
            _DOMAIN: self.domain_step.first,
            _BUDGET: self.budget_step.first,
            _ADVICE: self.advice_view.table,
        }
        if self._step == _ADVICE and self._answer.currentWidget() is not self.advice_view:
            self.cancel_button.setFocus()
        else:
            first[self._step].setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.next_button.isEnabled():
            self.go_on()
            return
        super().keyPressEvent(event)

    # -- asking ------------------------------------------------------------------------------

    def question(self) -> Question | None:
        """What the steps say now; None without a dataset."""
        dataset = self.session.dataset
        if dataset is None:
            return None
        kept = {k: v for k, v in self.session.recipe_values.items() if k in _SHARED}
        return Question(
            dataset=dataset,
            values={**kept, "model": self.session.model_id},
            domain=self.domain_step.domain,
            budget_seconds=self.budget_step.read_budget(),
            thresholds=self.budget_step.thresholds,
        )

    def _ask(self) -> None:
        question = self.question()
        if question is None:
            return
        if _is_same(question, self._answered):
            self._answer.setCurrentWidget(self.advice_view)
            self._show_buttons()
            self._focus_step()
            return
        if _is_same(question, self._asked) and self._runner.find("advice") is not None:
            return
        self._asked = question
        self._answered = None
        self._answer.setCurrentIndex(0)
        self._asking.setText(f"Looking at a sample of “{question.dataset.name}” …")
        self._asking_bar.setRange(0, 0)
        self._asking_note.setText("")
        self._show_buttons()
        self._focus_step()
        self._commands.ask(question)
        job = self._runner.find("advice")
        if job is not None and self._runner.is_waiting(job):
            self._asking_note.setText("Waits until the machine is free: something else computes.")

    def _show_progress(self, job: Job) -> None:
        done, total, note = job.progress
        if job is self._runner.find("advice"):
            self._asking_bar.setRange(0, total)
            self._asking_bar.setValue(done)
            self._asking_note.setText(f"{note} · {done:,} / {total:,}" if total else note)
        elif job is self._runner.find("check"):
            share = f", {done / total:.0%}" if total else ""
            self.advice_view.show_checking(f"{note}{share} …")

    def _show_advice(self, advice: Advice) -> None:
        question = self._asked
        if question is None:
            return
        self._answered = question
        card = next((c for c in self.session.models if c.id == self.session.model_id), None)
        image_px = card.input_size[0] if card is not None and card.input_size else None
        self.advice_view.show_advice(advice, image_px=image_px, thresholds=question.thresholds)
        if advice.domain_origin == "measured":
            self.domain_step.show_measured(f"Measured last: {advice.reasons[1]}")
        self._answer.setCurrentWidget(self.advice_view)
        self._show_buttons()
        if self._step == _ADVICE:
            self._focus_step()

    def _go_without_advice(self) -> None:
        self._asked = None
        if self._step == _ADVICE:
            self._show_step(_BUDGET)

    # -- checking and finishing --------------------------------------------------------------

    def _check(self) -> None:
        if self._answered is not None and self.advice_view.advice is not None:
            self.advice_view.show_checking("Waiting for the machine …")
            self._commands.check(self._answered, self.advice_view.advice)

    def _show_check(self, check: Check) -> None:
        self.advice_view.show_check(check)

    def _show_no_check(self) -> None:
        self.advice_view.show_check(None)

    def _finish(self) -> None:
        option = self.advice_view.alternative
        if option is None:
            return
        self.session.set_recipe_values(_values_of(option.recipe))
        self.session.show_page("train")

    # -- the session -------------------------------------------------------------------------

    def _show_dataset(self) -> None:
        dataset = self.session.dataset
        if dataset is None:
            self.set_subtitle("")
            self.stack.setCurrentWidget(self._empty)
            return
        self.set_subtitle(dataset.name or dataset.root.name)
        self.data_step.show_dataset(dataset)
        self.stack.setCurrentIndex(1)
        if self._asked is None or self._asked.dataset is not dataset:
            self._start_anew()

    def _show_models(self) -> None:
        self.data_step.show_models(self.session.models, self.session.model_id)
        asked = self._asked
        if asked is not None and asked.values["model"] != self.session.model_id:
            self._start_anew()

    def _start_anew(self) -> None:
        """Another dataset or model: what was answered does not hold for it."""
        if self._asked is not None:
            self._commands.drop()
            self.domain_step.show_measured("")
        self._asked = self._answered = None
        self._answer.setCurrentIndex(0)
        self._reached = _DATA
        self._show_step(_DATA)


def _scrolled(step: QWidget) -> QScrollArea:
    return scroll_area(step)


def _is_same(question: Question, other: Question | None) -> bool:
    """Whether two questions have one answer. The datasets are compared as objects: their arrays
    make no truth value."""
    if other is None or question.dataset is not other.dataset:
        return False
    rest = ("values", "domain", "budget_seconds", "thresholds")
    return all(getattr(question, name) == getattr(other, name) for name in rest)


def _values_of(recipe: Any) -> dict[str, Any]:
    """What of a recipe is worth telling: what makes the strategy, and what is not the default."""
    fields = type(recipe).model_fields
    return {
        key: value
        for key, value in recipe.model_dump().items()
        if key in _ALWAYS or value != fields[key].default
    }
