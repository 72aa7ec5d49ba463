"""The models as a chart: what is drawn where, what is said instead, by mouse and by keyboard."""

from __future__ import annotations

import csv
import io
import itertools

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QApplication

from core.catalog.card import Latency, ModelCard
from core.catalog.search import CardFilter
from gui.kit.theme import Theme
from gui.models.chart.chart import ModelChart
from gui.models.chart.points import (
    AllPoints,
    ChartPoints,
    axis_of,
    height_of,
    log_ticks,
    short_figure,
    top1_ticks,
)
from gui.models.chart.view import ChartTable
from gui.models.filters import ModelFilter
from gui.models.rows import make_row


def latency(card_id: str, milliseconds: float) -> Latency:
    return Latency(
        card_id, milliseconds, milliseconds, milliseconds, 30, (224, 224), "cpu", "", "float32",
        "channels_last", 2, "2.0",
    )  # fmt: skip


def card(name: str, params_m: float | None, top1: float | None, gmacs: float = 1.0) -> ModelCard:
    return ModelCard(
        id=f"timm/{name}", source="timm", arch=name, tag="", family="ResNet", top1=top1,
        params=None if params_m is None else int(params_m * 1e6), macs=int(gmacs * 1e9),
    )  # fmt: skip


CARDS = (
    card("large", 100, 84), card("small", 1, 60), card("beaten", 20, 70), card("middle", 10, 80),
    card("untold", 5, None), card("unsized", None, 75),
)  # fmt: skip
ROWS = tuple(make_row(each, is_here=False) for each in CARDS)


def chart_points(rows, axis) -> ChartPoints:
    return AllPoints(rows, axis).fitting(range(len(rows)))


@pytest.fixture
def chart(qtbot, qapp) -> ModelChart:
    made = ModelChart(Theme("light"))
    qtbot.addWidget(made)
    made.resize(600, 400)
    made.show_points(chart_points(ROWS, axis_of("params")))
    made.show()
    return made


@pytest.fixture
def models(models, qtbot):
    """The Models page with its chart shown."""
    models.switch.choose("chart")
    qtbot.waitUntil(lambda: bool(models.chart.chart.points))
    return models


# -- points ----------------------------------------------------------------------------------


def test_points_stand_in_order_of_their_cost_with_the_front_among_them() -> None:
    shown = chart_points(ROWS, axis_of("params"))
    assert [point.card.arch for point in shown.points] == ["small", "middle", "beaten", "large"]
    assert [shown.points[place].card.arch for place in shown.front] == ["small", "middle", "large"]


def test_models_without_a_figure_are_counted_and_the_reason_is_said() -> None:
    shown = chart_points(ROWS, axis_of("params"))
    assert shown.without == 2
    assert shown.note() == (
        "4 models drawn, sized by multiply-adds; 2 lack a published top-1 or a count of parameters."
    )


def test_the_latency_axis_draws_what_was_measured_here() -> None:
    rows = [make_row(each, is_here=True, latency=latency(each.id, 5.0)) for each in CARDS[:1]]
    shown = chart_points([*rows, *ROWS[1:]], axis_of("latency"))
    assert [point.cost for point in shown.points] == [5.0]
    assert "5 lack a published top-1 or a latency measured here" in shown.note()


def test_the_chart_in_words_names_the_front() -> None:
    twin = chart_points(ROWS, axis_of("params")).twin()
    assert "small 60.0 % at 1.00 M · middle 80.0 % at 10.0 M" in twin
    assert "beaten" not in twin


def test_ticks_are_round_and_have_room() -> None:
    assert log_ticks(0.3, 30, most=9) == [0.5, 1, 2, 5, 10, 20]
    assert log_ticks(0.3, 30, most=4) == [1, 3, 10, 30] or log_ticks(0.3, 30, most=4) == [1, 10]
    low, high = height_of(40), height_of(91)
    ticks = top1_ticks(low, high, height_px=350)
    assert {60, 80, 90} <= set(ticks)
    heights = [350 * (height_of(tick) - low) / (high - low) for tick in ticks]
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 27


