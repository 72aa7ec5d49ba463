"""Which file of gui/ may know what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
GUI_FILES = sorted((REPOSITORY / "gui").rglob("*.py"))
_HEAVY = {"torch", "torchvision", "timm", "sklearn", "torchmetrics"}


def _imports(path: Path) -> Iterator[str]:
    """Every imported module, wherever in the file, `from a import b` as `a.b`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", GUI_FILES, ids=lambda p: p.relative_to(REPOSITORY).as_posix())
def test_no_file_of_the_window_imports_torch_and_its_company(path: Path) -> None:
    assert not {name.partition(".")[0] for name in _imports(path)} & _HEAVY


def test_pages_never_import_each_other() -> None:
    pages = sorted((REPOSITORY / "gui").glob("*/page.py"))
    assert len(pages) >= 9
    modules = {f"gui.{path.parent.name}.page" for path in pages} - {"gui.base.page"}
    for path in pages:
        own = f"gui.{path.parent.name}.page"
        others = {name.rpartition(".")[0] for name in _imports(path)} & modules
        assert others <= {own}, path.name


def test_only_workers_has_threads() -> None:
    for path in GUI_FILES:
        names = {name.rpartition(".")[2] for name in _imports(path)}
        if path.name != "workers.py":
            assert not names & {"QThread", "QThreadPool", "threading", "concurrent"}, path.name


def test_only_theme_names_colours() -> None:
    for path in GUI_FILES:
        if path.name == "theme.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith("#") or len(node.value) not in (4, 7), path.name


def test_no_file_is_longer_than_500_lines() -> None:
    long = [p.name for p in GUI_FILES if len(p.read_text(encoding="utf-8").splitlines()) > 500]
    assert not long


def test_no_connection_holds_a_lambda() -> None:
    for path in GUI_FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "connect":
                assert not any(isinstance(a, ast.Lambda) for a in node.args), path.name


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("gui.app", ["torch", "torchvision", "timm", "sklearn", "PySide6", "numpy"]),
        (
            "gui.shell.main_window",
            ["torch", "torchvision", "timm", "sklearn", "pyqtgraph", "pydantic"],
        ),
        ("gui.train.page", ["torch", "torchvision", "timm", "sklearn"]),
    ],
)
def test_importing_the_window_loads_nothing_heavy(module: str, absent: list[str]) -> None:
    script = f"import sys, {module}; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
