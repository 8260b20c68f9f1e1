"""Every choice of a run, in one frozen value: named recipes, TOML in and out, `section.key=value` edits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import Field, ValidationError, model_validator

from regraft.errors import UsageError, did_you_mean, option
from regraft.models.schedule_table import check_schedule
from regraft.recipes.choices import (
    AugmentChoices,
    DataChoices,
    FineTuneChoices,
    HeadChoices,
    ModelChoices,
    OptimizerChoices,
    RegularizeChoices,
    ScheduleChoices,
    Section,
)
from regraft.recipes.class_tables import CLASS_TABLES, Costs, split_key
from regraft.recipes.toml_text import brief, read_toml, value_of


class Recipe(Section):
    """Every choice of a run. Two runs of one recipe on the same images and machine give the same weights.

    `cost` is what mistakes cost, by "TRUE->ANSWER"; those that it leaves out cost 1. With it, the answer is the class
    of the least expected cost.
    """

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
    cost: Costs = Field(default_factory=dict)

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
        """The value of a dotted key, such as "finetune.epochs", or of one class in a table; None where it has none."""
        section, name = split_key(key)
        if section in CLASS_TABLES:
            table = self.at(section)
            return table.get(name) if isinstance(table, Mapping) else None
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
    return [*dotted(Recipe().model_dump()), "cost"]


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
    section, name = split_key(key)
    if section in CLASS_TABLES:
        inside, _, table = section.rpartition(".")
        holder = values.setdefault(inside, {}) if inside else values
        if isinstance(holder, dict):
            kept = holder.get(table)
            holder[table] = {**kept, name: value} if isinstance(kept, dict) else {name: value}
        return
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
