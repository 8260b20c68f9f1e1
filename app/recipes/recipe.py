"""Every choice of a run, in one frozen value: named recipes, TOML in and out, `section.key=value` edits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from regraft.augment.table import AUGMENTATIONS
from regraft.data.rendering import Range, check_background, check_range
from regraft.data.unreadable import MAX_PIXELS, MOST_PIXELS
from regraft.errors import UsageError, did_you_mean, option
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.models.regularizers import REGULARIZERS
from regraft.models.schedule_table import SCHEDULES, check_schedule
from regraft.recipes.ranges import fields_of
from regraft.recipes.toml_text import brief, read_toml, value_of

Fraction = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
SECOND_ORDER = ("lbfgs", "newton-cg")
"""What solves the head on all images at once."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataChoices(_Section):
    """Which pixels and which images.

    `image_size` (pixels a side) is the backbone's own where it is left out. `crop_fraction` of the short side is
    what a deterministic view keeps. `select_fraction` of the training images become selection photos where the
    folder has no split to spare for that. `split_seed` draws the roles; left out, the recipe's seed does.
    `background` and `range` are those of `Rendering`. A photo of over `max_pixels` is not read.
    """

    image_size: Annotated[int, Field(ge=8, le=2048)] | None = None
    crop_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    val_fraction: Fraction = 0.2
    select_fraction: Fraction = 0.1
    split_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    background: Annotated[str, AfterValidator(check_background)] = "white"
    range: Annotated[Range, BeforeValidator(check_range)] = "auto"
    max_pixels: Annotated[int, Field(ge=1, le=MOST_PIXELS)] = MAX_PIXELS


class ModelChoices(_Section):
    """The network. `weights` left out are the backbone's own pretrained ones."""

    backbone: str = "mobilenet_v2"
    weights: str | None = None
    alpha: Annotated[float, Field(gt=0, le=4)] = 1.0
    pooling: Literal["avg", "max"] = "avg"


class _TableSection(_Section):
    """A section whose keys come from a table."""

    @property
    def values(self) -> dict[str, Any]:
        """The value of each key."""
        return self.model_dump()


def _augment_options() -> dict[str, tuple[Any, str]]:
    return {key: option for row in AUGMENTATIONS.values() for key, option in row.options.items()}


def _regularize_options() -> dict[str, tuple[Any, str]]:
    options = {key: option for row in REGULARIZERS.values() for key, option in row.options.items()}
    return {key: (option.default, option.allowed) for key, option in options.items()}


AugmentChoices: Any = create_model(
    "AugmentChoices",
    __base__=_TableSection,
    __doc__="How much a training image may vary; the keys are those of `regraft.augment.table`.",
    **fields_of(_augment_options()),
)

RegularizeChoices: Any = create_model(
    "RegularizeChoices",
    __base__=_TableSection,
    __doc__="The regularization layers; the keys are those of `regraft.models.regularizers`.",
    **fields_of(_regularize_options()),
)


class HeadChoices(_Section):
    """The new dense head on frozen features.

    `l2` are strengths to choose from, by `folds`-fold cross-validation. The second-order solvers ("lbfgs",
    "newton-cg") take the whole training set at once, for at most `max_iterations`; the others go through it `epochs`
    times in batches of `batch_size`, with the solver's own `learning_rate` where it is left out.
    """

    solver: Literal[*SECOND_ORDER, *OPTIMIZERS] = "lbfgs"  # type: ignore[valid-type]
    l2: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0,
    )  # fmt: skip
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    max_iterations: Annotated[int, Field(ge=1)] = 500
    learning_rate: Annotated[float, Field(gt=0, le=1000)] | None = None
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 100
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64


def _first_order(name: Any) -> Any:
    if name in SECOND_ORDER:
        raise ValueError(
            "a second-order method needs all images at each step and a convex loss, which only the head has "
            f"(head.solver); use one of {', '.join(OPTIMIZERS)} for the network"
        )
    return name


