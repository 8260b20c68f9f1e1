"""The tables of a report: the answer to each image, and how often each class was taken for each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from regraft.data.records import Record
from regraft.machine.files import write_csv


def write_predictions_csv(
    path: Path,
    records: Sequence[Record],
    truth: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    answers: np.ndarray | None = None,
    root: Path | None = None,
) -> None:
    """One row per image, in order: path, truth, label, correct, score, label_2, score_2 ... up to five.

    Args:
        path: the CSV file.
        records: the N images.
        truth: int [N], indices into `class_names`.
        probabilities: float [N, C], written with six decimals.
        class_names: C names in label order.
        answers: int [N], the labels, which come first; by default the most probable classes.
        root: paths below it are written relative to it, with forward slashes.
    """
    shown = min(5, len(class_names))
    header = ["path", "truth", "label", "correct", "score"]
    header += [f"{column}_{place}" for place in range(2, shown + 1) for column in ("label", "score")]
    first = probabilities.copy()
    if answers is not None:
        np.put_along_axis(first, answers[:, None], np.inf, axis=1)
    best = np.argsort(-first, axis=1, kind="stable")[:, :shown]
    rows = (
        _prediction_row(shown_path(record.path, root), class_names[true], order, scores, class_names)
        for record, true, order, scores in zip(records, truth, best, probabilities, strict=True)
    )
    write_csv(path, header, rows)


def write_confusion_csv(path: Path, matrix: np.ndarray, class_names: Sequence[str]) -> None:
    """One row per true class, one column per predicted class, counts. `matrix` is int [C, C], rows = truth."""
    rows = ([name, *counts] for name, counts in zip(class_names, matrix.tolist(), strict=True))
    write_csv(path, ["truth", *class_names], rows)


def _prediction_row(
    path: str, true: str, order: np.ndarray, scores: np.ndarray, class_names: Sequence[str]
) -> list[str]:
    answers = [(class_names[i], f"{scores[i]:.6f}") for i in order]
    (label, score), others = answers[0], answers[1:]
    correct = "true" if label == true else "false"
    return [path, true, label, correct, score, *(value for answer in others for value in answer)]


def shown_path(path: Path, root: Path | None) -> str:
    """`path` with forward slashes, relative to `root` where it lies below it."""
    return (path.relative_to(root) if root and path.is_relative_to(root) else path).as_posix()
