"""One row for each input, in input order, whatever the input is."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from regraft.errors import UsageError
from regraft.folder import is_hidden, is_image_name
from regraft.photos import UnreadablePhoto
from regraft.progress import Progress
from regraft.records import Prediction
from regraft.trained import TrainedModel

TOP = 5


def expand_inputs(inputs: Sequence[str], stdin: Iterable[str]) -> list[str]:
    """Every file that is meant, in order.

    Args:
        inputs: a file is taken as it is, also where it is missing; a folder gives the images in it and below, by
            name; a pattern with `*`, `?` or `[` gives the files that match, by name; `-` gives the lines of `stdin`.
        stdin: lines, each a file.

    Raises:
        UsageError: a folder or pattern gives nothing, or nothing is left at all.
    """
    files = [file for given in inputs for file in _expand(given, stdin)]
    if not files:
        raise UsageError("There is nothing to predict: name photos, folders, patterns, or - for a list on stdin.")
    return files


def predict_files(files: Sequence[str], trained: TrainedModel, progress: Progress) -> Iterator[Prediction]:
    """The answer for each file, in order; one that cannot be read gets a status and a reason instead of scores."""
    from regraft.views import infer_all, softmax

    with progress.work("predict", len(files), "images") as ticker:
        views = trained.reader.read_all(Path(file) for file in files)
        rows = infer_all(trained.infer, views, batch_size=trained.batch_size)
        for file, row in zip(files, rows, strict=True):
            ticker.advance()
            if isinstance(row, UnreadablePhoto):
                status = "unreadable" if os.path.exists(file) else "missing"  # noqa: PTH110 - never raises
                yield Prediction(file, status, reason=str(row))
            else:
                yield Prediction(file, "ok", scores=tuple(softmax(row).tolist()))


def write_predictions(file: TextIO, predictions: Iterable[Prediction], class_names: Sequence[str]) -> dict[str, int]:
    """Writes one CSV row a prediction as it comes and returns how many rows have each status.

    Columns: path, status, reason, label, score, label_2, score_2, ... up to the five best.
    """
    top = min(TOP, len(class_names))
    writer = csv.writer(file, lineterminator="\n")
    more = [f"{column}_{place}" for place in range(2, top + 1) for column in ("label", "score")]
    writer.writerow(["path", "status", "reason", "label", "score", *more])
    counts: dict[str, int] = {}
    for prediction in predictions:
        counts[prediction.status] = counts.get(prediction.status, 0) + 1
        writer.writerow(
            [
                prediction.path,
                prediction.status,
                prediction.reason,
                *_best(prediction.scores, class_names, top),
            ]
        )
    return counts


def _best(scores: Sequence[float], class_names: Sequence[str], top: int) -> list[str]:
    if not scores:
        return [""] * (2 * top)
    order = np.argsort(-np.asarray(scores), kind="stable")[:top]
    return [cell for index in order for cell in (class_names[index], f"{scores[index]:.6f}")]


def _expand(given: str, stdin: Iterable[str]) -> Iterator[str]:
    if given == "-":
        yield from (line.rstrip("\r\n") for line in stdin if line.strip())
    elif os.path.isdir(given):  # noqa: PTH112 - pathlib's raises where a name is too long for the system
        yield from _found(_images_below(Path(given)), f"The folder {given} holds no images.")
    elif any(sign in given for sign in "*?[") and not os.path.exists(given):  # noqa: PTH110 - never raises
        matches = sorted(path for path in glob.glob(given, recursive=True) if Path(path).is_file())  # noqa: PTH207 - absolute patterns
        yield from _found(matches, f"No file matches {given}.")
    else:
        yield given


def _found(files: list[str], complaint: str) -> list[str]:
    if not files:
        raise UsageError(complaint)
    return files


def _images_below(folder: Path) -> list[str]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(Path(name))]
        paths = (Path(parent) / name for name in files)
        found += [str(path) for path in paths if is_image_name(path) and not is_hidden(path)]
    return sorted(found)
