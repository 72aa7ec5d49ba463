"""The one visual language: colours, type and spacing as tokens, and the style sheet made of them.

Every widget takes its colours from the current `Tokens`; nothing else in gui/ names a colour.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, fields
from typing import Literal, Protocol, cast

import qtawesome
import shiboken6
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QIcon, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from gui.kit.settings import ThemeChoice

# Spacing scale in logical pixels; nothing between.
XS, S, M, L, XL = 4, 8, 12, 16, 24
RADIUS = 6
ICON_PX = 18

Role = Literal["display", "title", "heading", "body", "small"]
_TYPE_SCALE: dict[Role, float] = {
    "display": 2.4,
    "title": 1.5,
    "heading": 1.1,
    "body": 1.0,
    "small": 0.9,
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """Colours of one theme. Text tokens reach 4.5:1 on `window`, `surface` and `sunken`."""

    window: str
    surface: str
    sunken: str
    border: str
    strong_border: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    tint: str
    good: str
    warning: str
    warning_tint: str
    bad: str
    bad_tint: str
    series_1: str
    series_2: str
    kind_conv: str
    kind_pool: str
    kind_norm: str
    kind_activation: str
    kind_linear: str
    kind_block: str
    kind_head: str
    kind_attention: str
    kind_embedding: str
    kind_dropout: str
    kind_other: str
    chart_1: str
    chart_2: str
    chart_3: str
    chart_4: str


LIGHT = Tokens(
    window="#f5f6f8",
    surface="#ffffff",
    sunken="#eceff3",
    border="#dde2e8",
    strong_border="#b9c1cc",
    text="#1a222d",
    muted="#566272",
    accent="#14735a",
    accent_hover="#0f6049",
    on_accent="#ffffff",
    tint="#e1f1ec",
    good="#14735a",
    warning="#8a5300",
    warning_tint="#fdf3de",
    bad="#b3261e",
    bad_tint="#fcebe9",
    series_1="#2f6fd0",
    series_2="#14735a",
    kind_conv="#2f6fd0",
    kind_pool="#0f8b8d",
    kind_norm="#8a6d00",
    kind_activation="#c2540a",
    kind_linear="#6b4fbb",
    kind_block="#566272",
    kind_head="#14735a",
    kind_attention="#b3268a",
    kind_embedding="#4a7d12",
    kind_dropout="#7d8896",
    kind_other="#7d8896",
    # Told apart with any kind of colour blindness: 24 or more apart in Lab, simulated.
    chart_1="#2f6fd0",
    chart_2="#e08a00",
    chart_3="#7a1f5c",
    chart_4="#8792a0",
)

DARK = Tokens(
    window="#14181d",
    surface="#1b2027",
    sunken="#242a32",
    border="#2c333c",
    strong_border="#4a5462",
    text="#e5e9ef",
    muted="#9ca7b5",
    accent="#4fc3a1",
    accent_hover="#6bd3b4",
    on_accent="#06231a",
    tint="#1d3831",
    good="#4fc3a1",
    warning="#e5b25a",
    warning_tint="#362b17",
    bad="#f28b82",
    bad_tint="#3b2020",
    series_1="#6ea8fe",
    series_2="#4fc3a1",
    kind_conv="#6ea8fe",
    kind_pool="#4fc3c7",
    kind_norm="#d9c25a",
    kind_activation="#f2a365",
    kind_linear="#b39ddb",
    kind_block="#9ca7b5",
    kind_head="#4fc3a1",
    kind_attention="#f48fc9",
    kind_embedding="#9ccc65",
    kind_dropout="#8792a0",
    kind_other="#8792a0",
    chart_1="#4f93ff",
    chart_2="#ffb83d",
    chart_3="#c93c8a",
    chart_4="#d3d9e0",
)


_CLASS_COLOURS = {
    False: ("#0072b2", "#e69f00", "#009e73", "#c2559a", "#5bb5ea", "#c84a00", "#6b5b95"),
    True: ("#4aa3e0", "#f5b83d", "#3ccf9f", "#e58fc0", "#a8dcff", "#ff7a33", "#ab9bd6"),
}
"""For classes: the palette of Okabe and Ito (2008), made for colour-blind readers, its yellow and
black left out; by whether the theme is dark."""
CLASS_COLOURS = len(_CLASS_COLOURS[False])


_FUSION_DARKER_PERCENT = 140


class _TakesIcon(Protocol):
    def setIcon(self, icon: QIcon) -> None: ...


class Theme(QObject):
    """The colours, fonts and icons in force. One per application, shared by all pages."""

    changed = Signal()

    def __init__(self, choice: ThemeChoice = "system", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._choice: ThemeChoice = choice
        self._icons: dict[int, tuple[weakref.ref[QObject], str, str]] = {}
        self._roots: list[weakref.ref[QWidget]] = []
        self._body_pt = max(QApplication.font().pointSizeF(), 9.0)
        self.tokens = LIGHT
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)
        self._apply()

    @property
    def choice(self) -> ThemeChoice:
        """What a person chose: `system`, `light` or `dark`."""
        return self._choice

    @property
    def is_dark(self) -> bool:
        """Whether the dark colours are in force."""
        return self.tokens is DARK

    def choose(self, choice: ThemeChoice) -> None:
        """Change the theme and repaint everything."""
        self._choice = choice
        self._apply()

    def dress(self, root: QWidget) -> None:
        """Give a window, and all that is or will be in it, the style sheet of the theme.

        Not the application: switching its sheet touches every widget there ever was, and
        crashes on those that pyqtgraph destroyed with their signals blocked (PySide6 6.11).
        """
        self._roots.append(weakref.ref(root))
        root.setStyleSheet(_style_sheet(self.tokens, self._body_pt))

    def colour(self, token: str) -> QColor:
        """The colour of a token, as it is named in `Tokens`."""
        return QColor(getattr(self.tokens, token))

    def class_colour(self, number: int) -> QColor:
        """The colour of a class by its number; after `CLASS_COLOURS` classes the colours repeat."""
        return QColor(_CLASS_COLOURS[self.is_dark][number % CLASS_COLOURS])

    def font(self, role: Role, *, bold: bool = False) -> QFont:
        """The font of a type role in the application's base size."""
        font = QFont(QApplication.font())
        font.setPointSizeF(self._body_pt * _TYPE_SCALE[role])
        font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
        return font

    def icon(self, name: str, token: str = "muted") -> QIcon:
        """An icon of the mdi6 set in the colour of a token."""
        return cast(QIcon, qtawesome.icon(f"mdi6.{name}", color=getattr(self.tokens, token)))

    def give_icon(self, owner: QObject, name: str, token: str = "muted") -> None:
        """Set an icon on a button or action; it is drawn again when the theme changes."""
        self._icons[id(owner)] = (weakref.ref(owner), name, token)
        cast(_TakesIcon, owner).setIcon(self.icon(name, token))

    def _follow_system(self, _scheme: Qt.ColorScheme) -> None:
        if self._choice == "system":
            self._apply()

    def _apply(self) -> None:
        dark = self._choice == "dark" or (
            self._choice == "system"
            and QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        )
        self.tokens = DARK if dark else LIGHT
        # The palette is set by hand: setColorScheme() does nothing on the offscreen platform
        # and on desktops without a platform theme.
        QApplication.setPalette(_palette(self.tokens))
        # WORKAROUND: PySide6's stubs ask for bytes here, 6.11 itself takes text alone.
        QApplication.setPalette(_box_palette(self.tokens), "QCheckBox")  # type: ignore[arg-type]
        for root_ref in self._roots:
            root = root_ref()
            if root is not None and shiboken6.isValid(root):
                root.setStyleSheet(_style_sheet(self.tokens, self._body_pt))
        for key, (owner_ref, name, token) in list(self._icons.items()):
            owner = owner_ref()
            # A dialog that closed took its buttons along, though Python still knows them.
            if owner is None or not shiboken6.isValid(owner):
                del self._icons[key]
            else:
                cast(_TakesIcon, owner).setIcon(self.icon(name, token))
        self.changed.emit()


