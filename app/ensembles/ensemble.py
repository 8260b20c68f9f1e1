"""`ensemble`: members trained or found, combined into one run that every other verb takes, and judged by evidence."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.sources import labels_of
from regraft.ensembles.bagging import augmented_features, bagged_heads
from regraft.ensembles.combination import fit_shares, greedy_order, greedy_shares, greedy_soup
from regraft.ensembles.verdict import Answers, judge_ensemble, report_sections, write_ensemble
from regraft.errors import UsageError
from regraft.evidence.losses import losses_of
from regraft.inference.outputs import logits_of
from regraft.inference.trained import open_trained
from regraft.inference.views import make_infer
from regraft.machine.files import write_json
from regraft.models.batch_norm import reestimate_batch_norm
from regraft.models.classifier import HEAD, set_head
from regraft.models.combine_members import Rule, average_weights, combine, cool
from regraft.progress import Progress, Silent
from regraft.recipes.arms import Arm
from regraft.recipes.recipe import Recipe, edit_recipe, make_recipe
from regraft.runs.checkpoints import load_snapshot
from regraft.runs.run import Run, read_json, resumable_run
from regraft.training.head import Head
from regraft.training.many_runs import check_engine, train_runs
from regraft.training.pipeline import steps_per_epoch
from regraft.training.session import Keeps, Request, Session, build_model, open_session
from regraft.training.stages import judge_stage
from regraft.training.train import Candidate, features_of, finish, graft, resumable, solve, whole_batches

if TYPE_CHECKING:
    import keras

COMBINATIONS = ("mean", "logits", "weights", "greedy")
SOUPS = ("greedy", "uniform")
DEFAULT_MEMBERS = {"independent": 5, "snapshot": 4, "heads": 10, "ema": 1, "swa": 4, "soup": 5}
"""The kinds, and how many members each has unless asked otherwise."""

RIVAL = "same-budget"
"""A single model of the ensemble's budget, and the name of its run: trained as `train` would."""
_CHOSEN_BY_LOSS = ("weights", "greedy")


