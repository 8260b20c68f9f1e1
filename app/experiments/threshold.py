"""An operating point of a finished run: found on selection photos, measured on those it reports on, put in force.

TensorFlow takes seconds to start, and taking a decision away needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regraft.data.groups import group_numbers
from regraft.data.records import Record
from regraft.data.sources import labels_of
from regraft.errors import RegraftError, RunError
from regraft.evidence.decision import Decision, decide, decision_of, remove_decision, write_decision
from regraft.evidence.metrics import measure
from regraft.evidence.operating_point import ClassRates, find_point, rates_of, wish_of
from regraft.exports.export import is_export, read_export
from regraft.inference.trained import TrainedModel, open_trained
from regraft.progress import Progress
from regraft.recipes.recipe import edit_recipe
from regraft.runs.digests import DECISION, kept_digest
from regraft.runs.photos_now import check_judges, fingerprints_of, groups_of, scan_others, scan_role
from regraft.runs.run import Run, open_run

Given = tuple[Path | None, Mapping[str, Any]]
"""A labelled folder or table, or None, and keys of the recipe that say how its labels are found, not as in training."""


@dataclass(frozen=True)
class FoundPoint:
    """An operating point, and what it does.

    Attributes:
        run: the run directory.
        asked: in words, such as "recall of melanoma at least 95 %".
        class_name: the class that it is of.
        at_least: from which probability on it is the label.
        chosen_on: in words, which photos it was chosen on.
        chosen: how it does there.
        reported: how it does on the photos that the run reports on, which it was not chosen on.
        before: how the labels did there before.
        accuracy, balanced_accuracy: there, with it.
        accuracy_before, balanced_accuracy_before: and before.
    """

    run: Path
    asked: str
    class_name: str
    at_least: float
    chosen_on: str
    chosen: ClassRates
    reported: ClassRates
    before: ClassRates
    accuracy: float
    balanced_accuracy: float
    accuracy_before: float
    balanced_accuracy_before: float

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {**asdict(self), "run": str(self.run)}


def find_threshold(
    folder: Path,
    asked: Mapping[str, Mapping[str, float] | None],
    progress: Progress,
    *,
    choose_on: Given = (None, {}),
    photos: Given = (None, {}),
    device: str = "auto",
) -> FoundPoint:
    """Finds an operating point, puts it in force for the run in `folder`, and says what it does.

    Args:
        folder: the run.
        asked: the arguments by their names, see `regraft.evidence.operating_point.wish_of`.
        progress: who is told.
        choose_on: labelled selection photos, of which those that the run knows are left out, and others of
            their groups; by default the run's selection photos.
        photos: where the run's photos lie now, if they moved, and how their labels are found.
        device: see `open_device`.

    Raises:
        UsageError: what is asked for does not fit, or no probability gives it.
        RunError: there is no finished run, or it has no selection photos that it has not learned from.
        FolderError: a folder cannot be used.
    """
    run = open_run(folder)
    check_judges(run, "it would be reported on these, so it can have no threshold; train without data.folds for one")
    wish = wish_of(asked, run.class_names)
    if choose_on[0] is None:
        _check_may_choose(run)
    trained = open_trained(folder, device=device)
    selection, words = _selection(run, choose_on, photos, progress)
    truth, probabilities = _answers(trained, selection, progress)
    point = find_point(wish, truth, probabilities, run.class_names)
    chosen = rates_of(point.label, truth, point.answers(probabilities), group_numbers(selection))
    earlier, records = decision_of(run), _own(run, photos, "report", progress)
    reported, reported_probabilities = _answers(trained, records, progress)
    reported_groups = group_numbers(records)

    def measured(decision: Decision | None) -> tuple[ClassRates, float, float]:
        found = measure(reported, reported_probabilities, run.class_names, decision)
        rates = rates_of(point.label, reported, decide(reported_probabilities, decision), reported_groups)
        return rates, found.accuracy, found.balanced_accuracy

    (after, *accuracies), (before, *accuracies_before) = measured(point), measured(earlier)
    found = FoundPoint(
        run.folder, str(wish), wish.class_name, point.at_least, words, chosen, after, before,
        *accuracies, *accuracies_before,
    )  # fmt: skip
    with run.held():
        write_decision(run, point, **{key: value for key, value in found.as_dict().items() if key != "run"})
    _say_of_exports(run, progress)
    return found


def clear_threshold(folder: Path, progress: Progress) -> None:
    """Takes the decision of the run in `folder` away, so that the most probable class is the label again.

    Raises:
        RunError: there is no finished run, or it has no decision.
    """
    run = Run(folder)
    if not run.is_finished:
        open_run(folder)  # which says what is wrong
    with run.held():
        if not run.decision_file.is_file() and not kept_digest(folder, DECISION):
            raise RunError(f"{folder} has no decision to take away: its label is the most probable class.")
        remove_decision(run)
    open_run(folder)
    _say_of_exports(run, progress)


def _check_may_choose(run: Run) -> None:
    """Raises RunError where the run has no selection photos that its weights have not learned from."""
    why = ""
    if not fingerprints_of(run, "select"):
        why = "has no selection photos"
    elif run.metrics.learned_from_select:
        why = "keeps a head that has learned from its selection photos as well, so that they flatter it"
    if why:
        raise RunError(
            f"{run.folder} {why}; name a labelled folder that it has not seen: regraft threshold RUN FOLDER ..."
        )


def _own(run: Run, photos: Given, role: str, progress: Progress) -> list[Record]:
    place, told = photos
    return scan_role(run, place, role, progress, choices=edit_recipe(run.recipe, told).data.source)


def _selection(run: Run, choose_on: Given, photos: Given, progress: Progress) -> tuple[list[Record], str]:
    """The selection photos, and the words for them."""
    place, told = choose_on
    if place is None:
        records = _own(run, photos, "select", progress)
        words = f"{len(records):,} selection photos"
    else:
        roles, scanned = ("fit", "select", "report"), scan_others(run, place, progress, told=told)
        known, groups = fingerprints_of(run, *roles), groups_of(run, *roles)
        records = [one for one in scanned.records if one.fingerprint not in known and one.group not in groups]
        words = f"{len(records):,} photos of {scanned.name}"
    if not records:
        raise RunError(f"There are no selection photos left for {run.folder}: it knows all of them, or they are gone.")
    return records, words


def _answers(trained: TrainedModel, records: list[Record], progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """The truth int [N] and the probabilities float32 [N, C] of photos."""
    from regraft.inference.outputs import logits_of
    from regraft.inference.views import softmax

    if not records:
        raise RunError(f"The photos that {trained.run.folder} reports on are gone or have changed.")
    logits = logits_of(records, trained.infer, trained.reader, progress, "answer", batch_size=trained.batch_size)
    return labels_of(records), softmax(logits)


def _say_of_exports(run: Run, progress: Progress) -> None:
    """Exports hold the decision that was in force when they were made."""
    others = [folder.name for folder in _exports_of(run) if _decision_in(folder) != decision_of(run)]
    if others:
        progress.say(f"These decide otherwise, as when they were made; export the run again: {', '.join(others)}.")


def _exports_of(run: Run) -> list[Path]:
    folders = sorted(path for path in run.exports.glob("*") if is_export(path))
    return [*folders, run.export_folder] if is_export(run.export_folder) else folders


def _decision_in(folder: Path) -> Decision | None:
    """That of an export; None of one that cannot be read, and so answers nothing."""
    try:
        return read_export(folder).decision
    except RegraftError:
        return None
