"""Independent members: the same training with other seeds, or finished runs; and the single model of a budget."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from regraft.data.sources import labels_of
from regraft.ensembles.combination import combine_logits
from regraft.ensembles.heads import make_heads
from regraft.ensembles.kinds import KINDS
from regraft.ensembles.members import Made, Member, logits_for, open_member, open_members, select_of, train_members
from regraft.ensembles.pilot import EXPORT_SECONDS
from regraft.ensembles.plan import Plan, member_recipe, rival_recipe
from regraft.ensembles.soup import average_members
from regraft.evidence.losses import is_clearly_better, losses_of
from regraft.runs.run import Run
from regraft.training.graft import graft
from regraft.training.session import Session


def make_independent(plan: Plan, session: Session) -> Made:
    """Members that differ in their seed or as their variants say; against them, a single training as long as all."""
    session, head = graft(session)  # its features, its taps and its L2 serve all members
    l2 = head.facts["l2"]
    recipes = [member_recipe(plan, number, session, head__l2=[l2]) for number in range(plan.count)]
    rival = rival_recipe(plan, session, l2, sum(recipe.finetune.epochs for recipe in recipes))
    named = {f"member-{place}": recipe for place, recipe in enumerate(recipes, start=1)}
    members = [open_member(session, run) for run in train_members(plan, session, named | rival)]
    return Made(members[: plan.count], rival=members[plan.count] if rival else None)


def independent_of_runs(plan: Plan, session: Session, runs: Sequence[Run]) -> Made:
    """Finished runs as they are."""
    return Made(open_members(session, runs))


def single_within(plan: Plan, session: Session, deadline: float) -> tuple[Plan, Made]:
    """One training, in the epochs there is time for."""
    member = open_member(session, _train_first(plan, session))
    return plan, Made([member], member.model)


def _train_first(plan: Plan, session: Session) -> Run:
    """The run of the first member, which keeps its head where fine-tuning does not help."""
    return train_members(plan, session, {"member-1": member_recipe(plan, 0, session)}, singles=["member-1"])[0]


def independent_within(plan: Plan, session: Session, deadline: float) -> tuple[Plan, Made]:
    """Independent members, or their soup where it is not clearly worse: it answers as fast as one of them.

    Where the first shows that fine-tuning does not help, the rest of the time is not spent on it.
    """
    started = time.monotonic()
    first = _train_first(plan, session)
    if first.metrics.stage == "head":
        session.progress.say("Fine-tuning does not help on these photos: heads on the frozen backbone instead.")
        plan = replace(plan, kind="heads", members=KINDS["heads"].members)
        return plan, make_heads(plan, session)
    members = _train_others(plan, session, open_member(session, first), time.monotonic() - started, deadline)
    if len(members) == 1:
        return replace(plan, kind="single", members=1), Made(members, members[0].model)
    plan = replace(plan, members=len(members))
    labels, original = labels_of(session.roles.select), members[0].model.get_weights()
    facts = average_members(session, members, plan.soup)
    soup = losses_of(_select_logits(session, members[0]), labels)
    combined = losses_of(combine_logits(select_of(session, members), rule=plan.rule), labels)
    found = {"soup_loss": float(soup.mean()), "combined_loss": float(combined.mean())}
    if not is_clearly_better(combined, soup):
        return replace(plan, kind="soup"), Made(members, members[0].model, facts={**facts, **found})
    members[0].model.set_weights(original)
    return plan, Made(members, facts=found)


def _train_others(plan: Plan, session: Session, first: Member, slowest: float, deadline: float) -> Sequence[Member]:
    """The first member and as many others as there turns out to be time for; the first took `slowest` seconds."""
    members = [first]
    for number in range(1, plan.count):
        reserve = EXPORT_SECONDS * (1 + len(members) / 4)
        if time.monotonic() + slowest + reserve > deadline:
            session.progress.say(f"Time is left for {len(members)} of {plan.count} members.")
            break
        started = time.monotonic()
        runs = train_members(plan, session, {f"member-{number + 1}": member_recipe(plan, number, session)})
        members.append(open_member(session, runs[0]))
        slowest = max(slowest, time.monotonic() - started)
    return members


def _select_logits(session: Session, member: Member) -> np.ndarray:
    """What the model of `member` answers now for the selection photos."""
    return logits_for(session, member.model, "soup")[: len(session.roles.select)]
