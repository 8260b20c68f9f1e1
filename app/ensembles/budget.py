"""`ensemble --budget 20m`: what to train in the time there is, from a short pilot, and what of it to keep."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

from regraft.ensembles.combined import combine_and_finish
from regraft.ensembles.kinds import KINDS, function_of
from regraft.ensembles.pilot import Pilot, run_pilot
from regraft.ensembles.plan import Plan, check_began_from, check_combination
from regraft.errors import UsageError, option
from regraft.machine.files import write_json
from regraft.progress import Progress, Silent
from regraft.recipes.recipe import edit_recipe
from regraft.runs.reading import read_json
from regraft.runs.run import Run
from regraft.training.finish import finish_export
from regraft.training.graft import graft
from regraft.training.purpose import ENSEMBLE
from regraft.training.resumable import resumable
from regraft.training.session import Session, open_session

LONG = 3
"""Times the recipe's epochs: a single training that long comes before any ensemble."""

_SAFETY = 1.15  # a machine that other work slows down a little still keeps to the budget
_MOST_MEMBERS = 10


@dataclass(frozen=True)
class Choice:
    """What is trained: a kind, how many members of how many epochs each (all together, where they are snapshots)."""

    kind: str
    members: int
    epochs: int
    reason: str


def parse_budget(text: str) -> float:
    """Seconds from "90s", "20m", "1h30m" or "1h". Raises UsageError where it is no such time."""
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip())
    parts = match.groups() if match else (0, 0, 0)
    seconds = sum(float(part or 0) * unit for part, unit in zip(parts, (3600, 60, 1), strict=True))
    if not seconds:
        raise UsageError(f'{option("budget")} must be a time such as 90s, 20m or 1h30m; received "{text}".')
    return seconds


def choose_kind(pilot: Pilot, recipe_epochs: int, seconds: float) -> Choice:
    """What to train in `seconds`, those of the pilot already taken off.

    A single training of up to three times the recipe's epochs comes first, as it was measured to beat members of a
    fifth of its length each (docs/benchmarks.md). What goes beyond that becomes two snapshots of one run, and from two
    such trainings on independent members. Where not even two epochs fit, it is heads on the frozen backbone.

    Args:
        pilot: how long things take.
        recipe_epochs: of the recipe.
        seconds: what is left.

    Raises:
        UsageError: there is no time for an epoch; the message says what it would take.
    """
    one, long = pilot.start + pilot.judge + pilot.finish, LONG * recipe_epochs
    epochs = int((seconds / _SAFETY - one) / pilot.epoch)
    if epochs < 1:
        needed = _SAFETY * (one + pilot.epoch)
        raise UsageError(
            f"{option('budget')} is too short for one epoch: after the pilot {max(seconds, 0):.0f} s are left, and an "
            f"epoch with export and report takes {needed:.0f} s (an epoch alone {pilot.epoch:.0f}). "
            f"Give {needed - seconds:.0f} s more, or take {option('kind', 'heads')}, which trains no network."
        )
    member = pilot.start + long * pilot.epoch + 3 * pilot.judge
    members = min(int((seconds / _SAFETY - pilot.finish) / member), _MOST_MEMBERS)
    if members >= 2:
        return Choice("independent", members, long, f"{members} trainings of {long} epochs fit into it")
    if epochs > long:
        return Choice(
            "snapshot", 2, epochs // 2 * 2,
            f"{epochs} epochs fit into it, more than a training of {long} and less than two: 2 cycles of {epochs // 2}",
        )  # fmt: skip
    if epochs >= 2:
        return Choice("single", 1, epochs, f"{epochs} epochs fit into it, not more than one training of {long}")
    return Choice("heads", KINDS["heads"].members, 0, "one epoch fits into it, which moves no network far")


def ensemble_within(plan: Plan, budget: str, progress: Progress | None = None) -> Run:
    """The finished run of what fits into the budget, of which that is kept which the selection photos speak for.

    Args:
        plan: whose request has the recipe of a whole training; kind and members are chosen here.
        budget: see `parse_budget`; it begins with this call, and anew with each that resumes a run.
        progress: who is told.

    Raises:
        UsageError: the budget is too short, or does not go with something in the plan.
    """
    deadline = time.monotonic() + parse_budget(budget)
    _check(plan)
    if plan.request.resume and plan.request.out:
        check_began_from(plan.request.out, None)
    progress = progress or Silent()
    with (
        open_session(replace(plan.request, purpose=ENSEMBLE), progress) as session,
        resumable(session),
    ):
        if session.run.is_finished:
            return finish_export(session)
        session, choice, l2 = _choice_of(session, deadline, budget, resume=plan.request.resume)
        progress.say(f"{option('budget', budget)}: {choice.kind}, as {choice.reason}.")
        recipe = edit_recipe(session.recipe, {"finetune.epochs": choice.epochs, "head.l2": [l2]})
        request = replace(plan.request, recipe=recipe)
        plan = replace(plan, request=request, kind=choice.kind, members=choice.members, rival=False)
        plan, made = function_of(choice.kind, "within")(plan, session, deadline)
        facts = {"budget": budget, "budget_reason": choice.reason, **made.facts}
        return combine_and_finish(plan, session, replace(made, facts=facts))


def _check(plan: Plan) -> None:
    budget, members, member = option("budget"), option("members"), option("member")
    check_combination(plan)
    if plan.kind != Plan.kind:
        raise UsageError(f"{budget} chooses the kind itself; leave {option('kind')} out.")
    if plan.variants or plan.members:
        raise UsageError(f"{budget} chooses the members itself; leave {members} and {member} out.")
    if plan.jobs != 1 or plan.engine != "local":
        raise UsageError(f"{budget} trains one member at a time; leave {option('jobs')} and {option('engine')} out.")
    if not plan.request.recipe.finetune.epochs:
        raise UsageError(f"{budget} needs a recipe that fine-tunes, such as balanced; quick has no epochs.")


def _choice_of(session: Session, deadline: float, budget: str, *, resume: bool) -> tuple[Session, Choice, float]:
    """The session with its taps, what to train and the head's L2; a run that goes on does what it had chosen."""
    file = session.run.ensemble_plan_file
    if resume and file.is_file():
        kept = read_json(file)
        if "budget" not in kept:
            raise UsageError(f"{session.run.folder} was begun without {option('budget')}; leave it out.")
        names = ("kind", "members", "epochs", "reason")
        return session, Choice(*(kept[name] for name in names)), kept["l2"]
    session, head = graft(session)
    facts, l2 = head.facts, head.facts["l2"]
    with session.watch.phase("pilot"):
        pilot = run_pilot(session, solve_seconds=facts["solve_seconds"])
    try:
        choice = choose_kind(pilot, session.recipe.finetune.epochs, deadline - time.monotonic())
    except UsageError:
        session.run.remove_start()  # nothing has been trained, and another budget may want the same place
        raise
    write_json(file, {**vars(choice), "l2": l2, "budget": budget, "pilot": vars(pilot)})
    return session, choice, l2
