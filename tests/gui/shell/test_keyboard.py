"""The whole road without a mouse, and a name for everything the keyboard reaches."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QWidget

from gui.shell.menus import ShortcutSheet

PAGES = ("start", "models", "data", "strategy", "train", "results", "classify", "runs")


def _fill(window, fake_core, qtbot, image_folder) -> None:
    window.commands.start_up.begin()
    for page in PAGES:
        window.show_page(page)
    window.commands.opening.open_dataset(image_folder)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    fake_core.train_gate.set()
    window.start_training()
    qtbot.waitUntil(lambda: window.session.live_run.result is not None)
    window.commands.classify.add_pictures([image_folder / "ant" / f"{i}.png" for i in range(2)])
    qtbot.waitUntil(lambda: window.page("classify").answer.text() == "ant")


def test_every_focusable_control_has_an_accessible_name(
    window, fake_core, qtbot, image_folder
) -> None:
    _fill(window, fake_core, qtbot, image_folder)
    nameless = [
        f"{widget.metaObject().className()} in {widget.parentWidget()}"
        for widget in window.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not widget.accessibleName()
        # Parts of a named control: Qt gives the focus to the control.
        and widget.focusProxy() is None
        and not widget.objectName().startswith("qt_")
    ]
    assert nameless == []


def test_every_plot_and_matrix_has_a_text_twin(window, fake_core, qtbot, image_folder) -> None:
    _fill(window, fake_core, qtbot, image_folder)
    view = window.page("train").run_view
    window.show_page("train")
    for plot in (view.plots.loss, view.plots.accuracy):
        qtbot.waitUntil(lambda plot=plot: bool(plot.twin))
        assert plot.canvas.accessibleDescription().startswith(plot.twin)
        assert plot.twin


def test_the_road_by_keyboard_alone(window, fake_core, qtbot, image_folder) -> None:
    window.activateWindow()
    window.commands.start_up.begin()
    start = window.page("start")
    start.sample_button.setFocus()
    qtbot.keyClick(start.sample_button, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: window.session.scan_state == "ready")
    assert window.current_page == "data"
    fake_core.train_gate.set()
    qtbot.keyClick(window, Qt.Key.Key_F5)
    qtbot.waitUntil(lambda: window.session.live_run is not None)
    qtbot.waitUntil(lambda: window.session.live_run.phase == "done")
    assert window.current_page == "train"
    for number, page in enumerate(PAGES, start=1):
        qtbot.keyClick(window, str(number), Qt.KeyboardModifier.ControlModifier)
        assert window.current_page == page
    image = window.page("data").pictures.grid.paths[0]
    from PySide6.QtCore import QMimeData, QUrl

    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(image))])
    QApplication.clipboard().setMimeData(mime)
    qtbot.keyClick(window, "v", Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.page("classify").answer.text() == "ant")


def test_tab_reaches_the_main_controls_of_every_page(
    window, fake_core, qtbot, image_folder
) -> None:
    _fill(window, fake_core, qtbot, image_folder)
    wanted = {
        "start": {window.page("start").drop_zone, window.page("start").sample_button},
        "data": {window.page("data").pictures.table, window.page("data").pictures.grid},
        "train": {window.page("train").start_button, window.page("train").form.model},
        "classify": {window.page("classify").model, window.page("classify").list},
    }
    for name, controls in wanted.items():
        window.show_page(name)
        assert controls <= _tab_round(window), name


def _tab_round(window) -> set[QWidget]:
    reached: set[QWidget] = set()
    widget = window.nextInFocusChain()
    while widget is not window:
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisible():
            reached.add(widget)
        widget = widget.nextInFocusChain()
    return reached


def test_the_shortcut_sheet_shows_every_shortcut_of_the_table(window, qtbot) -> None:
    qtbot.keyClick(window, Qt.Key.Key_F1)
    sheet = window.findChild(ShortcutSheet)
    shown = {made.text() for made in sheet.findChildren(QLabel)}
    assert {row.shortcut for row in window.action_rows if row.shortcut} <= shown
    sheet.close()


def test_arrows_move_through_the_pictures(window, fake_core, qtbot, image_folder) -> None:
    _fill(window, fake_core, qtbot, image_folder)
    window.show_page("data")
    page = window.page("data").pictures
    qtbot.keyClick(page.grid, Qt.Key.Key_Right)
    assert page.caption.text() == page.grid.paths[1].relative_to(image_folder).as_posix()


def test_the_toolbar_holds_the_actions_of_the_menus(window) -> None:
    tools = window.context.tools
    names = [tool.accessibleName() for tool in tools]

    assert "Open folder (Ctrl+O)" in names
    for tool in tools:
        assert tool.defaultAction() in window.actions_by_name.values()
        assert tool.isEnabled() == tool.defaultAction().isEnabled()
    assert not tools[-1].isEnabled(), "there is nothing to stop"
