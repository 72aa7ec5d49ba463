"""The house's rules: who may import whom, what loads no torch, how long a file may be.

The window's own rules are in tests/gui/test_boundaries.py.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CORE = sorted((REPOSITORY / "core").rglob("*.py"))
GUI = sorted((REPOSITORY / "gui").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Full names of everything a file imports, wherever in the file, type checking left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for field, body in ast.iter_fields(node):
            if isinstance(body, list):
                kept = [item for item in body if not _is_type_checking(item)]
                setattr(node, field, kept)
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _is_type_checking(node: object) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_core_knows_nothing_of_the_window(path):
    assert not roots(path) & {"gui", "PySide6", "pyqtgraph", "qtawesome"}


@pytest.mark.parametrize("path", [*CORE, *GUI], ids=relative)
def test_only_runs_knows_the_layout_of_a_run_folder(path):
    if path.name == "run_folder.py":
        pytest.skip("this is the file that may")
    text = path.read_text(encoding="utf-8")
    names = ("events.jsonl", "metrics.csv", "recipe.toml", "report.json", "dataset.json")
    literals = {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not literals & set(names)


@pytest.mark.parametrize("path", [*CORE, *GUI, REPOSITORY / "main.py"], ids=relative)
def test_no_file_is_longer_than_a_person_reads(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
    assert path.stem != "utils"


def test_no_circle_of_imports():
    """At module level; an import inside a function is a way out that a comment explains."""
    graph: dict[str, set[str]] = {}
    modules = {
        relative(path)[:-3].replace("/", ".").removesuffix(".__init__"): path
        for path in [*CORE, *GUI]
    }
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wanted: set[str] = set()
        for node in tree.body:
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    wanted.add(full if full in modules else node.module)
        graph[name] = wanted & set(modules) - {name}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' → '.join([*path[path.index(name) :], name])}"
        if name not in done:
            for other in sorted(graph[name]):
                walk(other, (*path, name))
            done.add(name)

    for name in sorted(graph):
        walk(name, ())


@pytest.mark.parametrize(
    "statement",
    [
        "import gui.app",
        "import core.catalog.catalog as c; c.load()",
        "from core.runs.run_folder import RunStore; RunStore().runs()",
        "import core.recipe.recipe, core.events, core.system.paths, core.system.libraries",
        "import core.cli.app",
        "import core.data.sources.scan, core.images.decode, core.data.sources.samples",
        "from core.catalog import catalog; from core.models.weights import weights; "
        "weights.is_here(catalog.load().cards[0])",
    ],
)
def test_what_the_first_paint_needs_loads_no_torch(statement):
    heavy = "torch torchvision timm sklearn scipy"
    code = f"{statement}\nimport sys\nprint(*[m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_main_imports_nothing_heavy_at_its_top():
    """Loader processes import main.py again."""
    tree = ast.parse((REPOSITORY / "main.py").read_text(encoding="utf-8"))
    tops = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in tops for alias in node.names}
    assert names <= {"sys"}
