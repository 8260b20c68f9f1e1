"""The members of an ensemble: trained or found, and what each answers for selection photos and reported ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.sources import labels_of
from regraft.ensembles.plan import RIVAL, Plan
from regraft.inference.outputs import logits_of
from regraft.inference.trained import open_trained
from regraft.inference.views import make_infer
from regraft.models.combine_members import cool
from regraft.recipes.recipe import Recipe
from regraft.runs.checkpoints import load_snapshot
from regraft.runs.run import Run
from regraft.training.building import build_model
from regraft.training.many_runs import train_runs
from regraft.training.session import Session
from regraft.training.stages import judge_stage

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Member:
    """One of the models, its logits float32 [N, C] for the selection photos and then the reported ones.

    `seconds` is what its training took, None where an older run does not say.
    """

    name: str
    model: keras.Model
    logits: np.ndarray
    seconds: float | None


@dataclass(frozen=True)
class Made:
    """What a kind has made: members, what they became if not yet combined, and the single model to compare with."""

    members: Sequence[Member]
    model: keras.Model | None = None
    rival: Member | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def train_members(
    plan: Plan, session: Session, recipes: Mapping[str, Recipe], *, singles: Sequence[str] = (RIVAL,)
) -> list[Run]:
    """The finished runs of these recipes, by their names in `members/`.

    Args:
        plan: whose request says where the photos are, and how many are trained at a time.
        session: that of the ensemble.
        recipes: of each run, by its name.
        singles: names of those that keep the better of their stages, where members keep the last.
    """
    request, folder = plan.request, session.run.members
    requests = [
        request.single(recipe, folder / name) if name in singles else request.member(recipe, folder / name)
        for name, recipe in recipes.items()
    ]
    with session.watch.phase("members"):
        return train_runs(requests, session.progress, jobs=plan.jobs, engine=plan.engine)


def open_member(session: Session, run: Run) -> Member:
    """A finished run as a member, with its answers to the images of `session`."""
    trained = open_trained(run.folder, device=session.device.kind)
    logits = logits_for(session, trained.model, run.folder.name)
    return Member(run.folder.name, trained.model, logits, run.metrics.seconds)


def open_members(session: Session, runs: Sequence[Run]) -> list[Member]:
    """Finished runs as members; those of one name in different folders are told apart by their place."""
    members = [open_member(session, run) for run in runs]
    names = [member.name for member in members]
    return [
        replace(member, name=member.name if names.count(member.name) == 1 else f"{member.name} ({place})")
        for place, member in enumerate(members, start=1)
    ]


def snapshots(session: Session, run: Run, what: str) -> list[Member]:
    """The weights that a run has kept on its way, each at its own temperature."""
    recipe, members, seconds = run.recipe, [], run.metrics.seconds
    share = None if seconds is None else seconds / max(len(recipe.snapshot_epochs), 1)
    for number, epoch in enumerate(recipe.snapshot_epochs, start=1):
        model, _ = build_model(recipe, session.class_count, session.device)
        load_snapshot(model, run.snapshots / f"epoch_{epoch:05d}.npz")
        name = f"{what} {number}" if what == "cycle" else f"epoch {epoch}"
        logits = logits_for(session, model, name)
        temperature = _temperature(session, logits)
        cool(model, temperature)
        members.append(Member(name, model, logits / np.float32(temperature), share))
    return members


def _temperature(session: Session, logits: np.ndarray) -> float:
    select = session.roles.select
    return judge_stage("member", logits[: len(select)], labels_of(select)).temperature


def logits_for(session: Session, model: keras.Model, name: str) -> np.ndarray:
    """What `model` answers for the selection photos and then the reported ones: float32 [S + R, C]."""
    infer = make_infer(model, session.device)
    return logits_of(session.roles.select + session.roles.report, infer, session.reader, session.progress, name)


def select_of(session: Session, members: Sequence[Member]) -> np.ndarray:
    """The members' logits for the selection photos: float32 [M, S, C]."""
    return np.stack([member.logits[: len(session.roles.select)] for member in members])
