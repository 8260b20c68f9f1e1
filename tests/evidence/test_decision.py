"""Labels by costs and by operating points: by hand, equal to the most probable class where they must be, kept whole."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import refusals

from regraft.errors import RunError, UsageError
from regraft.evidence.decision import (
    LeastCost,
    OperatingPoint,
    decide,
    decision_from,
    decision_of,
    decision_of_costs,
    remove_decision,
    reordered,
    write_decision,
)
from regraft.runs.digests import write_digests
from regraft.runs.run import Run, open_run

NAMES = ("mole", "melanoma", "wart")
EVEN = LeastCost(((0.0, 3.0, 3.0), (3.0, 0.0, 3.0), (3.0, 3.0, 0.0)))
POINT = OperatingPoint(1, 0.2)


def drawn(count: int = 500, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(classes), count)


def test_the_answer_of_least_expected_cost_by_hand():
    """Of (0.8, 0.15, 0.05): a mole costs 10 * 0.15 + 0.05 = 1.55, a melanoma 0.8 + 0.05, a wart 0.8 + 0.15."""
    decision = decision_of_costs({"melanoma->mole": 10}, NAMES)
    assert decision == LeastCost(((0.0, 1.0, 1.0), (10.0, 0.0, 1.0), (1.0, 1.0, 0.0)))
    rows = np.array([[0.8, 0.15, 0.05], [0.95, 0.04, 0.01], [0.05, 0.15, 0.8]])
    assert decision.answers(rows).tolist() == [1, 0, 2]
    assert decide(rows, None).tolist() == [0, 0, 2]


def test_no_answer_costs_less_than_the_one_that_is_given():
    probabilities, costs = drawn(), np.random.default_rng(1).uniform(0, 5, (3, 3))
    answers = LeastCost(tuple(map(tuple, costs))).answers(probabilities)
    expected = np.einsum("nt,ta->na", probabilities, costs)
    np.testing.assert_allclose(expected[np.arange(500), answers], expected.min(axis=1))


def test_equal_costs_give_the_most_probable_class_even_where_sums_are_rounded():
    rows = np.concatenate([drawn().astype(np.float32), np.full((1, 3), 1 / 3), [[0.1, 0.45, 0.45]]])
    np.testing.assert_array_equal(EVEN.answers(rows), rows.argmax(axis=1))


def test_of_equal_expected_costs_the_more_probable_class_is_given():
    decision = LeastCost(((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (1.0, 1.0, 0.0)))
    assert decision.answers(np.array([[0.3, 0.5, 0.2], [0.5, 0.3, 0.2]])).tolist() == [1, 0]


def test_an_operating_point_gives_its_class_from_its_probability_on_and_else_the_best_of_the_others():
    rows = np.array([[0.7, 0.2, 0.1], [0.7, 0.19, 0.11], [0.1, 0.9, 0.0], [0.2, 0.19, 0.61]])
    assert POINT.answers(rows).tolist() == [1, 0, 1, 2]
    assert OperatingPoint(1, 0.95).answers(rows).tolist() == [0, 0, 0, 2]  # though it is the most probable of one


@pytest.mark.parametrize("costs", [{}, {"melanoma->mole": 10.0, "wart->mole": 0.0}])
def test_costs_are_a_decision_where_there_are_any(costs):
    decision = decision_of_costs(costs, NAMES)
    assert (decision is None) == (not costs)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "melanom->mole",
            'cost: "melanom->mole" names the class "melanom", which is not there (there are mole, melanoma, wart). '
            'Did you mean "melanoma"?',
        ),
        ("wart->wart", 'cost: "wart->wart" is no mistake; a right answer costs 0. Leave it out.'),
    ],
)
def test_costs_of_classes_that_are_not_there_are_refused(key, message):
    assert refusals.message_of(UsageError, decision_of_costs, {key: 2.0}, NAMES) == message


def test_classes_may_have_arrows_in_their_names():
    decision = decision_of_costs({"a->b->c": 7.0}, ("c", "a->b"))
    assert decision.costs == ((0.0, 1.0), (7.0, 0.0))


@pytest.mark.parametrize("decision", [EVEN, POINT, decision_of_costs({"mole->wart": 0.5}, NAMES)])
def test_a_decision_comes_back_from_json(decision):
    assert decision_from(json.loads(json.dumps(decision.as_dict(NAMES))), NAMES) == decision


@pytest.mark.parametrize(
    "values",
    [
        3,
        {},
        {"costs": [[0, 1], [1, 0]]},
        {"costs": [[0, 1, 1], [1, 0, 1], [1, -1, 0]]},
        {"costs": [[0, 1, 1], [1, 0, 1], [1, "a", 0]]},
        {"class": "nevus", "at_least": 0.5},
        {"class": "mole", "at_least": "much"},
        {"class": ["mole"], "at_least": 0.5},
        {"class": "mole"},
    ],
)
def test_what_is_no_decision_for_these_classes_is_refused(values):
    with pytest.raises(ValueError, match=r"costs|decision"):
        decision_from(values, NAMES)


def test_words_name_what_is_unlike_the_rest():
    assert decision_of_costs({"melanoma->mole": 10}, NAMES).words(NAMES) == (
        "the least expected cost (melanoma->mole 10, other mistakes 1)"
    )
    assert POINT.words(NAMES) == '"melanoma" from a probability of 0.2 on, else the most probable of the others'


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "labels.txt").write_text("".join(f"{name}\n" for name in NAMES), "utf-8")
    (tmp_path / "recipe.toml").write_text("seed = 1\n", "utf-8")
    (tmp_path / "metrics.json").write_text("{}", "utf-8")
    (tmp_path / "model.keras").touch()
    write_digests(tmp_path)
    return Run(tmp_path)


def test_a_run_keeps_its_decision_and_notices_when_it_is_edited_or_gone(run: Run):
    message = partial(refusals.message_of, RunError)
    assert decision_of(run) is None
    write_decision(run, POINT, asked="recall")
    assert decision_of(open_run(run.folder)) == POINT
    write_decision(run, EVEN)
    assert decision_of(open_run(run.folder)) == EVEN
    content = run.decision_file.read_text("utf-8")
    run.decision_file.write_text(content.replace("3.0", "4.0"), "utf-8")
    assert f"{run.decision_file} is not what the run was finished with" in message(open_run, run.folder)
    run.decision_file.unlink()
    assert message(decision_of, run).startswith(f"{run.decision_file} is gone; ")
    remove_decision(run)
    assert decision_of(open_run(run.folder)) is None


def test_a_damaged_decision_is_named(run: Run):
    run.decision_file.write_text('{"rule": {"class": "nevus", "at_least": 0.5}}', "utf-8")
    assert "is damaged (a decision must name a class of the model and a number)" in refusals.message_of(
        RunError, decision_of, run
    )


def test_a_decision_says_the_same_of_classes_in_another_order():
    """Columns (b, c, a) in the places (1, 2, 0) of (a, b, c)."""
    probabilities, places = np.array([[0.5, 0.3, 0.2], [0.1, 0.45, 0.45], [0.2, 0.2, 0.6]]), [1, 2, 0]
    costs = LeastCost(((0.0, 9.0, 1.0), (2.0, 0.0, 1.0), (1.0, 3.0, 0.0)))
    for decision in (costs, OperatingPoint(2, 0.4), None):
        answers = decide(probabilities, decision)
        assert [
            places[label] for label in decide(probabilities[:, places], reordered(decision, places))
        ] == answers.tolist()
