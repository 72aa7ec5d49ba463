"""The map of the pictures: what it takes, what it says, and what is done on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from core.data.journal import Journal
from core.errors import AppError
from core.evaluation.embedding_map import PictureMap, neighbours
from core.features.dataset_features import FeatureCost, PictureFeatures
from gui.kit.theme import Theme
from gui.labelling.map import jobs
from gui.labelling.map.map import EmbeddingMap
from gui.labelling.map.paint import PointSprites
from gui.labelling.map.points import MapPoints, points_of


@pytest.fixture
def features_of_fakes(monkeypatch):
    """Core's part of the map in an instant: ants left, bees right, one bee among the ants."""

    class Fake:
        missing = 0
        read = 0
        fails_with: Exception | None = None

        def ask_cost(self, dataset, values, context):
            return FeatureCost(len(dataset), self.missing, 65.0 if self.missing else 0.0)

        def read_features(self, dataset, values, context):
            self.read += 1
            if self.fails_with is not None:
                raise self.fails_with
            n = len(dataset)
            angle = np.where(np.arange(n) < n / 2, 0.1, 1.4) + 0.02 * np.arange(n)
            angle[-1] = 0.12  # the last bee
            vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
            return PictureFeatures(
                "bundled/tf_efficientnet_lite0", dataset.files, vectors, np.arange(n)
            )

        def draw(self, features, context):
            xy = features.vectors * 2 - 1
            near = neighbours(features.vectors, features.copies, count=3)
            first = PictureMap(features.model, features.files, xy, "PCA", near, 0.9)
            context.sink(first)
            return replace(first, layout="t-SNE", arranged=len(features))

    fake = Fake()
    for name in ("ask_cost", "read_features", "draw"):
        monkeypatch.setattr(jobs, name, getattr(fake, name))
    return fake


@pytest.fixture
def page(window, fake_core, features_of_fakes, qtbot):
    window.commands.start_up.begin()
    qtbot.waitUntil(lambda: bool(window.session.models) and window.session.machine is not None)
    window.commands.opening.open_dataset(fake_core.dataset.root)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    window.show_page("data")
    return window.page("data")


@pytest.fixture
def drawn(page, qtbot):
    """The Data page with its map."""
    page.tabs.setCurrentWidget(page.map_view)
    maps = page.window().commands.maps
    qtbot.waitUntil(lambda: maps.map is not None and not maps.is_drawing)
    return page


def test_a_long_computation_is_asked_for_with_its_time(page, features_of_fakes, qtbot) -> None:
    features_of_fakes.missing = 5
    view = page.map_view
    page.tabs.setCurrentWidget(view)
    qtbot.waitUntil(lambda: page.window().commands.features.state == "missing")
    assert "has still to see 5 of 8 pictures, once: about 1 min 5 s" in view.ask.cost.text()
    assert features_of_fakes.read == 0
    view.ask.start_button.click()
    qtbot.waitUntil(lambda: view.map.isVisible())
    assert features_of_fakes.read == 1


def test_features_that_are_there_are_drawn_without_asking(drawn) -> None:
    view = drawn.map_view
    assert view.map.isVisible()
    assert len(view.map.points) == 8
    assert view.twin.text().startswith("75 % of the 8 labelled pictures have a nearest neighbour")
    assert "arranged by t-SNE" in view.layout_line.text()
    assert "ant 4, bee 4" in view.map.accessibleDescription()


def test_a_model_that_cannot_be_used_says_why(page, features_of_fakes, qtbot) -> None:
    features_of_fakes.fails_with = AppError("The weights are not here.", "Download them.")
    page.tabs.setCurrentWidget(page.map_view)
    qtbot.waitUntil(lambda: page.window().commands.features.trouble != "")
    assert "The weights are not here." in page.map_view.ask.cost.text()
    assert page.map_view.ask.start_button.isVisible()


