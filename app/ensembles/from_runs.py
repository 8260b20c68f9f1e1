"""`ensemble RUN RUN ...`: runs that exist as one, judged on the photos that none of them has learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from regraft.data.records import ImageFolder
from regraft.data.roles import Roles
from regraft.data.wording import plural
from regraft.ensembles.along_one_run import check_snapshots
from regraft.ensembles.combined import combine_and_finish
from regraft.ensembles.kinds import KINDS, function_of, names
from regraft.ensembles.plan import Plan, check_combination
from regraft.errors import UsageError, option
from regraft.inference.trained import open_trained
from regraft.inference.views import ViewReader
from regraft.machine.devices import open_device
from regraft.machine.files import write_json
from regraft.progress import Progress, Silent
from regraft.runs.photos_now import fingerprints_of, scan_photos
from regraft.runs.run import Run, new_run, open_run
from regraft.training.resumable import resumable
from regraft.training.session import Session, Stopwatch


def ensemble_runs(
    folders: Sequence[Path], plan: Plan, *, photos: Path | None = None, progress: Progress | None = None
) -> Run:
    """The finished run made of finished ones, or of the snapshots of one.

    Args:
        folders: run directories; with kind "snapshot" a single one.
        plan: kind, combination and calibration; `request` says device, `out` and the command.
        photos: where the photos lie now, if they moved since training.
        progress: who is told.

    Raises:
        RunError: a run is missing, unfinished or damaged.
        UsageError: the runs do not go together, or have no reported photos in common.
    """
    _check(folders, plan)
    runs = [open_run(folder) for folder in folders]
    _check_are_single(runs)
    check_runs(runs)
    if KINDS[plan.kind].takes_one_run:
        check_snapshots(runs[0])
    progress, watch = progress or Silent(), Stopwatch()
    target = new_run(plan.request.out, f"ensemble-{folders[0].name}")
    with watch.phase("scan"):
        scanned = scan_photos(runs[0], photos, progress)
        roles = common_roles(runs, scanned)
    device = open_device(plan.request.device)
    first = open_trained(folders[0], device=plan.request.device)
    environment = {
        **runs[0].environment,
        "verb": "ensemble",
        "command": " ".join(plan.request.command),
        "members": [str(folder.absolute()) for folder in folders],
    }
    target.start(runs[0].recipe, runs[0].class_names, environment)
    session = Session(target, runs[0].recipe, scanned, roles, (), device, first.model, first.reader, progress, watch)
    with resumable(session):
        made = function_of(plan.kind, "of_runs")(plan, session, runs)
        write_json(target.ensemble_plan_file, plan.describe() | {"members": len(made.members)})
        return combine_and_finish(replace(plan, members=len(made.members)), session, made)


def _check(folders: Sequence[Path], plan: Plan) -> None:
    check_combination(plan)
    kind, named = KINDS[plan.kind], option("kind", plan.kind)
    if not kind.of_runs:
        raise UsageError(f"{named} has to train; runs that exist go together as {', '.join(names('of_runs'))}.")
    if kind.takes_one_run and len(folders) != 1:
        raise UsageError(f"{named} takes one run that has kept snapshots; received {len(folders)}.")
    if not kind.takes_one_run and len(folders) < 2:
        raise UsageError("An ensemble needs at least two runs, or a folder of photos to train members on.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("A run is named twice; each can be a member once.")
    if plan.request.resume:
        raise UsageError(f"There is nothing to resume where runs exist already; leave {option('resume')} out.")


def _check_are_single(runs: Sequence[Run]) -> None:
    """Raises UsageError for an ensemble, whose members have no head in common."""
    if combined := next((run for run in runs if run.metrics.stage == "ensemble"), None):
        raise UsageError(f"{combined.folder} is an ensemble already, which cannot be a member; name runs of one model.")


def check_runs(runs: Sequence[Run]) -> None:
    """Raises UsageError where labels, their order or views of photos differ, naming the runs and the difference."""
    first = runs[0]
    for run in runs[1:]:
        names = f"{first.folder} and {run.folder}"
        ours, theirs = first.class_names, run.class_names
        if set(ours) != set(theirs):
            odd = sorted(set(ours) ^ set(theirs))
            raise UsageError(f"{names} tell different classes apart: only one of them has {', '.join(odd)}.")
        if ours != theirs:
            place = next(index for index in range(len(ours)) if ours[index] != theirs[index])
            raise UsageError(
                f"{names} have their labels in another order: number {place + 1} is {ours[place]} and {theirs[place]}."
            )
        other_view = _view_of(run)
        for key, value in _view_of(first).items():
            if value != other_view[key]:
                raise UsageError(
                    f"{names} look at photos differently: data.{key} is {value} and {other_view[key]}; train anew."
                )


def _view_of(run: Run) -> dict[str, object]:
    """All that the run's views of photos depend on."""
    return ViewReader.of_recipe(run.recipe).settings


def common_roles(runs: Sequence[Run], folder: ImageFolder) -> Roles:
    """The photos that every run reports on, and selection photos, which none of them has learned from.

    Raises:
        UsageError: there are none to report on.
    """
    reported, unlearned = zip(*(_unlearned(run) for run in runs), strict=True)
    report_on = set.intersection(*reported)
    choose_by = set.intersection(*unlearned) - report_on
    roles = {
        name: tuple(record for record in folder.records if test(record.fingerprint))
        for name, test in (
            ("report", report_on.__contains__),
            ("select", choose_by.__contains__),
            ("fit", lambda fingerprint: fingerprint not in report_on | choose_by),
        )
    }
    if not roles["report"]:
        raise UsageError(
            f"No photo in {folder.root} is reported on by all of the runs, so nothing would tell how good they are "
            "together. Train members on one split: give all the same data.split_seed, or name where the photos lie "
            f"with {option('photos')}."
        )
    notes = [f"Reported on {plural(len(roles['report']), 'image')} that no member has learned from or chosen by."]
    if roles["select"]:
        notes.append(f"Choices are made on {plural(len(roles['select']), 'image')} that no member has learned from.")
    return Roles(roles["fit"], roles["select"], roles["report"], runs[0].metrics.reported_on, tuple(notes))


def _unlearned(run: Run) -> tuple[set[str], set[str]]:
    """Fingerprints of what a run reports on, and of all that its weights know nothing of."""
    unlearned = ("report",) if run.metrics.learned_from_select else ("report", "select")
    return fingerprints_of(run, "report"), fingerprints_of(run, *unlearned)
