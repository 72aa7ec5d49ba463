"""What the selected layer is: its form, what it costs, what such a layer does, where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from core.models.layers.explain import explain_depth, explain_kind
from core.models.layers.rows import shape_text
from gui.kit import theme
from gui.kit.basics import ElidedLabel, hbox, label, vbox
from gui.kit.theme import Theme
from gui.kit.words import short_number
from gui.layers.text import megabytes

if TYPE_CHECKING:
    from core.models.layers.rows import LayerLine

_HEIGHT_PX = 104
_SWATCH_PX = 10
_WHOLE = 0.6
"""A line that spans more of the network than this stands at no one depth."""


class LayerInfo(QScrollArea):
    """A few sentences; scrolls where they are longer than the room there is."""

    def __init__(self, look: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._kind = ""
        self._model = ""
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setObjectName("run")  # framed when it has the focus
        self.setAccessibleName("The selected layer")
        self.setFixedHeight(_HEIGHT_PX)
        inside = QWidget()
        column = vbox(inside, margins=(0, theme.XS, theme.S, 0), spacing=2)
        line = hbox()
        self._swatch = QFrame()
        self._swatch.setFixedSize(_SWATCH_PX, _SWATCH_PX)
        self.title = ElidedLabel("", "heading")
        line.addWidget(self._swatch)
        line.addWidget(self.title, 1)
        column.addLayout(line)
        self.facts = label("", "small", wraps=True)
        self.kind = label("", "muted-small", wraps=True)
        self.where = label("", "muted-small", wraps=True)
        for part in (self.facts, self.kind, self.where):
            part.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(part)
        column.addStretch(1)
        self.setWidget(inside)
        look.changed.connect(self._colour)
        self.show_line(None)

    def show_model(self, text: str) -> None:
        """What is said of the model while no layer is chosen."""
        self._model = text
        self.show_line(None)

    def show_line(
        self,
        line: LayerLine | None,
        *,
        share: float = 0.0,
        depth: tuple[float, float] = (0.0, 0.0),
        is_head: bool = False,
    ) -> None:
        """`share` of the model's multiply-adds; `depth`: where it begins and ends, 0 to 1."""
        self._kind = "" if line is None else line.kind
        self._colour()
        if line is None:
            self.title.setText("Choose a layer to read what it does.")
            self.facts.setText(self._model)
            for part in (self.kind, self.where):
                part.clear()
            return
        self.title.setText(f"{line.path if not line.is_run else line.name} · {line.title}")
        self.facts.setText(describe_line(line, share=share))
        self.kind.setText(explain_kind(line.kind, f"{line.type} {line.detail}"))
        begin, end = depth
        if end - begin > _WHOLE and not is_head:
            self.where.setText("Most of the network lies in it, from edges to whole objects.")
        else:
            self.where.setText(explain_depth((begin + end) / 2, is_head))
        self.verticalScrollBar().setValue(0)

    def text(self) -> str:
        """All of it."""
        parts = (self.title, self.facts, self.kind, self.where)
        return "\n".join(part.text() for part in parts if part.text())

    def _colour(self) -> None:
        self._swatch.setVisible(bool(self._kind))
        if self._kind:
            colour = self._look.colour(f"kind_{self._kind}").name()
            self._swatch.setStyleSheet(f"background: {colour}; border-radius: 2px;")


def describe_line(line: LayerLine, *, share: float) -> str:
    """`conv · output 64×112×112 · 9,408 parameters · 118 M multiply-adds, 6.5 % of the model`."""
    facts: list[str] = [line.kind]
    if line.detail:
        facts.append(line.detail)
    if line.output_shape is not None:
        facts.append(f"output {shape_text(line.output_shape)}")
    facts.append(f"{line.params:,} parameters" if line.params else "no parameters")
    if line.macs:
        facts.append(f"{short_number(line.macs)} multiply-adds, {share:.1%} of the model")
    if line.activation_bytes:
        facts.append(f"activations {megabytes(line.activation_bytes)} an image")
    return " · ".join(facts)
