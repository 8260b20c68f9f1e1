"""What trains: train, pretrain, compare, ensemble and find_lr."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.api.arguments import (
    PathLike,
    Photos,
    Values,
    are_runs,
    as_bytes,
    as_list,
    as_maybe_path,
    as_progress,
    edits_of,
    folder_of,
    is_given_table,
    make_request,
    public,
    start_tensorflow_for,
)
from regraft.errors import UsageError, option
from regraft.machine.memory import decoding_within
from regraft.machine.untouched import untouched
from regraft.progress import Progress

if TYPE_CHECKING:
    from regraft.ensembles.plan import Plan as EnsemblePlan
    from regraft.experiments.compare import Show
    from regraft.experiments.comparison import Comparison
    from regraft.experiments.find_rate import RateSuggestion
    from regraft.recipes.arms import Named, Varied
    from regraft.recipes.recipe import Recipe
    from regraft.runs.run import Run


@public
def train(
    photos: Photos,
    *,
    recipe: PathLike | Recipe = "balanced",
    backbone: str | None = None,
    weights: PathLike | None = None,
    set: Values | None = None,
    seed: int | None = None,
    val_fraction: float | None = None,
    folds: int | None = None,
    image_size: int | None = None,
    epochs: int | None = None,
    out: PathLike | None = None,
    resume: bool = False,
    device: str = "auto",
    data_dir: PathLike | None = None,
    max_pixels: int | None = None,
    max_memory: str | int | None = None,
    prove: str = "sample",
    progress: bool | Progress = True,
) -> Run:
    """Trains a classifier, keeps the better stage, judges and exports it, and returns the finished run.

    Args:
        photos: a folder with one sub-folder per class; a table of paths and labels; a data frame or a list of (path,
            label), whose relative paths start here; or `tfds:NAME[:VERSION]`.
        recipe: "quick", "balanced", "thorough", the path of a TOML file, or a `Recipe`.
        backbone: see `regraft backbones`; by default the recipe's.
        weights: "imagenet", "none" or a file; by default the backbone's own.
        set: recipe keys and their values, such as {"augment.mixup": 0.2}, or {"data.label_column": "species",
            "data.group": "patient"} of a table.
        seed: of everything random.
        val_fraction: part held out for the report where the folder has no splits.
        folds: judge each photo once, by one of so many models that were trained on the others, and train the model that
            ships on all.
        image_size: pixels per side.
        epochs: of fine-tuning.
        out: the run directory; by default a new one in `saved_models/`.
        resume: continue the unfinished run in `out`.
        device: "auto", "cpu", "cpu:N", "gpu" or "tpu".
        data_dir: where tensorflow-datasets keeps its data.
        max_pixels: a larger photo cannot be read; by default 178,956,970.
        max_memory: that photos are decoded in, in bytes or such as "4G"; by default half of what is free.
        prove: "sample" proves the export on up to 500 reported photos, drawn by class if there are more; "all" on all.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        RegraftError: something does not fit, a photo became unreadable, the disk is full, the export is not what the
            model is.
    """
    with untouched("train"), decoding_within(as_bytes("max_memory", max_memory)):
        from regraft.training.train import train_photos

        edits = edits_of(
            set, seed=seed, val_fraction=val_fraction, folds=folds, image_size=image_size, epochs=epochs,
            backbone=backbone, weights=weights, max_pixels=max_pixels,
        )  # fmt: skip
        request = make_request(photos, recipe, edits, out=out, resume=resume, device=device, data_dir=data_dir)
        return train_photos(replace(request, prove=prove), as_progress(progress))


@public
def pretrain(
    photos: Photos,
    *,
    recipe: PathLike | Recipe = "pretrain",
    set: Values | None = None,
    seed: int | None = None,
    val_fraction: float | None = None,
    image_size: int | None = None,
    epochs: int | None = None,
    out: PathLike | None = None,
    resume: bool = False,
    device: str = "auto",
    data_dir: PathLike | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Trains a small backbone from scratch, for images unlike any photo.

    The run's `backbone.weights.h5` then serves as `weights` of `train`.

    Args:
        photos, set, seed, val_fraction, image_size, epochs, out, resume, device, data_dir: see `train`.
        recipe: "pretrain", the path of a TOML file, or a `Recipe`.
        progress: see the module.

    Raises:
        RegraftError: see `train`.
    """
    with untouched("pretrain"):
        from regraft.training.train import pretrain_photos

        edits = edits_of(set, seed=seed, val_fraction=val_fraction, image_size=image_size, epochs=epochs)
        request = make_request(
            photos, recipe, edits, default="pretrain", out=out, resume=resume, device=device, data_dir=data_dir
        )
        return pretrain_photos(request, as_progress(progress))


