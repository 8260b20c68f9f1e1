"""The command line. Every verb checks its words here, imports what it needs, and shows what came out."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from regraft import __version__
from regraft.errors import RegraftError, UsageError, as_options, did_you_mean
from regraft.exports import table
from regraft.prediction.tables.table import TABLE_FORMATS

_FOLDER = click.Path(path_type=Path)


class _Verbs(click.Group):
    """Verbs in the order of a user's work, and a suggestion for a mistyped one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        if args and args[0] not in self.commands:
            hint = did_you_mean(args[0], self.commands) or " See regraft --help."
            raise UsageError(f'There is no verb "{args[0]}".{hint}')
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Verbs,
    epilog="Example: regraft train photos/ --recipe balanced",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="regraft")
def regraft() -> None:
    """Turn a folder of photos, one sub-folder a class, into an image classifier you can trust."""


_SET = click.option(
    "--set", "edits", multiple=True, metavar="KEY=VALUE", help="Change one recipe key, such as finetune.epochs=3."
)
_SEED = click.option("--seed", type=int, help="Seed of everything random.  [default: 0]")
_IMAGE_SIZE = click.option("--image-size", type=int, help="Pixels a side.  [default: the backbone's]")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end.")
_DEVICE = click.option("--device", default="auto", show_default=True, metavar="auto|cpu|gpu|tpu")
_BACKBONE = click.option("--backbone", metavar="NAME", help="See regraft backbones.  [default: mobilenet_v2]")
_WEIGHTS = click.option(
    "--weights", metavar="imagenet|none|PATH", help="Pretrained weights.  [default: the backbone's own]"
)


def _looks(function: Callable[..., None]) -> Callable[..., None]:
    """The options of how closely a photo is looked at."""
    views = click.option(
        "--views",
        default="one",
        show_default=True,
        metavar="one|flip|five|ten|scales",
        help="Average the answers to several views of each photo.",
    )
    draws = click.option(
        "--draws", type=int, default=0, show_default=True, help="Average over draws of the regularizers' noise."
    )
    return views(draws(function))


def _recipe_option(recipe: str) -> Callable[[Any], Any]:
    return click.option(
        "--recipe", default=recipe, show_default=True, metavar="NAME|FILE.toml", help="Named recipe or TOML file."
    )


