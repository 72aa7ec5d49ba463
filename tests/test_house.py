"""The rules of the house: who may import whom, what loads no torch, how large things may be.

A rule is a function from a project's root to the places that break it. Each is applied to this
project, and to a small tree in which a violation is planted: a rule that cannot fail is no rule.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

FLOORS = {
    # From the ground up. A folder imports from itself and from floors below it.
    "core": (
        "errors", "events", "words", "system", "recipe", "images", "catalog", "models", "data",
        "plan", "compute", "features", "batches", "runs", "evaluation", "training", "advice",
        "catalog_build", "diagnostics", "cli",
    ),
    "gui": (
        "kit", "base", "edits", "layers", "plots", "pictures", "models", "runs", "start",
        "classify", "labelling", "results", "data", "train", "strategy", "shell", "app",
        "screenshots",
    ),
}  # fmt: skip
MAX_LINES = 500
MAX_FILES = 24
QT = {"PySide6", "pyqtgraph", "qtawesome"}
HEAVY = {"torch", "torchvision", "timm", "sklearn", "torchmetrics"}
THREADS = {"QThread", "QThreadPool", "QProcess", "threading", "concurrent", "multiprocessing"}
RUN_DOCUMENTS = {"events.jsonl", "metrics.csv", "recipe.toml", "report.json", "dataset.json"}

Rule = Callable[[Path], list[str]]


# -- what a file imports ------------------------------------------------------------------------


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def files_of(root: Path, *folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports: inside functions too, and for types only."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def module_name(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def place(root: Path, path: Path, line: int = 0) -> str:
    return f"{path.relative_to(root).as_posix()}{f':{line}' if line else ''}"


# -- the rules ----------------------------------------------------------------------------------


def folders_import_from_floors_below(root: Path) -> list[str]:
    broken = []
    for half, floors in FLOORS.items():
        height = {name: number for number, name in enumerate(floors)}
        for path in files_of(root, half):
            here = path.relative_to(root / half).parts[0].removesuffix(".py")
            if here == "__init__":
                continue
            if here not in height:
                broken.append(f"{place(root, path)} stands on no floor")
                continue
            for line, name in imports_of(path):
                there = name.split(".")[1] if name.startswith(f"{half}.") else here
                if height.get(there, len(floors)) > height[here]:
                    broken.append(f"{place(root, path, line)} imports {name}")
    return broken


def no_circle_of_files(root: Path) -> list[str]:
    """Strongly connected files (Tarjan), imports inside functions and for types counted."""
    modules = {module_name(root, path): path for path in files_of(root, "core", "gui")}

    def module_of(name: str) -> str:
        return name if name in modules else name.rpartition(".")[0]

    graph = {
        module: {module_of(name) for _, name in imports_of(path)} & modules.keys() - {module}
        for module, path in modules.items()
    }
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles: list[str] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            members = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(members) > 1:
                circles.append(" ↔ ".join(sorted(members)))

    for module in sorted(graph):
        if module not in order:
            visit(module)
    return circles


def core_knows_nothing_of_the_window(root: Path) -> list[str]:
    return list(_imports_of_packages(root, files_of(root, "core"), {"gui", *QT}))


def the_window_imports_no_torch(root: Path) -> list[str]:
    return list(_imports_of_packages(root, files_of(root, "gui"), HEAVY))


def _imports_of_packages(root: Path, paths: Iterable[Path], names: set[str]) -> Iterator[str]:
    for path in paths:
        for line, name in imports_of(path):
            if name.partition(".")[0] in names:
                yield f"{place(root, path, line)} imports {name}"


def pages_meet_in_the_session(root: Path) -> list[str]:
    """No page imports another; `gui.base.page` is what all are made of."""
    pages = {module_name(root, path): path for path in (root / "gui").glob("*/page.py")}
    pages.pop("gui.base.page", None)
    return [
        f"{place(root, path, line)} imports {name}"
        for page, path in pages.items()
        for line, name in imports_of(path)
        if name.rpartition(".")[0] in pages.keys() - {page}
    ]


def only_workers_has_threads(root: Path) -> list[str]:
    return [
        f"{place(root, path, line)} imports {name}"
        for path in files_of(root, "gui")
        if path != root / "gui" / "kit" / "workers.py"
        for line, name in imports_of(path)
        if THREADS & {name.partition(".")[0], name.rpartition(".")[2]}
    ]


def only_the_theme_names_colours(root: Path) -> list[str]:
    return [
        f"{place(root, path, node.lineno)} names the colour {node.value}"
        for path in files_of(root, "gui")
        if path != root / "gui" / "kit" / "theme.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("#")
        and len(node.value) in (4, 7)
    ]


def slots_are_bound_methods(root: Path) -> list[str]:
    """A lambda that captures a widget keeps it alive, and may run in the worker's thread."""
    return [
        f"{place(root, path, node.lineno)} connects a lambda"
        for path in files_of(root, "gui")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "connect"
        and any(isinstance(argument, ast.Lambda) for argument in node.args)
    ]