def test_half_the_errors_is_the_same_step_everywhere() -> None:
    assert height_of(90) - height_of(80) == pytest.approx(height_of(60) - height_of(20))


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (25.56, "25.6"), (0.385, "0.385"), (0.0421, "0.0421")]
)
def test_figures_have_three_digits_that_count(value: float, text: str) -> None:
    assert short_figure(value) == text


# -- by mouse --------------------------------------------------------------------------------


def test_a_click_on_a_point_chooses_its_model(chart, qtbot) -> None:
    for position, point in enumerate(chart.points):
        with qtbot.waitSignal(chart.point_chosen) as told:
            qtbot.mouseClick(
                chart, Qt.MouseButton.LeftButton, pos=chart.pixel_of(position).toPoint()
            )
        assert told.args[0] is point.card
        assert chart.current == position


def test_a_click_beside_all_points_chooses_nothing(chart, qtbot) -> None:
    with qtbot.assertNotEmitted(chart.point_chosen):
        qtbot.mouseClick(chart, Qt.MouseButton.LeftButton, pos=QPoint(590, 350))


def test_the_mouse_over_a_point_shows_its_name_and_figures(chart, qtbot) -> None:
    before = chart.grab().toImage()
    qtbot.mouseMove(chart, chart.pixel_of(1).toPoint())
    qtbot.waitUntil(lambda: chart._hovered == 1)
    assert chart.grab().toImage() != before


def test_zoom_keeps_what_is_under_the_mouse_and_goes_back(chart) -> None:
    at = chart.pixel_of(1)
    chart._set_view(chart._view.zoomed(2.0, *chart._plane(at)))
    assert (chart.pixel_of(1) - at).manhattanLength() < 1
    assert chart.is_zoomed
    chart.reset_view()
    assert not chart.is_zoomed
    chart._set_view(chart._view.zoomed(0.1, *chart._plane(at)))
    assert not chart.is_zoomed, "nobody gets lost in the empty plane"


def test_dragging_moves_the_view_and_chooses_nothing(chart, qtbot) -> None:
    chart._set_view(chart._view.zoomed(3.0, *chart._plane(chart.pixel_of(1))))
    at = chart.pixel_of(1).toPoint()
    with qtbot.assertNotEmitted(chart.point_chosen):
        qtbot.mousePress(chart, Qt.MouseButton.LeftButton, pos=at)
        qtbot.mouseMove(chart, at + QPoint(20, 0))
        qtbot.mouseMove(chart, at + QPoint(40, 10))
        qtbot.mouseRelease(chart, Qt.MouseButton.LeftButton, pos=at + QPoint(40, 10))
    moved = chart.pixel_of(1) - QPointF(at)
    assert moved.x() == pytest.approx(40, abs=2)


# -- by keyboard -----------------------------------------------------------------------------


def test_arrows_walk_through_the_points_and_along_the_front(chart, qtbot) -> None:
    chart.choose(CARDS[1].id)
    names = []
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Left):
        qtbot.keyClick(chart, key)
        names.append(chart.points[chart.current].card.arch)
    assert names == ["middle", "beaten", "middle"]
    for key, name in ((Qt.Key.Key_Up, "large"), (Qt.Key.Key_Down, "middle")):
        qtbot.keyClick(chart, key)
        assert chart.points[chart.current].card.arch == name
    assert "timm/middle: 80.0 % at 10.0 M, on the front" in chart.accessibleDescription()


def test_enter_uses_and_space_compares(chart, qtbot) -> None:
    chart.choose(CARDS[0].id)
    with qtbot.waitSignal(chart.point_wanted) as used:
        qtbot.keyClick(chart, Qt.Key.Key_Return)
    with qtbot.waitSignal(chart.compare_wanted) as compared:
        qtbot.keyClick(chart, Qt.Key.Key_Space)
    assert used.args == compared.args == [CARDS[0]]


# -- on the page -----------------------------------------------------------------------------


