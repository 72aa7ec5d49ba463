"""Train: a short form, Start and Stop, live curves, and what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QResizeEvent
from PySide6.QtWidgets import QStackedWidget, QWidget

from core.catalog.names import shown_name
from gui.base.live_run import LiveRun
from gui.base.page import Page
from gui.base.session import Session
from gui.kit import theme
from gui.kit.basics import Card, button, hbox, label, row, scroll_area, vbox
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.words import count
from gui.layers.commands import LayerCommands
from gui.train.augmentation import AugmentationPreview
from gui.train.augmentation_commands import PreviewCommands
from gui.train.commands import TrainCommands
from gui.train.form import RecipeForm
from gui.train.lr_commands import RateCommands
from gui.train.plan_commands import PlanCommands
from gui.train.plan_picture import PlanPicture
from gui.train.queue_panel import MOST_ROWS, QueuePanel
from gui.train.run_view import RunView

if TYPE_CHECKING:
    from core.recipe.plan import Plan
    from gui.train.lr_finder import RateFinder

_FORM_PX = 248
_LOW_PX = 760
_FEW_ROWS = 2
_HEAD_STEPS = (
    "Every picture is read once and turned into features by the pretrained backbone, which stays "
    "as it is.",
    "A new head learns your classes from the features. How strongly it is regularised and when it "
    "stops is chosen on a held-out check: training images that are kept aside for that.",
    "The accuracy shown at the end comes from pictures that took part in none of it, with its 95% "
    "interval.",
)
_TUNE_STEPS = (
    "A classifier on frozen features is fitted first: epoch 0, and what every later epoch has to "
    "beat.",
    "Then the layers marked in the plan learn with it, early ones at lower learning rates, on "
    "pictures with new augmentation each time. After each epoch a held-out check validates the "
    "model; the best one is kept.",
    "The accuracy shown at the end comes from pictures that took part in none of it, with its 95% "
    "interval.",
)
_SCRATCH_STEPS = (
    "The model begins with random weights in place of pretrained ones: epoch 0 answers by chance. "
    "This needs many images and many epochs, and serves to see what pretraining is worth.",
    "Every layer learns at one learning rate, on pictures with new augmentation each time. After "
    "each epoch a held-out check validates the model; the best one is kept.",
    "The accuracy shown at the end comes from pictures that took part in none of it, with its 95% "
    "interval.",
)


class TrainPage(Page):
    """The recipe on the left, the run on the right."""

    def __init__(
        self,
        session: Session,
        settings: Settings,
        look: Theme,
        *,
        commands: TrainCommands,
        plans: PlanCommands,
        previews: PreviewCommands,
        rates: RateCommands,
        layers: LayerCommands,
    ) -> None:
        super().__init__("Train", session, settings, look)
        self._commands = commands
        self._plans, self._previews = plans, previews
        self._rates, self._layers = rates, layers
        columns = hbox(spacing=theme.L)
        self.body.addLayout(columns, 1)
        columns.addWidget(self._make_form())
        right = vbox(spacing=theme.M)
        columns.addLayout(right, 1)
        self._plan_card = Card(margin=theme.M)
        self.plan = PlanPicture(look)
        self._plan_card.body.addWidget(self.plan)
        right.addWidget(self._plan_card)
        self.preview = AugmentationPreview(look)
        self.preview.changed.connect(self._ask_for_preview)
        right.addWidget(self.preview)
        self.stack = QStackedWidget()
        right.addWidget(self.stack, 1)
        self.queue_panel = QueuePanel(commands.queue, look)
        right.addWidget(self.queue_panel)
        self._empty = self._make_empty()
        self.stack.addWidget(self._empty)
        # The plots are built later: pyqtgraph would delay the page otherwise.
        self.run_view: RunView | None = None
        self._is_own_change = False
        self._shown_epoch: int | None = None
        plans.planned.connect(self._show_plan)
        previews.made.connect(self.preview.show_rows)
        previews.refused.connect(self.preview.show_error)
        self._run_of: tuple[LiveRun, Path | None] | None = None
        self._values_of: tuple[LiveRun, dict[str, Any]] | None = None
        session.models_changed.connect(self._show_models)
        session.recipe_changed.connect(self._show_recipe)
        session.dataset_changed.connect(self._show_state)
        session.dataset_changed.connect(self._show_tasks)
        session.runs_changed.connect(self._show_teachers)
        session.dataset_changed.connect(self._ask_for_plan)
        session.machine_changed.connect(self._ask_for_plan)
        session.run_changed.connect(self._show_state)
        self._show_models()
        self._show_tasks()
        self._show_recipe()
        self._show_state()

    # -- building ----------------------------------------------------------------------------

    def _make_form(self) -> QWidget:
        side = QWidget()
        side.setFixedWidth(_FORM_PX)
        column = vbox(side, spacing=theme.M)
        card = Card()
        self.form = RecipeForm(self.look)
        self.form.model_chosen.connect(self.session.set_model)
        self.form.values_changed.connect(self._form_changed)
        self.form.layers_wanted.connect(self._layers.show_tree)
        self.form.rates_cleared.connect(self._layers.clear_rates)
        card.body.addWidget(self.form)
        column.addWidget(scroll_area(card), 1)
        self.start_button = button(
            "Start training", self.start, role="primary", icon=(self.look, "play", "on_accent")
        )
        self.resume_button = button(
            "Resume this run", self._resume, icon=(self.look, "play-circle-outline", "accent")
        )
        self.pause_button = button(
            "Pause", self._commands.pause, icon=(self.look, "pause", "muted")
        )
        self.stop_button = button(
            "Stop and save", self._commands.stop, icon=(self.look, "stop", "bad")
        )
        self.queue_button = button(
            "Add to the queue", self._add_to_queue, icon=(self.look, "playlist-plus", "muted")
        )
        self.queue_button.setToolTip("Trained after the run that is on, or when the queue starts")
        column.addWidget(self.start_button)
        column.addWidget(self.resume_button)
        column.addWidget(self.pause_button)
        column.addWidget(self.stop_button)
        self.rate_button = button(
            "Find learning rate", self.find_rate, icon=(self.look, "chart-bell-curve", "muted")
        )
        self.rate_button.setToolTip("Test learning rates on this dataset and choose one of them")
        column.addWidget(self.rate_button)
        column.addWidget(self.queue_button)
        return side

    def _make_empty(self) -> QWidget:
        empty = Card(margin=theme.XL)
        empty.body.setSpacing(theme.M)
        self._empty_heading = label("", "heading", wraps=True)
        empty.body.addWidget(self._empty_heading)
        self._steps = [label("", "muted", wraps=True) for _ in _HEAD_STEPS]
        for number, text in enumerate(self._steps, start=1):
            line = row(spacing=theme.M, stretch=False)
            line.addWidget(label(f"{number}", "number"), 0, Qt.AlignmentFlag.AlignTop)
            line.addWidget(text, 1, Qt.AlignmentFlag.AlignTop)
            empty.body.addLayout(line)
        self._open_data = button("Open a dataset", self._show_data)
        empty.body.addLayout(row(self._open_data))
        empty.body.addStretch(1)
        return empty

    def resizeEvent(self, event: QResizeEvent) -> None:
        # On a low window the curves need the room of a long queue.
        super().resizeEvent(event)
        self.queue_panel.show_most(_FEW_ROWS if self.height() < _LOW_PX else MOST_ROWS)

    # -- doing -------------------------------------------------------------------------------

    def start(self) -> None:
        self._commands.start(self.values())

    def values(self) -> dict[str, Any]:
        return self.form.values()

    def _add_to_queue(self) -> None:
        self._commands.queue.add(self.values())

    def _resume(self) -> None:
        live = self.session.live_run
        if live is not None and live.resumable is not None:
            self._commands.resume(live.resumable)

    def find_rate(self) -> None:
        self.open_rate_finder()

    def open_rate_finder(self) -> RateFinder:
        """Open the learning-rate finder and start it on the form's values."""
        from gui.train.lr_finder import RateFinder  # brings the plots: only when wanted

        finder = RateFinder(self, self.look, self._rates, self.values)
        finder.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        finder.show_now()
        return finder

    def _form_changed(self) -> None:
        values = self.form.values()
        values.pop("model", None)
        self._is_own_change = True
        self.session.set_recipe_values(values)
        self._is_own_change = False

    def _show_data(self) -> None:
        self.session.show_page("data")

    def _show_classify(self) -> None:
        self.session.show_page("classify")

    def _show_results(self) -> None:
        self.session.show_page("results")

    def _open_run_folder(self) -> None:
        live = self.session.live_run
        if live is not None and live.path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(live.path)))

    # -- showing -----------------------------------------------------------------------------

    def _show_models(self) -> None:
        self.form.show_models(self.session.models, self.session.model_id)
        self._show_teachers()
        self._ask_for_plan()

    def _show_teachers(self) -> None:
        """Runs on the same dataset that have a model, and the models here."""
        dataset = self.session.dataset
        self.form.show_teachers(
            [
                run
                for run in self.session.runs
                if dataset is not None
                and run.dataset == dataset.name
                and run.classes == len(dataset.classes)
                and run.status in ("done", "stopped")
                and not run.is_archived
            ]
        )

    def _show_tasks(self) -> None:
        dataset = self.session.dataset
        self.form.show_tasks([task.name for task in dataset.tasks] if dataset is not None else [])
        self._show_teachers()

    def _show_recipe(self) -> None:
        if not self._is_own_change:
            self.form.show_values(self.session.recipe_values)
        self._show_steps()
        self._ask_for_plan()

    def _show_steps(self) -> None:
        """Show what a run will do, in three sentences."""
        is_head = self.form.strategy == "feature-extraction"
        is_scratch = self.form.strategy == "scratch"
        steps = _HEAD_STEPS if is_head else _SCRATCH_STEPS if is_scratch else _TUNE_STEPS
        for line, text in zip(self._steps, steps, strict=True):
            line.setText(text)
        self.rate_button.setVisible(not is_head)

    def _ask_for_plan(self) -> None:
        """Ask for the plan of the form's values; the model is outlined in a worker thread."""
        values = self.form.values()
        dataset = self.session.dataset
        self._ask_for_preview()
        if self.session.machine is None or not values.get("model"):
            return  # the libraries are still being loaded
        classes = len(dataset.classes) if dataset is not None else 2
        self._plans.ask(values, classes)

    def _ask_for_preview(self) -> None:
        """Ask for varied pictures as the form says, only while the preview is open."""
        dataset, values = self.session.dataset, self.form.values()
        live = self.session.live_run
        can_show = (
            dataset is not None
            and len(dataset) > 0
            and self.form.strategy != "feature-extraction"
            and not (live is not None and live.is_on)
        )
        self.preview.setVisible(can_show)
        if can_show and self.preview.is_open and self.session.machine is not None:
            self._previews.ask(values, self.preview.pick, self.preview.roll)

    def _show_plan(self, plan: Plan) -> None:
        values = self.form.values()
        cards = {card.id: card for card in self.session.models}
        card = cards.get(values["model"])
        live = self.session.live_run
        self.plan.show_plan(
            plan,
            model=shown_name(values["model"]),
            image_px=card.input_size[1] if card is not None and card.input_size else None,
            # The form is free while a run is on: then the picture is of the next one.
            epoch=live.epoch if live is not None and self._is_of(live, values) else None,
        )

    def _is_of(self, live: LiveRun, values: dict[str, Any]) -> bool:
        """Whether the form still has the values that it had when the run began."""
        if self._values_of is None or self._values_of[0] is not live:
            self._values_of = (live, values)
        return values == self._values_of[1]

    def _show_state(self) -> None:
        live = self.session.live_run
        dataset = self.session.dataset
        is_on = live is not None and live.is_on
        self.start_button.setEnabled(dataset is not None and not is_on)
        is_tuning = live is not None and live.is_fine_tuning
        can_resume = live is not None and live.resumable is not None
        self.resume_button.setVisible(can_resume)
        self.pause_button.setVisible(is_on)
        self.pause_button.setEnabled(live is not None and is_on and live.phase != "stopping")
        is_paused = live is not None and live.phase == "paused"
        self._show_pause(is_paused=is_paused)
        self.start_button.setVisible(not is_on)
        self.stop_button.setVisible(is_on)
        self.stop_button.setEnabled(live is not None and is_on and live.phase != "stopping")
        self.queue_button.setEnabled(dataset is not None)
        self.rate_button.setEnabled(dataset is not None)
        self._open_data.setVisible(dataset is None)
        if dataset is None:
            self._empty_heading.setText("Open a dataset first. Then this happens in seconds:")
            self.set_subtitle("")
        else:
            name = dataset.name or dataset.root.name
            self._empty_heading.setText(f"Ready to train on “{name}”. This is what happens:")
            self.set_subtitle(
                f"{name} · {count(len(dataset), 'image')} · "
                f"{count(len(dataset.classes), 'class', 'classes')}"
            )
        self._plan_card.setVisible(live is None or live.is_on or is_tuning)
        self._ask_for_preview()
        if live is None:
            self.stack.setCurrentWidget(self._empty)
            return
        if is_tuning and live.epoch != self._shown_epoch:
            self._shown_epoch = live.epoch
            self._ask_for_plan()
        view = self.prepare_plots()
        view.show_run(live, is_of_another=self._is_of_another(live))
        self.stack.setCurrentWidget(view)

    def _show_pause(self, *, is_paused: bool) -> None:
        text = "Go on" if is_paused else "Pause"
        if self.pause_button.accessibleName() != text:
            self.pause_button.setAccessibleName(text)
            self.pause_button.setText(f" {text}")
            self.look.give_icon(self.pause_button, "play" if is_paused else "pause", "muted")

    def _is_of_another(self, live: LiveRun) -> bool:
        """Whether the open dataset is another one than `live` trains on."""
        dataset = self.session.dataset
        root = dataset.root if dataset is not None else None
        # A run begins on the session's dataset; names may repeat, folders do not.
        if self._run_of is None or self._run_of[0] is not live:
            self._run_of = (live, root)
        return root != self._run_of[1]

    def prepare_plots(self) -> RunView:
        """Build the run's view, where it is not there yet; takes a moment because of the plots."""
        if self.run_view is None:
            self.run_view = RunView(self.look)
            self.run_view.classify_wanted.connect(self._show_classify)
            self.run_view.results_wanted.connect(self._show_results)
            self.run_view.folder_wanted.connect(self._open_run_folder)
            self.stack.addWidget(self.run_view)
        return self.run_view
