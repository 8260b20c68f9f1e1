"""Answers beside the truth: what every metric is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regraft.evidence.decision import Decision, LeastCost, decide
from regraft.evidence.intervals import grouped_accuracy_interval
from regraft.runs.class_metrics import ClassMetrics

_SUM_TOLERANCE = 1e-2  # bfloat16 softmax rows miss 1 by several thousandths


@dataclass(frozen=True, slots=True, eq=False)
class JudgedAnswers:
    """The answers of a classifier to N images, and the truth.

    Attributes:
        truth: int [N] in [0, C).
        probabilities: float64 [N, C] in [0, 1], rows that sum to 1.
        answers: int [N], the labels that were given.
        ranks: int [N], how many classes were thought more probable than the true one.
        k: how many answers count for `top_k_accuracy`: min(5, C - 1); None for two classes or fewer.
        per_class: one entry per class, in label order.
        confusion: int [C, C] counts; rows are the truth, columns the answers.
        costs: float64 [C, C], what each answer costs by the truth, where the labels were given by costs.
    """

    truth: np.ndarray
    probabilities: np.ndarray
    answers: np.ndarray
    ranks: np.ndarray
    k: int | None
    per_class: tuple[ClassMetrics, ...]
    confusion: np.ndarray
    costs: np.ndarray | None = None


def judge(
    truth: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    decision: Decision | None = None,
    groups: np.ndarray | None = None,
) -> JudgedAnswers:
    """The answers beside the truth, checked and counted.

    Args:
        truth: int [N] in [0, C), N at least 1.
        probabilities: float [N, C] in [0, 1], rows that sum to 1.
        class_names: C names in label order.
        decision: how labels are made of probabilities; by default the most probable class is the label.
        groups: int [N], the same for images that are not independent; None where all are.

    Raises:
        ValueError: a shape, range or sum does not fit.
    """
    truth, probabilities = check_answers(truth, probabilities)
    class_count = probabilities.shape[1]
    if len(class_names) != class_count:
        raise ValueError(f"class_names must be {class_count}, one per column; received {len(class_names)}.")
    answers = decide(probabilities, decision)
    per_class, confusion = _judge_classes(truth, answers, class_names, groups)
    return JudgedAnswers(
        truth=truth,
        probabilities=probabilities,
        answers=answers,
        ranks=_ranks_of_truth(truth, probabilities),
        k=min(5, class_count - 1) if class_count > 2 else None,
        per_class=per_class,
        confusion=confusion,
        costs=np.array(decision.costs) if isinstance(decision, LeastCost) else None,
    )


def check_answers(truth: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`truth`, int [N], and float64 `probabilities`, [N, C]. Raises ValueError for what does not fit."""
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or not probabilities.size:
        raise ValueError(f"probabilities must be [N, C], both at least 1; received shape {probabilities.shape}.")
    if truth.shape != probabilities.shape[:1] or truth.dtype.kind not in "iu":
        raise ValueError(
            f"truth must be int [{len(probabilities)}], one per image; received {truth.dtype} {truth.shape}."
        )
    if truth.min() < 0 or truth.max() >= probabilities.shape[1]:
        wrong = truth.min() if truth.min() < 0 else truth.max()
        raise ValueError(f"truth must be in [0, {probabilities.shape[1]}); received {wrong}.")
    _check_sums(probabilities)
    return truth, probabilities


def _check_sums(probabilities: np.ndarray) -> None:
    negative = (probabilities < 0).any(axis=1)
    off = ~(np.abs(probabilities.sum(axis=1) - 1) <= _SUM_TOLERANCE)  # so that NaN is off as well
    if (bad := np.flatnonzero(negative | off)).size:
        row = probabilities[bad[0]]
        raise ValueError(
            "probabilities must be in [0, 1] and sum to 1 in each row (apply softmax to logits); "
            f"received a row {bad[0]} from {row.min():g} to {row.max():g} with sum {row.sum():g}."
        )


def _ranks_of_truth(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Int [N]: how many classes come before the true one; of equal scores the lower index, as in argmax."""
    own = np.take_along_axis(probabilities, truth[:, None], axis=1)
    earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    return ((probabilities > own) | ((probabilities == own) & earlier)).sum(axis=1)


def _judge_classes(
    truth: np.ndarray, answers: np.ndarray, class_names: Sequence[str], groups: np.ndarray | None
) -> tuple[tuple[ClassMetrics, ...], np.ndarray]:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = range(len(class_names))
    precision, recall, f1, images = precision_recall_fscore_support(
        truth, answers, labels=labels, average=None, zero_division=np.nan
    )
    confusion = confusion_matrix(truth, answers, labels=labels)
    intervals = [_recall_interval(truth == label, answers == label, groups) for label in labels]
    shares = ((_defined(precision[i]), _defined(recall[i]), *intervals[i], _defined(f1[i])) for i in labels)
    entries = tuple(
        ClassMetrics(name, int(total), *values) for name, total, values in zip(class_names, images, shares, strict=True)
    )
    return entries, confusion


def _recall_interval(
    is_it: np.ndarray, is_answered: np.ndarray, groups: np.ndarray | None
) -> tuple[float, float] | tuple[None, None]:
    if not is_it.any():
        return None, None
    return grouped_accuracy_interval(is_answered[is_it], None if groups is None else groups[is_it])


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
