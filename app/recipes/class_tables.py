"""The tables of a recipe whose keys are classes: what each weighs in training, and what mistakes between them cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from regraft.errors import UsageError, did_you_mean
from regraft.recipes.toml_text import brief

ARROW = "->"
"""Stands in a key of `cost` between the true class and the answer."""

CLASS_TABLES = ("cost", "finetune.class_weights", "head.class_weights")
"""The keys of a recipe that hold a table by classes; a dotted key may go on with one of its entries."""

_WORDS = ("none", "balanced")


def _check_weights(value: Any) -> Any:
    if value in _WORDS:
        return value
    if not isinstance(value, Mapping) or not value:
        raise ValueError("must be none, balanced, or a table of classes with their weights")
    for name, weight in value.items():
        if not isinstance(name, str):
            raise ValueError(f'classes are named by text, such as "{brief(name)}"; received {_typed(name)}')
        if not is_finite_number(weight) or weight <= 0:
            raise ValueError(f'the weight of "{brief(name)}" must be a number above 0; received "{brief(weight)}"')
    return dict(value)


def _check_costs(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError('must be a table such as {"sick->well" = 10}: the true class, the answer, the cost')
    for key, cost in value.items():
        if not isinstance(key, str):
            raise ValueError(f'mistakes are named by text, such as "sick->well"; received {_typed(key)}')
        if ARROW not in key.strip(ARROW):
            raise ValueError(f'"{brief(key)}" must name the true class and the answer, such as "sick->well"')
        if not is_finite_number(cost) or cost < 0:
            raise ValueError(f'the cost of "{brief(key)}" must be a number of at least 0; received "{brief(cost)}"')
    return dict(value)


def _typed(key: Any) -> str:
    return f"{brief(key)}, which is {type(key).__name__}"


def is_finite_number(value: Any) -> bool:
    """Whether it is a number that float64 holds; a file may say true, nan, or one of hundreds of digits."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


ClassWeights = Annotated[Literal["none", "balanced"] | dict[str, float], BeforeValidator(_check_weights)]
"""What a photo of each class counts in training: the same, as much as makes classes equal, or a table of factors."""

Costs = Annotated[dict[str, float], BeforeValidator(_check_costs)]
"""What it costs to give an answer where another class is true, by "TRUE->ANSWER"."""


def split_key(key: str) -> tuple[str, str]:
    """The section of a dotted key, or the table by classes that it goes on from, and the rest.

    A class may have dots in its name: ("finetune.class_weights", "a.b") of "finetune.class_weights.a.b".
    """
    for table in CLASS_TABLES:
        if key.startswith(f"{table}.") and key != f"{table}.":
            return table, key.removeprefix(f"{table}.")
    section, _, name = key.rpartition(".")
    return section, name


def check_weighted_classes(key: str, weights: str | Mapping[str, float] | None, class_names: Iterable[str]) -> None:
    """Raises UsageError that names the first class of a table of weights which there is none of.

    Args:
        key: of the recipe, for the message.
        weights: its value.
        class_names: those of the photos.
    """
    known = list(class_names)
    for name in weights if isinstance(weights, Mapping) else ():
        if name not in known:
            raise unknown_class(f"{key} weighs", name, known)


def find_mistake(key: str, class_names: Iterable[str]) -> tuple[str, str]:
    """The true class and the answer that a key of `cost` means.

    Raises:
        UsageError: one of them is no class, or they are the same.
    """
    known = list(class_names)
    parts = key.split(ARROW)
    pairs = [(ARROW.join(parts[:cut]).strip(), ARROW.join(parts[cut:]).strip()) for cut in range(1, len(parts))]
    truth, answer = next((pair for pair in pairs if set(pair) <= set(known)), pairs[0])
    for name in (truth, answer):
        if name not in known:
            raise unknown_class(f'cost: "{brief(key)}" names', name, known)
    if truth == answer:
        raise UsageError(f'cost: "{brief(key)}" is no mistake; a right answer costs 0. Leave it out.')
    return truth, answer


def unknown_class(who: str, name: str, known: Iterable[str]) -> UsageError:
    """What is said of a class that the photos have not: `who` names it, and which is nearest."""
    known = list(known)
    classes = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    return UsageError(
        f'{who} the class "{brief(name)}", which is not there (there are {classes}).{did_you_mean(name, known)}'
    )
