"""The Models page as a person uses it: search, filters, cards, layers; by mouse and by keyboard."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication, QPushButton

from core.catalog.card import ModelCard
from core.catalog.domains import domain_backbones
from core.catalog.families import family_text
from core.catalog.presets import PRESETS
from core.catalog.search import CardFilter
from core.errors import ModelError
from core.models.layers.rows import LayerLine, collapse
from core.models.layers.tree import LayerNode
from gui.layers import jobs
from gui.layers.model import RATE, LayerModel
from gui.models.filters import ModelFilter
from gui.models.rows import COLUMNS, make_row
from gui.models.table import ModelTableModel

KEYS = [column.key for column in COLUMNS]


@pytest.fixture
def models(models, window, qtbot):
    """The Models page; the machine is known, so nothing warms up."""
    window.commands.start_up.begin()
    qtbot.waitUntil(lambda: window.session.machine is not None)
    return models


def shown(page, key: str = "model") -> list[str]:
    table, column = page.table.table_model, KEYS.index(key)
    return [table.index(row, column).data() for row in range(table.rowCount())]


def numbers(page, key: str) -> list[float]:
    return [float(text.replace(",", "")) for text in shown(page, key) if text]


def show_layers(page, qtbot, card_id: str) -> None:
    page.tabs.setCurrentWidget(page.layers)
    page.choose(card_id)
    qtbot.waitUntil(lambda: page.layers.shown_model == page.card.card.id)
    assert page.card.card.id.startswith(card_id)


# -- the models of Qt ------------------------------------------------------------------------


def _rows(count: int = 6):
    cards = [
        ModelCard(
            id=f"timm/net{i}.a", source="timm", arch=f"net{i}", tag="a", family="Net",
            params=1_000_000 * (i + 1), top1=None if i % 2 else 70.0 + i, input_size=(224, 224),
        )
        for i in range(count)
    ]  # fmt: skip
    return tuple(make_row(card, is_here=card.id == "timm/net1.a") for card in cards)


def test_the_table_model_is_a_proper_item_model(qtmodeltester) -> None:
    model = ModelTableModel()
    model.show_listing(_rows(), range(6))
    model.filter([0, 2, 5])
    model.sort(KEYS.index("top1"), Qt.SortOrder.DescendingOrder)
    qtmodeltester.check(model)


def test_the_layer_model_is_a_proper_item_model(qtmodeltester) -> None:
    model = LayerModel()
    model.show_lines(_lines(), macs=100)
    qtmodeltester.check(model)


def test_the_models_stay_proper_while_they_change(qapp) -> None:
    table, layers = ModelTableModel(), LayerModel()
    fatal = QAbstractItemModelTester.FailureReportingMode.Fatal
    testers = [QAbstractItemModelTester(model, fatal) for model in (table, layers)]
    table.show_listing(_rows(), range(6))
    for fitting in ([1, 2], [], range(6)):
        table.filter(fitting)
        table.sort(1, Qt.SortOrder.DescendingOrder)
    layers.show_lines(_lines(), macs=10)
    layers.show_lines((), macs=0)
    assert (table.rowCount(), layers.rowCount()) == (6, 0)
    assert testers


def _lines() -> tuple[LayerLine, ...]:
    leaf = LayerNode("conv", "b.conv", "Conv2d", "conv", 10, 10, (4, 8, 8), 20, 0, ())
    blocks = tuple(
        LayerNode(str(i), f"b.{i}", "Block", "block", 0, 10, (4, 8, 8), 20, 0, (leaf,))
        for i in range(3)
    )
    body = LayerNode("body", "body", "Sequential", "block", 0, 30, (4, 8, 8), 60, 0, blocks)
    head = LayerNode("fc", "fc", "Linear", "head", 8, 8, (2,), 8, 8, ())
    return collapse((body, head))


def test_a_layer_model_knows_parents_and_children() -> None:
    model = LayerModel()
    model.show_lines(_lines(), macs=80)
    body = model.index(0, 0)
    run = model.index(0, 0, body)
    assert (body.data(), run.data()) == ("body  Sequential", "0 … 2  Block × 3")
    assert model.rowCount(run) == 3
    assert model.parent(model.index(1, 0, run)) == run
    assert model.parent(body) == QModelIndex()
    assert [model.index(1, column).data() for column in range(1, 6)] == [
        "head", "2", "8", "10.0%", "",
    ]  # fmt: skip


# -- searching and filtering -----------------------------------------------------------------


def test_every_model_of_the_catalog_is_in_the_table(models) -> None:
    assert models.subtitle == "1,944 models"
    assert models.card.card.id == "bundled/tf_efficientnet_lite0"
    assert models.table.currentIndex().row() == 0


def test_typing_words_finds_models(models, qtbot) -> None:
    qtbot.keyClicks(models.filters.search, "resnet 50 a1")
    found = shown(models)
    assert "resnet50.a1_in1k" in found
    assert all("resnet" in name and "50" in name for name in found)
    assert models.subtitle == f"{len(found):,} of 1,944 models"


def test_wildcards_mean_the_whole_name_and_half_a_pattern_does_no_harm(models, qtbot) -> None:
    qtbot.keyClicks(models.filters.search, "resnet1?")
    assert {name.partition(".")[0] for name in shown(models)} == {"resnet18"}
    models.filters.search.setText("resnet[1")
    assert models.stack.currentWidget() is not models.table
    models.filters.search.clear()
    assert models.subtitle == "1,944 models"


def test_each_filter_narrows_what_is_shown(models) -> None:
    filters = models.filters
    filters.set_wish(
        ModelFilter(CardFilter(max_params_m=10, max_gmacs=1, min_top1=75, max_input_px=224))
    )
    assert max(numbers(models, "params")) <= 10
    assert max(numbers(models, "gmacs")) <= 1
    assert min(numbers(models, "top1")) >= 75
    assert set(shown(models, "input")) <= {"224", "192", "160", "176", "128", "184", "188", "208"}
    filters.set_wish(ModelFilter(CardFilter(source="torchvision", family="ResNet")))
    assert set(shown(models, "source")) == {"torchvision"}
    assert set(shown(models, "family")) == {"ResNet"}
    filters.set_wish(ModelFilter(CardFilter(license="mit")))
    assert set(shown(models, "license")) == {"mit"}
    filters.set_wish(ModelFilter(CardFilter(pretraining="ImageNet-21k", classifies=True)))
    assert filters.choices["head"].currentText() == "Classifies"
    assert all("ImageNet-21k" in text for text in shown(models, "pretraining"))
    assert "0" not in shown(models, "classes")
    filters.set_wish(ModelFilter(is_headless=True))
    assert "0" in shown(models, "classes")
    assert not {"1,000", "21,841"} & set(shown(models, "classes"))
    assert filters.parts() == (("Head Features only", ModelFilter()),)
    filters.reset()
    assert models.subtitle == "1,944 models"
    assert not filters.reset_button.isEnabled()


def test_only_models_whose_weights_are_here(models) -> None:
    models.filters.weights.setCurrentText("Here")
    here = {card.shown_name for card in models.session.models}
    assert set(shown(models)) == here
    assert set(shown(models, "weights")) == {"bundled"}
    models.filters.weights.setCurrentText("Online")
    assert set(shown(models, "weights")) == {"online"}
    assert not here & set(shown(models))


@pytest.mark.parametrize("need", PRESETS, ids=[need.key for need in PRESETS])
def test_a_usual_need_shows_its_models(models, need) -> None:
    models.filters.set_wish(ModelFilter(CardFilter(max_params_m=1), weights="here"))
    models.filters.choose_need(need)
    archs = {name.partition(".")[0].lower() for name in shown(models)}
    wanted = {
        "ResNet-18 and 34": lambda a: a in ("resnet18", "resnet34"),
        "EfficientNet-B4 and B5": lambda a: a.endswith(("efficientnet_b4", "efficientnet_b5")),
        "MobileNetV3": lambda a: "mobilenet" in a and "v3" in a,
        "ResNet-50": lambda a: a == "resnet50",
        "MobileNetV3-Large": lambda a: "v3" in a and "large" in a,
    }[need.models]
    assert archs
    assert all(wanted(arch) for arch in archs)
    assert models.card.card.id == need.recommended[0]
    assert models.table.chosen_row >= 0, "the filter shows what it recommends"
    assert need.why in models.notices.text


def test_a_backbone_of_a_domain_is_shown_with_its_licence(models) -> None:
    wanted = next(found for found in domain_backbones() if found.id.startswith("hf-hub:"))
    models.filters.domain_chosen.emit(wanted)
    assert models.card.card.id == wanted.id
    assert models.card.fact("Licence").startswith(wanted.license)
    assert models.card.fact("Pretraining") == wanted.pretraining
    assert models.card.fact("Answers for") == "unknown"
    assert wanted.why in models.notices.text
    assert not models.table.selectionModel().hasSelection()


def test_an_empty_table_says_what_to_loosen_and_loosens_it(models) -> None:
    models.filters.set_wish(ModelFilter(CardFilter(query="resnet50", max_params_m=1)))
    assert models.stack.currentWidget() is not models.table
    assert models.no_fit.hint.text() == "Nothing fits all of “resnet50”, Parameters ≤ 1 M."
    buttons = models.stack.currentWidget().findChildren(QPushButton)
    ways = {button.text(): button for button in buttons if not button.isHidden()}
    assert "Without Parameters ≤ 1 M: 62 models" in ways
    ways["Without Parameters ≤ 1 M: 62 models"].click()
    assert models.subtitle == "62 of 1,944 models"
    assert models.filters.search.text() == "resnet50"


def test_sorting_is_by_number_with_unknown_values_last_in_both_directions(models) -> None:
    header = models.table.horizontalHeader()
    column = KEYS.index("top1")
    for order in (Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder):
        header.setSortIndicator(column, order)
        texts = shown(models, "top1")
        known = numbers(models, "top1")
        assert known == sorted(known, reverse=order == Qt.SortOrder.DescendingOrder)
        assert texts[len(known) :] == [""] * (len(texts) - len(known))
    header.setSortIndicator(KEYS.index("params"), Qt.SortOrder.AscendingOrder)
    assert numbers(models, "params") == sorted(numbers(models, "params"))
    header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
    assert shown(models)[0] == "EfficientNet-Lite0"


def test_the_chosen_model_stays_chosen_while_the_filter_changes(models) -> None:
    models.choose("timm/resnet50.a1_in1k")
    models.filters.search.setText("resnet50")
    assert models.table.currentIndex().data() == "resnet50.a1_in1k"
    models.filters.search.setText("vit_base")
    assert models.card.card.id == "timm/resnet50.a1_in1k"
    assert not models.table.selectionModel().hasSelection()
    models.filters.search.setText("")
    assert models.table.currentIndex().data() == "resnet50.a1_in1k"


# -- the card --------------------------------------------------------------------------------


def test_the_card_tells_figures_their_source_and_the_family(models) -> None:
    models.choose("torchvision/resnet50.IMAGENET1K_V1")
    card = models.card
    assert card.fact("Parameters") == "25,557,032"
    assert card.fact("Top-1") == "76.13 %"
    assert card.fact("Input") == "224 × 224 px"
    assert card.fact("Answers for") == "1,000 classes (ImageNet-1k)"
    assert card.model_id.text().replace("\u200b", "") == "torchvision/resnet50.IMAGENET1K_V1"
    assert "torchvision's own metadata" in card.figures_source.text()
    assert card.family.text() == "ResNet, 2015"
    assert "F(x) + x" in card.ideas.text()
    assert "needs a network" in card.weights.text.text()


def test_unknown_facts_are_called_unknown_and_unknown_families_are_not_described(models) -> None:
    card = next(
        row.card
        for row in models._listing.rows
        if row.card.top1 is None and family_text(row.card.family) is None
    )
    models.choose(card.id)
    assert models.card.fact("Top-1") == "unknown"
    assert models.card.ideas.isHidden()


def test_a_licence_against_commercial_use_is_said(models) -> None:
    models.filters.set_wish(ModelFilter(CardFilter(license="cc-by-nc-4.0")))
    models.table.choose_row(0)
    assert models.card.fact("Licence") == "cc-by-nc-4.0: no commercial use"


def test_other_weights_of_the_architecture_are_a_click_away(models) -> None:
    models.choose("torchvision/resnet50.IMAGENET1K_V1")
    names = {b.objectName(): b for b in models.card.findChildren(QPushButton) if b.objectName()}
    assert {"torchvision/resnet50.IMAGENET1K_V2", "timm/resnet50.a1_in1k"} <= set(names)
    names["timm/resnet50.a1_in1k"].click()
    assert models.card.card.id == "timm/resnet50.a1_in1k"
    assert models.table.currentIndex().data() == "resnet50.a1_in1k"


def test_use_this_model_sets_the_model_of_the_session(models, window) -> None:
    models.choose("timm/resnet50.a1_in1k")
    assert models.card.use_button.isEnabled()
    models.card.use_button.click()
    assert window.session.model_id == "timm/resnet50.a1_in1k"
    assert "needs a network" in models.notices.text
    assert not models.card.use_button.isEnabled()
    models.choose("bundled/tf_efficientnet_lite1")
    models.card.use_button.click()
    assert "network" not in models.notices.text


# -- layers ----------------------------------------------------------------------------------


def test_the_layers_of_the_chosen_model_are_shown_with_what_trains(
    models, window, fake_core, qtbot
) -> None:
    window.session.end_scan(fake_core.dataset)
    window.show_page("models")
    show_layers(models, qtbot, "torchvision/resnet18.IMAGENET1K_V1")
    tree = models.layers.model
    names = [tree.index(row, 0).data().split()[0] for row in range(tree.rowCount())]
    assert names[0] == "conv1"
    assert names[-1] == "fc"
    assert tree.index(0, 2).data() == "64×112×112"
    assert tree.index(0, RATE).data() == "frozen"
    assert tree.index(tree.rowCount() - 1, RATE).data() == "fitted directly"
    assert "1,026 of 11,177,538 parameters train, 0.0092 %" in models.layers.totals.text()
    assert "new head for 2 classes" in models.layers.info.text()


def test_the_marks_follow_the_plan(models, window, qtbot) -> None:
    show_layers(models, qtbot, "torchvision/resnet18.IMAGENET1K_V1")
    window.session.set_recipe_values({"strategy": "full"})
    assert "Full fine-tuning" in models.layers.totals.text()  # at once, without a job
    assert models.layers.model.index(0, RATE).data() == "7.1e-5"


def test_a_search_in_the_layers_opens_the_way_to_what_it_finds(models, qtbot) -> None:
    show_layers(models, qtbot, "torchvision/resnet50.IMAGENET1K_V1")
    qtbot.keyClicks(models.layers.search, "layer3 bn2")
    assert models.layers.hits.text() == "6 hits"
    current = models.layers.tree.currentIndex()
    assert models.layers.model.line(current).path == "layer3.0.bn2"
    assert models.layers.tree.isExpanded(current.parent())
    qtbot.keyClick(models.layers.search, Qt.Key.Key_Return)
    current = models.layers.tree.currentIndex()
    assert models.layers.model.line(current).path == "layer3.1.bn2"
    assert models.layers.hits.text() == "2 of 6 hits"


def test_copies_go_to_the_clipboard(models, qtbot) -> None:
    show_layers(models, qtbot, "torchvision/resnet18.IMAGENET1K_V1")
    models.layers.copy_csv()
    rows = list(csv.DictReader(io.StringIO(QApplication.clipboard().text())))
    assert sum(int(row["parameters"]) for row in rows if "." not in row["layer"]) == 11_689_512
    models.layers.copy_markdown()
    short = QApplication.clipboard().text()
    line = next(line for line in short.splitlines() if line.startswith("| layer1 | Sequential |"))
    assert "| 64×56×56 | 147,968 |" in line
    models.layers.expand_all()
    models.layers.copy_markdown()
    assert len(QApplication.clipboard().text()) > 3 * len(short)


def test_a_failure_is_a_sentence_in_the_place_of_the_tree(models, qtbot, monkeypatch) -> None:
    def fail(question, context):
        raise ModelError("The layers of it cannot be worked out.", "It can still be used.")

    monkeypatch.setattr(jobs, "work_out_layers", fail)
    models.tabs.setCurrentWidget(models.layers)
    models.choose("timm/resnet50.a1_in1k")
    qtbot.waitUntil(lambda: "cannot be worked out" in models.layers.message.text())
    assert models.layers.stack.currentWidget() is models.layers.message
    assert not models.layers.copy_button.isEnabled()


def test_whoever_arrows_on_gets_the_layers_of_where_they_stop(models, qtbot, monkeypatch) -> None:
    asked = []
    real = jobs.work_out_layers

    def watch(question, context):
        asked.append(question.card.id)
        return real(question, context)

    models.tabs.setCurrentWidget(models.layers)
    models.table.enter()
    qtbot.waitUntil(lambda: models.layers.shown_model == models.card.card.id)
    monkeypatch.setattr(jobs, "work_out_layers", watch)
    pause_ms = models._layers_soon.interval()
    models._layers_soon.setInterval(3_600_000)  # however slow the machine presses the keys
    for _ in range(12):
        qtbot.keyClick(models.table, Qt.Key.Key_Down)
    assert asked == []
    last = models.card.card.id
    models._layers_soon.start(pause_ms)
    qtbot.waitUntil(lambda: models.layers.shown_model == last)
    assert asked == [last]


def test_a_recipe_that_is_refused_is_said_in_the_place_of_the_tree(models, window, qtbot) -> None:
    window.session.set_recipe_values({"strategy": "full", "learning_rate": "fast"})
    models.tabs.setCurrentWidget(models.layers)
    models.choose("torchvision/resnet18.IMAGENET1K_V1")
    qtbot.waitUntil(lambda: "fast" in models.layers.message.text())


def test_a_model_without_a_description_on_this_machine_says_so(models, qtbot, monkeypatch) -> None:
    card = replace(models._listing.rows[0].card, id="timm/no_such", arch="no_such", source="timm")
    models.tabs.setCurrentWidget(models.layers)
    models._show_card(card)
    qtbot.waitUntil(lambda: "no_such" in models.layers.message.text())
    qtbot.waitUntil(lambda: "has no model" in models.layers.message.text())


# -- keyboard --------------------------------------------------------------------------------


def test_the_page_works_by_keyboard_alone(models, window, qtbot) -> None:
    window.activateWindow()
    qtbot.keyClick(models, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(models.filters.search.hasFocus)
    qtbot.keyClicks(models.filters.search, "*/resnet18.*")
    qtbot.keyClick(models.filters.search, Qt.Key.Key_Down)
    qtbot.waitUntil(models.table.hasFocus)
    assert models.table.currentIndex().row() == 0
    qtbot.keyClick(models.table, Qt.Key.Key_Down)
    chosen = models.card.card.id
    assert models.table.currentIndex().row() == 1
    qtbot.keyClick(models.table, Qt.Key.Key_Return)
    assert window.session.model_id == chosen
    qtbot.keyClick(models.table, Qt.Key.Key_Up)
    qtbot.keyClick(models.table, Qt.Key.Key_Up)
    qtbot.waitUntil(models.filters.search.hasFocus)
    qtbot.keyClick(models.filters.search, Qt.Key.Key_Escape)
    assert models.filters.search.text() == ""
