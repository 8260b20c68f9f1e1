"""Verbs that train: train, pretrain, compare, ensemble and find-lr."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.options import MAX_MEMORY, NETWORK, PATH, PROVE, edits_of, max_pixels, training_options
from regraft.ensembles.kinds import COMBINATIONS, SOUPS, names
from regraft.errors import UsageError

_PHOTOS = click.argument("source", metavar="FOLDER | TABLE")


@click.command(epilog="Example: regraft train photos/ --recipe balanced --backbone mobilenet_v2 --seed 1")
@_PHOTOS
@training_options("balanced")
@NETWORK
@click.option("--folds", type=int, help="Judge each photo once, in so many folds; ship a model trained on all.")
@max_pixels("A larger photo cannot be read.", default=None)
@MAX_MEMORY
@PROVE
def train(
    source: str,
    recipe: str,
    edits: tuple[str, ...],
    seed: int | None,
    val_fraction: float | None,
    image_size: int | None,
    epochs: int | None,
    out: Path | None,
    resume: bool,
    device: str,
    data_dir: Path | None,
    as_json: bool,
    backbone: str | None,
    weights: str | None,
    folds: int | None,
    max_pixels: int | None,
    max_memory: str | None,
    prove: str,
) -> None:
    """Train a classifier on FOLDER, a TABLE of paths and labels, or tfds:NAME[:VERSION]; judge it and export it.

    Recipes: quick solves a new head on the frozen backbone's features; balanced also fine-tunes the network;
    thorough does so for longer, with stronger augmentation.
    """
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_training

    run = regraft.train(
        source, recipe=recipe, backbone=backbone, weights=weights, set=edits_of(edits), seed=seed,
        val_fraction=val_fraction, folds=folds, image_size=image_size, epochs=epochs, out=out, resume=resume,
        device=device, data_dir=data_dir, max_pixels=max_pixels, max_memory=max_memory, prove=prove,
        progress=CommandLineProgress(),
    )  # fmt: skip
    if as_json:
        print_json(run.metrics.as_dict())
    else:
        show_training(run.metrics)


@click.command(epilog="Example: regraft pretrain many_photos/ --epochs 16 --out saved_models/ours")
@_PHOTOS
@training_options("pretrain")
def pretrain(
    source: str,
    recipe: str,
    edits: tuple[str, ...],
    seed: int | None,
    val_fraction: float | None,
    image_size: int | None,
    epochs: int | None,
    out: Path | None,
    resume: bool,
    device: str,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Train a small backbone from scratch on FOLDER, for images unlike any photo.

    The run's backbone.weights.h5 then serves: regraft train ... --backbone tiny --weights RUN/backbone.weights.h5
    """
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_training

    run = regraft.pretrain(
        source, recipe=recipe, set=edits_of(edits), seed=seed, val_fraction=val_fraction, image_size=image_size,
        epochs=epochs, out=out, resume=resume, device=device, data_dir=data_dir, progress=CommandLineProgress(),
    )  # fmt: skip
    if as_json:
        print_json(run.metrics.as_dict())
    else:
        show_training(run.metrics)


@click.command(
    epilog="Example: regraft compare photos/ --recipe quick --vary head.solver=lbfgs,newton-cg,adam,sgd --seeds 5"
)
@click.argument("sources", metavar="FOLDER | TABLE | RUN RUN [FOLDER | TABLE]", nargs=-1, required=True)
@training_options("balanced")
@NETWORK
@click.option("--vary", "varied", multiple=True, metavar="KEY=A,B,C", help="Recipe key and its values; repeatable.")
@click.option(
    "--arm",
    "named",
    multiple=True,
    metavar='"NAME: KEY=VALUE, ..."',
    help="An arm that changes several keys; repeatable.",
)
@click.option("--seeds", type=int, default=3, show_default=True, help="Runs of each arm.")
@click.option(
    "--stage",
    default="last",
    show_default=True,
    metavar="last|kept",
    help="Judge the last stage of each run, or what the run would keep.",
)
def compare(
    sources: tuple[str, ...],
    recipe: str,
    edits: tuple[str, ...],
    seed: int | None,
    val_fraction: float | None,
    image_size: int | None,
    epochs: int | None,
    out: Path | None,
    resume: bool,
    device: str,
    data_dir: Path | None,
    as_json: bool,
    backbone: str | None,
    weights: str | None,
    varied: tuple[str, ...],
    named: tuple[str, ...],
    seeds: int,
    stage: str,
) -> None:
    """Train FOLDER in several ways with the same seeds, and say which differences there is evidence for.

    The first arm, or the first value of each --vary, is what the others are measured against. Several --vary give
    every combination.

    Two RUNs are compared as they are, on the photos that both report on or those of FOLDER that neither was trained
    on: accuracies, their difference with the exact McNemar test (of photos in groups, one of groups), and the photos
    that they answer differently, which --out writes. Of the options, --root, --path-column, --label-column, --out,
    --device and --json go with them.
    """
    import regraft
    from regraft.cli.run_duel import compare_two_runs, is_run
    from regraft.cli.shown import CommandLineProgress, live_comparison, print_json, show_comparison
    from regraft.recipes.arms import parse_named, parse_varied

    if is_run(sources[0]):
        compare_two_runs(sources, out=out, device=device, as_json=as_json)
        return
    if len(sources) > 1:
        raise UsageError(f"compare takes one FOLDER of photos, or RUN RUN [FOLDER]; {sources[0]} is no run directory.")
    vary, arm = [parse_varied(text) for text in varied], [parse_named(text) for text in named]
    with live_comparison() as show:
        comparison = regraft.compare(
            sources[0], vary=vary, arm=arm, seeds=seeds, stage=stage, recipe=recipe, backbone=backbone, weights=weights,
            set=edits_of(edits), seed=seed, val_fraction=val_fraction, image_size=image_size, epochs=epochs, out=out,
            resume=resume, device=device, data_dir=data_dir, show=show, progress=CommandLineProgress(),
        )  # fmt: skip
    if as_json:
        print_json(comparison.as_dict())
    else:
        show_comparison(comparison)


