"""Models side by side: marking them, what stands there, what is best, timing them, copies."""

from __future__ import annotations

import csv
import io
import threading
import time

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication

from core.catalog.card import Latency
from core.catalog.names import shown_name
from core.compute import benchmark
from core.errors import AppError
from core.events import check_stop
from gui.models import jobs
from gui.models.facts import Fact, best_of

RESNET = "torchvision/resnet50.IMAGENET1K_V2"
LITE = "bundled/tf_efficientnet_lite0"


def mark(page, *ids: str) -> None:
    for card_id in ids:
        page.comparison.toggle(page._listing.catalog.by_id[card_id.lower()])


def test_space_in_the_table_marks_a_model_and_takes_the_mark_away(models, qtbot) -> None:
    models.table.enter()
    qtbot.keyClick(models.table, Qt.Key.Key_Space)
    assert models.comparison.list.ids == [LITE]
    assert models.switch.buttons["compare"].text() == " Compare (1)"
    said = models.table.table_model.index(0, 0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert said == "EfficientNet-Lite0, number 1 of the comparison"
    qtbot.keyClick(models.table, Qt.Key.Key_Space)
    assert models.comparison.list.ids == []


def test_space_marks_all_selected_rows(models, qtbot) -> None:
    models.table.enter()
    for _ in range(2):
        qtbot.keyClick(models.table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(models.table, Qt.Key.Key_Space)
    assert models.comparison.list.ids == [
        f"bundled/tf_efficientnet_lite{size}" for size in range(3)
    ]


def test_a_fifth_model_is_refused_in_a_sentence(models) -> None:
    mark(models, *(row.card.id for row in models._listing.rows[:5]))
    assert len(models.comparison.list.ids) == 4
    assert "4 models can be compared at a time" in models.notices.text
    mark(models, models.comparison.list.ids[0])
    assert models.notices.text == ""


def test_the_comparison_shows_figures_and_marks_the_best_in_words_too(models) -> None:
    mark(models, LITE, RESNET)
    models.switch.choose("compare")
    cells = models.compare.cells
    assert models.compare.isVisible()
    assert not models.filters.isVisible()
    assert cells["Parameters", LITE].text() == "★ 4,652,008"
    assert cells["Parameters", RESNET].text() == "25,557,032"
    assert cells["Top-1", RESNET].text() == "★ 80.86 %"
    assert (
        cells["Top-1", RESNET].accessibleName()
        == f"Top-1 of {shown_name(RESNET)}: 80.86 %, the best"
    )
    assert cells["Weights", LITE].text() == "bundled"
    assert cells["Latency here", LITE].text() == "not measured"
    models.switch.choose("table")
    assert models.filters.isVisible()


def test_an_empty_comparison_says_how_models_get_there(models) -> None:
    models.switch.choose("compare")
    texts = [made.text() for made in models.compare.findChildren(type(models.compare.hint))]
    assert any("press Space" in text for text in texts)
    assert not models.compare.copy_csv_button.isEnabled()


def test_what_is_equal_or_known_of_one_only_is_no_best() -> None:
    assert best_of((Fact("x", "1", 1.0, "less"), Fact("x", "1", 1.0, "less"))) == frozenset()
    assert best_of((Fact("x", "1", 1.0, "less"), Fact("x", "", None, "less"))) == frozenset()
    assert best_of((Fact("x", "1", 1.0), Fact("x", "2", 2.0))) == frozenset()
    three = tuple(Fact("x", str(value), value, "more") for value in (1.0, 3.0, 3.0))
    assert best_of(three) == {1, 2}


def test_use_and_remove_stand_over_every_model(models, window) -> None:
    mark(models, LITE, RESNET)
    models.compare.buttons[f"use:{RESNET}"].click()
    assert window.session.model_id == RESNET
    models.compare.buttons[f"remove:{LITE}"].click()
    assert models.comparison.list.ids == [RESNET]
    models.compare.clear_button.click()
    assert models.comparison.list.ids == []


def test_the_comparison_goes_to_the_clipboard(models) -> None:
    mark(models, LITE, RESNET)
    models.compare.copy_csv()
    rows = {row[""]: row for row in csv.DictReader(io.StringIO(QApplication.clipboard().text()))}
    assert rows["Parameters"][RESNET] == "25,557,032"
    models.compare.copy_markdown()
    text = QApplication.clipboard().text()
    assert text.startswith(f"|  | {LITE} | {RESNET} |\n")
    assert "| Top-1 | 74.85 % | **80.86 %** |" in text


# -- latency ---------------------------------------------------------------------------------


def test_a_model_is_timed_and_the_result_stands_everywhere(models, qtbot, monkeypatch) -> None:
    known: dict[str, Latency] = {}

    def measure(card, *, on_progress, should_stop) -> Latency:
        known[card.id] = Latency(
            card.id, 12.34, 12.0, 13.0, 30, (224, 224), "cpu", "Test CPU", "float32",
            "channels_last", 2, "2.0",
        )  # fmt: skip
        return known[card.id]

    monkeypatch.setattr(benchmark, "measure", measure)
    monkeypatch.setattr(benchmark, "known_latencies", lambda: dict(known))
    mark(models, LITE, RESNET)
    models.compare.buttons[f"measure:{LITE}"].click()
    assert models.compare.buttons[f"measure:{LITE}"].text() == "Cancel"
    qtbot.waitUntil(lambda: models.compare.cells["Latency here", LITE].text() == "12.3 ms")
    assert models.compare.cells["Measured on", LITE].text() == (
        "Test CPU, float32, 2 threads, torch 2.0"
    )
    assert models.compare.buttons[f"measure:{LITE}"].text() == "Measure here"
    models.chart.choose_axis("latency")
    models.switch.choose("chart")
    assert [point.card.id for point in models.chart.shown.points] == [LITE]


def test_timing_can_be_cancelled(models, qtbot, monkeypatch) -> None:
    started = threading.Event()

    def measure(card, context) -> None:
        started.set()
        while True:
            check_stop(context.should_stop)
            time.sleep(0.002)

    monkeypatch.setattr(jobs, "measure_latency", measure)
    mark(models, LITE)
    button = models.compare.buttons[f"measure:{LITE}"]
    button.click()
    qtbot.waitUntil(started.is_set)
    assert models.compare.cells["Latency here", LITE].text() == "measuring …"
    button.click()
    qtbot.waitUntil(lambda: button.text() == "Measure here")
    assert models.compare.cells["Latency here", LITE].text() == "not measured"


def test_a_model_that_cannot_be_timed_says_why(models, qtbot, monkeypatch) -> None:
    def measure(card, context) -> None:
        raise AppError("It needs 80 GB of memory and 4 GB are free.", "Choose a smaller model.")

    monkeypatch.setattr(jobs, "measure_latency", measure)
    mark(models, LITE)
    models.compare.buttons[f"measure:{LITE}"].click()
    qtbot.waitUntil(lambda: "80 GB" in models.notices.text)
    assert models.compare.buttons[f"measure:{LITE}"].text() == "Measure here"


# -- the menu and copies of rows -------------------------------------------------------------


def test_the_menu_offers_use_compare_and_copies(models, window) -> None:
    card = models._listing.rows[3].card
    models.choose(card.id)
    models._open_menu(card, QPoint(0, 0))
    actions = {action.text().partition("\t")[0]: action for action in models.menu.actions()}
    actions["Compare"].trigger()
    assert models.comparison.list.ids == [card.id]
    actions["Use this model"].trigger()
    assert window.session.model_id == card.id
    actions["Copy as Markdown"].trigger()
    text = QApplication.clipboard().text()
    assert text.startswith("| model | family | params M | GMACs |")
    assert f"| {card.id} |" in text
    actions["Copy id"].trigger()
    assert QApplication.clipboard().text() == card.id
    models.menu.close()
    models._open_menu(card, QPoint(0, 0))
    assert "In use" in [action.text() for action in models.menu.actions()]
    models.menu.close()


def test_ctrl_c_copies_the_selected_rows_as_spreadsheets_paste_them(models, qtbot) -> None:
    models.table.enter()
    qtbot.keyClick(models.table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(models.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QApplication.clipboard().text().splitlines()
    assert len(lines) == 3
    assert lines[1].split("\t")[:4] == [LITE, "EfficientNet", "4.65", "0.385"]


def test_a_bar_in_a_cell_does_not_break_the_markdown() -> None:
    from gui.kit.text_tables import markdown

    assert markdown(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |\n"
