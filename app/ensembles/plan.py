"""What is built: the plan of an ensemble, what is refused, and the recipes of its members."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.ensembles.kinds import COMBINATIONS, KINDS, SOUPS, function_of, names
from regraft.errors import RegraftError, RunError, UsageError, option
from regraft.recipes.arms import Arm
from regraft.recipes.recipe import Recipe, edit_recipe, make_recipe
from regraft.runs.reading import read_json
from regraft.runs.run import Run, command_to_resume, resumable_run
from regraft.training.many_runs import check_engine
from regraft.training.session import Request, Session

if TYPE_CHECKING:
    from regraft.models.combine_members import Rule

RIVAL = "same-budget"
"""A single model of the ensemble's budget, and the name of its run: trained as `train` would."""


@dataclass(frozen=True)
class Plan:
    """What is built.

    Attributes:
        request: source, device and the recipe of a member; `out` and `resume` are those of the ensemble.
        kind: a key of `regraft.ensembles.kinds.KINDS`.
        members: how many; 0 is the kind's own number.
        combine: "mean" (of probabilities), "logits" (mean of logits), "weights" (shares fitted on the selection
            photos) or "greedy" (members selected on those).
        soup: "greedy" or "uniform", of kind "soup".
        variants: changes of the recipe that members take in turn, such as another backbone.
        rival: whether a single model of the same total budget is trained to compare with.
        calibrate: whether the answer's temperature is fitted where that helps.
        jobs, engine: see `regraft.training.many_runs.train_runs`.
    """

    request: Request
    kind: str = "independent"
    members: int = 0
    combine: str = "mean"
    soup: str = "greedy"
    variants: Sequence[Arm] = ()
    rival: bool = True
    calibrate: bool = True
    jobs: int = 1
    engine: str = "local"

    @property
    def count(self) -> int:
        """How many members."""
        return self.members or KINDS[self.kind].members

    @property
    def rule(self) -> Rule:
        """What is averaged."""
        return "logits" if self.combine == "logits" else "probabilities"

    def describe(self) -> dict[str, Any]:
        """What decides what comes out, for the record and for resuming."""
        return {
            "kind": self.kind,
            "members": self.count,
            "combine": self.combine,
            "soup": self.soup,
            "variants": [{"name": arm.name, "edits": dict(arm.edits)} for arm in self.variants],
            "recipe": self.request.recipe.to_toml(),
            "rival": self.rival,
            "calibrate": self.calibrate,
        }


def resumed_plan(plan: Plan, runs: Sequence[Path] | None) -> Plan:
    """What the unfinished run in `plan.request.out` began with; `plan` itself where it had not come so far.

    Args:
        plan: what is asked for now; what differs from how `Plan` has it must be as it was then.
        runs: the members that are named now; None where they are trained on photos.

    Raises:
        UsageError: it was begun with something else.
        RunError: there is no such run, or it is damaged.
    """
    if plan.request.out is None:  # which is refused where the run is opened
        return plan
    run = check_began_from(plan.request.out, runs)
    if not run.ensemble_plan_file.is_file():
        return plan
    kept = read_json(run.ensemble_plan_file)
    if "budget" in kept:
        budget = option("budget", kept["budget"])
        raise UsageError(f"{run.folder} was begun with {budget}; give that again, or another.")
    try:
        recipe = make_recipe(tomllib.loads(kept["recipe"]))
        variants = [Arm(each["name"], each["edits"]) for each in kept["variants"]]
        fields = {name: kept[name] for name in ("kind", "members", "combine", "soup", "rival", "calibrate")}
    except (KeyError, TypeError, ValueError, RegraftError) as error:
        raise RunError(f"{run.ensemble_plan_file} is damaged; train anew.") from error
    begun = replace(plan, request=replace(plan.request, recipe=recipe), variants=variants, **fields)
    _check_same(plan, begun, run.folder)
    return begun


def check_began_from(folder: Path, runs: Sequence[Path] | None) -> Run:
    """The run in `folder` that is resumed. Raises UsageError unless it was begun from the same runs, or from photos."""
    run = resumable_run(folder)
    began = run.environment.get("members")
    named = None if runs is None else [str(each.absolute()) for each in runs]
    verb = run.environment.get("verb", "train")
    if verb != "ensemble" or began != named:
        go_on = command_to_resume(verb, began or run.environment.get("source", "FOLDER"), folder)
        raise UsageError(f"{folder} was begun by another command; go on: {go_on}")
    return run


def _check_same(plan: Plan, begun: Plan, folder: Path) -> None:
    """Raises UsageError where something is asked for that is neither as `Plan` has it nor as the run was begun."""
    for name in ("kind", "members", "combine", "soup", "rival", "calibrate", "variants"):
        asked = getattr(plan, name)
        if asked not in (getattr(Plan, name), getattr(begun, name)):
            words = option("member") if name == "variants" else option(name, asked)
            raise UsageError(f"{folder} was begun without {words}; leave it out, or choose another {option('out')}.")


def check_combination(plan: Plan) -> None:
    """Raises UsageError where kind, combination or soup does not exist, or the recipe counts classes twice."""
    for name, value, known in (
        ("kind", plan.kind, names("make")),
        ("combine", plan.combine, COMBINATIONS),
        ("soup", plan.soup, SOUPS),
    ):
        if value not in known:
            raise UsageError(f'{option(name)} must be one of {", ".join(known)}; received "{value}".')
    if plan.request.recipe.cost and weighs_classes(plan.request.recipe):
        raise UsageError(
            "ensemble cannot take class weights out of the scores of all its members again, as costs need it; leave "
            "out cost, or class weights and balanced sampling."
        )


