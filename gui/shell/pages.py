"""The pages of the rail, and how each is built and tied to the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gui.base.page import Page
from gui.base.session import PageName, Session
from gui.kit.settings import Settings
from gui.kit.theme import Theme
from gui.kit.workers import JobRunner
from gui.shell.commands import Commands
from gui.start.page import StartPage

PAGES: tuple[tuple[PageName, str, str], ...] = (
    ("start", "Start", "home-outline"),
    ("models", "Models", "vector-polyline"),
    ("data", "Data", "folder-image"),
    ("strategy", "Strategy", "compass-outline"),
    ("train", "Train", "chart-line"),
    ("results", "Results", "chart-box-outline"),
    ("classify", "Classify", "image-search-outline"),
    ("runs", "Runs", "history"),
)


@dataclass(frozen=True)
class Parts:
    """What the pages are made of; the callables ask a person for files."""

    session: Session
    runner: JobRunner
    settings: Settings
    look: Theme
    commands: Commands
    ask_for_folder: Callable[[], None]
    ask_for_images: Callable[[], None]
    paste: Callable[[], None]


def make_page(parts: Parts, name: PageName) -> Page:
    """A new page of that name.

    Its module is imported here: the first paint needs Start only, and Train loads the recipe.
    """
    commands, runner = parts.commands, parts.runner
    base = (parts.session, parts.settings, parts.look)
    if name == "start":
        start = StartPage(*base, ready_made=commands.ready_made)
        start.folder_wanted.connect(parts.ask_for_folder)
        start.sample_wanted.connect(commands.opening.open_sample)
        start.dataset_wanted.connect(commands.opening.open_recent)
        start.run_wanted.connect(commands.opening.open_run)
        start.resume_wanted.connect(commands.train.resume)
        return start
    if name == "models":
        from gui.models.page import ModelsPage

        return ModelsPage(*base, commands=commands.models, layers=commands.layers)
    if name == "data":
        from gui.data.page import DataPage

        data = DataPage(
            *base,
            runner,
            data=commands.data,
            features=commands.features,
            maps=commands.maps,
            labelling=commands.labelling,
            classify=commands.classify,
        )
        data.folder_wanted.connect(parts.ask_for_folder)
        return data
    if name == "strategy":
        from gui.strategy.page import StrategyPage

        strategy = StrategyPage(*base, runner, commands=commands.advice)
        strategy.folder_wanted.connect(parts.ask_for_folder)
        return strategy
    if name == "train":
        from gui.train.page import TrainPage

        return TrainPage(
            *base,
            commands=commands.train,
            plans=commands.plans,
            previews=commands.previews,
            rates=commands.rates,
            layers=commands.layers,
        )
    if name == "results":
        from gui.results.page import ResultsPage

        return ResultsPage(
            *base, runner, runs=commands.runs, classify=commands.classify, data=commands.data
        )
    if name == "runs":
        from gui.runs.page import RunsPage

        runs = RunsPage(*base, commands=commands.runs)
        runs.classify_wanted.connect(commands.classify.classify_with_run)
        runs.resume_wanted.connect(commands.train.resume)
        return runs
    from gui.classify.page import ClassifyPage

    classify = ClassifyPage(*base, commands=commands.classify)
    classify.images_wanted.connect(parts.ask_for_images)
    classify.paste_wanted.connect(parts.paste)
    return classify
