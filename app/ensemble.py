"""`ensemble`: members trained or found, combined into one run that every other verb takes, and judged by evidence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.arms import Arm
from regraft.bagging import augmented_features, bagged_heads
from regraft.checkpoints import load_snapshot
from regraft.combination import fit_shares, greedy_order, greedy_shares, greedy_soup
from regraft.ensemble_report import Answers, judge_ensemble, report_sections, write_ensemble
from regraft.errors import RunError, UsageError
from regraft.judge import logits_of
from regraft.losses import losses_of
from regraft.members import check_engine, train_runs
from regraft.models.batch_norm import reestimate_batch_norm
from regraft.models.classifier import set_head
from regraft.models.combine_members import Rule, average_weights, combine, cool
from regraft.pipeline import steps_per_epoch
from regraft.progress import Progress, Silent
from regraft.recipe import Recipe, edit_recipe
from regraft.run import Run, read_json, write_json
from regraft.session import Request, Session, build_model, open_session
from regraft.sources import labels_of
from regraft.stages import judge_stage
from regraft.train import Candidate, features_of, finish, graft, resumable, solve, whole_batches
from regraft.trained import open_trained
from regraft.views import make_infer

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
        jobs, engine: see `regraft.members.train_runs`.
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
    image_size: int = 0


@dataclass(frozen=True)
class Made:
    """What a kind has made: members, what they became if not yet combined, and the single model to compare with."""

    members: Sequence[Member]
    model: keras.Model | None = None
    rival: Member | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def ensemble_photos(plan: Plan, progress: Progress | None = None) -> dict[str, Any]:
    """Trains the members on a folder of photos and makes one run of them. Returns what its `metrics.json` holds.

    All members have the same images to learn from, to choose by and to report on.

    Raises:
        RegraftError: the plan does not fit, or a member failed; what has been trained can be resumed.
    """
    _check(plan)
    request = replace(plan.request, holds_select=True)
    for number in range(plan.count if plan.kind in ("independent", "soup") else 0):
        member_recipe(plan, request.recipe, number)
    if plan.kind == "snapshot":
        _cyclic_recipe(plan, request.recipe)
    with open_session(request, verb="ensemble", progress=progress or Silent()) as session, resumable(session):
        keep_plan(session.run, plan.describe(), resume=request.resume)
        made = _MAKERS[plan.kind](plan, session)
        return combine_and_finish(plan, session, made)


def check_combination(plan: Plan) -> None:
    """Raises UsageError where kind, combination or soup does not exist."""
    for option, value, known in (
        ("--kind", plan.kind, tuple(DEFAULT_MEMBERS)),
        ("--combine", plan.combine, COMBINATIONS),
        ("--soup", plan.soup, SOUPS),
    ):
        if value not in known:
            raise UsageError(f'{option} must be one of {", ".join(known)}; received "{value}".')


def _check(plan: Plan) -> None:
    check_combination(plan)
    check_engine(plan.jobs, plan.engine)
    epochs = plan.request.recipe.finetune.epochs
    if plan.kind == "ema" and plan.count != 1:
        raise UsageError(f"--kind ema averages along one run; --members must be 1, received {plan.count}.")
    if plan.kind != "ema" and plan.count < 2:
        raise UsageError(f"--members must be at least 2; received {plan.count}.")
    if plan.variants and plan.kind not in ("independent", "soup"):
        raise UsageError(f"--member goes with --kind independent or soup; received {plan.kind}.")
    if plan.kind != "heads" and not epochs and not plan.variants:
        raise UsageError(
            f"--kind {plan.kind} needs epochs of fine-tuning, as the head alone comes out the same each time; "
            "raise --epochs or use --kind heads."
        )
    if plan.kind == "swa" and epochs <= plan.count:
        raise UsageError(f"--kind swa averages the last {plan.count} epochs, so needs more than those; has {epochs}.")


def keep_plan(run: Run, described: Mapping[str, Any], *, resume: bool) -> None:
    """Writes what is built to `ensemble.json`; on resuming, raises RunError where it was something else."""
    plain = json.loads(json.dumps(described))
    if resume and run.ensemble_plan_file.is_file():
        if read_json(run.ensemble_plan_file) != plain:
            raise RunError(f"{run.folder} is another kind of ensemble; choose another --out, or the same options.")
    else:
        write_json(run.ensemble_plan_file, plain)


# --- members ---


def _shared_split(recipe: Recipe) -> dict[str, Any]:
    seed = recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed
    return {"data.split_seed": seed}


def member_recipe(plan: Plan, recipe: Recipe, number: int, l2: float | None = None) -> Recipe:
    """The recipe of one independent member: the shared one with a seed of its own, and its variant's changes."""
    edits: dict[str, Any] = {**_shared_split(recipe), "seed": recipe.seed + number}
    if recipe.data.image_size:
        edits["data.image_size"] = recipe.data.image_size
    if plan.variants:
        arm = plan.variants[number % len(plan.variants)]
        try:
            return edit_recipe(recipe, {**edits, **arm.edits})
        except UsageError as error:
            raise UsageError(f"--member {arm.name}: {error}") from None
    return edit_recipe(recipe, {**edits, **({} if l2 is None else {"head.l2": [l2]})})