@click.command(epilog="Example: regraft ensemble photos/ --kind snapshot --members 4 --epochs 12")
@click.argument("sources", metavar="FOLDER | TABLE | RUN RUN ...", nargs=-1, required=True)
@training_options("balanced")
@NETWORK
@click.option(
    "--kind",
    default="independent",
    show_default=True,
    metavar="|".join(names("make")),
    help="What the members are.",
)
@click.option("--members", type=int, default=0, help="How many.  [default: 5; heads 10; snapshot, swa 4; ema 1]")
@click.option(
    "--combine", default="mean", show_default=True, metavar="|".join(COMBINATIONS), help="How answers become one."
)
@click.option(
    "--soup", default="greedy", show_default=True, metavar="|".join(SOUPS), help="Which weights are averaged."
)
@click.option(
    "--member",
    "named",
    multiple=True,
    metavar='"NAME: KEY=VALUE, ..."',
    help="Recipe keys of a member, such as model.backbone; repeatable, taken in turn.",
)
@click.option("--rival/--no-rival", default=True, help="Train a single model of the same budget too.  [default: rival]")
@click.option("--no-calibrate", is_flag=True, help="Leave the probabilities as they are combined.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Members trained at a time.")
@click.option("--engine", default="local", show_default=True, metavar="local|ray", help="Where members are trained.")
@click.option("--budget", metavar="TIME", help="Such as 20m: choose the kind that fits, from a pilot.")
@click.option("--photos", type=PATH, help="Where the photos of the RUNs lie now, if they moved.")
def ensemble(
    sources: tuple[str, ...],
    recipe: str,
    edits: tuple[str, ...],
    seed: int | None,
    val_fraction: float | None,
    image_size: int | None,
    epochs: int | None,
    out: Path | None,
    resume: bool,
    device: str,
    data_dir: Path | None,
    as_json: bool,
    backbone: str | None,
    weights: str | None,
    kind: str,
    members: int,
    combine: str,
    soup: str,
    named: tuple[str, ...],
    rival: bool,
    no_calibrate: bool,
    jobs: int,
    engine: str,
    budget: str | None,
    photos: Path | None,
) -> None:
    """Train several models on FOLDER, or take finished RUNs, and make one run of them that every verb takes.

    Says whether the ensemble is worth its cost: against its best and its mean member, and against a single model
    that was trained for as long.
    """
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_ensemble
    from regraft.recipes.arms import parse_named

    run = regraft.ensemble(
        sources, kind=kind, members=members, combine=combine, soup=soup,
        member=[parse_named(text, argument="member") for text in named], rival=rival, calibrate=not no_calibrate,
        jobs=jobs, engine=engine, budget=budget, photos=photos, recipe=recipe, backbone=backbone, weights=weights,
        set=edits_of(edits), seed=seed, val_fraction=val_fraction, image_size=image_size, epochs=epochs, out=out,
        resume=resume, device=device, data_dir=data_dir, progress=CommandLineProgress(),
    )  # fmt: skip
    if as_json:
        print_json(run.metrics.as_dict())
    else:
        show_ensemble(run.metrics)


@click.command("find-lr", epilog="Example: regraft find-lr photos/ --set optimizer.name=momentum")
@_PHOTOS
@training_options("balanced")
@NETWORK
@click.option("--low", type=float, default=1e-6, show_default=True, help="Lowest learning rate.")
@click.option("--high", type=float, default=1.0, show_default=True, help="Highest learning rate.")
@click.option("--steps", type=int, default=100, show_default=True, help="Batches, each at a higher rate.")
@click.option("--force", is_flag=True, help="Write into an --out that exists.")
def find_lr(
    source: str,
    recipe: str,
    edits: tuple[str, ...],
    seed: int | None,
    val_fraction: float | None,
    image_size: int | None,
    epochs: int | None,
    out: Path | None,
    resume: bool,
    device: str,
    data_dir: Path | None,
    as_json: bool,
    backbone: str | None,
    weights: str | None,
    low: float,
    high: float,
    steps: int,
    force: bool,
) -> None:
    """Try rising learning rates on FOLDER for one short run, and suggest one. Leaves nothing but a plot and a CSV."""
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_rate

    found = regraft.find_lr(
        source, low=low, high=high, steps=steps, recipe=recipe, backbone=backbone, weights=weights,
        set=edits_of(edits), seed=seed, val_fraction=val_fraction, image_size=image_size, epochs=epochs,
        out=out or "find_lr", force=force, device=device, data_dir=data_dir, progress=CommandLineProgress(),
    )  # fmt: skip
    if as_json:
        print_json(found.as_dict())
    else:
        show_rate(found)
