"""`ensemble --budget 20m`: what to train in the time there is, from a short pilot, and what of it to keep."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from regraft.data.sources import labels_of
from regraft.ensembles.combination import combine_logits
from regraft.ensembles.ensemble import (
    DEFAULT_MEMBERS,
    Made,
    Member,
    Plan,
    combine_and_finish,
    cyclic_recipe,
    logits_for,
    make_heads,
    make_soup,
    member_recipe,
    open_member,
    select_of,
    snapshots,
    train_members,
)
from regraft.errors import UsageError
from regraft.evidence.losses import losses_of
from regraft.inference.views import make_infer
from regraft.machine.files import write_json
from regraft.progress import Progress
from regraft.recipes.recipe import edit_recipe
from regraft.runs.run import Run, read_json
from regraft.training.pipeline import steps_per_epoch
from regraft.training.session import Request, Session, open_session
from regraft.training.train import graft, make_step, resumable

LONG = 3
"""Times the recipe's epochs: a single training that long comes before any ensemble."""

_SAFETY = 1.15  # a machine that other work slows down a little still keeps to the budget
_MOST_MEMBERS = 10
_PILOT_SECONDS, _PILOT_STEPS = 4.0, 20
_EXPORT_SECONDS = 20.0  # TensorFlow starts anew for the proof; more where the pilot says that this machine is slow


@dataclass(frozen=True)
class Pilot:
    """What a few seconds say of how long things take here.

    Attributes:
        start: seconds until a member trains: the network is built, its head is solved.
        epoch: seconds of an epoch of fine-tuning, its judgement included.
        judge: seconds of one network's answers to all images that choose or report.
        finish: seconds of saving, exporting, proving and reporting one network.
    """

    start: float
    epoch: float
    judge: float
    finish: float


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
        raise UsageError(f'--budget must be a time such as 90s, 20m or 1h30m; received "{text}".')
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
            f"--budget is too short for one epoch: after the pilot {max(seconds, 0):.0f} s are left, and an epoch with "
            f"export and report takes {needed:.0f} s (an epoch alone {pilot.epoch:.0f}). Give {needed - seconds:.0f} s "
            "more, or take --kind heads, which trains no network."
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
    return Choice("heads", DEFAULT_MEMBERS["heads"], 0, "one epoch fits into it, which moves no network far")


def ensemble_within(request: Request, budget: str, choices: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Trains what fits into the budget and keeps what the images that choose speak for. Returns `metrics.json`.

    Args:
        request: source, device and the recipe of a whole training.
        budget: see `parse_budget`; it begins with this call, and anew with each that resumes a run.
        choices: the other fields of `Plan`; kind and members are chosen here.
        progress: who is told.

    Raises:
        UsageError: the budget is too short, or does not go with an option.
    """
    deadline = time.monotonic() + parse_budget(budget)
    _check(request, choices)
    request = replace(request, holds_select=True)
    with open_session(request, verb="ensemble", progress=progress) as session, resumable(session):
        choice, l2 = _choice_of(session, request, deadline, budget)
        progress.say(f"--budget {budget}: {choice.kind}, as {choice.reason}.")
        recipe = edit_recipe(session.recipe, {"finetune.epochs": choice.epochs, "head.l2": [l2]})
        fixed = {"kind": choice.kind, "members": choice.members, "rival": False}
        plan = Plan(replace(request, recipe=recipe), **{**choices, **fixed})
        plan, made = _MAKERS[choice.kind](plan, session, deadline)
        facts = {"budget": budget, "budget_reason": choice.reason, **made.facts}
        return combine_and_finish(plan, session, replace(made, facts=facts))


def _check(request: Request, choices: Mapping[str, Any]) -> None:
    if choices.get("variants") or choices.get("members"):
        raise UsageError("--budget chooses the members itself; leave --members and --member out.")
    if choices.get("jobs", 1) != 1 or choices.get("engine", "local") != "local":
        raise UsageError("--budget trains one member at a time; leave --jobs and --engine out.")
    if not request.recipe.finetune.epochs:
        raise UsageError("--budget needs a recipe that fine-tunes, such as balanced; quick has no epochs.")


def _choice_of(session: Session, request: Request, deadline: float, budget: str) -> tuple[Choice, float]:
    """What to train and the head's L2; a run that goes on does what it had chosen."""
    file = session.run.ensemble_plan_file
    if request.resume and file.is_file():
        kept = read_json(file)
        names = ("kind", "members", "epochs", "reason")
        return Choice(*(kept[name] for name in names)), kept["l2"]
    facts = graft(session).facts
    l2 = facts["l2"]
    with session.watch.phase("pilot"):
        pilot = run_pilot(session, solve_seconds=facts["solve_seconds"])
    try:
        choice = choose_kind(pilot, session.recipe.finetune.epochs, deadline - time.monotonic())
    except UsageError:
        shutil.rmtree(session.run.folder)  # nothing has been trained, and another budget may want the same place
        raise
    write_json(file, {**vars(choice), "l2": l2, "budget": budget, "pilot": vars(pilot)})
    return choice, l2


def run_pilot(session: Session, *, solve_seconds: float) -> Pilot:
    """Times a few steps of fine-tuning and a few answers; the session's model is as before afterwards.

    Args:
        session: with the head solved.
        solve_seconds: what that took, at one strength.
    """
    roles, batch = session.roles, session.recipe.finetune.batch_size
    before = session.model.get_weights()
    step = _time_steps(session)
    session.model.set_weights(before)
    infer = make_infer(session.model, session.device)
    images = np.zeros((32, *session.model.input_shape[1:]), np.float32)
    answer = _median_seconds(lambda: infer(images)) / 32
    steps = steps_per_epoch(len(roles.fit), batch)
    judged = len(roles.select) + len(roles.report)
    seconds = session.watch.seconds
    return Pilot(
        start=seconds.get("start", 0.0) + 2 * solve_seconds,
        epoch=steps * step + 2 * answer * len(roles.select),
        judge=2 * answer * judged,
        finish=_EXPORT_SECONDS + 3 * answer * len(roles.report),
    )


def _time_steps(session: Session) -> float:
    """Mean seconds of a step of training, the reading of its photos included."""
    step = make_step(session, _PILOT_STEPS + 1)
    rate = session.recipe.optimizer.learning_rate or 0.0
    step(rate)  # traces
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < _PILOT_SECONDS and len(seconds) < _PILOT_STEPS):
        started = time.perf_counter()
        step(rate)
        seconds.append(time.perf_counter() - started)
    return float(np.mean(seconds[1:]))  # the first finds its photos read already


