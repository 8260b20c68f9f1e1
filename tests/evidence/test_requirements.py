"""Bounds on figures: what they may be called, where they begin and end, and what is said of those that are not met."""

import numpy as np
import pytest
from refusals import message_of

from regraft.errors import UsageError
from regraft.evidence.metric_table import REPORTED_METRICS, ReportedMetric
from regraft.evidence.metrics import Metrics, measure
from regraft.evidence.requirements import Outcome, parse_requirements

NAMES = ("ant", "bee", "wasp")


def metrics_of(*rows: tuple[int, int], names: tuple[str, ...] = NAMES) -> Metrics:
    """Of images with these classes and answers, all sure."""
    truth, answers = np.array(rows).T
    return measure(truth, np.eye(len(names))[answers], names)


# Of 4 ants 3 are found, of 5 bees all, one ant is called a bee; no wasp is there, and nothing is called one.
JUDGED = metrics_of(*[(0, 0)] * 3, (0, 1), *[(1, 1)] * 5)


def outcome(text: str, metrics: Metrics = JUDGED, names: tuple[str, ...] = NAMES) -> Outcome:
    (requirement,) = parse_requirements([text], names)
    return requirement.judge(metrics)


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        ("accuracy>=0.88", 8 / 9, True),
        ("accuracy >= 0.89", 8 / 9, False),
        ("images>=9", 9, True),
        ("images>9", 9, False),
        ("images<=9", 9, True),
        ("images<9", 9, False),
        ("images < 1e1", 9, True),
        ("balanced_accuracy>0.87", 0.875, True),
        ("calibration_error<=0.2", 1 / 9, True),
        ("recall.ant>=0.75", 0.75, True),
        ("recall.ant>0.75", 0.75, False),
        ("precision.bee<=0.84", 5 / 6, True),
        ("f1.ant<0.85", 6 / 7, False),
        ("images.bee>=6", 5, False),
    ],
)
def test_a_bound_is_met_on_its_own_side(text: str, value: float, met: bool):
    found = outcome(text)
    assert found.value == pytest.approx(value)
    assert found.met is met


def test_intervals_stand_beside_their_figure_and_their_ends_can_be_required():
    """Wilson's interval of 3 in 4, see test_intervals."""
    found = outcome("recall.ant>=0.9")
    assert (found.low, found.high) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert found.words == "recall.ant is 0.750, below the 0.9 asked for (95 % interval 0.301 to 0.954)"
    assert outcome("recall_low.ant>=0.3006").met
    assert outcome("recall_high.ant>=0.96").words == "recall_high.ant is 0.954, below the 0.96 asked for"
    accuracy = JUDGED.accuracy_low, JUDGED.accuracy_high
    assert [outcome(f"accuracy{end}>=0").value for end in ("_low", "_high")] == list(accuracy)
    assert (outcome("accuracy>=1").low, outcome("accuracy>=1").high) == accuracy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("precision.bee<=0.5", "precision.bee is 0.833, above the 0.5 asked for"),
        ("balanced_accuracy<0.875", "balanced_accuracy is 0.875, not below the 0.875 asked for"),
        ("macro_f1>0.95", "macro_f1 is 0.883, not above the 0.95 asked for"),
        ("images>=1e4", "images is 9, below the 10000 asked for"),
        ("log_loss<=-1", "log_loss is 1.791, above the -1 asked for"),
        ("recall.wasp>=0.9", "recall.wasp is undefined on these images, so it does not meet the 0.9 asked for"),
        ("recall.wasp<=0.9", "recall.wasp is undefined on these images, so it does not meet the 0.9 asked for"),
    ],
)
def test_what_is_not_met_is_said_with_its_value(text: str, words: str):
    found = outcome(text)
    assert (found.met, found.words) == (False, words)


def test_what_is_met_says_so():
    assert outcome("precision.bee>0.5").words == "precision.bee is 0.833, which meets the 0.5 asked for"


def test_a_value_just_short_of_its_bound_is_shown_with_the_digits_that_tell():
    nearly = metrics_of(*[(0, 0)] * 9_499, *[(0, 1)] * 501)
    assert outcome("accuracy>=0.95", nearly).words.startswith("accuracy is 0.949900, below the 0.95 asked for")