def set_role(widget: QWidget, **properties: str | bool) -> None:
    """Give a widget style properties (`role`, `tone` …) and have it styled anew."""
    for name, value in properties.items():
        widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def _palette(tokens: Tokens) -> QPalette:
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: tokens.window,
        QPalette.ColorRole.WindowText: tokens.text,
        QPalette.ColorRole.Base: tokens.surface,
        QPalette.ColorRole.AlternateBase: tokens.sunken,
        QPalette.ColorRole.Text: tokens.text,
        QPalette.ColorRole.Button: tokens.surface,
        QPalette.ColorRole.ButtonText: tokens.text,
        QPalette.ColorRole.BrightText: tokens.bad,
        QPalette.ColorRole.Highlight: tokens.accent,
        QPalette.ColorRole.HighlightedText: tokens.on_accent,
        QPalette.ColorRole.Link: tokens.accent,
        QPalette.ColorRole.PlaceholderText: tokens.muted,
        QPalette.ColorRole.ToolTipBase: tokens.surface,
        QPalette.ColorRole.ToolTipText: tokens.text,
        QPalette.ColorRole.Mid: tokens.border,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (
        QPalette.ColorRole.Text,
        QPalette.ColorRole.ButtonText,
        QPalette.ColorRole.WindowText,
    ):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(tokens.strong_border))
    return palette