def _training_options(recipe: str, *, source: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options that verbs which train share, and the folder they train on."""
    options = [
        *([click.argument("source", metavar="FOLDER")] if source else []),
        _recipe_option(recipe),
        _SET,
        _SEED,
        click.option(
            "--val-fraction", type=float, help="Part held out for the report where there is no split.  [default: 0.2]"
        ),
        _IMAGE_SIZE,
        click.option("--epochs", type=int, help="Epochs of training the network."),
        click.option("--out", type=_FOLDER, help="Run directory.  [default: a new one in saved_models/]"),
        click.option("--resume", is_flag=True, help="Continue the unfinished run in --out."),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            metavar="auto|cpu|gpu|tpu",
            help="cpu:N makes N virtual devices.",
        ),
        click.option("--data-dir", type=_FOLDER, help="Where tensorflow-datasets keeps its data."),
        _JSON,
    ]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@regraft.command(epilog="Example: regraft check photos/ --json")
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check(folder: Path, as_json: bool) -> None:
    """Say what is in FOLDER and what is wrong with it. Changes nothing."""
    from regraft.data.check import build_report, render
    from regraft.data.sources import scan_remembered

    report = build_report(scan_remembered(folder, _progress()))
    if as_json:
        _print_json(report.as_dict())
    else:
        from regraft.cli.console import show

        show(render(report))


@regraft.command(epilog="Example: regraft train photos/ --recipe balanced --backbone mobilenet_v2 --seed 1")
@_training_options("balanced")
@_BACKBONE
@_WEIGHTS
def train(source: str, as_json: bool, **options: Any) -> None:
    """Train a classifier on FOLDER (or tfds:NAME[:VERSION]), judge it and export it.

    Recipes: quick solves a new head on the frozen backbone's features; balanced also fine-tunes the network;
    thorough does so for longer, with stronger augmentation.
    """
    from regraft.training.train import train_photos

    run = train_photos(_request(source, **options), _progress())
    _show_training(run.metrics.as_dict(), as_json)


@regraft.command(epilog="Example: regraft pretrain many_photos/ --epochs 16 --out saved_models/ours")
@_training_options("pretrain")
def pretrain(source: str, as_json: bool, **options: Any) -> None:
    """Train a small backbone from scratch on FOLDER, for images unlike any photo.

    The run's backbone.weights.h5 then serves: regraft train ... --backbone tiny --weights RUN/backbone.weights.h5
    """
    from regraft.training.train import pretrain_photos

    run = pretrain_photos(_request(source, **options), _progress())
    _show_training(run.metrics.as_dict(), as_json)


@regraft.command(
    epilog="Example: regraft compare photos/ --recipe quick --vary head.solver=lbfgs,newton-cg,adam,sgd --seeds 5"
)
@_training_options("balanced")
@_BACKBONE
@_WEIGHTS
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
    source: str, varied: tuple[str, ...], named: tuple[str, ...], seeds: int, stage: str, as_json: bool, **options: Any
) -> None:
    """Train FOLDER in several ways with the same seeds, and say which differences there is evidence for.

    The first arm, or the first value of each --vary, is what the others are measured against. Several --vary give
    every combination.
    """
    from regraft.experiments.compare import Plan
    from regraft.experiments.compare import compare as run
    from regraft.recipes.arms import make_arms

    arms = make_arms(varied, named)
    out, resume = options.pop("out"), options.pop("resume")
    request = _request(source, out=None, resume=False, **options)
    plan = Plan(request, arms, seeds=seeds, stage=stage, out=out, resume=resume)
    from regraft.cli.console import live_comparison, show_comparison

    with live_comparison() as show:
        summary = run(plan, _progress(), show).as_dict()
    if as_json:
        _print_json(summary)
    else:
        show_comparison(summary)


@regraft.command(epilog="Example: regraft ensemble photos/ --kind snapshot --members 4 --epochs 12")
@click.argument("sources", metavar="FOLDER | RUN RUN ...", nargs=-1, required=True)
@_training_options("balanced", source=False)
@_BACKBONE
@_WEIGHTS
@click.option(
    "--kind",
    default="independent",
    show_default=True,
    metavar="independent|snapshot|heads|ema|swa|soup",
    help="What the members are.",
)
@click.option("--members", type=int, default=0, help="How many.  [default: 5; heads 10; snapshot, swa 4; ema 1]")
@click.option(
    "--combine", default="mean", show_default=True, metavar="mean|logits|weights|greedy", help="How answers become one."
)
@click.option(
    "--soup", default="greedy", show_default=True, metavar="greedy|uniform", help="Which weights are averaged."
)
@click.option(
    "--member",
    "variants",
    multiple=True,
    metavar='"NAME: KEY=VALUE, ..."',
    help="Recipe keys of a member, such as model.backbone; repeatable, taken in turn.",
)
@click.option("--rival/--no-rival", default=True, help="Train a single model of the same budget too.  [default: rival]")
@click.option("--no-calibrate", is_flag=True, help="Leave the probabilities as they are combined.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Members trained at a time.")
@click.option("--engine", default="local", show_default=True, metavar="local|ray", help="Where members are trained.")
@click.option("--budget", metavar="TIME", help="Such as 20m: choose the kind that fits, from a pilot.")
@click.option("--photos", type=_FOLDER, help="Where the photos of the RUNs lie now, if they moved.")
def ensemble(sources: tuple[str, ...], budget: str | None, photos: Path | None, as_json: bool, **options: Any) -> None:
    """Train several models on FOLDER, or take finished RUNs, and make one run of them that every verb takes.

    Says whether the ensemble is worth its cost: against its best and its mean member, and against a single model
    that was trained for as long.
    """
    summary = _ensemble(sources, budget, photos, options).metrics.as_dict()
    if as_json:
        _print_json(summary)
    else:
        from regraft.cli.console import show_ensemble

        show_ensemble(summary)


def _ensemble(sources: tuple[str, ...], budget: str | None, photos: Path | None, options: dict[str, Any]) -> Any:
    from regraft.recipes.arms import make_variants

    names = ("kind", "members", "combine", "soup", "rival", "jobs", "engine")
    choices = {name: options.pop(name) for name in names}
    choices |= {"variants": make_variants(options.pop("variants")), "calibrate": not options.pop("no_calibrate")}
    if _are_runs(sources):
        if budget:
            raise UsageError("--budget trains on a FOLDER of photos; runs that exist need none.")
        for run in sources:
            _start_tensorflow_for(Path(run))
        from regraft.ensembles.from_runs import ensemble_runs
        from regraft.ensembles.plan import Plan

        plan = Plan(_request(sources[0], **options), **choices)
        return ensemble_runs([Path(run) for run in sources], plan, photos=photos, progress=_progress())
    from regraft.ensembles.plan import Plan
    from regraft.machine.devices import start_tensorflow

    plan = Plan(_request(sources[0], **options), **choices)
    start_tensorflow()
    if budget:
        from regraft.ensembles.budget import ensemble_within

        return ensemble_within(plan, budget, _progress())
    from regraft.ensembles.ensemble import ensemble_photos

    return ensemble_photos(plan, _progress())


def _are_runs(sources: tuple[str, ...]) -> bool:
    """Whether run directories are named, and not one folder of photos. Raises UsageError where it is neither."""
    from regraft.runs.run import Run

    kinds = {Run(Path(source)).recipe_file.is_file() for source in sources}
    if kinds == {True}:
        return True
    if kinds == {False} and len(sources) == 1:
        return False
    odd = next(source for source in sources if not Run(Path(source)).recipe_file.is_file())
    raise UsageError(f"ensemble takes one folder of photos or several run directories; {odd} is not a run directory.")


@regraft.command("augment-preview", epilog="Example: regraft augment-preview photos/ --set augment.randaugment=5")
@click.argument("folder", type=_FOLDER)
@_recipe_option("balanced")
@_SET
@_SEED
@_IMAGE_SIZE
@click.option("--photos", type=click.IntRange(1, 100), default=6, show_default=True, help="Rows of the sheet.")
@click.option(
    "--draws", type=click.IntRange(1, 20), default=7, show_default=True, help="Augmented draws of each photo."
)
@click.option(
    "--out", type=_FOLDER, default=Path("augment_preview.png"), show_default=True, help="PNG or JPEG file to write."
)
@click.option("--force", is_flag=True, help="Overwrite --out.")
@_JSON
def augment_preview(
    folder: Path, recipe: str, edits: tuple[str, ...], seed: int | None, image_size: int | None, out: Path, **rest: Any
) -> None:
    """Draw a sheet of photos of FOLDER beside what training would make of them."""
    from regraft.recipes.recipe import load_recipe, parse_edit

    if out.exists() and not rest["force"]:
        raise UsageError(f"{out} exists already; choose another --out or add --force.")
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"--out must end in .png or .jpg; received {out}.")
    changes = dict(parse_edit(edit) for edit in edits)
    choices = load_recipe(recipe, changes | ({} if seed is None else {"seed": seed}))
    from regraft.machine.devices import start_tensorflow

    start_tensorflow()
    from regraft.experiments.preview import write_preview

    photos, draws = rest["photos"], rest["draws"]
    preview = write_preview(folder, choices, out, _progress(), photos=photos, draws=draws, image_size=image_size)
    summary = preview.as_dict()
    if rest["as_json"]:
        _print_json(summary)
    else:
        click.echo(f"{out}: {len(summary['photos'])} photos, {summary['policy']}.")


@regraft.command("find-lr", epilog="Example: regraft find-lr photos/ --set optimizer.name=momentum")
@_training_options("balanced")
@_BACKBONE
@_WEIGHTS
@click.option("--low", type=float, default=1e-6, show_default=True, help="Lowest learning rate.")
@click.option("--high", type=float, default=1.0, show_default=True, help="Highest learning rate.")
@click.option("--steps", type=int, default=100, show_default=True, help="Batches, each at a higher rate.")
@click.option("--force", is_flag=True, help="Write into an --out that exists.")
def find_lr(
    source: str, low: float, high: float, steps: int, force: bool, as_json: bool, out: Path | None, **options: Any
) -> None:
    """Try rising learning rates on FOLDER for one short run, and suggest one. Leaves nothing but a plot and a CSV."""
    from regraft.experiments.find_rate import find_rate

    options["resume"] = False
    request = _request(source, out=None, **options)
    target = out or Path("find_lr")
    found = find_rate(request, low=low, high=high, steps=steps, out=target, force=force, progress=_progress())
    summary = found.as_dict()
    if as_json:
        _print_json(summary)
    elif summary["suggestion"] is None:
        click.echo(f"No suggestion: {summary['reason']}. See {target}/learning_rate_range.png.")
    else:
        rate = f"{summary['suggestion']:.2g}"
        click.echo(f"Try --set optimizer.learning_rate={rate}: {summary['reason']}.")
        click.echo(f"Look at {target}/learning_rate_range.png first.")


@regraft.command(epilog="Example: regraft evaluate saved_models/photos-20260101-120000 other_photos/")
@click.argument("run", type=_FOLDER)
@click.argument("folder", type=_FOLDER, required=False)
@click.option("--out", type=_FOLDER, help="Where the files go.  [default: a new folder in RUN/evaluations/]")
@_looks
@_DEVICE
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def evaluate(
    run: Path, folder: Path | None, out: Path | None, views: str, draws: int, device: str, as_json: bool
) -> None:
    """Measure RUN on the images it reports on, or on another labelled FOLDER."""
    from regraft.inference.trained import Look

    look = Look(views, draws)
    _start_tensorflow_for(run)
    from regraft.experiments.evaluate import evaluate as measure

    summary = measure(run, folder, _progress(), device=device, out=out, look=look).as_dict()
    if as_json:
        _print_json(summary)
    else:
        from regraft.cli.console import show_evaluation

        show_evaluation(summary)


@regraft.command(epilog="Example: regraft export saved_models/photos-20260101-120000 --format litert")
@click.argument("run", type=_FOLDER)
@click.option(
    "--format",
    "form",
    default="saved_model",
    show_default=True,
    metavar="|".join(table.FORMATS),
    help="What reads it: TensorFlow (Serving), LiteRT, ONNX Runtime or OpenVINO.",
)
@click.option(
    "--precision",
    default="float32",
    show_default=True,
    metavar="|".join(table.PRECISIONS),
    help="int8 looks at training photos to find its ranges.",
)
@click.option("--photos", type=_FOLDER, help="Where the photos lie now, if they moved.")
@click.option(
    "--out",
    type=_FOLDER,
    help="Where it goes.  [default: RUN/exports/FORMAT-PRECISION; a new version in RUN/saved_model]",
)
@click.option("--force", is_flag=True, help="Replace an export that exists.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|gpu|tpu")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def export(run: Path, form: str, precision: str, force: bool, as_json: bool, **options: Any) -> None:
    """Write RUN for another runtime, and prove that it answers photos as the trained model does."""
    from regraft.exports.exporting import export_run

    made = export_run(run, form, precision=precision, force=force, progress=_progress(), **options)
    summary = {"run": str(run), **made.as_dict()}
    if as_json:
        _print_json(summary)
    else:
        from regraft.cli.console import show_export

        show_export(summary)


def _inputs_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of what is read, and how."""
    options = (
        click.option("--column", default="path", show_default=True, help="Column of a .csv, .tsv or .parquet input."),
        click.option(
            "--root", type=_FOLDER, help="Where relative paths of tables and of stdin start.  [default: here]"
        ),
        click.option("--null", "-0", is_flag=True, help="Paths on stdin end with a null byte, as of find -print0."),
        click.option("--feature", default="image/encoded", show_default=True, help="Of TFRecord examples: the photo."),
        click.option(
            "--max-pixels",
            type=click.IntRange(1, 357_913_940),
            default=178_956_970,
            show_default=True,
            help="A larger photo is too_large, not decoded.",
        ),
        click.option(
            "--max-bytes",
            type=click.IntRange(1),
            default=1 << 30,
            show_default=True,
            help="Of one file or member.",
        ),
        click.option("--no-shrink", is_flag=True, help="Decode every pixel of photos that are much too large."),
    )
    for option in reversed(options):  # click shows the last that decorates first
        function = option(function)
    return function


def _job_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of how it is computed and written."""
    options = (
        click.option("--resume", is_flag=True, help="Go on with an --out that was begun."),
        click.option("--force", is_flag=True, help="Begin --out anew, whatever is there."),
        click.option("--format", "form", metavar="|".join(TABLE_FORMATS), help="Of a folder's shards, or of stdout."),
        click.option("--shard-rows", type=click.IntRange(1), default=1024, show_default=True, help="Inputs a shard."),
        click.option(
            "--runtime", default="auto", show_default=True, metavar="|".join(("auto", *table.RUNTIMES)),
            help="What computes; auto takes the fastest installed that RUN was exported for.",
        ),
        click.option("--precision", metavar="|".join(table.PRECISIONS), help="Of the export that answers."),
        click.option(
            "--tolerance", type=float, default=1e-3, show_default=True,
            help="How far the probabilities of what auto takes may be from the trained model's.",
        ),
        click.option("--engine", default="local", show_default=True, metavar="local|ray", help="Where it is computed."),
        click.option("--jobs", type=int, default=0, help="Workers of a local Ray.  [default: one a core]"),
    )  # fmt: skip
    for option in reversed(options):  # click shows the last that decorates first
        function = option(function)
    return function


@regraft.command(epilog="Example: regraft predict saved_models/photos-20260101-120000 new_photos/ --out answers.csv")
@click.argument("run", metavar="RUN_OR_EXPORT", type=_FOLDER)
@click.argument("images", metavar="INPUTS...", nargs=-1, required=True)
@click.option("--out", type=_FOLDER, help="A .csv, .jsonl or .parquet file, or a folder of shards.  [default: stdout]")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many labels a row names.")
@click.option("--all-probabilities", is_flag=True, help="Add a column for each class.")
@click.option("--embeddings", is_flag=True, help="Add the features that the head answers by.")
@click.option("--unknown-at", type=float, metavar="RATE", help='Answer "unknown" so that at most RATE is wrong.')
@click.option("--uncertainty", is_flag=True, help="Add entropy, and how far the members of an ensemble disagree.")
@_looks
@_job_options
@_inputs_options
@_DEVICE
def predict(run: Path, images: tuple[str, ...], out: Path | None, **words: Any) -> None:
    """Answer INPUTS, one row each, in order, whatever happens: a broken photo gets a reason, a kill costs a shard.

    INPUTS are photos, folders, patterns, .zip and .tar archives, .tfrecord shards, .csv, .tsv and .parquet tables of
    paths, or - for a list on stdin.
    """
    from regraft.prediction.predict import predict as predict_file
    from regraft.prediction.predict import predict_to_pipe

    options, progress = _predict_options(**words), _progress()
    if out is None:
        sys.stdout.flush()
        summary = predict_to_pipe(run, images, _write_bytes, options, stdin=sys.stdin, progress=progress)
    else:
        summary = predict_file(run, images, out, options, stdin=sys.stdin, progress=progress)
    if not summary.already_finished:
        where = f" in {out}" if out else ""
        click.echo(f"{', '.join(f'{count:,} {status}' for status, count in summary.counts.items())}{where}", err=True)


def _write_bytes(data: bytes) -> None:
    sys.stdout.write(data.decode("utf-8", "surrogateescape"))
    sys.stdout.flush()


def _predict_options(**words: Any) -> Any:
    from regraft.data.photos import Limits
    from regraft.inference.trained import Look
    from regraft.prediction.answerer import Wanted
    from regraft.prediction.predict import Options
    from regraft.prediction.sources.kind import Reading

    look = Look(words["views"], words["draws"], members=words["uncertainty"])
    limits = Limits(words["max_pixels"], words["max_bytes"])
    kept = (
        "runtime",
        "precision",
        "device",
        "tolerance",
        "top",
        "unknown_at",
        "resume",
        "force",
        "shard_rows",
        "engine",
        "jobs",
    )
    return Options(
        wanted=Wanted(look, words["embeddings"], limits, shrink=not words["no_shrink"]),
        reading=Reading(words["column"], str(words["root"] or ""), words["null"], words["feature"]),
        probabilities=words["all_probabilities"],
        format=words["form"],
        **{name: words[name] for name in kept},
    )


@regraft.command(epilog="Example: regraft backbones")
def backbones() -> None:
    """List the backbones."""
    from regraft.models.backbones import BACKBONES

    for name, row in BACKBONES.items():
        width = "  width multiplier model.alpha" if row.takes_alpha else ""
        click.echo(f"{name:<22}{row.image_size:>4} px{width}")


@regraft.command(epilog="Example: regraft demo --out demo")
@click.option(
    "--out",
    type=_FOLDER,
    default=Path("demo"),
    show_default=True,
    help="Folder for photos, run and predictions.",
)
def demo(out: Path) -> None:
    """Run every verb on 1,797 scans of handwritten digits, as a user would."""
    from regraft.cli.demo import run_demo

    run_demo(out, click.echo)


def main() -> None:
    """Runs the command line: exit code 0, 1 for an internal failure, 2 for a mistake in one line on stderr."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")  # file names that are not UTF-8 come out as they are
    try:
        regraft.main(standalone_mode=False, prog_name="regraft")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.UsageError as error:
        hint = f" See {error.ctx.command_path} --help." if error.ctx else ""
        _fail(error.format_message() + hint, error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; an unfinished run goes on with --resume --out RUN.", 130)
    except Exception as error:
        _fail_or_raise(error)


def _fail_or_raise(error: Exception) -> None:
    if isinstance(error, RegraftError):
        _fail(as_options(error.text), error.exit_code)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror}. Check the path, its permissions and the space on the disk.", 2)
    raise error