def _median_seconds(call: Callable[[], object], rounds: int = 3) -> float:
    call()
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


# --- kinds ---


def _make_single(plan: Plan, session: Session, deadline: float) -> tuple[Plan, Made]:
    member = open_member(session, _train_first(plan, session))
    return plan, Made([member], member.model)


def _train_first(plan: Plan, session: Session) -> Run:
    """The run of the first member, which keeps its head where fine-tuning does not help."""
    recipe = member_recipe(plan, 0, session)
    return train_members(plan, session, {"member-1": recipe}, keeps="better")[0]


def _make_independent(plan: Plan, session: Session, deadline: float) -> tuple[Plan, Made]:
    """Independent members, or their soup where it is not clearly worse: it answers as fast as one of them.

    Where the first shows that fine-tuning does not help, the rest of the time is not spent on it.
    """
    started = time.monotonic()
    first = _train_first(plan, session)
    if first.metrics.stage == "head":
        session.progress.say("Fine-tuning does not help on these photos: heads on the frozen backbone instead.")
        plan = replace(plan, kind="heads", members=DEFAULT_MEMBERS["heads"])
        return plan, make_heads(plan, session)
    members = _train_others(plan, session, open_member(session, first), time.monotonic() - started, deadline)
    if len(members) == 1:
        return replace(plan, kind="single", members=1), Made(members, members[0].model)
    plan = replace(plan, members=len(members))
    labels, original = labels_of(session.roles.select), members[0].model.get_weights()
    facts = make_soup(session, members, plan.soup)
    soup = losses_of(_select_logits(session, members[0]), labels)
    combined = losses_of(combine_logits(select_of(session, members), rule=plan.rule), labels)
    gain = soup - combined
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    found = {"soup_loss": float(soup.mean()), "combined_loss": float(combined.mean())}
    if gain.mean() <= error:
        return replace(plan, kind="soup"), Made(members, members[0].model, facts={**facts, **found})
    members[0].model.set_weights(original)
    return plan, Made(members, facts=found)


def _make_snapshot(plan: Plan, session: Session, deadline: float) -> tuple[Plan, Made]:
    """Snapshots, of which those remain that the images that choose speak for."""
    runs = train_members(plan, session, {"cyclic": cyclic_recipe(plan, session)})
    return replace(plan, combine="greedy"), Made(snapshots(session, runs[0], "cycle"))


def _make_heads(plan: Plan, session: Session, deadline: float) -> tuple[Plan, Made]:
    return plan, make_heads(plan, session)


_MAKERS = {"single": _make_single, "independent": _make_independent, "snapshot": _make_snapshot, "heads": _make_heads}


def _train_others(plan: Plan, session: Session, first: Member, slowest: float, deadline: float) -> Sequence[Member]:
    """The first member and as many others as there turns out to be time for; the first took `slowest` seconds."""
    members = [first]
    for number in range(1, plan.count):
        reserve = _EXPORT_SECONDS * (1 + len(members) / 4)
        if time.monotonic() + slowest + reserve > deadline:
            session.progress.say(f"Time is left for {len(members)} of {plan.count} members.")
            break
        started = time.monotonic()
        runs = train_members(plan, session, {f"member-{number + 1}": member_recipe(plan, number, session)})
        members.append(open_member(session, runs[0]))
        slowest = max(slowest, time.monotonic() - started)
    return members


def _select_logits(session: Session, member: Member) -> np.ndarray:
    """What the model of `member` answers now to the images that choose."""
    return logits_for(session, member.model, "soup")[: len(session.roles.select)]