@public
def compare(
    photos: Photos,
    *,
    vary: Varied | None = None,
    arm: Named | None = None,
    seeds: int = 3,
    stage: str = "last",
    recipe: PathLike | Recipe = "balanced",
    backbone: str | None = None,
    weights: PathLike | None = None,
    set: Values | None = None,
    seed: int | None = None,
    val_fraction: float | None = None,
    image_size: int | None = None,
    epochs: int | None = None,
    out: PathLike | None = None,
    resume: bool = False,
    device: str = "auto",
    data_dir: PathLike | None = None,
    show: Show | None = None,
    progress: bool | Progress = True,
) -> Comparison:
    """Trains in several ways with the same seeds, and says for which differences there is evidence.

    Args:
        photos: see `train`.
        vary: recipe keys and the values each takes, such as {"optimizer.name": ["adam", "sgd"]}; all combinations.
        arm: or arms by name, each with what it changes, such as {"plain": {}, "mixed": {"augment.mixup": 0.2}}. The
            first is what the others are measured against.
        seeds: runs of each arm.
        stage: "last" judges the last stage of each run, "kept" what the run would keep.
        recipe, backbone, weights, set, seed, val_fraction, image_size, epochs, device, data_dir: see `train`.
        out: the folder of the comparison; by default a new one in `saved_models/`.
        resume: goes on with the one in `out`.
        show: is given the results so far after each run.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        RegraftError: an arm cannot be trained (before anything is), or a run failed.
    """
    from regraft.recipes.arms import make_arms

    arms = make_arms(vary or {}, arm or {})
    with untouched("compare"):
        from regraft.experiments.compare import Plan
        from regraft.experiments.compare import compare as run_comparison

        edits = edits_of(
            set, seed=seed, val_fraction=val_fraction, image_size=image_size, epochs=epochs, backbone=backbone,
            weights=weights,
        )  # fmt: skip
        request = make_request(photos, recipe, edits, device=device, data_dir=data_dir)
        plan = Plan(request, arms, seeds=seeds, stage=stage, out=as_maybe_path(out), resume=resume)
        return run_comparison(plan, as_progress(progress), show or (lambda results: None))