class OptimizerChoices(_Section):
    """What takes the steps of fine-tuning. What is left out is the optimizer's own; 0 turns `clip_*` and `ema` off.

    `clip_norm` bounds the norm of all gradients together, `clip_value` each number. `accumulate` batches make one step.
    `ema` is the momentum of the averaged weights that are then kept. `layer_decay` multiplies the learning rate once
    for each block of the backbone between a layer and the head.
    """

    name: Annotated[Literal[*OPTIMIZERS], BeforeValidator(_first_order)] = "adam"  # type: ignore[valid-type]
    learning_rate: Annotated[float, Field(gt=0, le=100)] | None = None
    momentum: Rate | None = None
    nesterov: bool | None = None
    beta_1: Rate | None = None
    beta_2: Rate | None = None
    weight_decay: Annotated[float, Field(ge=0, lt=1)] | None = None
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    clip_value: Annotated[float, Field(ge=0)] = 0.0
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    ema: Rate = 0.0
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _has_its_options(self) -> OptimizerChoices:
        takes = OPTIMIZERS[self.name].takes
        for key in ("momentum", "nesterov", "beta_1", "beta_2"):
            if getattr(self, key) is not None and key not in takes:
                able = ", ".join(name for name, row in OPTIMIZERS.items() if key in row.takes)
                raise ValueError(f"{self.name} has no {key} (these have: {able}); leave it out")
        return self

    @model_validator(mode="after")
    def _clips_once(self) -> OptimizerChoices:
        if self.clip_norm and self.clip_value:
            raise ValueError(
                f"clip_norm and clip_value exclude each other; received {self.clip_norm:g} and {self.clip_value:g}"
            )
        return self


class ScheduleChoices(_Section):
    """How the learning rate moves over the epochs; see `regraft.models.schedule_table`.

    Each takes the keys it needs: `cycles` is that of cyclic; `decay` the factor of step, exponential and plateau, every
    `step_epochs`, or after `patience` epochs without a lower loss.
    """

    name: Literal[*SCHEDULES] = "cosine"  # type: ignore[valid-type]
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.5
    cycles: Annotated[int, Field(ge=1, le=1000)] = 1
    step_epochs: Annotated[float, Field(gt=0)] = 2.0
    decay: Fraction = 0.5
    patience: Annotated[int, Field(ge=1)] = 2


class FineTuneChoices(_Section):
    """Training of the unfrozen part of the network. 0 epochs: no fine-tuning.

    `unfreeze` is the last part of the backbone's layers that is trained: left out, 0.6 of pretrained and all of fresh
    weights. `batch_norm` "frozen" keeps statistics and scales, "adaptive" trains both, "reestimated" keeps them while
    training and then computes the statistics anew on the training photos; "auto" is frozen for pretrained weights and
    adaptive for fresh ones, whose statistics mean nothing yet. `l2_sp` pulls the backbone towards the weights it began
    with. `patience` epochs without a lower loss on the selection photos end the training, and the weights of the best
    epoch are kept; 0 trains to the end. `snapshots` keeps the weights at the end of each of the
    last so many cycles, where the schedule is cyclic, or epochs.
    """

    epochs: Annotated[int, Field(ge=0, le=10_000)] = 8
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    label_smoothing: Rate = 0.1
    unfreeze: Annotated[float, Field(ge=0, le=1)] | None = None
    batch_norm: Literal["auto", "frozen", "adaptive", "reestimated"] = "auto"
    l2_sp: Annotated[float, Field(ge=0)] = 0.0
    patience: Annotated[int, Field(ge=0)] = 0
    snapshots: Annotated[int, Field(ge=0)] = 0


class Recipe(_Section):
    """Every choice of a run. Two runs of one recipe on the same images and machine give the same weights."""

    recipe: str = "balanced"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataChoices = DataChoices()
    model: ModelChoices = ModelChoices()
    augment: AugmentChoices = AugmentChoices()
    regularize: RegularizeChoices = RegularizeChoices()
    head: HeadChoices = HeadChoices()
    optimizer: OptimizerChoices = OptimizerChoices()
    schedule: ScheduleChoices = ScheduleChoices()
    finetune: FineTuneChoices = FineTuneChoices()

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(_explain(error)) from None

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str], edits: Mapping[str, Any] | None = None) -> Recipe:
        """The recipe of that name or TOML file, with `edits` such as {"finetune.epochs": 3} applied.

        Raises:
            UsageError: there is no such recipe, key or value; the message names the nearest.
        """
        return load_recipe(os.fspath(name_or_path), edits)

    @model_validator(mode="after")
    def _schedule_fits(self) -> Recipe:
        if self.finetune.epochs:
            schedule = self.schedule
            check_schedule(
                schedule.name, epochs=self.finetune.epochs, warmup_epochs=schedule.warmup_epochs, cycles=schedule.cycles
            )
        return self

    @model_validator(mode="after")
    def _snapshots_fit(self) -> Recipe:
        wanted, ends = self.finetune.snapshots, len(self.cycle_ends)
        if wanted > ends:
            what = "cycles" if self.schedule.name == "cyclic" else "epochs"
            raise ValueError(f"finetune.snapshots must be at most the number of {what} ({ends}); received {wanted}")
        return self

    @property
    def cycle_ends(self) -> range:
        """After how many epochs a snapshot can be taken: at the end of each cycle, or of each epoch."""
        epochs = self.finetune.epochs
        length = epochs // self.schedule.cycles if self.schedule.name == "cyclic" else 1
        return range(max(length, 1), epochs + 1, max(length, 1))

    @property
    def snapshot_epochs(self) -> list[int]:
        """After how many epochs the weights are kept."""
        return list(self.cycle_ends)[len(self.cycle_ends) - self.finetune.snapshots :]

    def at(self, key: str) -> Any:
        """The value of a dotted key, such as "finetune.epochs"."""
        section, _, name = key.rpartition(".")
        return getattr(getattr(self, section) if section else self, name)

    def to_toml(self) -> str:
        """The recipe as TOML; `Recipe.load` reads it back to an equal value."""
        return tomli_w.dumps(self.model_dump(exclude_none=True, mode="json"))


