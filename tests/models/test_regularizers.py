"""The table of regularizers: rows that are on, what they are given, and what a photo's features depend on."""

import sys
from types import ModuleType

import pytest

from regraft.models.regularizers import REGULARIZERS, Option, Regularizer, active
from regraft.recipes.recipe import Recipe, load_recipe

OFF = Recipe().regularize.values


def test_every_regularizer_is_off_unless_asked_for():
    assert [key for key, row in REGULARIZERS.items() if row.is_on(OFF) or row.is_on({})] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dropout", 0.5),
        ("scaled_dropout", 0.5),
        ("spatial_dropout", 0.1),
        ("dropconnect", 0.5),
        ("conv_dropconnect", 0.1),
        ("stochastic_depth", 0.8),
        ("fractional_pooling", 1.4),
        ("fractional_head_pooling", 1.4),
    ],
)
def test_one_key_turns_one_regularizer_on(key, value):
    values = load_recipe("balanced", {f"regularize.{key}": value}).regularize.values
    on = [(name, row.place) for name, row in REGULARIZERS.items() if row.is_on(values)]
    assert on == [(key, REGULARIZERS[key].place)]
    assert active(values, REGULARIZERS[key].place) == [REGULARIZERS[key]]


def test_an_option_of_a_regularizer_does_not_turn_it_on():
    values = load_recipe("balanced", {"regularize.dropconnect_per_example": True}).regularize.values
    assert not any(row.is_on(values) for row in REGULARIZERS.values())


def test_a_maker_is_given_its_inputs_its_options_by_argument_and_the_seed(monkeypatch):
    module = ModuleType("regraft.models.example")
    module.make = lambda *inputs, **arguments: (inputs, arguments)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    row = Regularizer({"a": Option("rate", 0.0, "[0, 1)"), "b": Option("kind", "x", "x|y")}, "example:make", "head")
    built = row.build("input", choices={"a": 0.5, "c": 9}, seed=3, name="head")
    assert built == (("input",), {"rate": 0.5, "kind": "x", "seed": 3, "name": "head"})


def test_a_key_that_two_regularizers_share_is_the_same_for_both():
    seen: dict[str, Option] = {}
    for row in REGULARIZERS.values():
        for key, option in row.options.items():
            assert seen.setdefault(key, option) == option
