"""Members along one run: snapshots at the ends of cycles, and averages of its weights (EMA, SWA)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from regraft.ensembles.members import Made, Member, open_member, snapshots, train_members
from regraft.ensembles.plan import Plan, cyclic_recipe, member_recipe, rival_recipe
from regraft.ensembles.soup import choose_statistics
from regraft.errors import UsageError
from regraft.models.combine_members import average_weights
from regraft.recipes.recipe import Recipe, edit_recipe
from regraft.runs.run import Run
from regraft.training.graft import graft
from regraft.training.pipeline import steps_per_epoch
from regraft.training.session import Session


def make_snapshot(plan: Plan, session: Session) -> Made:
    """The weights at the end of each cycle of one run (Huang et al. 2017, "Snapshot ensembles")."""
    session, head = graft(session)
    l2 = head.facts["l2"]
    run, rival = _along_one_run(plan, session, "cyclic", cyclic_recipe(plan, session, head__l2=[l2]), l2)
    return Made(snapshots(session, run, "cycle"), rival=rival)


def snapshot_of_run(plan: Plan, session: Session, runs: Sequence[Run]) -> Made:
    """The weights that a finished run has kept."""
    return Made(snapshots(session, runs[0], "cycle"))


def check_snapshots(run: Run) -> None:
    """Raises UsageError unless the run has kept snapshots."""
    if not run.recipe.finetune.snapshots:
        raise UsageError(f"{run.folder} has kept no snapshots; train with finetune.snapshots above 0.")


def snapshot_within(plan: Plan, session: Session, deadline: float) -> tuple[Plan, Made]:
    """Snapshots, of which those remain that the selection photos speak for."""
    runs = train_members(plan, session, {"cyclic": cyclic_recipe(plan, session)})
    return replace(plan, combine="greedy"), Made(snapshots(session, runs[0], "cycle"))


def make_ema(plan: Plan, session: Session) -> Made:
    """An exponential moving average of the weights of one run."""
    session, head = graft(session)
    l2, choices = head.facts["l2"], plan.request.recipe
    steps = steps_per_epoch(len(session.roles.fit), choices.finetune.batch_size)
    momentum = choices.optimizer.ema or max(1 - 1 / steps, 0.5)  # so that it looks back over one epoch
    averaged = edit_recipe(member_recipe(plan, 0, session, head__l2=[l2]), {"optimizer.ema": momentum})
    run, rival = _along_one_run(plan, session, "averaged", averaged, l2)
    member = open_member(session, run)
    return Made([member], member.model, rival, {"momentum": momentum, **choose_statistics(session, member.model)})


def make_swa(plan: Plan, session: Session) -> Made:
    """The mean of the weights after the last epochs of one run at a constant rate (Izmailov et al. 2018)."""
    session, head = graft(session)
    l2 = head.facts["l2"]
    edits = {"schedule.name": "constant", "finetune.snapshots": plan.count}
    constant = edit_recipe(member_recipe(plan, 0, session, head__l2=[l2]), edits)
    run, rival = _along_one_run(plan, session, "constant", constant, l2)
    members = snapshots(session, run, "epoch")
    model = members[0].model
    model.set_weights(average_weights([member.model.get_weights() for member in members]))
    return Made(members, model, rival, choose_statistics(session, model))


def _along_one_run(plan: Plan, session: Session, name: str, recipe: Recipe, l2: float) -> tuple[Run, Member | None]:
    """The run of `recipe`, and the single model that takes as long."""
    rival = rival_recipe(plan, session, l2, recipe.finetune.epochs)
    runs = train_members(plan, session, {name: recipe} | rival)
    return runs[0], open_member(session, runs[1]) if rival else None
