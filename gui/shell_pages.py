"""The pages of the rail, and how each is built and tied to the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.pages.page import Page
from gui.pages.start import StartPage
from gui.session import PageName

if TYPE_CHECKING:
    from gui.main_window import MainWindow

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
        from gui.pages.models import ModelsPage

        return ModelsPage(*parts)
    if name == "data":
        from gui.pages.data import DataPage

        data = DataPage(*parts, window.runner)
        data.folder_wanted.connect(window.ask_for_folder)
        return data
    if name == "strategy":
        from gui.pages.strategy import StrategyPage

        strategy = StrategyPage(*parts, window.runner)
        strategy.folder_wanted.connect(window.ask_for_folder)
        return strategy
    if name == "train":
        from gui.pages.train import TrainPage

        return TrainPage(*parts)
    if name == "results":
        from gui.pages.results import ResultsPage

        return ResultsPage(*parts, window.runner)
    if name == "runs":
        from gui.pages.runs import RunsPage

        return RunsPage(*parts)
    from gui.pages.classify import ClassifyPage

    classify = ClassifyPage(*parts)
    classify.images_wanted.connect(window.ask_for_images)
    classify.paste_wanted.connect(window.paste)
    return classify