def test_a_mean_that_misses_its_bound_by_rounding_alone_is_equal_to_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(REPORTED_METRICS, "sum", ReportedMetric("sum", "", lambda judged: 0.1 + 0.2))
    assert 0.1 + 0.2 != 0.3
    metrics = metrics_of((0, 0), (1, 1))
    assert [outcome(f"sum{operator}0.3", metrics).met for operator in (">=", "<=", ">", "<")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_row_of_the_table_of_metrics_can_be_required(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(REPORTED_METRICS, "moon", ReportedMetric("moonshine", "", lambda judged: float("nan")))
    found = outcome("moon>=0.5", metrics_of((0, 0), (1, 1)))
    assert (found.value, found.met) == (None, False)


def test_figures_that_two_classes_lack_are_undefined():
    metrics = metrics_of((0, 0), (1, 1), names=("ant", "bee"))
    assert outcome("top_k_accuracy>=0.5", metrics, ("ant", "bee")).value is None


@pytest.mark.parametrize(
    "name",
    ["v1.0", "hot dog", "it's", 'say "no"', "a>=b", "x>", "<", "p<0.05", "a=b", ">=0.5", "recall.ant", "猫", "-1"],
)  # fmt: skip
@pytest.mark.parametrize("operator", [">=", "<=", ">", "<"])
def test_names_of_classes_may_hold_dots_blanks_quotes_and_operators(name: str, operator: str):
    names = ("ant", name)
    found = outcome(f"recall.{name}{operator}0.5", metrics_of((0, 0), (1, 1), names=names), names)
    asked = found.requirement
    assert (asked.class_name, asked.operator, asked.bound) == (name, operator, 0.5)
    assert found.value == 1
    assert found.met is (operator[0] == ">")


def test_a_class_may_be_written_as_another_system_writes_it():
    (requirement,) = parse_requirements(["recall.CAFE\u0301 >= 0.5"], ("caf\u00e9", "tea"))
    assert requirement.class_name == "caf\u00e9"


def test_the_values_say_what_was_asked_and_what_came():
    assert outcome("recall.wasp >= 0.9").as_dict() == {
        "requirement": "recall.wasp >= 0.9", "name": "recall.wasp", "operator": ">=", "bound": 0.9,
        "value": None, "low": None, "high": None, "met": False,
    }  # fmt: skip


FIGURES = (
    " There are images, accuracy, accuracy_low, accuracy_high, top_k_accuracy, balanced_accuracy, macro_f1, "
    "mean_cost, mean_cost_most_probable, log_loss, calibration_error; with a dot and a class (ant, bee, wasp): "
    "images, precision, recall, recall_low, recall_high, f1."
)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("acuracy", "accuracy"), ("recall", "recall.bee"), ("recall.wsp", "recall.wasp"), ("recal.bee", "recall.bee"),
        ("accuracy.bee", "accuracy"), ("precision_low.bee", "precision.bee"), ("k", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_figure_that_does_not_exist_is_refused_with_the_nearest_and_all(name: str, nearest: str):
    hint = f' Did you mean "{nearest}"?' if nearest else ""
    told = message_of(UsageError, parse_requirements, ["accuracy>0", f"{name}>=0.9"], NAMES)
    assert told == f'require names no figure of the run: "{name}".{hint}{FIGURES}'


@pytest.mark.parametrize(
    "text",
    ["", 3, "accuracy", "accuracy=0.9", "accuracy==0.9", "accuracy>=", "accuracy>=high", "accuracy>=95%",
     "accuracy>=nan", "log_loss<inf", "log_loss<=1e999"],
)  # fmt: skip
def test_what_is_no_bound_is_refused_with_the_form(text: object):
    told = message_of(UsageError, parse_requirements, [text], NAMES)
    assert told == f'require expects NAME>=NUMBER (or >, <=, <), such as "accuracy>=0.95"; received "{text}".'


@pytest.mark.parametrize(
    ("figure", "bound"), [("accuracy", ">=95"), ("recall.bee", ">-1"), ("calibration_error", "<=5")]
)
def test_a_bound_that_a_fraction_cannot_reach_is_refused(figure: str, bound: str):
    told = message_of(UsageError, parse_requirements, [figure + bound], NAMES)
    assert told == (
        f"require: {figure.partition('.')[0]} is a fraction from 0 to 1, so 95 % is written 0.95; "
        f'received "{figure}{bound}".'
    )


def test_of_very_many_classes_some_are_named():
    names = tuple(f"class {number}" for number in range(1_000))
    told = message_of(UsageError, parse_requirements, ["recall.x>=0.9"], names)
    assert "class 19 and 980 more): " in told
    assert len(told) < 1_000