@dataclass(frozen=True)
class Plan:
    """What is built.

    Attributes:
        request: source, device and the recipe of a member; `out` and `resume` are those of the ensemble.
        kind: a key of `DEFAULT_MEMBERS`.
        members: how many; 0 is the kind's own number.
        combine: "mean" (of probabilities), "logits" (mean of logits), "weights" (shares fitted on images that are not
            reported) or "greedy" (members selected on those).
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
        return self.members or DEFAULT_MEMBERS[self.kind]

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


@dataclass(frozen=True)
class Member:
    """One of the models, its logits float32 [N, C] for the images to choose by and then those to report on."""

    name: str
    model: keras.Model
    logits: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Made:
    """What a kind has made: members, what they became if not yet combined, and the single model to compare with."""

    members: Sequence[Member]
    model: keras.Model | None = None
    rival: Member | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def ensemble_photos(plan: Plan, progress: Progress | None = None) -> dict[str, Any]:
    """Trains the members on a folder of photos and makes one run of them. Returns what its `metrics.json` holds.

    All members have the same images to learn from, to choose by and to report on. A run that is resumed does what it
    began with, whatever else `plan` says.

    Raises:
        RegraftError: the plan does not fit, or a member failed; what has been trained can be resumed.
    """
    plan = resumed_plan(plan) if plan.request.resume else plan
    check_plan(plan)
    request = replace(plan.request, holds_select=True)
    with open_session(request, verb="ensemble", progress=progress or Silent()) as session, resumable(session):
        write_json(session.run.ensemble_plan_file, plan.describe())
        made = _MAKERS[plan.kind](plan, session)
        return combine_and_finish(plan, session, made)


def resumed_plan(plan: Plan) -> Plan:
    """What the unfinished run in `plan.request.out` began with; `plan` itself where it had not come so far."""
    if plan.request.out is None or not (run := resumable_run(plan.request.out)).ensemble_plan_file.is_file():
        return plan
    kept = read_json(run.ensemble_plan_file)
    if "budget" in kept:
        raise UsageError(f"{run.folder} was begun with --budget {kept['budget']}; give that again, or another.")
    recipe = make_recipe(tomllib.loads(kept["recipe"]))
    variants = [Arm(each["name"], each["edits"]) for each in kept["variants"]]
    names = ("kind", "members", "combine", "soup", "rival", "calibrate")
    request = replace(plan.request, recipe=recipe)
    return replace(plan, request=request, variants=variants, **{name: kept[name] for name in names})


def check_combination(plan: Plan) -> None:
    """Raises UsageError where kind, combination or soup does not exist."""
    for option, value, known in (
        ("--kind", plan.kind, tuple(DEFAULT_MEMBERS)),
        ("--combine", plan.combine, COMBINATIONS),
        ("--soup", plan.soup, SOUPS),
    ):
        if value not in known:
            raise UsageError(f'{option} must be one of {", ".join(known)}; received "{value}".')


def check_plan(plan: Plan) -> None:
    """Raises UsageError where the plan does not fit, before anything is opened."""
    check_combination(plan)
    check_engine(plan.jobs, plan.engine)
    epochs = plan.request.recipe.finetune.epochs
    if plan.kind == "ema" and plan.count != 1:
        raise UsageError(f"--kind ema averages along one run; --members must be 1, received {plan.count}.")
    if plan.kind != "ema" and plan.count < 2:
        raise UsageError(f"--members must be at least 2; received {plan.count}.")
    if plan.kind != "heads" and not epochs and not plan.variants:
        raise UsageError(
            f"--kind {plan.kind} needs epochs of fine-tuning, as the head alone comes out the same each time; "
            "raise --epochs or use --kind heads."
        )
    if plan.kind == "swa" and epochs <= plan.count:
        raise UsageError(f"--kind swa averages the last {plan.count} epochs, so needs more than those; has {epochs}.")
    if plan.kind == "snapshot":
        cyclic_recipe(plan)
    _check_variants(plan)


def _check_variants(plan: Plan) -> None:
    if plan.variants and plan.kind not in ("independent", "soup"):
        raise UsageError(f"--member goes with --kind independent or soup; received {plan.kind}.")
    for number, arm in enumerate(plan.variants):
        for key in arm.edits:
            if key == "seed" or key.startswith("data."):
                raise UsageError(
                    f"--member {arm.name}: {key} cannot vary, as all members look at the same photos in the same way, "
                    "and each has a seed of its own; set it for all with --set."
                )
        member_recipe(plan, number)


# --- members ---


def _shared(plan: Plan, session: Session | None) -> dict[str, Any]:
    """What all members have in common: the parts of the photos and, once it is known, the image size."""
    recipe = plan.request.recipe
    seed = recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed
    return {"data.split_seed": seed, **({"data.image_size": session.reader.image_size} if session else {})}


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
    try:
        return edit_recipe(recipe, shared | dict(arm.edits))
    except UsageError as error:
        raise UsageError(f"--member {arm.name}: {error}") from None


def cyclic_recipe(plan: Plan, session: Session | None = None, **edits: Any) -> Recipe:
    """The recipe of the one run that snapshots are taken of."""
    cycles = {"schedule.name": "cyclic", "schedule.cycles": plan.count, "finetune.snapshots": plan.count}
    try:
        return edit_recipe(member_recipe(plan, 0, session, **edits), cycles)
    except UsageError as error:
        raise UsageError(f"--members {plan.count} snapshots: {error}") from None


def train_members(plan: Plan, session: Session, recipes: Mapping[str, Recipe], *, keeps: Keeps = "last") -> list[Run]:
    """The runs of these recipes, by their names in `members/`; `keeps` is which of its stages each keeps."""
    requests = [
        replace(
            plan.request,
            recipe=recipe,
            out=session.run.members / name,
            resume=False,
            leaves="model",
            holds_select=True,
            keeps="better" if name == RIVAL else keeps,
        )
        for name, recipe in recipes.items()
    ]
    with session.watch.phase("members"):
        return train_runs(requests, session.progress, jobs=plan.jobs, engine=plan.engine)


def _make_independent(plan: Plan, session: Session) -> Made:
    l2 = graft(session).facts["l2"]  # its features and its L2 serve all members
    recipes = [member_recipe(plan, number, session, head__l2=[l2]) for number in range(plan.count)]
    rival = _rival_recipe(plan, session, l2, sum(recipe.finetune.epochs for recipe in recipes))
    named = {f"member-{place}": recipe for place, recipe in enumerate(recipes, start=1)}
    members = [open_member(session, run) for run in train_members(plan, session, named | rival)]
    return Made(members[: plan.count], rival=members[plan.count] if rival else None)


def _rival_recipe(plan: Plan, session: Session, l2: float, epochs: int) -> dict[str, Recipe]:
    """The recipe of the single model of the same budget, by its name, if it is wanted."""
    if not plan.rival:
        return {}
    edits = {**_shared(plan, session), "head.l2": [l2], "finetune.epochs": epochs, "optimizer.ema": 0.0}
    return {RIVAL: edit_recipe(plan.request.recipe, edits)}


def _along_one_run(plan: Plan, session: Session, name: str, recipe: Recipe, l2: float) -> tuple[Run, Member | None]:
    """The run of `recipe`, and the single model that takes as long."""
    rival = _rival_recipe(plan, session, l2, recipe.finetune.epochs)
    runs = train_members(plan, session, {name: recipe} | rival)
    return runs[0], open_member(session, runs[1]) if rival else None


def _make_snapshot(plan: Plan, session: Session) -> Made:
    l2 = graft(session).facts["l2"]
    run, rival = _along_one_run(plan, session, "cyclic", cyclic_recipe(plan, session, head__l2=[l2]), l2)
    return Made(snapshots(session, run, "cycle"), rival=rival)


def make_heads(plan: Plan, session: Session) -> Made:
    """Heads on bootstraps of the features of one frozen backbone; against them, one head on all the same features."""
    l2, features = graft(session).facts["l2"], features_of(session)
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
    labels = np.tile(labels_of(session.roles.fit), 1 + len(augmented))
    head = solve(session, np.concatenate([fit, *augmented]), labels, l2)
    return Made(members, rival=Member(RIVAL, _with_head(session, head), head.logits(others), head.seconds))


def _make_ema(plan: Plan, session: Session) -> Made:
    l2, choices = graft(session).facts["l2"], plan.request.recipe
    steps = steps_per_epoch(len(session.roles.fit), choices.finetune.batch_size)
    momentum = choices.optimizer.ema or max(1 - 1 / steps, 0.5)  # so that it looks back over one epoch
    averaged = edit_recipe(member_recipe(plan, 0, session, head__l2=[l2]), {"optimizer.ema": momentum})
    run, rival = _along_one_run(plan, session, "averaged", averaged, l2)
    member = open_member(session, run)
    return Made([member], member.model, rival, {"momentum": momentum, **choose_statistics(session, member.model)})


def _make_swa(plan: Plan, session: Session) -> Made:
    l2 = graft(session).facts["l2"]
    edits = {"schedule.name": "constant", "finetune.snapshots": plan.count}
    constant = edit_recipe(member_recipe(plan, 0, session, head__l2=[l2]), edits)
    run, rival = _along_one_run(plan, session, "constant", constant, l2)
    members = snapshots(session, run, "epoch")
    model = members[0].model
    model.set_weights(average_weights([member.model.get_weights() for member in members]))
    return Made(members, model, rival, choose_statistics(session, model))


def _make_soup(plan: Plan, session: Session) -> Made:
    made = _make_independent(plan, session)
    facts = make_soup(session, made.members, plan.soup)
    return replace(made, model=made.members[0].model, facts=facts)


_MAKERS: dict[str, Callable[[Plan, Session], Made]] = {
    "independent": _make_independent,
    "snapshot": _make_snapshot,
    "heads": make_heads,
    "ema": _make_ema,
    "swa": _make_swa,
    "soup": _make_soup,
}


def open_member(session: Session, run: Run) -> Member:
    """A finished run as a member, with its answers to the images of `session`."""
    trained = open_trained(run.folder, device=session.device.kind)
    logits = logits_for(session, trained.model, run.folder.name)
    return Member(run.folder.name, trained.model, logits, float(run.metrics.seconds))


def snapshots(session: Session, run: Run, what: str) -> list[Member]:
    """The weights that a run has kept on its way, each at its own temperature."""
    recipe, seconds = run.recipe, float(run.metrics.seconds) / max(len(run.recipe.snapshot_epochs), 1)
    members = []
    for number, epoch in enumerate(recipe.snapshot_epochs, start=1):
        model, _ = build_model(recipe, session.class_count, session.device)
        load_snapshot(model, run.snapshots / f"epoch_{epoch:05d}.npz")
        name = f"{what} {number}" if what == "cycle" else f"epoch {epoch}"
        logits = logits_for(session, model, name)
        temperature = _temperature(session, logits)
        cool(model, temperature)
        members.append(Member(name, model, logits / np.float32(temperature), seconds))
    return members


def _temperature(session: Session, logits: np.ndarray) -> float:
    select = session.roles.select
    return judge_stage("member", logits[: len(select)], labels_of(select)).temperature


def logits_for(session: Session, model: keras.Model, name: str) -> np.ndarray:
    """What `model` answers to the images to choose by and then to those to report on: float32 [S + R, C]."""
    infer = make_infer(model, session.device)
    return logits_of(session.roles.select + session.roles.report, infer, session.reader, session.progress, name)


def _with_head(session: Session, solved: Head) -> keras.Model:
    """The session's network with this head; all such models share the network."""
    import keras

    model = session.model
    original = model.get_layer(HEAD)
    head = type(original).from_config(original.get_config())
    member = keras.Model(model.input, head(original.input))
    set_head(member, solved.kernel, solved.bias)
    return member


