"""`compare`: the same photos, the same seeds, different recipes – and whether the difference means anything."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regraft.errors import RegraftError, RunError, UsageError, option
from regraft.experiments.comparison import Comparison, draw_pictures, sum_up, write_trials
from regraft.experiments.trials import ArmResult, Trial, read_trial
from regraft.machine.drafts import sweep
from regraft.machine.files import write_json, write_text
from regraft.machine.locks import exclusive
from regraft.machine.signals import saying_how_to_go_on
from regraft.progress import Progress, Silent
from regraft.recipes.arms import Arm
from regraft.recipes.recipe import Recipe, edit_recipe
from regraft.runs.reading import read_json
from regraft.runs.run import WAIT, Run, new_folder, new_run
from regraft.training.many_runs import train_run
from regraft.training.purpose import TRIAL, check_folds
from regraft.training.resolving import resolve
from regraft.training.session import Request, look_at_photos

STAGES = ("last", "kept")
Show = Callable[[Sequence[ArmResult]], None]


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        request: source, device and the recipe that all arms share; its seed is the first one.
        arms: the ways of training, the baseline first.
        seeds: how many.
        stage: "last" judges what came out of the last stage (the fine-tuned network, where there is one), "kept" what
            the run would have kept.
        out: the folder of the comparison.
        resume: go on with the one that is there.
    """

    request: Request
    arms: Sequence[Arm]
    seeds: int
    stage: str = "last"
    out: Path | None = None
    resume: bool = False


def compare(plan: Plan, progress: Progress | None = None, show: Show = lambda results: None) -> Comparison:
    """Trains every arm with every seed and says for which differences there is evidence.

    The seeds are those of the recipe and the ones after it. In one seed, every arm has the same split and sees the
    photos in the same order; arms take turns. Finished runs are kept, and are not repeated with `resume`.

    Args:
        plan: what is compared.
        progress: who is told.
        show: called with the results after each run.

    Raises:
        RegraftError: an arm cannot be trained (before anything is), or a run failed.
    """
    progress = progress or Silent()
    recipes = [resolve(arm_recipe(plan.request, arm)) for arm in plan.arms]
    _check(plan, recipes)
    look_at_photos(plan.request, recipes, progress)
    folder = _open_folder(plan)
    busy = RunError(f"Another process is writing {folder} at this moment; {WAIT}")
    again = f"go on with the same command and these words: --resume --out {shlex.quote(str(folder))}"
    with exclusive(folder, busy), saying_how_to_go_on(again):
        for place in (folder.parent, folder):
            sweep(place)
        return _compare(plan, folder, progress, show)


def _compare(plan: Plan, folder: Path, progress: Progress, show: Show) -> Comparison:
    results = [ArmResult(arm) for arm in plan.arms]
    with progress.work("compare", len(plan.arms) * plan.seeds, "runs") as ticker:
        for seed in range(plan.request.recipe.seed, plan.request.recipe.seed + plan.seeds):
            for result in results:
                result.trials.append(_trial(plan, folder, result.arm, seed))
                ticker.advance(note=f"{result.arm.name}, seed {seed}: {100 * result.trials[-1].accuracy:.1f} %")
                show(results)
    comparison = sum_up(folder, plan.stage, results)
    comparison = replace(comparison, pictures=tuple(draw_pictures(folder, results)))
    write_trials(folder / "comparison.csv", results)
    write_text(folder / "summary.md", comparison.as_markdown())
    write_json(folder / "summary.json", comparison.as_dict())
    return comparison


def arm_recipe(request: Request, arm: Arm) -> Recipe:
    """The shared recipe with the arm's changes. Raises UsageError where they do not fit."""
    try:
        return edit_recipe(request.recipe, arm.edits)
    except UsageError as error:
        raise error.after(f"{arm.name}: ") from None


def _check(plan: Plan, recipes: Sequence[Recipe]) -> None:
    if plan.seeds < 1:
        raise UsageError(f"{option('seeds')} must be at least 1; received {plan.seeds}.")
    if plan.stage not in STAGES:
        raise UsageError(f'{option("stage")} must be last or kept; received "{plan.stage}".')
    if ":" in plan.request.device:
        raise UsageError(
            f"{option('device')} must be auto, cpu, gpu or tpu to compare; received {plan.request.device}."
        )
    if plan.request.recipe.model.backbone == "auto" and not all("model.backbone" in arm.edits for arm in plan.arms):
        raise UsageError(
            'model.backbone = "auto" would choose anew for each arm and seed; name the backbone to compare with.'
        )
    for recipe in recipes:
        check_folds(recipe, TRIAL)
    if any("seed" in arm.edits for arm in plan.arms):
        raise UsageError(f"The seed cannot be varied: every arm is trained with each of the {option('seeds')}.")
    if plan.stage == "last" and len({recipe.finetune.epochs > 0 for recipe in recipes}) > 1:
        raise UsageError(
            f"Some arms fine-tune and some do not; add {option('stage', 'kept')} to compare what each would keep."
        )


def _open_folder(plan: Plan) -> Path:
    """The folder of the comparison, new or, to resume, as it was left by the same plan."""
    described = {
        "source": plan.request.source,
        "recipe": plan.request.recipe.to_toml(),
        "arms": [{"name": arm.name, "edits": dict(arm.edits)} for arm in plan.arms],
        "seeds": plan.seeds,
        "stage": plan.stage,
    }
    if plan.resume:
        if plan.out is None:
            raise RunError(f"{option('resume', True)} needs {option('out')} with the folder of a comparison.")
        if not (plan.out / "plan.json").is_file():
            raise RunError(f"There is no comparison {plan.out} to go on with; leave out {option('resume', True)}.")
        if read_json(plan.out / "plan.json") != json.loads(json.dumps(described)):
            raise RunError(f"{plan.out} is a comparison of something else; choose another {option('out')}.")
        return plan.out
    if plan.out is not None and (plan.out / "plan.json").is_file():
        again = f"continue it with {option('resume', True)}, or choose another {option('out')}"
        raise RunError(f"{plan.out} exists already; {again}.")
    name = f"compare-{Path(plan.request.source).name.replace(':', '-') or 'photos'}"
    folder = new_run(plan.out, name).folder
    with new_folder(folder) as draft:
        write_json(draft / "plan.json", described)
    return folder


def _trial(plan: Plan, folder: Path, arm: Arm, seed: int) -> Trial:
    run = Run(folder / "runs" / arm.slug / f"seed-{seed}")
    if run.is_finished:
        run.tidy_if_free()
    else:
        try:
            _train(plan, arm, run, seed)
        except RegraftError as error:
            then = f"Then go on: {option('resume', True)} {option('out', folder)}"
            raise type(error)(f"{arm.name}, seed {seed}: {error.text} {then}") from error
    return read_trial(run, seed, plan.stage)


def _train(plan: Plan, arm: Arm, run: Run, seed: int) -> None:
    recipe = arm_recipe(plan.request, arm).model_copy(update={"seed": seed})
    train_run(plan.request.trial(recipe, run.folder))
