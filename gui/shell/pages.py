"""The pages of the rail, and how each is built and tied to the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.base.page import Page
from gui.base.session import PageName
from gui.start.page import StartPage

if TYPE_CHECKING:
    from gui.shell.main_window import MainWindow

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


def make_page(window: MainWindow, name: PageName) -> Page:
    """A new page. Imported when wanted: the first paint needs Start only, and Train brings the
    recipe."""
    parts = (window.session, window.commands, window.settings, window.look)
    if name == "start":
        start = StartPage(*parts)
        start.folder_wanted.connect(window.ask_for_folder)
        return start
    if name == "models":
        from gui.models.page import ModelsPage

        return ModelsPage(*parts)
    if name == "data":
        from gui.data.page import DataPage

        data = DataPage(*parts, window.runner)
        data.folder_wanted.connect(window.ask_for_folder)
        return data
    if name == "strategy":
        from gui.strategy.page import StrategyPage

        strategy = StrategyPage(*parts, window.runner)
        strategy.folder_wanted.connect(window.ask_for_folder)
        return strategy
    if name == "train":
        from gui.train.page import TrainPage

        return TrainPage(*parts)
    if name == "results":
        from gui.results.page import ResultsPage

        return ResultsPage(*parts, window.runner)
    if name == "runs":
        from gui.runs.page import RunsPage

        return RunsPage(*parts)
    from gui.classify.page import ClassifyPage

    classify = ClassifyPage(*parts)
    classify.images_wanted.connect(window.ask_for_images)
    classify.paste_wanted.connect(window.paste)
    return classify
