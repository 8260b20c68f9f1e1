"""What a table allows in words holds for the recipe."""

from typing import Any

import pytest
from pydantic import ValidationError, create_model

from regraft.recipes.ranges import fields_of, is_allowed


def value_of(default: Any, allowed: str, given: Any) -> Any:
    return create_model("Section", **fields_of({"key": (default, allowed)}))(key=given).key


def refusal_of(default: Any, allowed: str, given: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        value_of(default, allowed, given)
    return caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("allowed", "inside", "outside"),
    [
        ("[0, 1)", (0, 0.5, 0.999), (-0.001, 1, 2)),
        ("(0, 1]", (0.001, 1), (0, 1.001)),
        ("0 or (1, 2)", (0, 1.5), (0.5, 1, 2)),
        (">= 0", (0, 7), (-1,)),
        ("> 0", (0.1,), (0, -1)),
    ],
)
def test_intervals_hold_their_closed_ends_only(allowed, inside, outside):
    assert all(is_allowed(number, allowed) for number in inside)
    assert not any(is_allowed(number, allowed) for number in outside)


def test_the_default_is_taken_where_nothing_is_given():
    section = create_model("Section", **fields_of({"rate": (0.25, "[0, 1)"), "kind": ("a", "a|b")}))()
    assert (section.rate, section.kind) == (0.25, "a")


def test_the_type_is_that_of_the_default():
    assert value_of(0.0, "[0, 1)", 0) == 0.0
    assert refusal_of(0, ">= 0", 0.5).startswith("Input should be a valid integer")
    assert refusal_of(True, "", "sometimes").startswith("Input should be a valid boolean")


@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        ("[0, 1)", "Value error, must be in [0, 1)"),
        ("0 or (1, 2)", "Value error, must be 0 or in (1, 2)"),
        (">= 0", "Value error, must be >= 0"),
    ],
)
def test_a_refusal_says_what_is_allowed(allowed, message):
    assert refusal_of(0.0, allowed, -3) == message


def test_words_are_the_ones_listed():
    assert value_of("mean", "mean|gaussian", "gaussian") == "gaussian"
    assert refusal_of("mean", "mean|gaussian", "median") == "Input should be 'mean' or 'gaussian'"


def test_one_number_stands_for_the_last_of_a_pair():
    assert value_of((1.0, 1.0), "(0, 1], not growing", 0.8) == (1.0, 0.8)
    assert value_of((1.0, 1.0), "(0, 1], not growing", [0.9, 0.7]) == (0.9, 0.7)


def test_each_number_of_a_pair_is_checked_and_so_is_their_order():
    assert refusal_of((1.0, 1.0), "(0, 1], not growing", [0.8, 0.9]) == "Value error, must not grow"
    assert refusal_of((1.0, 1.0), "(0, 1], not growing", [1.0, 0.0]) == "Value error, must be in (0, 1]"
    assert refusal_of((1.0, 1.0), "(0, 1], not growing", 1.5) == "Value error, must be in (0, 1]"
    assert value_of((1.0, 1.0), "(0, 1]", [0.8, 0.9]) == (0.8, 0.9)
