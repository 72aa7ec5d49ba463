"""The one place that opens file dialogs, questions and boxes for a line of text.

All are opened, never executed: the event loop, and with it a run's events, goes on behind them.
Each deletes itself when it is closed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFileDialog, QInputDialog, QMessageBox, QWidget

ALL_FILES = "All files (*)"


def ask_for_folder(
    parent: QWidget, title: str, chosen: Callable[[str], None], *, start: str = ""
) -> None:
    """Call `chosen` with the folder a person picks; `start` is where the dialog opens."""
    dialog = QFileDialog(parent, title, start)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    dialog.fileSelected.connect(chosen)
    _open(dialog)


def ask_for_file(
    parent: QWidget, title: str, filters: Sequence[str], chosen: Callable[[str], None]
) -> None:
    """Call `chosen` with the one file a person picks; a filter reads `Images (*.png *.jpg)`."""
    dialog = QFileDialog(parent, title)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters([*filters, ALL_FILES])
    dialog.fileSelected.connect(chosen)
    _open(dialog)


def ask_for_files(
    parent: QWidget,
    title: str,
    filters: Sequence[str],
    chosen: Callable[[list[str]], None],
    *,
    start: str = "",
) -> None:
    """Call `chosen` with the files a person picks."""
    dialog = QFileDialog(parent, title, start)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
    dialog.setNameFilters([*filters, ALL_FILES])
    dialog.filesSelected.connect(chosen)
    _open(dialog)


def ask_where_to_save(
    parent: QWidget,
    title: str,
    filters: Sequence[str],
    chosen: Callable[[str], None],
    *,
    name: str = "",
    folder: Path | None = None,
) -> None:
    """Call `chosen` with the path a person picks for a new file.

    A name that is typed without an ending gets that of the first filter; `name` is the one offered.
    """
    dialog = QFileDialog(parent, title, "" if folder is None else str(folder))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilters(list(filters))
    ending = re.search(r"\*\.(\w+)", filters[0])
    dialog.setDefaultSuffix(ending[1] if ending else "")
    if name:
        dialog.selectFile(name)
    dialog.fileSelected.connect(chosen)
    _open(dialog)


def ask_for_text(
    parent: QWidget, title: str, text: str, chosen: Callable[[str], None], *, value: str = ""
) -> QInputDialog:
    """Call `chosen` with a line a person types; `value` stands there at first."""
    dialog = QInputDialog(parent)
    dialog.setWindowTitle(title)
    dialog.setLabelText(text)
    dialog.setTextValue(value)
    dialog.textValueSelected.connect(chosen)
    _open(dialog)
    return dialog


def ask(
    parent: QWidget,
    title: str,
    text: str,
    details: str,
    *,
    yes: str,
    accepted: Callable[[], None],
    no: str = "",
) -> None:
    """Ask a question once at a time, and call `accepted` where the answer is `yes`.

    With `no`, for what cannot be taken back, Enter and Escape mean no; else Enter means yes, and
    there is Cancel.
    """
    # A closed box is a child until the event loop deletes it.
    if any(box.isVisible() for box in parent.findChildren(QMessageBox, title)):
        return
    question = message_box(parent, title, text, details, icon=QMessageBox.Icon.Question)
    question.setObjectName(title)
    accept = question.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    accept.clicked.connect(accepted)
    if no:
        keep = question.addButton(no, QMessageBox.ButtonRole.RejectRole)
        question.setDefaultButton(keep)
        question.setEscapeButton(keep)
    else:
        question.addButton(QMessageBox.StandardButton.Cancel)
    question.open()


def message_box(
    parent: QWidget,
    title: str,
    text: str,
    details: str,
    *,
    icon: QMessageBox.Icon = QMessageBox.Icon.NoIcon,
) -> QMessageBox:
    """A box without buttons, for the caller to complete and to open."""
    box = QMessageBox(icon, title, text, parent=parent)
    box.setInformativeText(details)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    return box


def _open(dialog: QDialog) -> None:
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()
