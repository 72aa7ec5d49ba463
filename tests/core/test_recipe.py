"""Recipes: one schema for form, file and command line."""

from __future__ import annotations

import pytest

from core.errors import AppError
from core.recipe import Recipe, make_recipe, read_recipe


def test_a_recipe_written_as_toml_reads_back_the_same(tmp_path):
    recipe = Recipe(epochs=7, l2=0.3, seed=5)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert read_recipe(path) == recipe


def test_every_key_is_explained_in_the_file():
    text = Recipe().to_toml()
    for name, field in Recipe.model_fields.items():
        assert name in text
        assert field.description is not None
        assert field.description in text


def test_text_from_the_command_line_becomes_the_type_the_key_wants():
    recipe = make_recipe({"epochs": "12", "l2": "0.5", "batch_size": ""})
    assert (recipe.epochs, recipe.l2, recipe.batch_size) == (12, 0.5, None)


def test_an_unknown_key_names_the_nearest_right_one():
    with pytest.raises(AppError, match="epoch_count") as caught:
        make_recipe({"epoch_count": 3, "model": "x"})
    assert "Known keys" in caught.value.hint or "epochs" in caught.value.hint
    with pytest.raises(AppError) as caught:
        make_recipe({"epoch": 3})
    assert "epochs" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"), [("epochs", 0), ("epochs", "many"), ("patience", -1), ("device", "tpu")]
)
def test_a_wrong_value_is_named_with_what_is_allowed(key, value):
    with pytest.raises(AppError, match=f"“{value}” is not a value for {key}"):
        make_recipe({key: value})


def test_a_file_that_is_not_toml_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("epochs = = 3", encoding="utf-8")
    with pytest.raises(AppError, match="not valid TOML"):
        read_recipe(path)
    with pytest.raises(AppError, match="cannot be read"):
        read_recipe(tmp_path / "absent.toml")


def test_with_values_gives_a_checked_copy():
    recipe = Recipe()
    assert recipe.with_values(epochs=3).epochs == 3
    assert recipe.most_epochs == 40
    with pytest.raises(AppError):
        recipe.with_values(epochs=-3)