def _cyclic_recipe(plan: Plan, recipe: Recipe) -> Recipe:
    cycles = plan.count
    edits = {"schedule.name": "cyclic", "schedule.cycles": cycles, "finetune.snapshots": cycles}
    try:
        return edit_recipe(recipe, {**_shared_split(recipe), **edits})
    except UsageError as error:
        raise UsageError(f"--members {cycles} snapshots: {error}") from None


def member_request(plan: Plan, session: Session, name: str, recipe: Recipe) -> Request:
    """What trains one of the runs that the ensemble of `session` is made of."""
    return replace(
        plan.request,
        recipe=recipe,
        out=session.run.members / name,
        resume=False,
        leaves="model",
        holds_select=True,
        keeps="better" if name == RIVAL else "last",
    )


def _make_independent(plan: Plan, session: Session) -> Made:
    l2 = graft(session).facts["l2"]  # its features and its L2 serve all members
    recipes = [member_recipe(plan, session.recipe, number, l2) for number in range(plan.count)]
    requests = [
        member_request(plan, session, f"member-{number}", recipe) for number, recipe in enumerate(recipes, start=1)
    ]
    if plan.rival:
        epochs = plan.count * session.recipe.finetune.epochs
        rival = edit_recipe(_plain_recipe(session, l2), {"finetune.epochs": epochs})
        requests.append(member_request(plan, session, RIVAL, rival))
    runs = train_runs(requests, session.progress, jobs=plan.jobs, engine=plan.engine)
    members = [open_member(session, run) for run in runs]
    return Made(members[: plan.count], rival=members[plan.count] if plan.rival else None)


def _make_snapshot(plan: Plan, session: Session) -> Made:
    l2 = graft(session).facts["l2"]
    cyclic = edit_recipe(_cyclic_recipe(plan, session.recipe), {"head.l2": [l2]})
    runs = _with_rival(plan, session, "cyclic", cyclic, l2)
    return Made(snapshots(session, runs[0], "cycle"), rival=_rival(plan, session, runs))


def make_heads(plan: Plan, session: Session) -> Made:
    """Heads on bootstraps of the features of one frozen backbone; against them, one head on all the same features."""
    l2, features = graft(session).facts["l2"], features_of(session)
    fit, others = np.split(features, [len(session.roles.fit)])
    with session.watch.phase("augmented features"):
        augmented = augmented_features(session)
    members = []
    started = time.perf_counter()
    with session.watch.phase("heads"), session.progress.work("heads", plan.count, "heads") as ticker:
        for number, head in enumerate(bagged_heads(session, fit, augmented, count=plan.count, l2=l2), start=1):
            seconds, started = time.perf_counter() - started, time.perf_counter()
            model = _with_head(session, head.kernel, head.bias)
            members.append(Member(f"head {number}", model, head.logits(others), seconds))
            ticker.advance()
    rival = None
    if plan.rival:
        labels = np.tile(labels_of(session.roles.fit), 1 + len(augmented))
        head = solve(session, np.concatenate([fit, *augmented]), labels, l2)
        model = _with_head(session, head.kernel, head.bias)
        rival = Member(RIVAL, model, head.logits(others), head.seconds)
    return Made(members, rival=rival)