def test_another_model_has_another_map(drawn, features_of_fakes, qtbot) -> None:
    features_of_fakes.missing = 3
    drawn.session.set_model("bundled/tf_efficientnet_lite1")
    qtbot.waitUntil(lambda: drawn.window().commands.features.state == "missing")
    assert drawn.map_view.ask.isVisible()
    assert drawn.window().commands.maps.map is None


def test_a_stranger_among_another_class_is_told_and_marked(drawn) -> None:
    points = drawn.map_view.map.points
    assert [points.files[row] for row in np.flatnonzero(points.suspects)] == ["bee/3.png"]
    assert "1 picture lies among another class" in drawn.map_view.twin.text()


def test_a_rectangle_selects_and_the_selection_is_relabelled_as_one_edit(drawn, qtbot) -> None:
    view = drawn.map_view
    view.tools.choose("box")
    pixels = view.map.pixels()
    inside = pixels[[i for i, f in enumerate(view.map.points.files) if f.startswith("bee/")][:3]]
    low, high = inside.min(axis=0) - 12, inside.max(axis=0) + 12
    drag(view.map, [tuple(low), tuple(high)])
    assert view.map.selected_files == ("bee/0.png", "bee/1.png", "bee/2.png")
    assert view.caption.text() == "3 selected: bee 3"
    assert view.strip.isVisible()
    qtbot.keyClick(view.map, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: drawn.session.dataset.class_counts() == {"ant": 7, "bee": 1})
    edits = Journal([drawn.session.dataset.root]).edits()
    assert [(edit.kind, len(edit.files), edit.value) for edit in edits] == [("relabel", 3, "ant")]
    assert view.map.selected_files == ("bee/0.png", "bee/1.png", "bee/2.png")
    assert view.caption.text() == "3 selected: ant 3"


def drag(widget, corners) -> None:
    """Press, move and release over points of the widget."""
    first, *rest = [QPoint(round(x), round(y)) for x, y in corners]
    QTest.mousePress(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, first)
    for at in rest:
        QTest.mouseMove(widget, at)
        QApplication.processEvents()
    QTest.mouseRelease(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, rest[-1])


def test_a_lasso_takes_what_lies_inside_its_line(drawn) -> None:
    view = drawn.map_view
    view.tools.choose("lasso")
    x, y = view.map.pixels()[0]
    drag(view.map, [(x - 9, y - 9), (x + 9, y - 9), (x + 9, y + 9), (x - 9, y + 9)])
    assert view.map.points.files[0] in view.map.selected_files
    qt_escape = Qt.Key.Key_Escape
    QTest.keyClick(view.map, qt_escape)
    assert view.map.selected_files == ()
    assert not view.selection.isVisible()


def test_excluded_pictures_leave_the_map_and_come_back(drawn, qtbot) -> None:
    view = drawn.map_view
    view.map.setFocus()
    view.map.select(np.array([0, 1]))
    qtbot.keyClick(view.map, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: len(view.map.points) == 6)
    assert view.map.selected_files == ()
    drawn.window().commands.data.undo()
    qtbot.waitUntil(lambda: len(view.map.points) == 8)


def test_arrows_walk_to_the_nearest_point_and_enter_opens_it(drawn, qtbot) -> None:
    view = drawn.map_view
    view.map.setFocus()
    qtbot.keyClick(view.map, Qt.Key.Key_Right)
    here = view.map.current
    assert here >= 0
    qtbot.keyClick(view.map, Qt.Key.Key_Left)
    moved = view.map.current
    assert moved == here or view.map.pixels()[moved][0] < view.map.pixels()[here][0]
    qtbot.keyClick(view.map, Qt.Key.Key_Return)
    file = view.map.points.files[view.map.current]
    assert drawn.inspector.path == drawn.session.dataset.root / file
    qtbot.keyClick(view.map, Qt.Key.Key_Space)
    assert view.map.selected_files == (file,)


