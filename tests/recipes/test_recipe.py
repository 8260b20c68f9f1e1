"""Recipes: TOML in and out, edits, and one line for everything that does not fit."""

import tomllib
from functools import partial
from pathlib import Path

import pytest
import refusals
from pydantic import ValidationError

from regraft.errors import ExportError, RegraftError, UsageError, did_you_mean
from regraft.recipes.recipe import NAMED, Recipe, all_keys, edit_recipe, load_recipe, make_recipe, parse_edit

message_of = partial(refusals.message_of, UsageError)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_recipe_comes_back_from_its_toml(name, tmp_path: Path):
    recipe = load_recipe(name)
    file = tmp_path / "recipe.toml"
    file.write_text(recipe.to_toml(), "utf-8")
    assert load_recipe(str(file)) == recipe
    assert recipe.recipe == name


def test_the_toml_says_every_choice_that_is_made():
    values = tomllib.loads(Recipe().to_toml())
    said = {f"{section}.{key}" for section, table in values.items() if isinstance(table, dict) for key in table}
    assert {*all_keys()} - said - {"recipe", "seed", "cost"} == {
        "data.image_size",
        "data.split_seed",
        *(f"data.{key}" for key in ("root", "path_column", "label_column", "group", "group_pattern")),
        "model.weights",
        "finetune.unfreeze",
        "head.learning_rate",
        "head.class_weights",
        *(f"optimizer.{key}" for key in ("learning_rate", "momentum", "nesterov", "beta_1", "beta_2", "weight_decay")),
    }  # left to the backbone and its weights, to the photos, and to other keys


def test_edits_apply_to_the_recipe_of_that_name_and_leave_the_name_as_it_is():
    recipe = load_recipe("thorough", {"finetune.epochs": 3, "seed": 7, "head.l2": [0.1]})
    assert (recipe.finetune.epochs, recipe.schedule.warmup_epochs) == (3, 1.0)
    assert (recipe.seed, recipe.head.l2, recipe.regularize.dropout) == (7, (0.1,), 0.2)
    assert load_recipe("thorough").finetune.epochs == 24


def test_the_quick_recipe_does_not_fine_tune():
    assert load_recipe("quick").finetune.epochs == 0


def test_a_file_may_name_only_what_it_changes(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text("seed = 5\n[augment]\nflip = false\n", "utf-8")
    assert load_recipe(str(file)) == Recipe.model_validate({"seed": 5, "augment": {"flip": False}})


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().seed = 3


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"finetune.epoch": 3}, 'A recipe has no key "finetune.epoch". Did you mean "finetune.epochs"?'),
        ({"finetun.epochs": 3}, 'A recipe has no key "finetun.epochs". Did you mean "finetune.epochs"?'),
        (
            {"finetune.learning_rate": 0.1},
            'A recipe has no key "finetune.learning_rate". '
            'Did you mean "head.learning_rate" or "optimizer.learning_rate"?',
        ),
        ({"sed": 3}, 'A recipe has no key "sed". Did you mean "seed"?'),
        ({"qqqq": 3}, 'A recipe has no key "qqqq".'),
        ({"finetune": 3}, '"finetune" is a section of a recipe; name one of its keys, such as "finetune.epochs".'),
    ],
)
def test_an_unknown_key_names_the_nearest(edits, message):
    assert message_of(load_recipe, "balanced", edits) == message


def test_an_unknown_key_or_section_of_a_file_names_the_nearest():
    assert message_of(make_recipe, {"model": {"bakbone": "tiny"}}) == (
        'A recipe has no key "model.bakbone". Did you mean "model.backbone"?'
    )
    assert message_of(make_recipe, {"fintune": {"epochs": 3}}) == (
        'A recipe has no key "fintune". Did you mean "finetune"?'
    )


def test_a_section_of_a_file_that_is_no_table_is_refused_also_with_an_edit(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text("finetune = 3\n", "utf-8")
    assert message_of(load_recipe, str(file), {"finetune.epochs": 1}).startswith("finetune: input should be ")


def test_an_unknown_recipe_names_the_nearest():
    assert message_of(load_recipe, "ballanced") == (
        'There is no recipe "ballanced" (there are quick, balanced, thorough, pretrain, or a .toml file). '
        'Did you mean "balanced"?'
    )


def test_edits_change_a_recipe_and_leave_the_rest():
    recipe = load_recipe("thorough", {"seed": 4})
    edited = edit_recipe(recipe, {"optimizer.name": "sgd"})
    assert edited.optimizer.name == "sgd"
    assert edit_recipe(edited, {"optimizer.name": "adam"}) == recipe


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"seed = = 3", "Invalid value"), (b"\xff\xfe\0", "utf-8"), (b"seed", "Expected")],
)
def test_a_file_that_is_not_toml_is_named(content, reason, tmp_path: Path):
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    text = message_of(load_recipe, str(file))
    assert text.startswith(f"{file} cannot be read as TOML: ")
    assert reason in text


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path: Path):
    assert message_of(load_recipe, str(tmp_path / "no.toml")) == f"There is no recipe file {tmp_path / 'no.toml'}."
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    assert str(folder) in message_of(load_recipe, str(folder))


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("finetune.epochs=3", ("finetune.epochs", 3)),
        ("optimizer.learning_rate=1e-3", ("optimizer.learning_rate", 0.001)),
        (" augment.flip = false ", ("augment.flip", False)),
        ("head.l2=[0.1, 1]", ("head.l2", [0.1, 1])),
        ("model.backbone=mobilenet_v2", ("model.backbone", "mobilenet_v2")),
        ('model.backbone="tiny"', ("model.backbone", "tiny")),
        ("model.weights=/a b/c=d.h5", ("model.weights", "/a b/c=d.h5")),
        ("model.weights=", ("model.weights", "")),
    ],
)
def test_an_edit_is_toml_or_else_a_plain_string(text, edit):
    key, value = parse_edit(text)
    assert (key, value, type(value)) == (*edit, type(edit[1]))


@pytest.mark.parametrize("text", ["", "finetune.epochs", "=3", " = 3"])
def test_an_edit_without_a_key_or_a_value_is_refused(text):
    assert message_of(parse_edit, text) == f'set expects section.key=value; received "{text}".'


def test_only_a_failed_export_is_not_the_users_mistake():
    assert (RegraftError.exit_code, UsageError.exit_code, ExportError.exit_code) == (2, 2, 1)


def test_did_you_mean_is_silent_where_nothing_is_near():
    assert did_you_mean("tiny", ["vgg16"]) == ""
    assert did_you_mean("vgg61", ["tiny", "vgg16"]) == ' Did you mean "vgg16"?'


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modl": 3}, 'A recipe has no key "modl". Did you mean "model"?'),
        (
            {"finetune": {"epochs": "x"}},
            'finetune.epochs: input should be a valid integer, unable to parse string as an integer; received "x".',
        ),
    ],
)
def test_a_recipe_that_is_made_by_hand_is_checked_in_one_line(values, message):
    with pytest.raises(UsageError) as caught:
        Recipe(**values)
    assert str(caught.value) == message


def test_a_recipe_is_loaded_by_name_or_from_its_own_file(tmp_path: Path):
    edited = Recipe.load("quick", {"seed": 7})
    assert (edited.finetune.epochs, edited.seed) == (0, 7)
    (tmp_path / "mine.toml").write_text(edited.to_toml(), "utf-8")
    assert Recipe.load(tmp_path / "mine.toml") == edited
