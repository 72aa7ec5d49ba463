"""PySide6 6.12 on Python 3.11 loses a reference to True with every emit and aborts soon after."""

from __future__ import annotations

import sys

from PySide6.QtCore import QObject, Signal


class _Emitter(QObject):
    emitted = Signal()


def test_five_thousand_emits_keep_the_references_to_true() -> None:
    emitter = _Emitter()
    before = sys.getrefcount(True)
    for _ in range(5_000):
        emitter.emitted.emit()
    assert abs(sys.getrefcount(True) - before) < 100
