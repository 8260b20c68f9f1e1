"""One row for each input, in input order, whatever the input is."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from regraft.conformal import UNKNOWN, UnknownRule, calibrate, read_calibration
from regraft.errors import UsageError
from regraft.folder import is_hidden, is_image_name
from regraft.photos import UnreadablePhoto
from regraft.progress import Progress
from regraft.records import Prediction
from regraft.run import Run
from regraft.trained import TrainedModel

TOP = 5
_DOUBTS = ["entropy", "disagreement", "mutual_information"]


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
    from regraft.views import infer_all

    with progress.work("predict", len(files), "images") as ticker:
        views = trained.reader.read_all(Path(file) for file in files)
        rows = infer_all(trained.infer, views, batch_size=trained.batch_size)
        for file, row in zip(files, rows, strict=True):
            ticker.advance()
            yield _prediction(file, row)


def _prediction(file: str, row: np.ndarray | UnreadablePhoto) -> Prediction:
    from regraft.views import softmax

    if isinstance(row, UnreadablePhoto):
        status = "unreadable" if os.path.exists(file) else "missing"  # noqa: PTH110 - never raises
        return Prediction(file, status, reason=str(row))
    if row.ndim == 1:
        return Prediction(file, "ok", scores=tuple(softmax(row).tolist()))
    whole, *members = softmax(row).tolist()
    return Prediction(file, "ok", scores=tuple(whole), members=tuple(map(tuple, members)))


def write_predictions(
    file: TextIO,
    predictions: Iterable[Prediction],
    class_names: Sequence[str],
    *,
    uncertainty: bool = False,
    rule: UnknownRule | None = None,
) -> dict[str, int]:
    """Writes one CSV row a prediction as it comes and returns how many rows have each status.

    Args:
        file: a text stream.
        predictions: in order.
        class_names: in label order.
        uncertainty: adds the columns entropy (of the answer, in nats), disagreement (the part of an ensemble's members
            with another label) and mutual_information (in nats, what the answers of members say of which member
            it is); the last two are empty for a single model.
        rule: adds the columns guess (the most probable label) and possible (the labels in the prediction set); label is
            then "unknown" unless exactly one is possible.

    Columns: path, status, reason, label, score, label_2, score_2, ... up to the five best, and those above.
    """
    top = min(TOP, len(class_names))
    writer = csv.writer(file, lineterminator="\n")
    more = [f"{column}_{place}" for place in range(2, top + 1) for column in ("label", "score")]
    more += _DOUBTS if uncertainty else []
    more += ["guess", "possible"] if rule else []
    writer.writerow(["path", "status", "reason", "label", "score", *more])
    counts: dict[str, int] = {}
    for prediction in predictions:
        counts[prediction.status] = counts.get(prediction.status, 0) + 1
        cells = _best(prediction.scores, class_names, top)
        cells += _doubts(prediction) if uncertainty else []
        if rule:
            cells = _with_unknown(cells, prediction, class_names, rule)
        writer.writerow([prediction.path, prediction.status, prediction.reason, *cells])
    return counts


def unknown_rule(run: Run, error_rate: float) -> UnknownRule:
    """When the model of `run` answers "unknown", calibrated on the images the run reports on.

    Raises:
        UsageError: the rate is not in (0, 1) or too small for so few images, or a class has that name.
        RunError: the run has lost its calibration.
    """
    if UNKNOWN in run.class_names:
        raise UsageError(
            f'--unknown-at would be mistaken for the class "{UNKNOWN}" of {run.folder}; rename that class.'
        )
    return calibrate(read_calibration(run.calibration_file), error_rate)


def _doubts(prediction: Prediction) -> list[str]:
    """Entropy, disagreement and mutual information."""
    from regraft.models.monte_carlo import entropy, mutual_information

    if not prediction.scores:
        return [""] * len(_DOUBTS)
    cells = [f"{entropy(np.asarray(prediction.scores)):.6f}"]
    if not prediction.members:
        return [*cells, "", ""]
    members = np.asarray(prediction.members)
    others = members.argmax(axis=1) != int(np.argmax(prediction.scores))
    return [*cells, f"{others.mean():.6f}", f"{max(mutual_information(members[:, None])[0], 0.0):.6f}"]


def _with_unknown(cells: list[str], prediction: Prediction, class_names: Sequence[str], rule: UnknownRule) -> list[str]:
    if not prediction.scores:
        return [*cells, "", ""]
    label, possible = rule.answer(prediction.scores, class_names)
    return [label, *cells[1:], cells[0], "|".join(possible)]


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