def weighs_classes(recipe: Recipe) -> bool:
    """Whether classes count differently in training, by weights or by being shown more often."""
    return recipe.finetune.balance != "none" or recipe.head.class_weights not in (None, "none")


def check_plan(plan: Plan) -> None:
    """Raises UsageError where the plan does not fit, before anything is opened."""
    check_combination(plan)
    check_engine(plan.jobs, plan.engine)
    kind, named, members = KINDS[plan.kind], option("kind", plan.kind), option("members")
    if kind.members == 1 and plan.count != 1:
        raise UsageError(f"{named} averages along one run; {members} must be 1, received {plan.count}.")
    if kind.members > 1 and plan.count < 2:
        raise UsageError(f"{members} must be at least 2; received {plan.count}.")
    if kind.trains_networks and not plan.request.recipe.finetune.epochs and not plan.variants:
        raise UsageError(
            f"{named} needs epochs of fine-tuning, as the head alone comes out the same each time; "
            f"raise {option('epochs')} or use {option('kind', 'heads')}."
        )
    if kind.check:
        function_of(plan.kind, "check")(plan)
    _check_variants(plan)


def check_averaged_epochs(plan: Plan) -> None:
    """Raises UsageError where there are no more epochs than are averaged."""
    epochs = plan.request.recipe.finetune.epochs
    if epochs <= plan.count:
        averages = f"{option('kind', plan.kind)} averages the last {plan.count} epochs"
        raise UsageError(f"{averages}, so needs more than those; has {epochs}.")


def check_cycles(plan: Plan) -> None:
    """Raises UsageError where the epochs cannot be divided into a cycle for each snapshot."""
    cyclic_recipe(plan)


def _check_variants(plan: Plan) -> None:
    if plan.variants and not KINDS[plan.kind].takes_variants:
        able = " or ".join(name for name, kind in KINDS.items() if kind.takes_variants)
        raise UsageError(f"{option('member')} goes with {option('kind')} {able}; received {plan.kind}.")
    for number, arm in enumerate(plan.variants):
        for key in arm.edits:
            if key == "seed" or key.startswith("data."):
                raise UsageError(
                    f"{option('member', arm.name)}: {key} cannot vary, as all members look at the same photos in the "
                    f"same way, and each has a seed of its own; set it for all with {option('set')}."
                )
        member_recipe(plan, number)


def _shared(plan: Plan, session: Session | None) -> dict[str, Any]:
    """What all members have in common: the parts of the photos and, once known, image size, fit, taps and backbone."""
    recipe = plan.request.recipe
    seed = recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed
    known: dict[str, Any] = {}
    if session:
        reader, head, model = session.reader, session.recipe.head, session.recipe.model
        known = {"data.image_size": reader.image_size, "data.fit": reader.fit, "head.taps": head.taps}
        if recipe.model.backbone == "auto":
            known |= {"model.backbone": model.backbone, "model.weights": model.weights}
    return {"data.split_seed": seed, **known}


def member_recipe(plan: Plan, number: int, session: Session | None = None, **edits: Any) -> Recipe:
    """The recipe of one independent member: the shared one with a seed of its own, and its variant's changes.

    Args:
        plan: whose recipe is shared.
        number: of the member, from 0.
        session: that of the ensemble, once it is open.
        edits: keys with "__" for the dot, of members without a variant.
    """
    recipe = plan.request.recipe
    shared = {**_shared(plan, session), "seed": recipe.seed + number}
    if not plan.variants:
        return edit_recipe(recipe, shared | {key.replace("__", "."): value for key, value in edits.items()})
    arm = plan.variants[number % len(plan.variants)]
    if "model.backbone" in arm.edits:  # weights and width are those of the other backbone
        own = {"weights": None, "alpha": 1.0}
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update=own)})
        shared.pop("model.weights", None)
    if {"model.backbone", "model.weights"} & set(arm.edits):  # and so are its taps
        shared.pop("head.taps", None)
    try:
        return edit_recipe(recipe, shared | dict(arm.edits))
    except UsageError as error:
        raise error.after(f"{option('member', arm.name)}: ") from None


def cyclic_recipe(plan: Plan, session: Session | None = None, **edits: Any) -> Recipe:
    """The recipe of the one run that snapshots are taken of."""
    cycles = {"schedule.name": "cyclic", "schedule.cycles": plan.count, "finetune.snapshots": plan.count}
    try:
        return edit_recipe(member_recipe(plan, 0, session, **edits), cycles)
    except UsageError as error:
        raise error.after(f"{option('members', plan.count)} snapshots: ") from None


def rival_recipe(plan: Plan, session: Session, l2: float, epochs: int) -> dict[str, Recipe]:
    """The recipe of the single model of the same budget, by its name, if it is wanted."""
    if not plan.rival:
        return {}
    edits = {**_shared(plan, session), "head.l2": [l2], "finetune.epochs": epochs, "optimizer.ema": 0.0}
    return {RIVAL: edit_recipe(plan.request.recipe, edits)}