# --- averages ---


def make_soup(session: Session, members: Sequence[Member], which: str) -> dict[str, Any]:
    """Puts the average of the members' weights, all or those that a greedy choice keeps, into the first one's model.

    Returns what was found.

    Raises:
        UsageError: the members are not of one architecture, or there is nothing to choose on.
    """
    weights = [member.model.get_weights() for member in members]
    _check_same_architecture(members)
    if which == "greedy" and not session.roles.select:
        raise UsageError("A greedy soup needs images to choose on, and these runs have none; use --soup uniform.")
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
                f"{sum(map(np.prod, others)):,}. Use --kind independent, which combines answers."
            )


def choose_statistics(session: Session, model: keras.Model) -> dict[str, Any]:
    """Leaves the batch-norm statistics of `model` as they are, or computed anew where that loses less; says which.

    Averaged weights want statistics of their own (Izmailov et al. 2018, section 3.2), unless they were trained under
    fixed ones; so both are tried, on images that are not reported.
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
    """Loss on the images to choose by, at the temperature that suits these logits best."""
    labels = labels_of(session.roles.select)
    select = logits[: len(labels)]
    return float(losses_of(select / judge_stage("soup", select, labels).temperature, labels).mean())


# --- one model ---


def combine_and_finish(plan: Plan, session: Session, made: Made) -> dict[str, Any]:
    """Combines, calibrates, judges, exports and reports what was made."""
    members = made.members
    shares = _equal(members) if made.model is not None else _shares(plan, session, members)
    model = _combined(members, shares, plan.rule) if made.model is None else made.model
    whole = replace(session, model=model)
    with session.watch.phase("judge"):
        logits = logits_for(whole, model, "ensemble")
    answers = _answers(session, members, logits, made.rival)
    stage = judge_stage("ensemble", answers.select(logits), answers.select_truth, temperature=None)
    if not plan.calibrate or not _is_clearly_better(stage.select_losses, answers.select_losses(logits)):
        stage = judge_stage("ensemble", answers.select(logits), answers.select_truth, temperature=1.0)
    verdict = judge_ensemble(
        answers, temperature=stage.temperature, rule=plan.rule, is_averaged=made.model is not None,
        models=(members[0].model, model), device=session.device, image_size=session.reader.image_size,
        seed=session.recipe.seed,
    )  # fmt: skip
    candidate = Candidate(stage, model.get_weights(), answers.report(logits), _training_seconds(members), {})
    picture = write_ensemble(session.run, verdict, shares, members=[member.name for member in members])
    described = {key: value for key, value in plan.describe().items() if key != "recipe"}
    facts = {**described, **made.facts, **verdict.as_dict(), **_member_facts(members, shares, answers)}
    return finish(whole, [candidate], sections=report_sections(verdict, facts, picture), ensemble=facts)


def _answers(session: Session, members: Sequence[Member], logits: np.ndarray, rival: Member | None) -> Answers:
    roles = session.roles
    return Answers(
        members=np.stack([member.logits for member in members]),
        ensemble=logits,
        rival=rival.logits if rival else None,
        select_truth=labels_of(roles.select),
        report_truth=labels_of(roles.report),
    )


def _is_clearly_better(tempered: np.ndarray, plain: np.ndarray) -> bool:
    """Whether the losses are lower by more than the standard error of the difference."""
    gains = plain - tempered
    return len(gains) > 1 and gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains))


def select_of(session: Session, members: Sequence[Member]) -> np.ndarray:
    """The members' logits for the images to choose by: float32 [M, S, C]."""
    return np.stack([member.logits[: len(session.roles.select)] for member in members])


def _shares(plan: Plan, session: Session, members: Sequence[Member]) -> np.ndarray:
    if plan.combine not in _CHOSEN_BY_LOSS:
        return _equal(members)
    if not session.roles.select:
        raise UsageError(
            f"--combine {plan.combine} needs images to choose on, and these runs have none in common that no member "
            "has learned from; use --combine mean."
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


def _training_seconds(members: Sequence[Member]) -> float:
    return round(sum(member.seconds for member in members), 3)


def _member_facts(members: Sequence[Member], shares: np.ndarray, answers: Answers) -> dict[str, Any]:
    rows = [
        {"name": member.name, "share": float(share), "seconds": member.seconds, **answers.figures(member.logits)}
        for member, share in zip(members, shares, strict=True)
    ]
    return {"member_rows": rows}