def _box_palette(tokens: Tokens) -> QPalette:
    """Fusion frames a box in the window's colour, darker: on a dark window that cannot be seen."""
    palette = _palette(tokens)
    frame = QColor(tokens.muted)
    palette.setColor(QPalette.ColorRole.Window, frame.lighter(_FUSION_DARKER_PERCENT))
    return palette


def _style_sheet(tokens: Tokens, body_pt: float) -> str:
    values = {field.name: getattr(tokens, field.name) for field in fields(tokens)}
    sizes = {f"{role}_pt": f"{body_pt * scale:.1f}pt" for role, scale in _TYPE_SCALE.items()}
    sheet = _SHEET
    # Longest names first, so that `@accent` does not eat the head of `@accent_hover`.
    for name, value in sorted({**values, **sizes}.items(), key=_by_name_length, reverse=True):
        sheet = sheet.replace(f"@{name}", value)
    return sheet


def _by_name_length(item: tuple[str, str]) -> int:
    return len(item[0])


_SHEET = """
* { font-size: @body_pt; }
QMainWindow, QDialog, QMessageBox { background: @window; }
QToolTip { background: @surface; color: @text; border: 1px solid @border; padding: 4px 8px; }

QLabel[role="display"] { font-size: @display_pt; font-weight: 600; }
QLabel[role="title"] { font-size: @title_pt; font-weight: 600; }
QLabel[role="heading"] { font-size: @heading_pt; font-weight: 600; }
QLabel[role="number"] { color: @accent; font-weight: 600; }
QLabel[role="small"] { font-size: @small_pt; }
QLabel[role="section"] { font-size: @small_pt; font-weight: 600; padding-top: 12px; }
QLabel[role="muted"] { color: @muted; }
QLabel[role="muted-small"] { color: @muted; font-size: @small_pt; }
QLabel[tone="good"] { color: @good; }
QLabel[tone="warning"] { color: @warning; }
QLabel[tone="bad"] { color: @bad; }
QLabel[role="cell"] {
  background: @window; border: 1px solid @window; border-radius: 4px; padding: 4px 8px;
  color: @muted; font-size: @small_pt;
}
QLabel[role="cell"][applied="true"] {
  background: @tint; border-color: @accent; color: @text; font-weight: 600;
}
QLabel[role="badge"] {
  background: @warning_tint; color: @warning; border-radius: 4px; padding: 4px 8px;
  font-size: @small_pt; font-weight: 600;
}

QMenuBar { background: @window; border-bottom: 1px solid @border; padding: 2px 4px; }
QMenuBar::item { padding: 4px 8px; background: transparent; border-radius: 4px; }
QMenuBar::item:selected { background: @sunken; }
QMenu { background: @surface; border: 1px solid @border; padding: 4px; }
QMenu::item { padding: 6px 24px 6px 12px; border-radius: 4px; }
QMenu::item:selected { background: @tint; color: @text; }
QMenu::item:disabled { color: @strong_border; }
QMenu::separator { height: 1px; background: @border; margin: 4px 8px; }
QMenu::icon { padding-left: 8px; }

#rail { background: @window; border-right: 1px solid @border; }
#rail QToolButton {
  border: 0; border-radius: 6px; padding: 8px 12px; color: @muted; text-align: left;
}
#rail QToolButton:hover { background: @sunken; color: @text; }
#rail QToolButton:checked { background: @tint; color: @text; font-weight: 600; }
#rail QToolButton:focus { border: 1px solid @accent; }
#context { background: @surface; border-bottom: 1px solid @border; }
#status { background: @surface; border-top: 1px solid @border; }
#card { background: @surface; border: 1px solid @border; border-radius: 6px; }
#notice { background: @tint; border: 0; border-radius: 6px; }
#notice[level="warning"] { background: @warning_tint; }
#notice[level="error"] { background: @bad_tint; }
#separator { background: @border; }

QPushButton {
  background: @surface; border: 1px solid @strong_border; border-radius: 6px; padding: 6px 12px;
  min-height: 18px;
}
QPushButton:hover { border-color: @muted; background: @sunken; }
QPushButton:focus { border-color: @accent; }
QPushButton:disabled { color: @strong_border; border-color: @border; background: @window; }
QPushButton[role="primary"] {
  background: @accent; color: @on_accent; border-color: @accent; font-weight: 600;
}
QPushButton[role="primary"]:hover { background: @accent_hover; border-color: @accent_hover; }
QPushButton[role="primary"]:focus { border: 2px solid @text; padding: 5px 11px; }
QPushButton[role="primary"]:disabled {
  background: @sunken; color: @muted; border-color: @border;
}
QPushButton[role="flat"], QToolButton[role="flat"] {
  background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 4px 8px;
  color: @text; text-align: left;
}
QPushButton[role="flat"]:hover, QToolButton[role="flat"]:hover { background: @sunken; }
QPushButton[role="flat"]:focus, QToolButton[role="flat"]:focus { border-color: @accent; }
QToolButton[role="flat"][tone="accent"] { color: @accent; font-weight: 600; }
QToolButton[role="menu"] {
  background: transparent; border: 1px solid transparent; border-radius: 6px;
  padding: 4px 20px 4px 8px; color: @text;
}
QToolButton[role="menu"]:hover { background: @sunken; }
QToolButton[role="menu"]:focus { border-color: @accent; }
QToolButton[role="menu"]:disabled { color: @strong_border; }
QToolButton[role="menu"]::menu-indicator {
  subcontrol-origin: padding; subcontrol-position: right center; right: 6px; width: 10px;
}
QToolButton[role="toggle"] {
  background: @surface; border: 1px solid @strong_border; border-radius: 6px; padding: 4px 10px;
  min-height: 22px; color: @text;
}
QToolButton[role="toggle"]:hover { background: @sunken; }
QToolButton[role="toggle"]:focus { border-color: @accent; }
QToolButton[role="toggle"]:checked { background: @tint; border-color: @accent; }
QToolButton#more { padding: 4px 8px 4px 0; margin-left: -3px; }
QPushButton[role="row"] {
  background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 6px 8px;
  text-align: left;
}
QPushButton[role="row"]:hover { background: @sunken; }
QPushButton[role="row"]:focus { border-color: @accent; }

QPlainTextEdit {
  background: @surface; border: 1px solid @border; border-radius: 6px; padding: 4px;
  font-size: @small_pt; selection-background-color: @accent; selection-color: @on_accent;
}
QPlainTextEdit:focus { border-color: @accent; }
QComboBox, QSpinBox, QLineEdit {
  background: @surface; border: 1px solid @strong_border; border-radius: 6px; padding: 5px 8px;
  min-height: 18px; selection-background-color: @accent; selection-color: @on_accent;
}
QComboBox:focus, QSpinBox:focus, QLineEdit:focus { border-color: @accent; }
QComboBox:disabled, QSpinBox:disabled, QLineEdit:disabled {
  background: @window; color: @muted; border-color: @border;
}
QComboBox[role="active"] { background: @tint; border-color: @accent; }
QComboBox::drop-down { border: 0; width: 24px; }
QComboBox::down-arrow { image: none; width: 0; }
QComboBox QAbstractItemView {
  background: @surface; border: 1px solid @border; outline: 0;
  selection-background-color: @tint; selection-color: @text;
}
QSpinBox::up-button, QSpinBox::down-button { width: 0; border: 0; }

QTableView, QListView, QTreeView, QAbstractScrollArea#thumbnails {
  background: @surface; border: 1px solid @border; border-radius: 6px; outline: 0;
  selection-background-color: @tint; selection-color: @text; gridline-color: transparent;
}
QTableView::item { padding: 0 8px; }
QTableView:focus, QListView:focus, QTreeView:focus { border-color: @accent; }
QHeaderView { background: @surface; border: 0; border-radius: 6px; }
QHeaderView::section {
  background: @surface; color: @muted; border: 0; border-bottom: 1px solid @border;
  padding: 6px 11px; font-size: @small_pt;
}
QAbstractScrollArea::corner { background: transparent; border: 0; }
QTreeView QHeaderView::section { padding: 6px 8px; }
QTableCornerButton::section { background: @surface; border: 0; }

QTabWidget::pane { border: 0; border-top: 1px solid @border; top: -1px; }
QSplitter::handle { background: transparent; }
QTabBar { background: transparent; qproperty-drawBase: 0; }
QTabBar::tab {
  background: transparent; color: @muted; padding: 6px 12px; border: 0;
  border-bottom: 2px solid transparent;
}
QTabBar::tab:hover { color: @text; }
QTabBar::tab:selected { color: @text; border-bottom-color: @accent; font-weight: 600; }
QTabBar::tab:focus { color: @accent; }

QProgressBar {
  background: @sunken; border: 0; border-radius: 3px; max-height: 6px; min-height: 6px;
}
QProgressBar::chunk { background: @accent; border-radius: 3px; }

QScrollArea { background: transparent; border: 0; }
QScrollArea#run { border: 1px solid transparent; border-radius: 6px; }
QScrollArea#run:focus { border-color: @accent; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: @strong_border; border-radius: 3px; margin: 2px; min-height: 24px;
  min-width: 24px; }
QScrollBar::handle:hover { background: @muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QCheckBox { spacing: 8px; }
"""
