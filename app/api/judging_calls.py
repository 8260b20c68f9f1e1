"""What finished runs are judged by: evaluate, compare_runs and threshold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.api.arguments import (
    OfClass,
    PathLike,
    Photos,
    Values,
    as_list,
    as_maybe_path,
    as_progress,
    as_source,
    finished_run,
    folder_of,
    public,
    start_tensorflow_for,
)
from regraft.errors import UsageError, option
from regraft.machine.untouched import untouched
from regraft.progress import Progress

if TYPE_CHECKING:
    from regraft.experiments.evaluate import Evaluation
    from regraft.experiments.run_comparison import RunComparison
    from regraft.experiments.threshold import FoundPoint
    from regraft.prediction.model import Model
    from regraft.runs.run import Run


@public
def evaluate(
    run: PathLike | Run | Model,
    photos: Photos | None = None,
    *,
    set: Values | None = None,
    require: str | Sequence[str] = (),
    out: PathLike | None = None,
    views: str = "one",
    draws: int = 0,
    device: str = "auto",
    progress: bool | Progress = True,
) -> Evaluation:
    """Measures a run on the photos it reports on, or on another labelled folder, and writes what it found.

    Args:
        run: finished.
        photos: another labelled folder, a table, a data frame or a list of (path, label); photos that the run was
            trained on are left out.
        set: keys of the recipe that say how labels are found, such as {"data.label_column": "species"}; by default as
            in training.
        require: bounds such as "accuracy>=0.95", "recall.melanoma>=0.9" or "accuracy_low>0.9", on any figure of
            metrics.json. Nothing is raised where one is not met: see `required` and `unmet` of the result.
        out: where the files go; by default a new folder in the run's `evaluations/`.
        views, draws: see `predict`.
        device: see `train`.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        RunError, FolderError: the run or the folder cannot be used.
        UsageError: a figure or class that is required does not exist; nothing is computed.
    """
    from regraft.evidence.requirements import parse_requirements
    from regraft.inference.trained import Look
    from regraft.runs.run import Run

    look = Look(views, draws)
    with untouched("evaluate"):
        folder = finished_run(run)
        requirements = parse_requirements(as_list(require), Run(folder).class_names)
        start_tensorflow_for(folder)
        from regraft.experiments.evaluate import evaluate as measure

        others, told = _given(photos, set)
        return measure(
            folder, others, as_progress(progress), device=device, out=as_maybe_path(out), look=look, told=told,
            requirements=requirements,
        )  # fmt: skip


@public
def compare_runs(
    first: PathLike | Run | Model,
    second: PathLike | Run | Model,
    photos: Photos | None = None,
    *,
    set: Values | None = None,
    out: PathLike | None = None,
    device: str = "auto",
    progress: bool | Progress = True,
) -> RunComparison:
    """Has two runs answer the same photos, and says which is better, if there is evidence, and where they differ.

    Args:
        first, second: finished, with classes of the same names in any order.
        photos: see `evaluate`; photos that one of the runs was trained on are left out. By default those that both
            report on.
        set: see `evaluate`.
        out: a new folder for differences.csv and summary.json; nothing is written without it.
        device: see `train`.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        UsageError: the runs tell different classes apart, or report on no photo in common.
        RunError, FolderError: a run or the folder cannot be used.
    """
    with untouched("compare_runs"):
        folders = finished_run(first), finished_run(second)
        start_tensorflow_for(first)
        from regraft.experiments.run_comparison import compare_runs as measure

        others, told = _given(photos, set)
        return measure(*folders, others, as_progress(progress), device=device, out=as_maybe_path(out), told=told)


@public
def threshold(
    run: PathLike | Run | Model,
    choose_on: Photos | None = None,
    *,
    recall: OfClass | None = None,
    precision: OfClass | None = None,
    false_alarms: OfClass | None = None,
    clear: bool = False,
    photos: Photos | None = None,
    set: Values | None = None,
    device: str = "auto",
    progress: bool | Progress = True,
) -> FoundPoint | None:
    """Answers one class from the probability on that gives what is asked for, and says what that does.

    It is found on the run's selection photos and measured on those it reports on. `predict`, `load` and `evaluate` of
    the run follow it from then on; exports hold what was in force when they were made, so they are to be made anew.

    Args:
        run: finished.
        choose_on: a labelled folder, a table, a data frame or a list of (path, label) to choose on instead, for a run
            without selection photos; photos that the run knows are left out, and others of their groups.
        recall: of a class, at least, such as {"melanoma": 0.95}: with as few false alarms as that allows.
        precision: of a class, at least: with as much of it found as that allows.
        false_alarms: of a class, at most this part of all other photos: with as much of it found as that allows.
        clear: takes the decision of the run away instead, that of its recipe's costs too, and returns None.
        photos: where the photos of the run lie now, if they moved: a folder, or labels as of `choose_on`.
        set: see `evaluate`; of `choose_on` and `photos`, those that are named.
        device: see `train`.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        UsageError: not exactly one thing is asked for, or nothing gives it.
        RunError, FolderError: the run or a folder cannot be used, or the run has learned from its selection photos.
    """
    asked = {"recall": recall, "precision": precision, "false_alarms": false_alarms}
    if clear and any(map(bool, asked.values())):
        raise UsageError(f"{option('clear', True)} takes the decision away; leave {', '.join(map(option, asked))} out.")
    with untouched("threshold"):
        from regraft.experiments.threshold import clear_threshold, find_threshold

        if clear:
            clear_threshold(folder_of(run), as_progress(progress))
            return None
        folder, others = finished_run(run), _given(choose_on, set)
        moved = _given(photos, set if choose_on is None or photos is not None else None)
        return find_threshold(folder, asked, as_progress(progress), choose_on=others, photos=moved, device=device)


def _given(photos: Photos | None, edits: Values | None) -> tuple[Path | None, Values]:
    """Other photos to judge on, and how their labels are found."""
    if photos is None:
        return None, edits or {}
    source, told = as_source(photos, edits or {})
    return Path(source), told
