"""Arms from values, and from the words of the command line."""

import pytest

from regraft.errors import UsageError
from regraft.recipes.arms import Arm, make_arms, make_variants, parse_named, parse_varied


def arms_of(varied: list[str], named: list[str]) -> list[Arm]:
    """Arms as the command line makes them."""
    return make_arms([parse_varied(text) for text in varied], [parse_named(text) for text in named])


def test_values_from_python_are_arms_of_their_own_names():
    assert make_arms({"optimizer.name": ["sgd", "adam"], "a.b": (1,)}, {}) == [
        Arm("optimizer.name=sgd, a.b=1", {"optimizer.name": "sgd", "a.b": 1}),
        Arm("optimizer.name=adam, a.b=1", {"optimizer.name": "adam", "a.b": 1}),
    ]


def test_arms_from_python_keep_their_order():
    arms = make_arms({}, {"plain": {}, "mixed": {"augment.mixup": 0.2}})
    assert (
        arms
        == [Arm("plain", {}), Arm("mixed", {"augment.mixup": 0.2})]
        == make_variants({"plain": {}, "mixed": {"augment.mixup": 0.2}})
    )


def test_a_string_of_values_is_not_taken_for_its_letters():
    with pytest.raises(UsageError, match=r'^vary expects a list of values for "optimizer.name"; received "adam".$'):
        make_arms({"optimizer.name": "adam"}, {})


def test_a_malformed_member_is_named_as_the_argument_it_came_in():
    with pytest.raises(UsageError, match=r"^member expects "):
        parse_named(": a.b=1", argument="member")


def test_the_values_of_one_key_are_arms_of_their_names():
    assert arms_of(["optimizer.name=sgd,adam"], []) == [
        Arm("sgd", {"optimizer.name": "sgd"}),
        Arm("adam", {"optimizer.name": "adam"}),
    ]


def test_values_have_the_types_of_toml_and_lists_keep_their_commas():
    arms = arms_of(["head.l2=[0.1, 0.2],[1.0]"], [])
    assert [arm.edits["head.l2"] for arm in arms] == [[0.1, 0.2], [1.0]]
    arms = arms_of(["augment.flip=true,false"], [])
    assert [arm.edits["augment.flip"] for arm in arms] == [True, False]


def test_several_keys_give_every_combination():
    arms = arms_of(["a.b=1,2", "c.d=x,y"], [])
    assert [arm.name for arm in arms] == ["a.b=1, c.d=x", "a.b=1, c.d=y", "a.b=2, c.d=x", "a.b=2, c.d=y"]
    assert arms[2].edits == {"a.b": 2, "c.d": "x"}


def test_named_arms_change_several_keys_or_none():
    arms = arms_of([], ["none", "both: a.b=1, c.d=[1, 2]"])
    assert arms == [Arm("none", {}), Arm("both", {"a.b": 1, "c.d": [1, 2]})]


def test_a_slug_is_a_folder_name():
    assert Arm("a.b=1, c.d=[x/y]").slug == "a.b=1_c.d=_x_y"
    assert Arm("../..").slug == "arm"


@pytest.mark.parametrize(
    ("varied", "named", "message"),
    [
        (
            [],
            [],
            'There is nothing to compare: name at least two values, as in vary={"optimizer.name": ["sgd", "adam"]}.',
        ),
        (
            ["a.b=1"],
            [],
            'There is nothing to compare: name at least two values, as in vary={"optimizer.name": ["sgd", "adam"]}.',
        ),
        (["a.b"], [], 'vary expects KEY=value,value,...; received "a.b".'),
        (["a.b=1,,2"], [], 'vary expects KEY=value,value,...; received "a.b=1,,2".'),
        (["a.b=1,1"], [], "Two arms have the same name: 1."),
        ([], ["x: a.b=1", "y: a.b=1"], "Two arms have the same change: {'a.b': 1}."),
        ([], [": a.b=1", "y"], 'arm expects "NAME: KEY=VALUE, KEY=VALUE" or "NAME"; received ": a.b=1".'),
        (["a.b=1,2"], ["x"], "vary and arm exclude each other; spell the combinations out with arm."),
    ],
)
def test_what_makes_no_arms_is_one_line(varied, named, message):
    with pytest.raises(UsageError) as caught:
        arms_of(varied, named)
    assert str(caught.value) == message
