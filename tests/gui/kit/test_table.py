"""The table model that all flat tables share, and the set-up of their views."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QTableView

from gui.kit.table import (
    SHARE_ROLE,
    Column,
    ColumnTable,
    set_up_view,
    set_widths,
    sorted_by_key,
)

_FRUIT = (("plum", 12), ("Apple", 3), ("cherry", 100))
_COLUMNS = (
    Column("Fruit", lambda row: row[0], sort_key=lambda row: row[0].lower(), tip=lambda _: "tip"),
    Column(
        "Weight",
        lambda row: f"{row[1]:,} g",
        is_number=True,
        sort_key=lambda row: row[1],
        heading_tip="In grams",
        starts_with_largest=True,
        others={SHARE_ROLE: lambda row: row[1] / 100},
    ),
)


def _model() -> ColumnTable[tuple[str, int]]:
    model: ColumnTable[tuple[str, int]] = ColumnTable(_COLUMNS)
    model.show_rows(_FRUIT)
    return model


def test_a_column_table_is_a_proper_item_model(qtmodeltester) -> None:
    qtmodeltester.check(_model())


def test_a_cell_answers_with_what_its_column_gets_from_the_row(qapp) -> None:
    model = _model()
    weight, name = model.index(0, 1), model.index(0, 0)
    assert weight.data() == "12 g" == model.text(0, 1)
    assert weight.data(SHARE_ROLE) == 0.12
    assert weight.data(Qt.ItemDataRole.ToolTipRole) is None
    assert name.data(Qt.ItemDataRole.ToolTipRole) == "tip"
    assert name.data(SHARE_ROLE) is None
    across, role = Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole
    assert model.headerData(1, across) == "Weight"
    assert [model.headerData(n, across, role) for n in (0, 1)] == [None, "In grams"]


def test_numbers_stand_at_the_right_under_their_heading(qapp) -> None:
    model, role = _model(), Qt.ItemDataRole.TextAlignmentRole
    for column, side in ((0, Qt.AlignmentFlag.AlignLeft), (1, Qt.AlignmentFlag.AlignRight)):
        assert model.index(0, column).data(role) & side
        assert model.headerData(column, Qt.Orientation.Horizontal, role) & side


def test_a_table_sorts_by_the_keys_not_by_the_texts(qtbot) -> None:
    view = QTableView()
    qtbot.addWidget(view)
    proxy = sorted_by_key(_model(), view)
    set_up_view(view, "Fruit")
    set_widths(view, (0, 80))
    for column, expected in ((0, "Apple cherry plum"), (1, "Apple plum cherry")):
        proxy.sort(column, Qt.SortOrder.AscendingOrder)
        assert " ".join(proxy.index(row, 0).data() for row in range(3)) == expected
    assert (view.accessibleName(), view.columnWidth(1)) == ("Fruit", 80)


def test_changed_columns_are_painted_again_and_an_empty_table_says_nothing(qtbot) -> None:
    model = _model()
    with qtbot.waitSignal(model.dataChanged) as changed:
        model.update_columns(1, 1, SHARE_ROLE)
    first, last, roles = changed.args
    assert (first.row(), last.row(), first.column(), roles) == (0, 2, 1, [SHARE_ROLE])
    model.show_rows(())
    with qtbot.assertNotEmitted(model.dataChanged):
        model.update_columns(0, 1)
