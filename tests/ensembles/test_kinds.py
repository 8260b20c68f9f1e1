"""The table of kinds: every function that a row names exists and takes what its callers give."""

import inspect

import pytest

from regraft.cli.training_verbs import ensemble
from regraft.ensembles.budget import choose_kind
from regraft.ensembles.kinds import COMBINATIONS, KINDS, SOUPS, function_of, names
from regraft.ensembles.pilot import Pilot

GIVEN = {
    "make": ("plan", "session"),
    "of_runs": ("plan", "session", "runs"),
    "within": ("plan", "session", "deadline"),
    "check": ("plan",),
}


@pytest.mark.parametrize("which", GIVEN)
def test_every_function_of_the_table_takes_what_it_is_given(which: str):
    assert names(which)
    for kind in names(which):
        assert tuple(inspect.signature(function_of(kind, which)).parameters) == GIVEN[which]


def test_what_can_be_asked_for_trained_made_of_runs_or_chosen_by_a_budget():
    assert names("make") == ("independent", "snapshot", "heads", "ema", "swa", "soup")
    assert names("of_runs") == ("independent", "snapshot", "soup")
    assert names("within") == ("independent", "snapshot", "heads", "single")


def test_the_command_line_offers_what_the_tables_have():
    offered = {option.name: option.metavar for option in ensemble.params}
    assert offered["kind"] == "|".join(names("make"))
    assert offered["combine"] == "|".join(COMBINATIONS)
    assert offered["soup"] == "|".join(SOUPS)


def test_a_budget_chooses_every_kind_that_can_be_made_within_one():
    """`choose_kind` names the kinds itself, so a new one has to be given its place there."""
    pilot = Pilot(start=5.0, epoch=10.0, judge=1.0, finish=20.0)
    assert {choose_kind(pilot, 8, seconds).kind for seconds in range(45, 700, 5)} == set(names("within"))


def test_numbers_of_members_are_those_of_the_documentation():
    counts = {name: KINDS[name].members for name in names("make")}
    assert counts == {"independent": 5, "snapshot": 4, "heads": 10, "ema": 1, "swa": 4, "soup": 5}