def test_a_filter_picks_among_the_points_and_draws_another_front() -> None:
    shown = AllPoints(ROWS, axis_of("params")).fitting([0, 2, 4])
    assert [point.card.arch for point in shown.points] == ["beaten", "large"]
    assert (shown.front, shown.without) == ((0, 1), 1)


def test_the_chart_shows_the_models_of_the_filter(models, qtbot) -> None:
    models.filters.set_wish(ModelFilter(CardFilter(source="torchvision", family="ResNet")))
    qtbot.waitUntil(lambda: len(models.chart.shown.points) < 100)
    shown = models.chart.shown
    assert {point.card.family for point in shown.points} == {"ResNet"}
    assert len(shown.points) + shown.without == models.table.table_model.rowCount()


def test_a_chosen_point_is_the_chosen_model_everywhere(models, qtbot) -> None:
    chart = models.chart.chart
    qtbot.keyClick(chart, Qt.Key.Key_End)
    last = chart.points[-1].card
    assert models.card.card is last
    models.switch.choose("table")
    assert models.table.chosen_id == last.id
    models.choose("torchvision/resnet50.IMAGENET1K_V2")
    assert chart.points[chart.current].card.id == "torchvision/resnet50.IMAGENET1K_V2"


def test_enter_in_the_chart_uses_the_model(models, window, qtbot) -> None:
    models.choose("torchvision/resnet50.IMAGENET1K_V2")
    qtbot.keyClick(models.chart.chart, Qt.Key.Key_Return)
    assert window.session.model_id == "torchvision/resnet50.IMAGENET1K_V2"


def test_without_a_measured_latency_the_chart_says_how_to_get_one(models) -> None:
    models.chart.choose_axis("latency")
    assert models.chart.stack.currentWidget() is models.chart.empty
    assert "Measure here" in models.chart.empty.text()


def test_models_without_an_accuracy_leave_a_sentence_in_place_of_the_chart(models, qtbot) -> None:
    models.filters.search.setText("dinov3")
    assert models.table.table_model.rowCount() > 0
    qtbot.waitUntil(lambda: models.chart.stack.currentWidget() is models.chart.empty)
    assert "No accuracy was published" in models.chart.empty.text()


def test_the_figures_of_the_chart_are_a_table_to_copy(models, qtbot) -> None:
    models.filters.set_wish(ModelFilter(CardFilter(source="torchvision", family="ResNet")))
    qtbot.waitUntil(lambda: len(models.chart.shown.points) < 100)
    models.chart.table_button.click()
    table = models.chart.findChild(ChartTable)
    table.copy_csv()
    rows = list(csv.DictReader(io.StringIO(QApplication.clipboard().text())))
    assert len(rows) == len(models.chart.shown.points)
    by_model = {row["Model"]: row for row in rows}
    assert by_model["torchvision/resnet50.IMAGENET1K_V1"]["Top-1, %"] == "76.13"
    assert by_model["torchvision/resnet50.IMAGENET1K_V1"]["Parameters, M"] == "25.6"
    assert by_model["torchvision/resnet18.IMAGENET1K_V1"]["Front"] == "yes"
    table.copy_markdown()
    assert "| torchvision/resnet18.IMAGENET1K_V1 | 11.7 | 69.76 | yes |" in (
        QApplication.clipboard().text()
    )
    table.close()


def test_the_way_from_the_search_into_the_chart_and_the_marks_of_the_comparison(
    models, window, qtbot
) -> None:
    window.activateWindow()
    models.filters.search.setFocus()
    qtbot.keyClick(models.filters.search, Qt.Key.Key_Down)
    qtbot.waitUntil(models.chart.chart.hasFocus)
    models.choose("torchvision/resnet50.IMAGENET1K_V2")
    qtbot.keyClick(models.chart.chart, Qt.Key.Key_Space)
    assert models.comparison.list.ids == ["torchvision/resnet50.IMAGENET1K_V2"]
    assert models.chart.chart._compared == ("torchvision/resnet50.IMAGENET1K_V2",)
