"""What a recipe says of classes: tables that come back from TOML, single entries, one line for what does not fit."""

from functools import partial
from pathlib import Path

import pytest
import refusals

from regraft.errors import UsageError
from regraft.recipes.class_tables import check_weighted_classes, split_key
from regraft.recipes.recipe import load_recipe, parse_edit

message_of = partial(refusals.message_of, UsageError)
NAMES = ("ant", "bee", "st. bernard")


@pytest.mark.parametrize("key", ["finetune.class_weights", "head.class_weights"])
@pytest.mark.parametrize("value", ["none", "balanced", {"ant": 2.0, "st. bernard": 0.5}])
def test_weights_come_back_from_toml(key, value, tmp_path: Path):
    recipe = load_recipe("quick", {key: value})
    (tmp_path / "recipe.toml").write_text(recipe.to_toml(), "utf-8")
    again = load_recipe(str(tmp_path / "recipe.toml"))
    assert (again, again.at(key)) == (recipe, value)


def test_single_classes_are_edited_also_where_they_have_dots():
    edits = dict(map(parse_edit, ["finetune.class_weights.bee=3", "finetune.class_weights.st. bernard=0.5"]))
    recipe = load_recipe("quick", edits)
    assert recipe.finetune.class_weights == {"bee": 3.0, "st. bernard": 0.5}
    assert recipe.at("finetune.class_weights.st. bernard") == 0.5
    assert recipe.at("finetune.class_weights.ant") is None
    assert load_recipe("quick", {"finetune.class_weights": "balanced", **edits}).finetune == recipe.finetune


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("even", 'must be none, balanced, or a table of classes with their weights; received "even".'),
        ({}, "must be none, balanced, or a table of classes with their weights."),
        (3, 'must be none, balanced, or a table of classes with their weights; received "3".'),
        ({"ant": -1}, 'the weight of "ant" must be a number above 0; received "-1".'),
        ({"ant": 0}, 'the weight of "ant" must be a number above 0; received "0".'),
        ({"ant": True}, 'the weight of "ant" must be a number above 0; received "True".'),
        ({"ant": "much"}, 'the weight of "ant" must be a number above 0; received "much".'),
        ({"ant": float("nan")}, 'the weight of "ant" must be a number above 0; received "nan".'),
        ({"ant": float("inf")}, 'the weight of "ant" must be a number above 0; received "inf".'),
        ({1: 3}, 'classes are named by text, such as "1"; received 1, which is int.'),
        ({None: 3, "ant": 2}, 'classes are named by text, such as "None"; received None, which is NoneType.'),
    ],
)
def test_weights_that_are_none_are_refused(value, message):
    assert message_of(load_recipe, "quick", {"head.class_weights": value}) == f"head.class_weights: {message}"


def test_classes_are_balanced_once():
    edits = {"finetune.sampling": "balanced", "finetune.class_weights": {"ant": 2.0}}
    assert message_of(load_recipe, "quick", edits) == (
        "finetune: sampling = balanced and class_weights both make up for uneven classes; leave one out."
    )


def test_a_class_that_is_not_there_names_the_nearest():
    check_weighted_classes("head.class_weights", {"bee": 2.0}, NAMES)
    check_weighted_classes("head.class_weights", "balanced", NAMES)
    assert message_of(check_weighted_classes, "head.class_weights", {"bees": 2.0}, NAMES) == (
        'head.class_weights weighs the class "bees", which is not there (there are ant, bee, st. bernard). '
        'Did you mean "bee"?'
    )


def test_costs_come_back_from_toml_and_are_edited_one_by_one(tmp_path: Path):
    recipe = load_recipe("quick", dict([parse_edit("cost.sick->well=10"), parse_edit("cost.st. bernard->ant = 0.5")]))
    assert recipe.cost == {"sick->well": 10.0, "st. bernard->ant": 0.5}
    (tmp_path / "recipe.toml").write_text(recipe.to_toml(), "utf-8")
    assert load_recipe(str(tmp_path / "recipe.toml")) == recipe
    assert load_recipe("quick", {"cost": {"sick->well": 10}}).at("cost.sick->well") == 10


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, 'must be a table such as {"sick->well" = 10}: the true class, the answer, the cost; received "3".'),
        ({"sick": 3}, '"sick" must name the true class and the answer, such as "sick->well".'),
        ({"->well": 3}, '"->well" must name the true class and the answer, such as "sick->well".'),
        ({"sick->well": -3}, 'the cost of "sick->well" must be a number of at least 0; received "-3".'),
        ({"sick->well": "x"}, 'the cost of "sick->well" must be a number of at least 0; received "x".'),
        ({1: 3}, 'mistakes are named by text, such as "sick->well"; received 1, which is int.'),
        ({"sick->well": float("inf")}, 'the cost of "sick->well" must be a number of at least 0; received "inf".'),
    ],
)
def test_costs_that_are_none_are_refused(value, message):
    assert message_of(load_recipe, "quick", {"cost": value}) == f"cost: {message}"


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("seed", ("", "seed")),
        ("finetune.epochs", ("finetune", "epochs")),
        ("finetune.class_weights", ("finetune", "class_weights")),
        ("cost.a.b->c", ("cost", "a.b->c")),
        ("head.class_weights.a.b", ("head.class_weights", "a.b")),
    ],
)
def test_a_key_is_a_section_and_a_name_or_a_table_and_a_class(key, parts):
    assert split_key(key) == parts
