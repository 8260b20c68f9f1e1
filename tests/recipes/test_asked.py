"""What of a recipe counts as asked for."""

from pathlib import Path

from regraft.recipes.asked import asked_keys
from regraft.recipes.recipe import Recipe, load_recipe


def test_a_default_is_not_asked_for_and_a_name_is():
    assert asked_keys("balanced", {}, default="balanced") == {}
    assert asked_keys("quick", {}, default="balanced") == {"recipe": "quick"}
    assert asked_keys("quick", {"seed": 3}, default="quick") == {"seed": 3}


def test_of_a_file_it_is_what_the_file_says(tmp_path: Path):
    file = tmp_path / "own.toml"
    file.write_text('recipe = "own"\n[finetune]\nepochs = 3\nbatch_size = 8\n')
    asked = asked_keys(str(file), {"finetune.epochs": 4}, default="balanced")
    assert asked == {"recipe": "own", "finetune.epochs": 4, "finetune.batch_size": 8}


def test_of_a_recipe_it_is_all():
    recipe = load_recipe("quick", {"seed": 3})
    asked = asked_keys(recipe, {}, default="quick")
    assert all(recipe.at(key) == value for key, value in asked.items())
    assert {"seed", "finetune.epochs", "head.l2"} <= set(asked)
    assert isinstance(recipe, Recipe)
