"""How good a classifier is on the images it was judged on, and how sure one can be of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from regraft.evidence.intervals import accuracy_interval

_LEAST_PROBABILITY = 1e-7
_SUM_TOLERANCE = 1e-2  # bfloat16 softmax rows miss 1 by several thousandths


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class against all others; fractions in [0, 1], None where undefined.

    Attributes:
        class_name: its label.
        images: how many images are truly of this class.
        precision: of the images given this label, the part that is right; None where no image got it.
        recall: of this class's images, the part that is found; None where there are none.
        recall_low: lower end of the 95 % interval of `recall`.
        recall_high: upper end.
        f1: harmonic mean of precision and recall; None where the class has no images and no answers.
    """

    class_name: str
    images: int
    precision: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    f1: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """How good a classifier is on some images; fractions in [0, 1] unless said otherwise.

    Attributes:
        images: how many images were judged.
        accuracy: part whose most probable class is the true one.
        accuracy_low: lower end of the 95 % interval of `accuracy`.
        accuracy_high: upper end.
        top_k_accuracy: part whose true class is among the `k` most probable; None for two classes or fewer.
        k: min(5, classes - 1); None for two classes or fewer.
        log_loss: mean cross-entropy in nats, probabilities clipped to at least 1e-7 as Keras does.
        balanced_accuracy: mean recall of the classes that have images.
        macro_f1: mean F1 of the classes where it is defined.
        calibration_error: see `expected_calibration_error`.
        per_class: one entry a class, in label order.
        confusion: int [C, C] counts; rows are the truth, columns the answers.
    """

    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    top_k_accuracy: float | None
    k: int | None
    log_loss: float
    balanced_accuracy: float
    macro_f1: float
    calibration_error: float
    per_class: tuple[ClassMetrics, ...]
    confusion: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for strict JSON: None, never NaN."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["per_class"] = [asdict(entry) for entry in self.per_class]
        values["confusion"] = self.confusion.tolist()
        return values


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityBins:
    """Answers grouped by how sure the model was of them; only the bins that hold any.

    Attributes:
        images: int [B], how many answers each bin holds, at least 1.
        correct: int [B], how many of them are right.
        confidence: float64 [B], mean score of the answer, in [0, 1].
    """

    images: np.ndarray
    correct: np.ndarray
    confidence: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        """float64 [B] in [0, 1]."""
        return self.correct / self.images


def measure(truth: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> Metrics:
    """Every number that a run reports on its classifier.

    Args:
        truth: int [N] in [0, C), N at least 1.
        probabilities: float [N, C] in [0, 1], rows that sum to 1.
        class_names: C names in label order.

    Raises:
        ValueError: a shape, range or sum does not fit.
    """
    truth, probabilities = _checked(truth, probabilities)
    class_count = probabilities.shape[1]
    if len(class_names) != class_count:
        raise ValueError(f"class_names must be {class_count}, one a column; received {len(class_names)}.")
    ranks = _ranks_of_truth(truth, probabilities)
    correct = int((ranks == 0).sum())
    low, high = accuracy_interval(correct, len(truth))
    k = min(5, class_count - 1) if class_count > 2 else None
    per_class, confusion = _judge_classes(truth, probabilities.argmax(axis=1), class_names)
    return Metrics(
        images=len(truth),
        accuracy=correct / len(truth),
        accuracy_low=low,
        accuracy_high=high,
        top_k_accuracy=float((ranks < k).mean()) if k else None,
        k=k,
        log_loss=_log_loss(truth, probabilities),
        balanced_accuracy=_mean_of_defined([entry.recall for entry in per_class]),
        macro_f1=_mean_of_defined([entry.f1 for entry in per_class]),
        calibration_error=expected_calibration_error(truth, probabilities),
        per_class=per_class,
        confusion=confusion,
    )


def expected_calibration_error(truth: np.ndarray, probabilities: np.ndarray, *, bins: int = 15) -> float:
    """Mean distance in [0, 1], over equal-width bins, from how sure answers are to how often they are right.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.

    Raises:
        ValueError: as `measure`, or `bins` below 1.
    """
    filled = reliability_bins(truth, probabilities, bins=bins)
    return float(np.average(np.abs(filled.accuracy - filled.confidence), weights=filled.images))


def reliability_bins(truth: np.ndarray, probabilities: np.ndarray, *, bins: int = 15) -> ReliabilityBins:
    """The answers in `bins` equal-width bins ((m - 1) / bins, m / bins] of their score.

    Raises:
        ValueError: as `measure`, or `bins` below 1.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1; received {bins}.")
    truth, probabilities = _checked(truth, probabilities)
    score, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    _, position, images = np.unique(np.searchsorted(edges, score), return_inverse=True, return_counts=True)
    return ReliabilityBins(
        images=images,
        correct=np.bincount(position, weights=correct).astype(int),
        confidence=np.bincount(position, weights=score) / images,
    )


def _checked(truth: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`truth` and float64 `probabilities`, or a ValueError for what does not fit."""
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or not probabilities.size:
        raise ValueError(f"probabilities must be [N, C], both at least 1; received shape {probabilities.shape}.")
    if truth.shape != probabilities.shape[:1] or truth.dtype.kind not in "iu":
        raise ValueError(
            f"truth must be int [{len(probabilities)}], one an image; received {truth.dtype} {truth.shape}."
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


def _log_loss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    own = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(own.clip(_LEAST_PROBABILITY, 1.0)).mean())


def _judge_classes(
    truth: np.ndarray, answers: np.ndarray, class_names: Sequence[str]
) -> tuple[tuple[ClassMetrics, ...], np.ndarray]:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = range(len(class_names))
    precision, recall, f1, images = precision_recall_fscore_support(
        truth, answers, labels=labels, average=None, zero_division=np.nan
    )
    confusion = confusion_matrix(truth, answers, labels=labels)
    intervals = [
        accuracy_interval(hits, total) if total else (None, None)
        for hits, total in zip(confusion.diagonal(), images, strict=True)
    ]
    shares = ((_defined(precision[i]), _defined(recall[i]), *intervals[i], _defined(f1[i])) for i in labels)
    entries = tuple(
        ClassMetrics(name, int(total), *values) for name, total, values in zip(class_names, images, shares, strict=True)
    )
    return entries, confusion


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean_of_defined(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))
