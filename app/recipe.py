"""Every choice of a run, in one frozen value: named recipes, TOML in and out, `section.key=value` edits."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from regraft.errors import UsageError, did_you_mean

Fraction = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataChoices(_Section):
    """Which pixels and which images.

    `image_size` (pixels a side) is the backbone's own where it is left out. `crop_fraction` of the short side is
    what a deterministic view keeps. `select_fraction` of the training images decides between the stages where
    the folder has no images to spare for that.
    """

    image_size: Annotated[int, Field(ge=8, le=2048)] | None = None
    crop_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    val_fraction: Fraction = 0.2
    select_fraction: Fraction = 0.1


class ModelChoices(_Section):
    """The network. `weights` left out are the backbone's own pretrained ones."""

    backbone: str = "mobilenet_v2"
    weights: str | None = None
    alpha: Annotated[float, Field(gt=0, le=4)] = 1.0
    pooling: Literal["avg", "max"] = "avg"
    dropout: Rate = 0.0


class AugmentChoices(_Section):
    """How much a training image may vary; see `regraft.augment.AugmentPolicy`."""

    flip: bool = True
    crop_area_min: Annotated[float, Field(gt=0, le=1)] = 0.35
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.2
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.2
    saturation: Annotated[float, Field(ge=0, le=1)] = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02


class HeadChoices(_Section):
    """The new dense head on frozen features: L2 strengths to choose from, by `folds`-fold cross-validation."""

    l2: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0,
    )  # fmt: skip
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    max_iterations: Annotated[int, Field(ge=1)] = 500


class FineTuneChoices(_Section):
    """Adam with warm-up and cosine decay over the unfrozen part of the network. 0 epochs: no fine-tuning.

    `unfreeze` is the last part of the backbone's layers that is trained: left out, 0.6 of pretrained and all of fresh
    weights. `batch_norm` "auto" is frozen for pretrained weights and live for fresh ones, whose statistics mean
    nothing yet.
    """

    epochs: Annotated[int, Field(ge=0, le=10_000)] = 8
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-4
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.5
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    label_smoothing: Rate = 0.1
    unfreeze: Annotated[float, Field(ge=0, le=1)] | None = None
    batch_norm: Literal["auto", "frozen", "live"] = "auto"

    @model_validator(mode="after")
    def _warmup_ends(self) -> FineTuneChoices:
        if self.epochs and self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs must be less than epochs ({self.epochs}); received {self.warmup_epochs:g}")
        return self


class Recipe(_Section):
    """Every choice of a run. Two runs of one recipe on the same images and machine give the same weights."""

    recipe: str = "balanced"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataChoices = DataChoices()
    model: ModelChoices = ModelChoices()
    augment: AugmentChoices = AugmentChoices()
    head: HeadChoices = HeadChoices()
    finetune: FineTuneChoices = FineTuneChoices()

    def to_toml(self) -> str:
        """The recipe as TOML; `load_recipe` reads it back to an equal value."""
        return tomli_w.dumps(self.model_dump(exclude_none=True, mode="json"))


NAMED: dict[str, dict[str, Any]] = {
    "quick": {"finetune": {"epochs": 0}},
    "balanced": {},
    "thorough": {
        "model": {"dropout": 0.2},
        "augment": {"crop_area_min": 0.2, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.05},
        "finetune": {"epochs": 24, "warmup_epochs": 1.0},
    },
    "pretrain": {
        "data": {"image_size": 32, "val_fraction": 0.1},
        "model": {"backbone": "tiny", "weights": "none"},
        "augment": {"crop_area_min": 0.7},
        "finetune": {
            "epochs": 20,
            "batch_size": 128,
            "learning_rate": 3e-3,
            "warmup_epochs": 1.0,
            "weight_decay": 0.02,
            "batch_norm": "live",
        },
    },
}
"""The recipes that have a name, as differences from the defaults above."""


def load_recipe(name_or_path: str, edits: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of that name or TOML file, with `edits` such as {"finetune.epochs": 3} applied.

    Raises:
        UsageError: there is no such recipe, key or value; the message names the nearest.
    """
    values = _read_values(name_or_path)
    for key, value in (edits or {}).items():
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
        raise UsageError(f'--set expects section.key=value; received "{text}".')
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def all_keys() -> list[str]:
    """Every key of a recipe, dotted, in order."""
    return list(_dotted(Recipe().model_dump()))


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _read_values(name_or_path: str) -> dict[str, Any]:
    if name_or_path in NAMED:
        named = {section: dict(values) for section, values in NAMED[name_or_path].items()}
        return {"recipe": name_or_path, **named}
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise UsageError(
            f'There is no recipe "{name_or_path}" (there are {", ".join(NAMED)}, or a .toml file).'
            + did_you_mean(name_or_path, NAMED)
        )
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"There is no recipe file {path}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}.") from None


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    section, _, name = key.rpartition(".")
    if key not in all_keys():
        raise UsageError(_unknown_key(key))
    target = values.setdefault(section, {}) if section else values
    if isinstance(target, dict):  # or else `make_recipe` says what is wrong with the section
        target[name] = value


def _unknown_key(key: str) -> str:
    if inside := next((known for known in all_keys() if known.startswith(f"{key}.")), ""):
        return f'"{key}" is a section of a recipe; name one of its keys, such as "{inside}".'
    return f'A recipe has no key "{key}".{did_you_mean(key, _with_sections(all_keys()))}'


def _with_sections(keys: Iterable[str]) -> list[str]:
    return sorted({*keys, *(key.partition(".")[0] for key in keys)})


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown_key(key)
    reason = first["msg"].removeprefix("Value error, ")
    received = "" if isinstance(first["input"], dict) else f'; received "{" ".join(str(first["input"]).split())}"'
    return f"{key}: {reason[0].lower()}{reason[1:]}{received}."
