"""Averages of weights: a soup of independent members, and the batch-norm statistics that suit an average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.sources import labels_of
from regraft.ensembles.combination import greedy_order, greedy_soup
from regraft.ensembles.kinds import function_of
from regraft.ensembles.members import Made, Member, logits_for, open_members, select_of
from regraft.ensembles.plan import Plan
from regraft.errors import UsageError, option
from regraft.evidence.losses import losses_of
from regraft.models.batch_norm import reestimate_batch_norm
from regraft.models.combine_members import average_weights
from regraft.models.digest import kinds_of
from regraft.runs.run import Run
from regraft.training.network import whole_batches
from regraft.training.session import Session
from regraft.training.stages import judge_stage

if TYPE_CHECKING:
    import keras


def make_soup(plan: Plan, session: Session) -> Made:
    """Independent members, and the average of their weights."""
    made = function_of("independent", "make")(plan, session)
    facts = average_members(session, made.members, plan.soup)
    return replace(made, model=made.members[0].model, facts=facts)


def soup_of_runs(plan: Plan, session: Session, runs: Sequence[Run]) -> Made:
    """The average of the weights of finished runs."""
    members = open_members(session, runs)
    facts = average_members(session, members, plan.soup)
    return Made(members, members[0].model, facts=facts)


def average_members(session: Session, members: Sequence[Member], which: str) -> dict[str, Any]:
    """Puts the average of the members' weights, all or those that a greedy choice keeps, into the first one's model.

    Returns what was found.

    Raises:
        UsageError: the members are not of one architecture, or there are no selection photos.
    """
    weights = [member.model.get_weights() for member in members]
    _check_same_architecture(members)
    if which == "greedy" and not session.roles.select:
        uniform = option("soup", "uniform")
        raise UsageError(f"A greedy soup needs selection photos, and these runs have none; use {uniform}.")
    model = members[0].model

    def judge(places: Sequence[int]) -> float:
        model.set_weights(average_weights([weights[place] for place in places]))
        return _select_loss(session, logits_for(session, model, "soup"))

    if which == "greedy":
        order = greedy_order(select_of(session, members), labels_of(session.roles.select))
        kept, tasted = greedy_soup(order, judge)
    else:
        kept, tasted = list(range(len(members))), []
    model.set_weights(average_weights([weights[place] for place in kept]))
    names = [members[place].name for place in kept]
    return {"ingredients": names, "tasted": len(tasted), **choose_statistics(session, model)}


def _check_same_architecture(members: Sequence[Member]) -> None:
    first = members[0]
    shapes = [array.shape for array in first.model.get_weights()]
    for member in members[1:]:
        others = [array.shape for array in member.model.get_weights()]
        if others != shapes:
            raise UsageError(
                f"A soup needs members of one architecture; {first.name} has {len(shapes)} arrays of "
                f"{sum(map(np.prod, shapes)):,} weights, {member.name} {len(others)} of "
                f"{sum(map(np.prod, others)):,}. Use {option('kind', 'independent')}, which combines answers."
            )
        ours, theirs = kinds_of(first.model), kinds_of(member.model)
        for kind in sorted(ours.keys() | theirs.keys()):
            if ours[kind] != theirs[kind]:
                raise UsageError(
                    f"A soup needs members of one architecture; of {kind} layers {first.name} has {ours[kind]}, "
                    f"{member.name} {theirs[kind]}. Use {option('kind', 'independent')}, which combines answers."
                )


def choose_statistics(session: Session, model: keras.Model) -> dict[str, Any]:
    """Leaves the batch-norm statistics of `model` as they are, or computed anew where that loses less; says which.

    Averaged weights want statistics of their own (Izmailov et al. 2018, section 3.2), unless they were trained under
    fixed ones; so both are tried, on the selection photos.
    """
    import tensorflow as tf

    if not session.roles.select:
        return {"batch_norm": "kept"}
    as_they_are = model.get_weights()
    kept_loss = _select_loss(session, logits_for(session, model, "statistics kept"))
    if not reestimate_batch_norm(model, whole_batches(session), compiled=tf.function):
        return {"batch_norm": "none"}
    anew_loss = _select_loss(session, logits_for(session, model, "statistics anew"))
    if anew_loss >= kept_loss:
        model.set_weights(as_they_are)
    losses = {"batch_norm_kept_loss": kept_loss, "batch_norm_reestimated_loss": anew_loss}
    return {"batch_norm": "reestimated" if anew_loss < kept_loss else "kept", **losses}


def _select_loss(session: Session, logits: np.ndarray) -> float:
    """Loss on the selection photos, at the temperature that suits these logits best."""
    labels = labels_of(session.roles.select)
    select = logits[: len(labels)]
    return float(losses_of(select / judge_stage("soup", select, labels).temperature, labels).mean())
