"""Recipes: one schema for form, file and command line."""

from __future__ import annotations

import pytest

from core.errors import AppError
from core.recipe.explanations import EXPLANATIONS
from core.recipe.presets import preset_values
from core.recipe.recipe import Recipe, make_recipe, read_recipe


def test_a_recipe_written_as_toml_reads_back_the_same(tmp_path):
    recipe = Recipe(max_epochs=7, l2=0.3, seed=5)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert read_recipe(path) == recipe


def test_every_key_is_explained_in_the_file():
    text = Recipe().to_toml()
    for name in Recipe.model_fields:
        assert name in text
        assert EXPLANATIONS[name] in text


def test_text_from_the_command_line_becomes_the_type_the_key_wants():
    recipe = make_recipe({"max_epochs": "12", "l2": "0.5", "embed_batch_size": ""})
    assert (recipe.max_epochs, recipe.l2, recipe.embed_batch_size) == (12, 0.5, None)


def test_an_unknown_key_names_the_nearest_right_one():
    with pytest.raises(AppError, match="epoch_count") as caught:
        make_recipe({"epoch_count": 3, "model": "x"})
    assert "Known keys" in caught.value.hint or "max_epochs" in caught.value.hint
    with pytest.raises(AppError) as caught:
        make_recipe({"epoch": 3})
    assert "max_epochs" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_epochs", 0), ("max_epochs", "many"), ("patience", -1), ("device", "tpu")],
)
def test_a_wrong_value_is_named_with_what_is_allowed(key, value):
    with pytest.raises(AppError, match=f"“{value}” is not a value for {key}"):
        make_recipe({key: value})


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("mixup", 30, "a number from 0 to 10"),
        ("learning_rate", 0, "a number above 0, up to 1"),
        ("ema_decay", 1, "a number from 0 to below 1"),
        ("l2", -1, "a number above 0, up to 1,000 or empty"),
        ("accumulate", 1.5, "a whole number from 1 to 1,024"),
        ("batch_size", 0, "a whole number from 1 to 4,096 or auto"),
        ("nesterov", "perhaps", "true or false"),
        ("optimizer", "adma", "one of adamw, adam, sgd, rmsprop, lamb or lion"),
        ("open_at", (0, 3), "a list, each a whole number from 1 to 1,000"),
        ("class_weights", {"bee": -1}, "NAME = a number from 0 to 1,000"),
    ],
)
def test_a_wrong_value_says_the_range_in_words(key, value, allowed):
    with pytest.raises(AppError) as caught:
        make_recipe({key: value})
    assert f"must be {allowed}" in caught.value.message.replace("one of none or balanced or ", "")


def test_lists_and_tables_can_be_typed():
    recipe = make_recipe({"open_at": "4, 7", "class_weights": "bee=2, ant=0.5"})
    assert (recipe.open_at, recipe.class_weights) == ((4, 7), {"bee": 2.0, "ant": 0.5})
    assert make_recipe({"open_at": "5"}).open_at == (5,)
    assert make_recipe({"open_at": "blocks.6=4"}).open_at == {"blocks.6": 4}
    empty = make_recipe({"open_at": "", "class_weights": "", "layer_rates": ""})
    assert (empty.open_at, empty.class_weights, empty.layer_rates) == ((), "none", {})


def test_a_persons_own_comments_stay_when_the_file_is_written_again(tmp_path):
    text = (
        "# for the bees\nepochs = 3  # short\n\n# see the notes\nlearning_rate = 1e-3\n\n"
        '# by hand\n[layer_rates]\n"blocks.6" = 0.5\n'
    )
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    recipe = read_recipe(tmp_path / "own.toml").with_values(max_epochs=7, open_at=(4, 7))
    written = recipe.to_toml(text)
    for kept in (
        "# for the bees\nmax_epochs = 7  # short",
        "# see the notes\n",
        "# by hand\n[layer",
    ):
        assert kept in written
    (tmp_path / "again.toml").write_text(written, encoding="utf-8")
    assert read_recipe(tmp_path / "again.toml") == recipe


@pytest.mark.parametrize("name", ["textbook", "fast", "best"])
def test_presets_are_recipes(name):
    assert make_recipe(preset_values(name)).strategy in ("partial", "feature-extraction", "full")


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(AppError, match="no preset") as caught:
        preset_values("text book")
    assert "textbook" in caught.value.hint


def test_a_file_that_is_not_toml_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("epochs = = 3", encoding="utf-8")
    with pytest.raises(AppError, match="not valid TOML"):
        read_recipe(path)
    with pytest.raises(AppError, match="cannot be read"):
        read_recipe(tmp_path / "absent.toml")


def test_with_values_gives_a_checked_copy():
    recipe = Recipe()
    assert recipe.with_values(max_epochs=3).max_epochs == 3
    assert recipe.max_epochs_or_default == 40
    with pytest.raises(AppError):
        recipe.with_values(max_epochs=-3)
