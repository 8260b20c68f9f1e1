"""`ensemble RUN RUN ...`: runs that exist as one, judged on the photos that none of them has learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from regraft.data.records import ImageFolder
from regraft.data.roles import Roles
from regraft.data.wording import plural
from regraft.ensembles.along_one_run import check_snapshots
from regraft.ensembles.combined import combine_and_finish
from regraft.ensembles.kinds import KINDS, function_of, names
from regraft.ensembles.plan import Plan, check_combination, resumed_plan, weighs_classes
from regraft.errors import RunError, UsageError, option
from regraft.exports.export import digest_model
from regraft.inference.trained import open_trained
from regraft.inference.views import ViewReader
from regraft.machine.devices import open_device
from regraft.progress import Progress, Silent
from regraft.recipes.toml_text import brief
from regraft.runs.photos_now import check_judges, fingerprints_of, records_of, scan_photos
from regraft.runs.run import Run, new_run, open_run
from regraft.training.finish import finish_export
from regraft.training.resumable import resumable
from regraft.training.session import Session, Stopwatch, hold, run_to_resume


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
    if plan.request.resume:
        plan = resumed_plan(plan, folders)
    _check(folders, plan)
    runs = [open_run(folder) for folder in folders]
    _check_are_single(runs)
    check_runs(runs)
    if KINDS[plan.kind].takes_one_run:
        check_snapshots(runs[0])
    plan = replace(plan, members=_members_of(plan, runs))
    with ExitStack() as stack:
        session = _open(plan, runs, photos, progress or Silent(), stack)
        stack.enter_context(resumable(session))
        if session.run.is_finished:
            return finish_export(session)
        return combine_and_finish(plan, session, function_of(plan.kind, "of_runs")(plan, session, runs))


def _members_of(plan: Plan, runs: Sequence[Run]) -> int:
    return len(runs[0].recipe.snapshot_epochs) if KINDS[plan.kind].takes_one_run else len(runs)


def _open(plan: Plan, runs: Sequence[Run], photos: Path | None, progress: Progress, stack: ExitStack) -> Session:
    """A session on the photos that all runs report on; its run directory is new, or the one that is resumed."""
    watch, first = Stopwatch(), runs[0]
    folders, digests = [str(run.folder.absolute()) for run in runs], [digest_model(run) for run in runs]
    if plan.request.resume:
        target = _resumed(plan.request.out, folders, digests, stack)
    else:
        target = new_run(plan.request.out, f"ensemble-{first.folder.name}")
    with watch.phase("scan"):
        scanned = scan_photos(first, photos, progress)
        roles = common_roles(runs, scanned)
    device = open_device(plan.request.device)
    opened = open_trained(first.folder, device=plan.request.device)
    if not plan.request.resume:
        environment = {
            **first.environment,
            "verb": "ensemble",
            "command": " ".join(plan.request.command),
            "members": folders,
            "member_models": digests,
        }
        target.start(first.recipe, first.class_names, environment, ensemble_plan=plan.describe())
        hold(target, stack, folders)
    return Session(target, first.recipe, scanned, roles, (), device, opened.model, opened.reader, progress, watch)


def _resumed(out: Path | None, folders: Sequence[str], digests: Sequence[str], stack: ExitStack) -> Run:
    """The run that goes on, kept from other processes. Raises RunError where a member is no longer what it was."""
    run = run_to_resume(out, list(folders), stack)
    began = run.environment.get("member_models", digests)
    if not isinstance(began, list) or len(began) != len(digests):
        raise RunError(f"{run.environment_file} is missing or damaged; begin anew.")
    if changed := [folder for folder, ours, theirs in zip(folders, digests, began, strict=True) if ours != theirs]:
        raise RunError(f"{run.folder} cannot be resumed: {changed[0]} has changed since it began. Begin anew.")
    run.tidy()
    return run


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


def _check_are_single(runs: Sequence[Run]) -> None:
    """Raises UsageError for an ensemble, whose members have no head in common."""
    if combined := next((run for run in runs if run.metrics.stage == "ensemble"), None):
        raise UsageError(f"{combined.folder} is an ensemble already, which cannot be a member; name runs of one model.")


def check_runs(runs: Sequence[Run]) -> None:
    """Raises UsageError where the runs do not go together, naming two of them and the difference.

    They differ in labels, their order, views of photos or costs, or one has costs and one class weights.
    """
    first = runs[0]
    _check_counted_once(runs)
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
        if first.recipe.cost != run.recipe.cost:
            raise UsageError(
                f"{names} decide by different costs: {_in_words(first.recipe.cost)} and {_in_words(run.recipe.cost)}; "
                "train them with the same."
            )


def _check_counted_once(runs: Sequence[Run]) -> None:
    """Raises UsageError where one run has costs and one, perhaps the same, has class weights."""
    costly = next((run.folder for run in runs if run.recipe.cost), None)
    weighted = next((run.folder for run in runs if weighs_classes(run.recipe)), None)
    if costly and weighted:
        raise UsageError(
            f"{costly} has costs and {weighted} class weights or balanced sampling, which ensemble cannot take out of "
            "the scores of all its members again, as costs need it; train without one of the two."
        )


def _in_words(costs: Mapping[str, float]) -> str:
    return ", ".join(f'"{brief(mistake)}" {cost:g}' for mistake, cost in sorted(costs.items())) or "none"


def _view_of(run: Run) -> dict[str, object]:
    """All that the run's views of photos depend on."""
    return ViewReader.of_recipe(run.recipe).settings


def common_roles(runs: Sequence[Run], folder: ImageFolder) -> Roles:
    """The photos that every run reports on, and selection photos, which none of them has learned from.

    Raises:
        UsageError: there are none to report on.
    """
    for run in runs:
        check_judges(run)
    reported, unlearned = zip(*(_unlearned(run) for run in runs), strict=True)
    report_on = set.intersection(*reported)
    choose_by = set.intersection(*unlearned) - report_on
    known = records_of(runs[0], folder, "report", "select")
    roles = {
        "report": tuple(record for record in known if record.fingerprint in report_on),
        "select": tuple(record for record in known if record.fingerprint in choose_by),
        "fit": tuple(record for record in folder.records if record.fingerprint not in report_on | choose_by),
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