def _make_ema(plan: Plan, session: Session) -> Made:
    l2 = graft(session).facts["l2"]
    steps = steps_per_epoch(len(session.roles.fit), session.recipe.finetune.batch_size)
    momentum = session.recipe.optimizer.ema or max(1 - 1 / steps, 0.5)  # so that it looks back over one epoch
    averaged = edit_recipe(_plain_recipe(session, l2), {"optimizer.ema": momentum})
    plain = replace(session, recipe=edit_recipe(session.recipe, {"optimizer.ema": 0.0}))
    runs = _with_rival(plan, plain, "averaged", averaged, l2)
    member = open_member(session, runs[0])
    facts = {"momentum": momentum, **_choose_statistics(session, member.model)}
    return Made([member], member.model, _rival(plan, session, runs), facts)


def _make_swa(plan: Plan, session: Session) -> Made:
    l2 = graft(session).facts["l2"]
    edits = {"schedule.name": "constant", "finetune.snapshots": plan.count}
    constant = edit_recipe(_plain_recipe(session, l2), edits)
    runs = _with_rival(plan, session, "constant", constant, l2)
    members = snapshots(session, runs[0], "epoch")
    model = members[0].model
    model.set_weights(average_weights([member.model.get_weights() for member in members]))
    return Made(members, model, _rival(plan, session, runs), _choose_statistics(session, model))


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


def _plain_recipe(session: Session, l2: float) -> Recipe:
    return edit_recipe(session.recipe, {**_shared_split(session.recipe), "head.l2": [l2]})


def _with_rival(plan: Plan, session: Session, name: str, recipe: Recipe, l2: float) -> list[Run]:
    """The run of `recipe` and, where it is wanted, that of the shared recipe, which takes as long."""
    requests = [member_request(plan, session, name, recipe)]
    if plan.rival:
        requests.append(member_request(plan, session, RIVAL, _plain_recipe(session, l2)))
    return train_runs(requests, session.progress, jobs=plan.jobs, engine=plan.engine)


def _rival(plan: Plan, session: Session, runs: Sequence[Run]) -> Member | None:
    return open_member(session, runs[-1]) if plan.rival else None


def open_member(session: Session, run: Run) -> Member:
    """A finished run as a member, with its answers to the images of `session`."""
    trained = open_trained(run.folder, device=session.device.kind)
    logits = logits_for(session, trained.model, run.folder.name)
    return Member(run.folder.name, trained.model, logits, float(run.metrics["seconds"]), trained.reader.image_size)


def snapshots(session: Session, run: Run, what: str) -> list[Member]:
    """The weights that a run has kept on its way, each at its own temperature."""
    recipe, seconds = run.recipe, float(run.metrics["seconds"]) / max(len(run.recipe.snapshot_epochs), 1)
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


def _with_head(session: Session, kernel: np.ndarray, bias: np.ndarray) -> keras.Model:
    """The session's network with this head; all such models share the network."""
    import keras

    model = session.model
    original = model.get_layer("head")
    head = type(original).from_config(original.get_config())
    member = keras.Model(model.input, head(original.input))
    set_head(member, kernel, bias)
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
    return {"ingredients": names, "tasted": len(tasted), **_choose_statistics(session, model)}


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


def _choose_statistics(session: Session, model: keras.Model) -> dict[str, Any]:
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
    check_members(members)
    shares = np.full(len(members), 1 / len(members)) if made.model else _shares(plan, session, members)
    model = made.model or _combined(members, shares, plan.rule)
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
    facts = {**plan.describe(), **made.facts, **verdict.as_dict(), **_member_facts(members, shares, answers)}
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


def check_members(members: Sequence[Member]) -> None:
    """Raises UsageError where members do not look at images of one size."""
    sizes = {member.name: member.model.input_shape[1] for member in members}
    first, size = next(iter(sizes.items()))
    for name, other in sizes.items():
        if other != size:
            raise UsageError(
                f"Members must have one image size; {first} has {size} pixels a side, {name} {other}. "
                f"Set data.image_size={size} for all."
            )


def select_of(session: Session, members: Sequence[Member]) -> np.ndarray:
    """The members' logits for the images to choose by: float32 [M, S, C]."""
    return np.stack([member.logits[: len(session.roles.select)] for member in members])


def _shares(plan: Plan, session: Session, members: Sequence[Member]) -> np.ndarray:
    if plan.combine not in _CHOSEN_BY_LOSS:
        return np.full(len(members), 1 / len(members))
    if not session.roles.select:
        raise UsageError(
            f"--combine {plan.combine} needs images to choose on, and these runs have none in common that no member "
            "has learned from; use --combine mean."
        )
    choose = fit_shares if plan.combine == "weights" else greedy_shares
    return choose(select_of(session, members), labels_of(session.roles.select), plan.rule)


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
