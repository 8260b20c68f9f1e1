"""Members made one model: combined by shares, calibrated, judged, exported and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.groups import group_numbers
from regraft.data.sources import labels_of
from regraft.ensembles.combination import fit_shares, greedy_shares
from regraft.ensembles.members import Made, Member, logits_for, select_of
from regraft.ensembles.plan import Plan
from regraft.ensembles.verdict import Answers, compare_speed, judge_ensemble, report_sections, write_ensemble
from regraft.errors import UsageError, option
from regraft.evidence.losses import is_clearly_better
from regraft.models.combine_members import Rule, combine
from regraft.runs.run import Run
from regraft.training.finish import finish
from regraft.training.judge import Candidate
from regraft.training.session import Session
from regraft.training.stages import Stage, judge_stage

if TYPE_CHECKING:
    import keras

_CHOSEN_BY_LOSS = ("weights", "greedy")


def combine_and_finish(plan: Plan, session: Session, made: Made) -> Run:
    """The finished run of what was made."""
    members = made.members
    shares = _equal(members) if made.model is not None else _shares(plan, session, members)
    model = _combined(members, shares, plan.rule) if made.model is None else made.model
    whole = replace(session, model=model)
    with session.watch.phase("judge"):
        logits = logits_for(whole, model, "ensemble")
    answers = _answers(session, members, logits, made.rival)
    stage = _judge(answers, calibrate=plan.calibrate)
    verdict = judge_ensemble(
        answers,
        temperature=stage.temperature,
        rule=plan.rule,
        is_averaged=made.model is not None,
        speed=compare_speed(members[0].model, model, session.device, session.reader.image_size),
        seed=session.recipe.seed,
    )
    candidate = Candidate(stage, model.get_weights(), answers.report(logits), _training_seconds(members), {})
    picture = write_ensemble(session.run, verdict, shares, members=[member.name for member in members])
    described = {key: value for key, value in plan.describe().items() if key != "recipe"}
    facts = {**described, **made.facts, **verdict.as_dict(), **_member_facts(members, shares, answers)}
    return finish(whole, [candidate], sections=report_sections(verdict, facts, picture), ensemble=facts)


def _judge(answers: Answers, *, calibrate: bool) -> Stage:
    """The ensemble as a stage, at a fitted temperature only where that is clearly better."""
    logits, truth = answers.select(answers.ensemble), answers.select_truth
    stage = judge_stage("ensemble", logits, truth, temperature=None)
    if calibrate and is_clearly_better(stage.select_losses, answers.select_losses(answers.ensemble)):
        return stage
    return judge_stage("ensemble", logits, truth, temperature=1.0)


def _answers(session: Session, members: Sequence[Member], logits: np.ndarray, rival: Member | None) -> Answers:
    roles = session.roles
    return Answers(
        members=np.stack([member.logits for member in members]),
        ensemble=logits,
        rival=rival.logits if rival else None,
        select_truth=labels_of(roles.select),
        report_truth=labels_of(roles.report),
        report_groups=group_numbers(roles.report),
    )


def _shares(plan: Plan, session: Session, members: Sequence[Member]) -> np.ndarray:
    if plan.combine not in _CHOSEN_BY_LOSS:
        return _equal(members)
    if not session.roles.select:
        raise UsageError(
            f"{option('combine', plan.combine)} needs selection photos, and these runs have none in common that no "
            f"member has learned from; use {option('combine', 'mean')}."
        )
    choose = fit_shares if plan.combine == "weights" else greedy_shares
    return choose(select_of(session, members), labels_of(session.roles.select), plan.rule)


def _equal(members: Sequence[Member]) -> np.ndarray:
    return np.full(len(members), 1 / len(members))


def _combined(members: Sequence[Member], shares: np.ndarray, rule: Rule) -> keras.Model:
    kept = [(member.model, share) for member, share in zip(members, shares, strict=True) if share > 0]
    if len(kept) == 1:
        return kept[0][0]
    return combine([model for model, _ in kept], shares=[float(share) for _, share in kept], rule=rule)


def _training_seconds(members: Sequence[Member]) -> float | None:
    """What all took together; None where one of them does not say."""
    known = [member.seconds for member in members if member.seconds is not None]
    return round(sum(known), 3) if len(known) == len(members) else None


def _member_facts(members: Sequence[Member], shares: np.ndarray, answers: Answers) -> dict[str, Any]:
    rows = [
        {"name": member.name, "share": float(share), "seconds": member.seconds, **answers.figures(member.logits)}
        for member, share in zip(members, shares, strict=True)
    ]
    return {"member_rows": rows}
