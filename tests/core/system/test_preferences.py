"""Preferences: shared by window and command line, never a reason not to start."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from core.errors import AppError
from core.recipe.recipe import Recipe, new_recipe
from core.runs.store import RunStore
from core.system import disk_cache, paths, preferences
from core.system.preferences import Preferences
from helpers import run_python


def test_the_choices_are_those_of_the_recipe() -> None:
    assert get_args(Recipe.model_fields["device"].annotation) == preferences.DEVICES
    assert get_args(Recipe.model_fields["precision"].annotation) == preferences.PRECISIONS


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "preferences.toml"
    wishes = Preferences(str(tmp_path / "my runs"), "cpu", "float32")
    preferences.write(file, wishes)
    assert preferences.read(file) == (wishes, "")


def test_a_missing_file_means_the_defaults_without_a_word() -> None:
    assert paths.read_preferences() == (Preferences(), "")


@pytest.mark.parametrize("text", ["device = ", "\x00", 'device = "cpu"\n['])
def test_a_broken_file_means_the_defaults_and_a_sentence(text: str) -> None:
    paths.preferences_file().write_text(text)
    found, sentence = paths.read_preferences()
    assert found == Preferences()
    assert "preferences.toml" in sentence
    preferences.write(paths.preferences_file(), Preferences(device="cpu"))
    assert paths.read_preferences() == (Preferences(device="cpu"), "")


def test_of_a_file_with_a_wrong_value_the_rest_holds() -> None:
    paths.preferences_file().write_text(
        'device = "abacus"\nprecision = "float32"\nruns_dir = "relative"\nlater = 3\n'
    )
    found, sentence = paths.read_preferences()
    assert found == Preferences(precision="float32")
    assert all(word in sentence for word in ("abacus", "relative", "later = 3"))


def test_keys_of_another_version_are_kept() -> None:
    paths.preferences_file().write_text("# mine\nlater = 3\n")
    preferences.write(paths.preferences_file(), Preferences(device="cpu"))
    text = paths.preferences_file().read_text()
    assert "later = 3" in text
    assert "# mine" in text


def test_a_recipe_takes_them_where_it_says_nothing() -> None:
    preferences.write(paths.preferences_file(), Preferences(device="cpu", precision="float32"))
    assert new_recipe({}).precision == "float32"
    assert new_recipe({"precision": "bfloat16"}).precision == "bfloat16"
    assert new_recipe({"device": "auto"}).device == "auto"


def test_the_folder_of_runs_is_the_chosen_one(tmp_path: Path) -> None:
    assert paths.runs_dir() == paths.default_runs_dir()
    preferences.write(paths.preferences_file(), Preferences(str(tmp_path / "mine")))
    assert RunStore().root == tmp_path / "mine"


def test_a_folder_of_runs_out_of_reach_is_said_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    preferences.write(paths.preferences_file(), Preferences(str(tmp_path / "file" / "runs")))
    with pytest.raises(AppError, match=r"settings .*runs_dir"):
        paths.runs_dir()


def test_reading_them_loads_nothing_heavy() -> None:
    script = (
        "import sys, core.system.preferences, core.system.paths;"
        "print([m for m in ('torch', 'pydantic', 'numpy') if m in sys.modules])"
    )
    assert run_python(script) == "[]"


def test_the_cache_is_cleared_but_for_what_is_in_use_and_behind_links(tmp_path: Path) -> None:
    other = tmp_path / "dataset"
    other.mkdir()
    (other / "a.png").write_bytes(b"x" * 10)
    folder = paths.cache_dir() / "features"
    folder.mkdir()
    (folder / "a.sqlite").write_bytes(b"x" * 100)
    used = folder / "pasted.png"
    used.write_bytes(b"x" * 7)
    (folder / "link").symlink_to(other)
    assert disk_cache.size_bytes() == 107
    assert disk_cache.clear(keep=[used]) == 100
    assert used.is_file()
    assert (other / "a.png").is_file()
