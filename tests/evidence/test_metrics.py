import json

import numpy as np
import pytest

from regraft.evidence.decision import decision_of_costs
from regraft.evidence.intervals import accuracy_interval
from regraft.evidence.metrics import measure
from regraft.runs.class_metrics import ClassMetrics

THREE = ("ant", "bee", "wasp")
# Answers: ant ant bee bee ant; right on images 0, 1, 2.
TRUTH = np.array([0, 0, 1, 2, 1])
SCORES = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4], [0.9, 0.04, 0.06]], np.float32)


def random_answers(seed: int, images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, classes, images), random.dirichlet(np.ones(classes), images)


def test_measure_by_hand() -> None:
    metrics = measure(TRUTH, SCORES, THREE)
    assert metrics.images == 5
    assert metrics.accuracy == pytest.approx(3 / 5)
    assert (metrics.accuracy_low, metrics.accuracy_high) == accuracy_interval(3, 5)
    assert metrics.k == 2
    assert metrics.top_k_accuracy == pytest.approx(4 / 5)  # the last image's truth comes third
    assert metrics.log_loss == pytest.approx(-np.log([0.8, 0.6, 0.7, 0.4, 0.04]).mean(), rel=1e-6)
    assert metrics.balanced_accuracy == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert metrics.macro_f1 == pytest.approx((4 / 5 + 1 / 2 + 0) / 3)
    assert metrics.confusion.tolist() == [[2, 0, 0], [1, 1, 0], [0, 1, 0]]


def test_class_without_answers_has_no_precision_but_a_recall() -> None:
    wasp = measure(TRUTH, SCORES, THREE).per_class[2]
    assert (wasp.class_name, wasp.images, wasp.precision, wasp.recall, wasp.f1) == ("wasp", 1, None, 0.0, 0.0)
    assert (wasp.recall_low, wasp.recall_high) == accuracy_interval(0, 1)


def test_class_without_images_has_no_recall_and_is_left_out_of_the_means() -> None:
    metrics = measure(TRUTH[:3], SCORES[:3], THREE)
    assert metrics.per_class[2] == ClassMetrics("wasp", 0, None, None, None, None, None)
    assert metrics.balanced_accuracy == 1.0
    assert metrics.macro_f1 == 1.0


def test_class_without_images_that_is_answered_counts_against_macro_f1() -> None:
    metrics = measure(np.array([0, 0]), np.array([[1.0, 0.0], [0.0, 1.0]]), ("ant", "bee"))
    assert metrics.per_class[1] == ClassMetrics("bee", 0, 0.0, None, None, None, 0.0)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 0) / 2)
    assert metrics.balanced_accuracy == 0.5


def test_two_classes_have_no_top_k() -> None:
    metrics = measure(np.array([0]), np.array([[0.7, 0.3]]), ("ant", "bee"))
    assert (metrics.top_k_accuracy, metrics.k) == (None, None)


@pytest.mark.parametrize(("classes", "k"), [(3, 2), (5, 4), (6, 5), (40, 5)])
def test_top_k_agrees_with_sorting(classes: int, k: int) -> None:
    truth, scores = random_answers(1, 200, classes)
    best = np.argsort(-scores, axis=1)[:, :k]
    metrics = measure(truth, scores, [str(i) for i in range(classes)])
    assert metrics.k == k
    assert metrics.top_k_accuracy == pytest.approx((best == truth[:, None]).any(axis=1).mean())


def test_equal_scores_are_won_by_the_first_class_everywhere() -> None:
    metrics = measure(np.array([0, 1, 2]), np.full((3, 3), 1 / 3), THREE)
    assert metrics.accuracy == pytest.approx(1 / 3)
    assert metrics.confusion[:, 0].tolist() == [1, 1, 1]
    assert metrics.top_k_accuracy == pytest.approx(2 / 3)


def test_a_sure_mistake_costs_a_finite_loss() -> None:
    metrics = measure(np.array([0]), np.array([[0.0, 1.0]]), ("ant", "bee"))
    assert metrics.log_loss == pytest.approx(-np.log(1e-7))


def test_as_dict_is_strict_json_with_documented_keys() -> None:
    values = measure(TRUTH[:3], SCORES[:3], THREE).as_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert list(values) == [
        "images", "accuracy", "accuracy_low", "accuracy_high", "top_k_accuracy", "k", "log_loss",
        "balanced_accuracy", "macro_f1", "mean_cost", "mean_cost_most_probable", "calibration_error", "per_class",
        "confusion",
    ]  # fmt: skip
    assert list(values["per_class"][0]) == [
        "class_name", "images", "precision", "recall", "recall_low", "recall_high", "f1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("truth", "scores", "names", "message"),
    [
        (TRUTH, SCORES[:, :2], THREE, r"truth must be in \[0, 2\); received 2."),
        (np.array([-1]), SCORES[:1], THREE, r"truth must be in \[0, 3\); received -1."),
        (TRUTH[:4], SCORES, THREE, r"truth must be int \[5\], one per image; received int64 \(4,\)."),
        (TRUTH * 1.0, SCORES, THREE, r"truth must be int \[5\], one per image; received float64 \(5,\)."),
        (TRUTH, SCORES[0], THREE, r"probabilities must be \[N, C\], both at least 1; received shape \(3,\)."),
        (TRUTH[:0], SCORES[:0], THREE, r"both at least 1; received shape \(0, 3\)."),
        (TRUTH, SCORES, THREE[:2], "class_names must be 3, one per column; received 2."),
        (
            TRUTH,
            SCORES * 2,
            THREE,
            r"apply softmax to logits\); received a row 0 from 0.2 to 1.6 with sum 2.",
        ),
        (TRUTH[:1], np.array([[2.0, -1.0, 0.0]]), THREE, "received a row 0 from -1 to 2 with sum 1."),
        (TRUTH[:1], np.array([[np.nan, 0.5, 0.5]]), THREE, "received a row 0 from nan to nan with sum nan."),
    ],
)
def test_measure_refuses(truth: np.ndarray, scores: np.ndarray, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(truth, scores, names)


def test_by_costs_calibrated_answers_cost_less_than_the_most_probable_class():
    """Labels drawn from the probabilities themselves; the mean costs are counted one by one."""
    random = np.random.default_rng(4)
    probabilities = random.dirichlet([3, 1, 1], 800)
    truth = (probabilities.cumsum(axis=1) < random.random((800, 1))).sum(axis=1)
    decision = decision_of_costs({"b->a": 10.0}, ("a", "b", "c"))
    found = measure(truth, probabilities, ("a", "b", "c"), decision)
    answers = decision.answers(probabilities)
    costs = [0 if t == a else 10 if (t, a) == (1, 0) else 1 for t, a in zip(truth, answers, strict=True)]
    assert found.mean_cost == pytest.approx(np.mean(costs))
    assert found.mean_cost < 0.8 * found.mean_cost_most_probable
    assert found.accuracy == (answers == truth).mean() < (probabilities.argmax(axis=1) == truth).mean()
    assert found.per_class[1].recall > 1.5 * measure(truth, probabilities, ("a", "b", "c")).per_class[1].recall
    even = measure(truth, probabilities, ("a", "b", "c"), decision_of_costs({"b->a": 1.0}, ("a", "b", "c")))
    assert even.mean_cost == even.mean_cost_most_probable == pytest.approx(1 - even.accuracy)
    assert even.as_dict()["confusion"] == measure(truth, probabilities, ("a", "b", "c")).as_dict()["confusion"]
    assert measure(truth, probabilities, ("a", "b", "c")).mean_cost is None