@public
def ensemble(
    sources: Photos | Run | Sequence[PathLike | Run],
    *,
    kind: str = "independent",
    members: int = 0,
    combine: str = "mean",
    soup: str = "greedy",
    member: Named | None = None,
    rival: bool = True,
    calibrate: bool = True,
    jobs: int = 1,
    engine: str = "local",
    budget: str | None = None,
    photos: PathLike | None = None,
    recipe: PathLike | Recipe = "balanced",
    backbone: str | None = None,
    weights: PathLike | None = None,
    set: Values | None = None,
    seed: int | None = None,
    val_fraction: float | None = None,
    image_size: int | None = None,
    epochs: int | None = None,
    out: PathLike | None = None,
    resume: bool = False,
    device: str = "auto",
    data_dir: PathLike | None = None,
    progress: bool | Progress = True,
) -> Run:
    """Trains several models, or takes finished runs, and makes one run of them that every other call takes.

    Args:
        sources: photos as of `train`, or several runs (one run with snapshots, for kind "snapshot").
        kind: "independent", "snapshot", "heads", "ema", "swa" or "soup".
        members: how many; 0 is the kind's own number.
        combine: "mean", "logits", "weights" or "greedy": how answers become one.
        soup: "greedy" or "uniform": which weights are averaged.
        member: recipe keys of members by name, taken in turn, such as {"large": {"model.backbone": "resnet50"}}.
        rival: also trains a single model of the same budget to compare with.
        calibrate: fits the answer's temperature where that helps.
        jobs: members trained at a time.
        engine: "local" or "ray".
        budget: a time such as "20m": chooses the kind that fits, from a pilot.
        photos: where the photos of the runs lie now, if they moved.
        recipe, backbone, weights, set, seed, val_fraction, image_size, epochs, out, resume, device, data_dir: see
            `train`.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        RegraftError: the plan does not fit, or a member failed; what has been trained can be resumed.
    """
    from regraft.recipes.arms import make_variants

    given = [sources] if is_given_table(sources) else as_list(sources)
    variants = make_variants(member or {})
    with untouched("ensemble"):
        of_runs = not is_given_table(sources) and are_runs(given)
        if of_runs and budget:
            raise UsageError(f"{option('budget')} trains on a FOLDER of photos; runs that exist need none.")
        edits = edits_of(
            set, seed=seed, val_fraction=val_fraction, image_size=image_size, epochs=epochs, backbone=backbone,
            weights=weights,
        )  # fmt: skip
        request = make_request(given[0], recipe, edits, out=out, resume=resume, device=device, data_dir=data_dir)
        for run in given if of_runs else ():
            start_tensorflow_for(run)
        from regraft.machine.devices import start_tensorflow

        start_tensorflow()
        from regraft.ensembles.plan import Plan

        plan = Plan(
            request, kind=kind, members=members, combine=combine, soup=soup, variants=variants, rival=rival,
            calibrate=calibrate, jobs=jobs, engine=engine,
        )  # fmt: skip
        return _make_ensemble(plan, given if of_runs else (), budget, as_maybe_path(photos), as_progress(progress))


@public
def find_lr(
    photos: Photos,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    recipe: PathLike | Recipe = "balanced",
    backbone: str | None = None,
    weights: PathLike | None = None,
    set: Values | None = None,
    seed: int | None = None,
    val_fraction: float | None = None,
    image_size: int | None = None,
    epochs: int | None = None,
    out: PathLike = "find_lr",
    force: bool = False,
    device: str = "auto",
    data_dir: PathLike | None = None,
    progress: bool | Progress = True,
) -> RateSuggestion:
    """Tries rising learning rates in one short run, and suggests one. Leaves nothing but a plot and a CSV in `out`.

    Args:
        photos, recipe, backbone, weights, set, seed, val_fraction, image_size, epochs, device, data_dir: see `train`.
        low, high: the lowest and the highest rate.
        steps: batches, each at a higher rate; at least 10.
        out: the folder for plot and CSV.
        force: writes into an `out` that exists.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        RegraftError: an argument does not fit, or `out` exists.
    """
    with untouched("find_lr"):
        from regraft.experiments.find_rate import find_rate

        edits = edits_of(
            set, seed=seed, val_fraction=val_fraction, image_size=image_size, epochs=epochs, backbone=backbone,
            weights=weights,
        )  # fmt: skip
        request = make_request(photos, recipe, edits, device=device, data_dir=data_dir)
        target = Path(out)
        return find_rate(
            request, low=low, high=high, steps=steps, out=target, force=force, progress=as_progress(progress)
        )


def _make_ensemble(
    plan: EnsemblePlan,
    runs: Sequence[Any],
    budget: str | None,
    photos: Path | None,
    progress: Progress,
) -> Run:
    if runs:
        from regraft.ensembles.from_runs import ensemble_runs

        return ensemble_runs([folder_of(run) for run in runs], plan, photos=photos, progress=progress)
    if budget:
        from regraft.ensembles.budget import ensemble_within

        return ensemble_within(plan, budget, progress)
    from regraft.ensembles.ensemble import ensemble_photos

    return ensemble_photos(plan, progress)
