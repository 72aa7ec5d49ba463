"""Recipes of before format 2: four keys had other names, and one name another meaning."""

import tomllib

import pytest

from core.errors import AppError
from core.recipe import formats
from core.recipe.recipe import Recipe, make_recipe, parse_recipe, read_recipe
from core.runs.queue import Queue

OLD = """\
# my own settings
strategy = "full"
epochs = 3  # few

batch_size = 16
step_images = 8
# weight_average = 0.98 was too slow
weight_average = 0.5

[layer_rates]
"blocks.0" = 0.5
"""
NEW = Recipe(
    strategy="full", max_epochs=3, embed_batch_size=16, batch_size=8, ema_decay=0.5,
    layer_rates={"blocks.0": 0.5},
)  # fmt: skip


def test_a_file_without_a_format_is_read_with_the_old_meanings(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(OLD, encoding="utf-8")
    assert read_recipe(path) == NEW
    assert parse_recipe("format = 1\nbatch_size = 16").embed_batch_size == 16
    assert parse_recipe("format = 2\nbatch_size = 16") == Recipe(batch_size=16)


def test_comments_of_an_old_file_are_kept_under_the_new_names():
    text = NEW.to_toml(OLD)
    assert parse_recipe(text) == NEW
    assert tomllib.loads(text)["format"] == formats.FORMAT
    for line in (
        "# my own settings",
        "max_epochs = 3  # few",
        "embed_batch_size = 16\nbatch_size = 8",
        "# ema_decay = 0.98 was too slow",
    ):
        assert line in text


@pytest.mark.parametrize("old", sorted(formats.NO_LONGER_KEYS))
def test_an_old_name_is_no_key_any_more_and_the_message_says_the_new_one(old):
    for read in (
        lambda: make_recipe({old: "1"}),
        lambda: parse_recipe(f"format = 2\n{old} = 1"),
    ):
        with pytest.raises(AppError, match=f"has no key “{old}”") as caught:
            read()
        assert f"“{formats.NO_LONGER_KEYS[old]}”" in caught.value.hint


def test_new_names_without_the_format_are_refused():
    with pytest.raises(AppError, match="does not say its format") as caught:
        parse_recipe("max_epochs = 3\nbatch_size = 8")
    assert "format = 2" in caught.value.hint


def test_a_format_of_a_later_version_is_refused():
    with pytest.raises(AppError, match="format 3"):
        parse_recipe("format = 3")


def test_a_training_that_was_queued_before_is_read(tmp_path):
    queue = Queue(tmp_path / "queue.sqlite")
    queue.add([tmp_path], "shapes", NEW)
    with queue._connect() as db:
        db.execute("UPDATE entries SET recipe = ?", (OLD,))
    assert queue.entries()[0].recipe() == NEW