NAMED: dict[str, dict[str, Any]] = {
    "quick": {"finetune": {"epochs": 0}},
    "balanced": {},
    "thorough": {
        "augment": {"crop_area_min": 0.2, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.05},
        "regularize": {"dropout": 0.2},
        "schedule": {"warmup_epochs": 1.0},
        "finetune": {"epochs": 24},
    },
    "pretrain": {
        "data": {"image_size": 32, "val_fraction": 0.1},
        "model": {"backbone": "tiny", "weights": "none"},
        "augment": {"crop_area_min": 0.7},
        "optimizer": {"learning_rate": 3e-3, "weight_decay": 0.02},
        "schedule": {"warmup_epochs": 1.0},
        "finetune": {"epochs": 20, "batch_size": 128, "batch_norm": "adaptive"},
    },
}
"""The recipes that have a name, as differences from the defaults above."""


def load_recipe(name_or_path: str, edits: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of that name or TOML file, with `edits` such as {"finetune.epochs": 3} applied.

    Raises:
        UsageError: there is no such recipe, key or value; the message names the nearest.
    """
    values = read_values(name_or_path)
    for key, value in (edits or {}).items():
        _set(values, key, value)
    return make_recipe(values)


def edit_recipe(recipe: Recipe, edits: Mapping[str, Any]) -> Recipe:
    """`recipe` with `edits` such as {"finetune.epochs": 3} applied. Raises UsageError where one does not fit."""
    values = recipe.model_dump(exclude_none=True)
    for key, value in edits.items():
        _set(values, key, value)
    return make_recipe(values)


def make_recipe(values: Mapping[str, Any]) -> Recipe:
    """A recipe from nested values. Raises UsageError with one line where a key or value does not fit."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(_explain(error)) from None


def parse_edit(text: str) -> tuple[str, Any]:
    """("finetune.epochs", 3) from "finetune.epochs=3". The value is TOML, or else a plain string."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f'{option("set")} expects section.key=value; received "{brief(text)}".')
    return key.strip(), value_of(value)


def all_keys() -> list[str]:
    """Every key of a recipe, dotted, in order."""
    return list(dotted(Recipe().model_dump()))


def dotted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values by dotted key."""
    return dict(_dotted(values))


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def read_values(name_or_path: str) -> dict[str, Any]:
    """What a named recipe or a file says, nested. Raises UsageError where there is neither."""
    if name_or_path in NAMED:
        named = {section: dict(values) for section, values in NAMED[name_or_path].items()}
        return {"recipe": name_or_path, **named}
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise UsageError(
            f'There is no recipe "{name_or_path}" (there are {", ".join(NAMED)}, or a .toml file).'
            + did_you_mean(name_or_path, NAMED)
        )
    return read_toml(path)


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    section, _, name = key.rpartition(".")
    if key not in all_keys():
        raise UsageError(_unknown_key(key))
    target = values.setdefault(section, {}) if section else values
    if isinstance(target, dict):  # or else `make_recipe` says what is wrong with the section
        target[name] = value


def _unknown_key(key: str) -> str:
    key = brief(key)
    if inside := next((known for known in all_keys() if known.startswith(f"{key}.")), ""):
        return f'"{key}" is a section of a recipe; name one of its keys, such as "{inside}".'
    section, _, name = key.rpartition(".")
    homes = [known for known in all_keys() if known.endswith(f".{name}")]
    if homes and any(known.startswith(f"{section}.") for known in all_keys()):  # the right key in the wrong section
        return f'A recipe has no key "{key}". Did you mean {" or ".join(map(_quoted, homes))}?'
    return f'A recipe has no key "{key}".{did_you_mean(key, _with_sections(all_keys()))}'


def _quoted(key: str) -> str:
    return f'"{key}"'


def _with_sections(keys: Iterable[str]) -> list[str]:
    return sorted({*keys, *(key.partition(".")[0] for key in keys)})


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown_key(key)
    reason = first["msg"].removeprefix("Value error, ")
    received = "" if isinstance(first["input"], dict) else f'; received "{brief(first["input"])}"'
    return f"{key}: {reason[0].lower()}{reason[1:]}{received}." if key else f"{reason}."
