"""Heads on bootstraps of one frozen backbone's features, in one network that shares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regraft.data.sources import labels_of
from regraft.ensembles.bagging import augmented_features, bagged_heads
from regraft.ensembles.members import Made, Member
from regraft.ensembles.plan import RIVAL, Plan
from regraft.models.classifier import HEAD, set_head
from regraft.training.graft import counts_of, features_of, graft, solve
from regraft.training.head import Head
from regraft.training.session import Session

if TYPE_CHECKING:
    import keras


def make_heads(plan: Plan, session: Session) -> Made:
    """Heads on bootstraps of the features of one frozen backbone; against them, one head on all the same features."""
    session, grafted = graft(session)
    l2, features = grafted.facts["l2"], features_of(session)
    fit, others = np.split(features, [len(session.roles.fit)])
    with session.watch.phase("augmented features"):
        augmented = augmented_features(session)
    members = []
    with session.watch.phase("heads"), session.progress.work("heads", plan.count, "heads") as ticker:
        for number, head in enumerate(bagged_heads(session, fit, augmented, count=plan.count, l2=l2), start=1):
            members.append(Member(f"head {number}", _with_head(session, head), head.logits(others), head.seconds))
            ticker.advance()
    if not plan.rival:
        return Made(members)
    labels, counts = labels_of(session.roles.fit), counts_of(session, session.roles.fit)
    times = 1 + len(augmented)
    weights = None if counts is None else np.tile(counts, times)
    head = solve(session, np.concatenate([fit, *augmented]), np.tile(labels, times), l2, weights)
    return Made(members, rival=Member(RIVAL, _with_head(session, head), head.logits(others), head.seconds))


def heads_within(plan: Plan, session: Session, deadline: float) -> tuple[Plan, Made]:
    """The same; it takes no time to speak of."""
    return plan, make_heads(plan, session)


def _with_head(session: Session, solved: Head) -> keras.Model:
    """The session's network with this head; all such models share the network."""
    import keras

    model = session.model
    original = model.get_layer(HEAD)
    head = type(original).from_config(original.get_config())
    member = keras.Model(model.input, head(original.input))
    set_head(member, solved.kernel, solved.bias)
    return member
