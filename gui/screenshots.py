"""Every page in its main states as PNG files, on real data: `python -m gui.screenshots [OUT]`.

Runs itself once per scale factor, because Qt reads the factor when it starts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PySide6.QtWidgets import QDialog

    from core.catalog.card import ModelCard
    from gui.base.session import PageName
    from gui.models.page import ModelsPage
    from gui.shell.main_window import MainWindow

_COMPARED = (
    "torchvision/resnet50.IMAGENET1K_V2",
    "timm/convnext_tiny.in12k_ft_in1k",
    "timm/vit_base_patch16_224.augreg_in21k_ft_in1k",
    "bundled/tf_efficientnet_lite0",
)
_HUBCONF = '''dependencies = ["torch"]

import torch


def tiny(pretrained=False):
    """A small network for 10 classes."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
'''
_SCALES: tuple[float, ...] = (1, 1.5, 2)
_SIZE = (1024, 700)
_WAIT_SECONDS = 180.0


def main() -> int:
    parser = argparse.ArgumentParser(description="Render every page of the window to PNG files.")
    parser.add_argument("out", nargs="?", type=Path, default=Path("screenshots"))
    parser.add_argument("--scale", type=float, help="Only this scale factor, in this process.")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if options.scale:
        _render(options.out, options.scale)
        return 0
    # A home of their own: no shot shows a person's datasets, none is left behind in them.
    with tempfile.TemporaryDirectory() as home:
        for scale in _SCALES:
            environment = {
                **os.environ,
                "QT_SCALE_FACTOR": str(scale),
                "GRAFTWORK_HOME": str(Path(home) / "graftwork"),
            }
            command = [sys.executable, "-m", "gui.screenshots", str(options.out)]
            subprocess.run([*command, "--scale", str(scale)], env=environment, check=True)
    print(f"{len(list(options.out.glob('*.png')))} pictures in {options.out}")  # noqa: T201
    return 0


def _render(out: Path, scale: float) -> None:
    from PySide6.QtWidgets import QApplication

    from gui.app import make_window

    application = QApplication(sys.argv[:1])
    window = make_window()
    window.resize(*_SIZE)
    window.show()
    _Photographer(window, out, scale).shoot_all()
    window.runner.shut_down()
    application.quit()


class _Photographer:
    """Drives the window through its states and grabs each in both themes."""

    def __init__(self, window: MainWindow, out: Path, scale: float) -> None:
        self._window = window
        self._out = out
        self._scale = scale
        self._number = 0

    def shoot_all(self) -> None:
        window, commands, session = self._window, self._window.commands, self._window.session
        commands.start_up.begin()
        self._wait(lambda: session.machine is not None and bool(session.models))
        self._shoot("start", "first")
        self._shoot_ready_made()
        self._shoot("data", "empty")
        self._shoot("train", "empty")
        self._shoot("results", "empty")
        self._shoot("classify", "empty")
        self._shoot("strategy", "empty")
        self._shoot("runs", "empty")
        self._shoot_models()
        with tempfile.TemporaryDirectory() as folder:
            self._shoot_refusals(Path(folder))
        commands.opening.open_sample()
        self._shoot("data", "busy")
        self._wait(lambda: session.scan_state == "ready" and window.runner.is_idle)
        self._shoot("data", "filled")
        self._shoot_data_details()
        self._shoot_advice()
        self._shoot("train", "ready")
        self._shoot_run()
        self._shoot_results()
        self._shoot_answers()
        self._shoot_runs()
        self._shoot("start", "recents")
        self._shoot_map()
        self._shoot_labelling()
        self._shoot_sheet()

    def _shoot_ready_made(self) -> None:
        """What there is to download, and what a person is told first."""
        from gui.start.page import StartPage

        page = self._window.page("start")
        assert isinstance(page, StartPage)
        dialog = page.open_ready_made()
        self._wait(lambda: dialog.table_model.rowCount() > 0)
        dialog.choose("oxford-pets")
        self._settle()
        dialog.grab().save(str(self._out / f"97-ready-made-dark@{self._scale:g}x.png"))
        dialog.reject()

    def _shoot_models(self) -> None:
        from gui.models.page import ModelsPage

        page = self._window.page("models")
        assert isinstance(page, ModelsPage)
        self._window.show_page("models")
        self._wait(lambda: page.table.table_model.rowCount() > 0)
        self._shoot("models", "first")
        page.choose("torchvision/resnet50.IMAGENET1K_V2")
        page.filters.search.setText("resnet 50")
        self._shoot("models", "search")
        page.tabs.setCurrentWidget(page.layers)
        self._wait(lambda: page.layers.shown_model.startswith("torchvision/resnet50"))
        page.layers.expand_one()
        self._shoot("models", "layers")
        self._shoot_layers(page)
        page.tabs.setCurrentWidget(page.card)
        page.filters.choices["max_params_m"].setCurrentIndex(1)
        self._shoot("models", "nothing-fits")
        page.filters.reset()
        self._shoot_chart(page)
        self._shoot_comparison(page)
        self._shoot_repository(page)

    def _shoot_chart(self, page: ModelsPage) -> None:
        chart = page.chart.chart
        page.switch.choose("chart")
        self._wait(lambda: len(chart.points) > 1000)
        self._shoot("models", "chart")
        page.filters.search.setText("resnet")
        page.chart.choose_axis("gmacs")
        self._wait(lambda: len(chart.points) < 1000)
        chart.setFocus()
        self._shoot("models", "chart-search")
        page.chart.choose_axis("latency")
        self._shoot("models", "chart-empty")
        page.chart.choose_axis("params")
        page.filters.reset()

    def _shoot_comparison(self, page: ModelsPage) -> None:
        page.switch.choose("compare")
        self._shoot("models", "compare-empty")
        for name in _COMPARED:
            page.comparison.toggle(self._card(page, name))
        self._shoot("models", "compare")
        page.compare.buttons[f"measure:{_COMPARED[-1]}"].click()
        self._wait(lambda: self._window.runner.is_idle)
        self._shoot("models", "compare-timed")
        page.switch.choose("table")
        page.comparison.toggle(self._card(page, "torchvision/alexnet.IMAGENET1K_V1"))
        self._shoot("models", "compare-full")
        page.comparison.list.clear()
        page.notices.clear()

    def _shoot_repository(self, page: ModelsPage) -> None:
        """What a torch.hub repository asks before anything of it runs."""
        dialog = page.weights.open_hub()
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "hubconf.py").write_text(_HUBCONF, encoding="utf-8")
            dialog.repository.setText(folder)
            dialog.look()
            self._wait(lambda: dialog.stack.currentWidget() is dialog.trust_page)
            self._settle()
            dialog.grab().save(str(self._out / f"98-hub-dark@{self._scale:g}x.png"))
            dialog.reject()

    def _card(self, page: ModelsPage, name: str) -> ModelCard:
        row = page.table.table_model.row_of(name)
        return page.table.table_model.card(row)

    def _shoot_layers(self, page: ModelsPage) -> None:
        """Layers set by hand on the whole page, and the unfreezing at its fourth epoch."""
        session, view = self._window.session, page.layers
        model, values = session.model_id, dict(session.recipe_values)
        view.room_button.click()
        view.bar.presets["last two"].click()
        view.model.factor_wanted.emit(view.model.line(view.model.find("layer3.1")[0]), "1/10")
        view.tree.go_to(view.model.find("layer3.2.conv2")[0])
        self._shoot("models", "layers-by-hand")
        session.set_recipe_values({**session.recipe_values, "gradual": True})
        view.schedule.slider.setValue(4)
        self._shoot("models", "layers-epoch")
        self._shoot("train", "layers-by-hand")
        view.room_button.click()
        session.set_recipe_values({**values, "model": model})
        self._window.show_page("models")

    def _shoot_sheet(self) -> None:
        from gui.shell.menus import ShortcutSheet

        self._window.show_shortcuts()
        for sheet in self._window.findChildren(ShortcutSheet):
            self._settle()
            sheet.grab().save(str(self._out / f"99-shortcuts-dark@{self._scale:g}x.png"))
            sheet.close()

    def _shoot_refusals(self, folder: Path) -> None:
        window = self._window
        empty = folder / "nothing here"
        empty.mkdir()
        window.commands.opening.open_paths([empty], "start")
        self._wait(lambda: window.session.scan_state != "busy")
        self._shoot("data", "error")
        broken = folder / "broken.jpg"
        broken.write_bytes(b"\xff\xd8\xff\xe0 not a picture")
        window.commands.classify.add_pictures([broken])
        self._wait(lambda: bool(window.page("classify").notices.text))
        self._shoot("classify", "error")
        window.commands.classify.clear_pictures()
        window.page("data").notices.clear()

    def _shoot_advice(self) -> None:
        from gui.strategy.page import StrategyPage

        page = self._window.page("strategy")
        assert isinstance(page, StrategyPage)
        for step, name in enumerate(("data", "domain", "budget")):
            page.go_to(step)
            self._shoot("strategy", name)
        page.go_on()
        self._shoot("strategy", "asking")
        self._wait(lambda: page.advice_view.advice is not None)
        self._shoot("strategy", "advice")
        page.advice_view.table.selectRow(1)
        self._shoot("strategy", "alternative")
        bar = page.advice_view.verticalScrollBar()
        bar.setValue(bar.maximum())
        self._shoot("strategy", "rules")

    def _shoot_runs(self) -> None:
        self._window.show_page("runs")
        self._settle()
        self._wait(lambda: self._window.runner.is_idle)
        self._shoot("runs", "filled")

    def _shoot_run(self) -> None:
        window = self._window
        window.start_training()
        self._wait(self._is_embedding)
        self._shoot("train", "embedding")
        self._wait(self._is_training)
        self._shoot("train", "training")
        self._wait(self._has_ended)
        self._wait(lambda: window.runner.is_idle)
        self._shoot("train", "result")
        self._shoot_fine_tuning()

    def _shoot_data_details(self) -> None:
        from gui.data.page import DataPage

        page = self._window.page("data")
        assert isinstance(page, DataPage)
        page.pictures.table.selectRow(1)
        page.pictures.grid.opened.emit(3)
        self._wait(lambda: self._window.runner.is_idle)
        self._shoot("data", "inspector")
        page.inspector.close_picture()
        for tab, state in ((1, "problems"), (2, "split"), (0, "class")):
            page.tabs.setCurrentIndex(tab)
            if tab:
                self._shoot("data", state)

    def _shoot_map(self) -> None:
        """As far as the components: t-SNE of 1,797 digits takes its time."""
        from gui.data.page import DataPage

        page, maps = self._window.page("data"), self._window.commands.maps
        assert isinstance(page, DataPage)
        self._window.show_page("data")
        page.tabs.setCurrentWidget(page.map_view)
        self._wait(lambda: self._window.commands.features.state in ("missing", "ready"))
        self._window.commands.features.read()
        self._wait(lambda: maps.map is not None)
        shown = page.map_view.map
        assert shown.points is not None
        shown.select(shown.points.suspects.nonzero()[0])
        self._settle()
        self._shoot("data", "map")
        maps.cancel()
        self._wait(lambda: self._window.runner.is_idle)

    def _shoot_labelling(self) -> None:
        """A flat folder of handwritten digits, opened, and with a few labels."""
        from core.system import paths
        from gui.data.page import DataPage

        window, session = self._window, self._window.session
        page = window.page("data")
        assert isinstance(page, DataPage)
        with tempfile.TemporaryDirectory() as folder:
            files = sorted(paths.sample_dir("digits").glob("val/[0-4]/*.png"))[::3]
            for path in files:
                shutil.copy(path, Path(folder, f"{path.stem}-{path.parent.name}.png"))
            window.commands.opening.open_dataset(Path(folder))
            self._wait(lambda: session.scan_state == "ready" and session.scanned_path is not None)
            self._wait(lambda: window.commands.features.state in ("missing", "ready"))
            self._shoot("data", "label-ask")
            window.commands.features.read()
            view = page.labelling
            self._wait(lambda: window.commands.features.state == "ready")
            for digit in range(5):
                names = sorted(Path(folder).glob(f"*-{digit}.png"))[:4]
                window.commands.data.relabel([path.name for path in names], str(digit))
            self._wait(lambda: view.bulk.isVisible() and window.runner.is_idle)
            self._shoot("data", "label")

    def _shoot_results(self) -> None:
        from gui.results.page import ResultsPage

        page, session = self._window.page("results"), self._window.session
        assert isinstance(page, ResultsPage)
        if session.live_run is None:
            return
        session.show_run(session.live_run.path)
        self._wait(lambda: page.asked.state == "ready")
        self._window.show_page("results")
        self._wait(lambda: page.pictures.gallery.filled_count > 0)
        self._wait(lambda: self._window.runner.is_idle)
        self._shoot("results", "matrix")
        page.matrix.cell_chosen.emit(page.matrix.current)
        page.pictures.gallery.opened.emit(0)
        self._wait(lambda: self._window.runner.is_idle)
        self._shoot("results", "inspector")
        page.inspector.close_picture()
        page.tabs.setCurrentIndex(1)
        page.pictures.show_worst()
        self._shoot("results", "classes")
        page.tabs.setCurrentIndex(0)

    def _shoot_fine_tuning(self) -> None:
        """A partial fine-tuning under way, paused, and stopped so that it can be resumed."""
        window, session = self._window, self._window.session
        values = dict(session.recipe_values)
        session.set_recipe_values({"strategy": "partial", "layer_groups": 1, "max_epochs": 3})
        self._shoot("train", "fine-tuning-ready")
        self._shoot_rates()
        window.start_training()
        self._wait(lambda: session.live_run is not None and len(session.live_run.steps) > 5)
        self._shoot("train", "fine-tuning")
        window.commands.train.pause()
        self._shoot("train", "paused")
        window.commands.train.stop()
        self._wait(self._has_ended)
        self._wait(lambda: window.runner.is_idle)
        self._shoot("train", "stopped")
        session.set_recipe_values(values)

    def _shoot_rates(self) -> None:
        """The learning-rate finder at work, and its curve with the marker moved."""
        from gui.train.page import TrainPage

        page = self._window.page("train")
        assert isinstance(page, TrainPage)
        session = self._window.session
        values = dict(session.recipe_values)
        session.set_recipe_values({**values, "batch_size": 8})
        finder = page.open_rate_finder()
        self._wait(lambda: len(finder.plot.points) > 20)
        self._shoot_dialog(finder, "97-rates-busy")
        self._wait(lambda: finder.curve is not None)
        self._shoot_dialog(finder, "97-rates-found")
        finder.reject()
        session.set_recipe_values(values)

    def _shoot_dialog(self, dialog: QDialog, name: str) -> None:
        for theme in ("light", "dark"):
            self._window.look.choose("light" if theme == "light" else "dark")
            self._settle()
            dialog.grab().save(str(self._out / f"{name}-{theme}@{self._scale:g}x.png"))

    def _shoot_answers(self) -> None:
        session = self._window.session
        dataset = session.dataset
        if dataset is None:
            return
        positions = dataset.indices("val")[::47][:6]
        self._window.commands.classify.add_pictures([dataset.path(int(positions[0]))])
        self._wait(self._all_answered)
        self._shoot("classify", "one")
        self._window.commands.classify.add_pictures([dataset.path(int(i)) for i in positions[1:]])
        self._wait(lambda: len(session.pictures) == len(positions))
        self._wait(self._all_answered)
        self._shoot("classify", "several")

    # -- conditions --------------------------------------------------------------------------

    def _is_embedding(self) -> bool:
        live = self._window.session.live_run
        return self._has_ended() or (live is not None and live.progress is not None)

    def _is_training(self) -> bool:
        live = self._window.session.live_run
        return self._has_ended() or (live is not None and len(live.epochs) > 1)

    def _has_ended(self) -> bool:
        live = self._window.session.live_run
        return live is None or not live.is_on

    def _all_answered(self) -> bool:
        pictures = self._window.session.pictures
        return bool(pictures) and not any(picture.is_waiting for picture in pictures)

    # -- shooting ----------------------------------------------------------------------------

    def _shoot(self, page: PageName, state: str) -> None:
        self._number += 1
        self._window.show_page(page)
        for theme in ("light", "dark"):
            self._window.look.choose("light" if theme == "light" else "dark")
            self._settle()
            name = f"{self._number:02d}-{page}-{state}-{theme}@{self._scale:g}x.png"
            self._window.grab().save(str(self._out / name))

    def _settle(self) -> None:
        deadline = time.monotonic() + 0.15
        while time.monotonic() < deadline:
            self._process_events()

    def _wait(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while not is_there():
            if time.monotonic() > deadline:
                raise TimeoutError("The window did not reach the state to be photographed.")
            self._process_events()

    def _process_events(self) -> None:
        from PySide6.QtWidgets import QApplication

        QApplication.processEvents()
        time.sleep(0.002)


if __name__ == "__main__":
    sys.exit(main())