def test_pointing_at_a_picture_has_its_thumbnail_read(drawn, qtbot) -> None:
    view = drawn.map_view
    x, y = view.map.pixels()[2]
    with qtbot.waitSignal(view.map.wanted) as asked:
        QTest.mouseMove(view.map, QPoint(round(x), round(y)))
    assert asked.args[0] == (drawn.session.dataset.root / view.map.points.files[2],)
    qtbot.waitUntil(lambda: asked.args[0][0] in view.map._thumbnails)


def test_a_click_opens_the_picture_under_it(drawn, qtbot) -> None:
    view = drawn.map_view
    x, y = view.map.pixels()[3]
    at = QPoint(round(x), round(y))
    row = view.map.point_at(at.toPointF())
    qtbot.mouseClick(view.map, Qt.MouseButton.LeftButton, pos=at)
    assert drawn.inspector.path == drawn.session.dataset.root / view.map.points.files[row]


def test_the_filters_of_the_pictures_hold_on_the_map(drawn, qtbot) -> None:
    view = drawn.map_view
    drawn.pictures.table.selectRow(0)
    assert view.layout_line.text().startswith("4 of 8 shown, as in Pictures: ant.")
    hidden = next(i for i, f in enumerate(view.map.points.files) if f == "bee/0.png")
    assert view.map.point_at(QPoint(*view.map.pixels()[hidden].round().astype(int)).toPointF()) in (
        -1,
        *(i for i, f in enumerate(view.map.points.files) if f.startswith("ant/")),
    )
    drawn.pictures.choose_all()
    view.legend.item(1).setSelected(True)
    assert view.layout_line.text().startswith("4 of 8 shown.")


def make_points(n: int, classes: int = 3) -> MapPoints:
    rng = np.random.default_rng(0)
    return MapPoints(
        files=tuple(f"{i}.png" for i in range(n)),
        xy=rng.uniform(-1, 1, (n, 2)).astype(np.float32),
        labels=rng.integers(-1, classes, n).astype(np.int32),
        classes=tuple(f"c{k}" for k in range(classes)),
        suspects=np.zeros(n, bool), agreeing=n, judged=n, layout="PCA", arranged=0,
        explained=0.5, model="bundled/tf_efficientnet_lite0",
    )  # fmt: skip


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_every_class_has_a_look_of_its_own_up_to_twenty_eight(qapp, choice) -> None:
    look = Theme(choice)
    sprites = PointSprites(look, 1.0)
    seen = set()
    for number in range(-1, 28):
        image = sprites.icon(number).pixmap(18, 18).toImage()
        seen.add(bytes(image.constBits()))
    assert len(seen) == 29
    look.choose("light")


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_points_stand_out_from_the_ground(qapp, choice) -> None:
    look = Theme(choice)
    ground = look.colour("surface")
    for number in range(7):
        assert _contrast(look.class_colour(number), ground) > 1.9
    look.choose("light")


def _contrast(a: QColor, b: QColor) -> float:
    def luminance(colour: QColor) -> float:
        parts = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (colour.redF(), colour.greenF(), colour.blueF())
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_map_is_painted_where_its_points_are(qapp, qtbot, tmp_path) -> None:
    look = Theme("light")
    made = EmbeddingMap(look)
    qtbot.addWidget(made)
    made.resize(400, 300)
    points = make_points(1)
    made.show_points(
        replace(points, labels=np.zeros(1, np.int32), xy=np.zeros((1, 2), np.float32)), tmp_path
    )
    image = made.grab().toImage()
    assert image.pixelColor(200, 150) == look.class_colour(0)


def test_what_was_taken_out_is_not_on_the_map(fake_core) -> None:
    dataset = fake_core.dataset
    n = len(dataset) + 1
    files = (*dataset.files, "gone.png")
    xy = np.zeros((n, 2), np.float32)
    near = np.full((n, 2), n - 1, np.int32)  # the one that is gone is everybody's neighbour
    points = points_of(PictureMap("m", files, xy, "PCA", near, 0.5), dataset)
    assert points.files == dataset.files
    assert (points.agreeing, points.judged) == (0, 0)