def _fail(message: str, code: int) -> None:
    click.echo(f"regraft: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _start_tensorflow_for(run: Path) -> None:
    """Imports TensorFlow, which takes seconds, once it is clear that there is a finished run to use it on."""
    from regraft.runs.run import open_run

    open_run(run)
    from regraft.machine.devices import start_tensorflow

    start_tensorflow()


def _progress() -> Any:
    from regraft.cli.console import ConsoleProgress

    return ConsoleProgress()


def _print_json(values: Any) -> None:
    from regraft.machine.files import to_json

    click.echo(to_json(values))


def _show_training(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(summary)
        return
    from regraft.cli.console import show_training

    show_training(summary)


def _request(source: str, *, recipe: str, edits: tuple[str, ...], **options: Any) -> Any:
    from regraft.recipes.recipe import load_recipe, parse_edit
    from regraft.training.session import Request

    keys = {
        "seed": "seed", "val_fraction": "data.val_fraction", "image_size": "data.image_size",
        "epochs": "finetune.epochs", "backbone": "model.backbone", "weights": "model.weights",
    }  # fmt: skip
    changes = dict(parse_edit(edit) for edit in edits)
    changes |= {key: options[name] for name, key in keys.items() if options.get(name) is not None}
    return Request(
        source,
        load_recipe(recipe, changes),
        out=options["out"],
        resume=options["resume"],
        device=options["device"],
        data_dir=options["data_dir"],
        command=["regraft", *map(shlex.quote, sys.argv[1:])],
    )
