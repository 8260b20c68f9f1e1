"""The options of the command line, those that verbs share, and how they become arguments of `regraft.api`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from regraft.exports.table import FORMATS, PRECISIONS, RUNTIMES
from regraft.prediction.tables.table import TABLE_FORMATS

Verb = TypeVar("Verb", bound=Callable[..., None])


class _Path(click.Path):
    """A path that is not empty: to `pathlib`, the empty path is the current folder, which nobody means by it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it must be a path; received an empty one.", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)
DEVICES = "auto|cpu|gpu|tpu"


def all_of(*options: Callable[[Any], Any]) -> Callable[[Verb], Verb]:
    """Many options as one decorator, shown by --help in this order."""

    def decorate(verb: Verb) -> Verb:
        for option in reversed(options):
            verb = option(verb)
        return verb

    return decorate


def edits_of(texts: Sequence[str] = ()) -> dict[str, Any]:
    """{"finetune.epochs": 3} from the values of --set, and of the options of `LABELS`, which count more."""
    from regraft.recipes.recipe import parse_edit

    return {**dict(parse_edit(text) for text in texts), **click.get_current_context().meta.get(_TOLD, {})}


_TOLD = "labels"
"""Where the context of the command line keeps what `LABELS` and `GROUPS` were told."""


def _tell(context: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None:
        context.meta.setdefault(_TOLD, {})[f"data.{param.name}"] = str(value)


def _label_option(name: str, **settings: Any) -> Callable[[Any], Any]:
    """An option that is a key of the recipe's section `data`, which verbs get among their edits."""
    return click.option(name, expose_value=False, callback=_tell, **settings)


def of_class(name: str, text: str | None) -> dict[str, float] | None:
    """{"melanoma": 0.95} from "melanoma=0.95"; None stays. Raises UsageError where it is nothing of the kind."""
    from regraft.errors import UsageError, option

    if text is None:
        return None
    label, _, share = text.rpartition("=")
    try:
        return {label: float(share)}
    except ValueError:
        raise UsageError(f'{option(name)} expects CLASS=SHARE, such as melanoma=0.95; received "{text}".') from None


SET = click.option(
    "--set", "edits", multiple=True, metavar="KEY=VALUE", help="Change one recipe key, such as finetune.epochs=3."
)
SEED = click.option("--seed", type=int, help="Seed of everything random.  [default: 0]")
IMAGE_SIZE = click.option("--image-size", type=int, help="Pixels per side.  [default: the backbone's]")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end.")
DEVICE = click.option("--device", default="auto", show_default=True, metavar=DEVICES)
PHOTOS_MOVED = click.option("--photos", type=PATH, help="Where the photos lie now, if they moved.")

LABELS = all_of(
    _label_option("--root", type=PATH, help="Where relative paths of a table start.  [default: its folder]"),
    _label_option("--path-column", metavar="NAME", help="Column of a table.  [default: by its usual names]"),
    _label_option("--label-column", metavar="NAME", help="Column of a table.  [default: by its usual names]"),
)

GROUPS = all_of(
    _label_option("--group", metavar="COLUMN", help="Keep photos together that have the same word here."),
    _label_option("--group-pattern", metavar="REGEX", help="Keep photos together where it captures the same of paths."),
)

PROVE = click.option(
    "--prove",
    default="sample",
    show_default=True,
    metavar="sample|all",
    help="Prove the export on up to 500 reported photos, a sample of each class if there are more; or on all.",
)

MAX_MEMORY = click.option(
    "--max-memory",
    metavar="BYTES",
    help="Held by photos on their way to the network, such as 4G.  [default: half of what is free]",
)


def max_pixels(words: str, default: int | None = 178_956_970) -> Callable[[Any], Any]:
    """--max-pixels; where it has no default here, it is the recipe's, which is the same."""
    ending = "" if default else "  [default: 178956970]"
    return click.option(
        "--max-pixels",
        type=click.IntRange(1, 357_913_940),
        default=default,
        show_default=bool(default),
        help=f"{words}{ending}",
    )


NETWORK = all_of(
    click.option("--backbone", metavar="NAME", help="See regraft backbones; or auto.  [default: efficientnet_lite0]"),
    click.option("--weights", metavar="imagenet|none|PATH", help="Pretrained weights.  [default: the backbone's own]"),
)

LOOK = all_of(
    click.option(
        "--views",
        default="one",
        show_default=True,
        metavar="one|flip|five|ten|scales",
        help="Average the answers to several views of each photo.",
    ),
    click.option(
        "--draws", type=int, default=0, show_default=True, help="Average over draws of the regularizers' noise."
    ),
)


def recipe_option(recipe: str) -> Callable[[Any], Any]:
    """--recipe, with the verb's own default."""
    return click.option(
        "--recipe", default=recipe, show_default=True, metavar="NAME|FILE.toml", help="Named recipe or TOML file."
    )


def training_options(recipe: str) -> Callable[[Verb], Verb]:
    """The options that verbs which train share; `recipe` is the default."""
    return all_of(
        recipe_option(recipe),
        SET,
        SEED,
        click.option(
            "--val-fraction", type=float, help="Part held out for the report where there is no split.  [default: 0.2]"
        ),
        LABELS,
        GROUPS,
        IMAGE_SIZE,
        click.option("--epochs", type=int, help="Epochs of training the network."),
        click.option("--out", type=PATH, help="Run directory.  [default: a new one in saved_models/]"),
        click.option("--resume", is_flag=True, help="Continue the unfinished run in --out."),
        click.option(
            "--device", default="auto", show_default=True, metavar=DEVICES, help="cpu:N makes N virtual devices."
        ),
        click.option("--data-dir", type=PATH, help="Where tensorflow-datasets keeps its data."),
        JSON,
    )


EXPORT_FORMAT = all_of(
    click.option(
        "--format",
        default="saved_model",
        show_default=True,
        metavar="|".join(FORMATS),
        help="What reads it: TensorFlow (Serving), LiteRT, ONNX Runtime or OpenVINO.",
    ),
    click.option(
        "--precision",
        default="float32",
        show_default=True,
        metavar="|".join(PRECISIONS),
        help="int8 looks at training photos to find its ranges.",
    ),
)

ANSWERS = all_of(
    click.option("--out", type=PATH, help="A .csv, .jsonl or .parquet file, or a folder of shards.  [default: stdout]"),
    click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many labels a row names."),
    click.option("--all-probabilities", is_flag=True, help="Add a column for each class."),
    click.option("--embeddings", is_flag=True, help="Add the features that the head answers by."),
    click.option(
        "--unknown-at",
        type=float,
        metavar="RATE",
        help='In doubt between classes answer "unknown", so that at most RATE is wrong on photos like its own.',
    ),
    click.option("--spreadsheet-safe", is_flag=True, help="Put an apostrophe before CSV cells that spreadsheets run."),
    click.option("--uncertainty", is_flag=True, help="Add entropy, and how far the members of an ensemble disagree."),
)

JOB = all_of(
    click.option("--resume", is_flag=True, help="Go on with an --out that was begun."),
    click.option("--force", is_flag=True, help="Begin --out anew, over answers that are there."),
    click.option("--format", metavar="|".join(TABLE_FORMATS), help="Of a folder's shards, or of stdout."),
    click.option("--shard-rows", type=click.IntRange(1), default=1024, show_default=True, help="Inputs per shard."),
    click.option(
        "--runtime", default="auto", show_default=True, metavar="|".join(("auto", *RUNTIMES)),
        help="What computes; auto takes the fastest installed that RUN was exported for.",
    ),
    click.option("--precision", metavar="|".join(PRECISIONS), help="Of the export that answers."),
    click.option(
        "--tolerance", default="0.001", show_default=True, metavar="NUMBER|labels",
        help="How far the probabilities of what auto takes may be off, or labels: 99.9 % of the reported photos' stay.",
    ),
    click.option("--engine", default="local", show_default=True, metavar="local|ray", help="Where it is computed."),
    click.option("--jobs", type=int, default=0, help="Workers of a local Ray.  [default: one per core]"),
)  # fmt: skip

READING = all_of(
    click.option("--column", default="path", show_default=True, help="Column of a .csv, .tsv or .parquet input."),
    click.option("--root", type=PATH, help="Where relative paths of tables and of stdin start.  [default: here]"),
    click.option("--null", "-0", is_flag=True, help="Paths on stdin end with a null byte, as of find -print0."),
    click.option("--feature", default="image/encoded", show_default=True, help="Of TFRecord examples: the photo."),
    max_pixels("A larger photo is too_large, not decoded."),
    click.option(
        "--max-bytes", type=click.IntRange(1), default=1 << 30, show_default=True, help="Of one file or member."
    ),
    MAX_MEMORY,
    click.option("--no-shrink", is_flag=True, help="Decode every pixel of photos that are much too large."),
    click.option("--strict", is_flag=True, help="End with exit code 3 if any row has no answer, not only if all."),
    click.option("--verbose", is_flag=True, help="Name each file that gets no row, such as a text in a folder."),
)