def only_runs_knows_the_run_folder(root: Path) -> list[str]:
    return [
        f"{place(root, path, node.lineno)} names {node.value}"
        for path in files_of(root, "core", "gui")
        if path.parent != root / "core" / "runs"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and node.value in RUN_DOCUMENTS
    ]


def files_and_folders_are_of_a_size_to_read(root: Path) -> list[str]:
    files = [*files_of(root, "core", "gui"), *root.glob("*.py")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    folders = {path.parent for path in files}
    return [
        *(f"{place(root, path)} has {n} lines" for path, n in lines.items() if n > MAX_LINES),
        *(
            f"{place(root, folder)} has {len(list(folder.glob('*.py')))} files"
            for folder in sorted(folders)
            if len(list(folder.glob("*.py"))) > MAX_FILES
        ),
        *(
            f"{place(root, path)} says nothing by its name"
            for path in files
            if path.stem == "utils"
        ),
    ]


def main_imports_nothing_at_its_top(root: Path) -> list[str]:
    """Loader processes import main.py again."""
    tops = [n for n in tree_of(root / "main.py").body if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in tops for alias in node.names} - {"sys"}
    return [f"main.py imports {name}" for name in sorted(names)]


RULES: tuple[Rule, ...] = (
    folders_import_from_floors_below,
    no_circle_of_files,
    core_knows_nothing_of_the_window,
    the_window_imports_no_torch,
    pages_meet_in_the_session,
    only_workers_has_threads,
    only_the_theme_names_colours,
    slots_are_bound_methods,
    only_runs_knows_the_run_folder,
    files_and_folders_are_of_a_size_to_read,
    main_imports_nothing_at_its_top,
)

PLANTED: tuple[tuple[Rule, dict[str, str], str], ...] = (
    (
        folders_import_from_floors_below,
        {"core/images/decode.py": "def read():\n    from core.training.fit import fit\n"},
        "core/images/decode.py:2 imports core.training.fit.fit",
    ),
    (
        folders_import_from_floors_below,
        {"gui/kit/table.py": "import gui.shell.main_window\n"},
        "gui/kit/table.py:1 imports gui.shell.main_window",
    ),
    (
        folders_import_from_floors_below,
        {"core/misc/things.py": ""},
        "core/misc/things.py stands on no floor",
    ),
    (
        no_circle_of_files,
        {
            "core/data/a.py": "def f():\n    from core.data.b import g\n",
            "core/data/b.py": "from core.data import a\n",
        },
        "core.data.a ↔ core.data.b",
    ),
    (
        core_knows_nothing_of_the_window,
        {"core/data/a.py": "def f():\n    import PySide6.QtCore\n"},
        "core/data/a.py:2 imports PySide6.QtCore",
    ),
    (
        the_window_imports_no_torch,
        {"gui/train/page.py": "def f():\n    from torch import nn\n"},
        "gui/train/page.py:2 imports torch.nn",
    ),
    (
        pages_meet_in_the_session,
        {"gui/train/page.py": "from gui.data.page import DataPage\n", "gui/data/page.py": ""},
        "gui/train/page.py:1 imports gui.data.page.DataPage",
    ),
    (
        only_workers_has_threads,
        {"gui/data/jobs.py": "from PySide6.QtCore import QThread\n"},
        "gui/data/jobs.py:1 imports PySide6.QtCore.QThread",
    ),
    (
        only_workers_has_threads,
        {"gui/data/jobs.py": "import concurrent.futures\n"},
        "gui/data/jobs.py:1 imports concurrent.futures",
    ),
    (
        only_the_theme_names_colours,
        {"gui/data/page.py": "green = '#00ff00'\n"},
        "gui/data/page.py:1 names the colour #00ff00",
    ),
    (
        slots_are_bound_methods,
        {"gui/data/page.py": "button.clicked.connect(lambda: 1)\n"},
        "gui/data/page.py:1 connects a lambda",
    ),
    (
        only_runs_knows_the_run_folder,
        {"core/cli/runs.py": "name = 'report.json'\n"},
        "core/cli/runs.py:1 names report.json",
    ),
    (
        files_and_folders_are_of_a_size_to_read,
        {"core/data/a.py": "a = 1\n" * (MAX_LINES + 1)},
        f"core/data/a.py has {MAX_LINES + 1} lines",
    ),
    (
        files_and_folders_are_of_a_size_to_read,
        {f"core/data/a{number}.py": "" for number in range(MAX_FILES)},
        f"core/data has {MAX_FILES + 1} files",
    ),
    (
        files_and_folders_are_of_a_size_to_read,
        {"gui/utils.py": ""},
        "gui/utils.py says nothing by its name",
    ),
    (main_imports_nothing_at_its_top, {"main.py": "import torch\n"}, "main.py imports torch"),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Rule) -> None:
    assert rule(REPOSITORY) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_clean_tree_breaks_no_rule_and_each_rule_has_a_planted_violation(rule, tmp_path) -> None:
    assert rule(plant(tmp_path, {})) == []
    assert rule in {planted for planted, _, _ in PLANTED}


@pytest.mark.parametrize(
    ("rule", "files", "expected"),
    PLANTED,
    ids=[f"{rule.__name__}-{number}" for number, (rule, _, _) in enumerate(PLANTED)],
)
def test_a_planted_violation_is_found_and_named(rule, files, expected, tmp_path) -> None:
    assert rule(plant(tmp_path, files)) == [expected]


def plant(root: Path, files: dict[str, str]) -> Path:
    """A small clean project, with these files in it."""
    clean = {
        "main.py": "import sys\n",
        "core/__init__.py": "",
        "core/errors.py": "",
        "core/data/__init__.py": "from core.errors import AppError\n",
        "core/runs/run_folder.py": "report = 'report.json'\nimport threading\n",
        "gui/__init__.py": "",
        "gui/kit/theme.py": "ink = '#000000'\n",
        "gui/kit/workers.py": "import threading\nimport core.data\n",
        "gui/start/page.py": "from gui.base.page import Page\nself.a.connect(self.b)\n",
        "gui/base/page.py": "",
    }
    for name, text in {**clean, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    tree_of.cache_clear()
    return root


def test_every_floor_is_a_folder_or_a_file_of_the_project() -> None:
    for half, floors in FLOORS.items():
        there = {path.stem for path in (REPOSITORY / half).iterdir() if path.stem[0] != "_"}
        assert set(floors) == there


@pytest.mark.parametrize(
    "page",
    [*sorted((REPOSITORY / "docs").rglob("*.md")), REPOSITORY / "README.md"],
    ids=lambda page: page.stem,
)
def test_files_that_the_docs_name_are_there(page: Path) -> None:
    """ADR 11 names files of before on purpose, those in `gui/widgets/`."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"\b(?:core|gui|tests|docs)(?:/\w[\w-]*)+\.(?:py|md|png)\b", text)
    missing = [name for name in named if not (REPOSITORY / name).exists()]
    assert [name for name in missing if not name.startswith("gui/widgets/")] == []


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import gui.app", "torch torchvision timm sklearn PySide6 numpy"),
        ("import gui.shell.main_window", "torch torchvision timm sklearn pyqtgraph pydantic"),
        (
            # What the first paint and the first seconds of the window use, and the command line.
            "import gui.train.page, core.cli.app, core.data.sources.scan, core.images.decode\n"
            "import core.data.sources.samples, core.recipe.recipe, core.system.libraries\n"
            "from core.catalog import catalog\n"
            "from core.models.weights import weights\n"
            "from core.runs.store import RunStore\n"
            "weights.is_here(catalog.load().cards[0])\n"
            "RunStore().runs()",
            "torch torchvision timm sklearn scipy",
        ),
    ],
    ids=["app", "main_window", "first_seconds"],
)
def test_what_the_first_paint_needs_loads_nothing_heavy(statement: str, absent: str) -> None:
    code = f"{statement}\nimport sys\nprint(*[m for m in '{absent}'.split() if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
