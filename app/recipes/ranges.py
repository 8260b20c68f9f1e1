"""Recipe keys that a table names: from a default and words for what is allowed, such as "[0, 1)", to checked fields.

The tables of augmentations and of regularizers stand below the application and need none of its libraries, so they
say what they allow in words; here the words become rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

_FALLING = ", not growing"


def fields_of(options: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    """What `pydantic.create_model` takes for these keys: a type with its check, and the default.

    Args:
        options: a key's default, which tells its type, and what is allowed: "" for any value of that type, "a|b|c" for
            words, else intervals and numbers such as "[0, 1)", "0 or (1, 2)" or ">= 0". Where the default is a tuple,
            each of its numbers must be allowed, ", not growing" keeps them in order, and a single number stands
            for the last one.
    """
    return {key: (_annotation(default, allowed), default) for key, (default, allowed) in options.items()}


def is_allowed(number: float, allowed: str) -> bool:
    """Whether `number` is in one of the intervals or equals one of the numbers that `allowed` joins by "or"."""
    return any(_is_in(number, part.strip()) for part in allowed.split(" or "))


def _annotation(default: Any, allowed: str) -> Any:
    if "|" in allowed:
        return Literal[tuple(allowed.split("|"))]
    if isinstance(default, tuple):
        return _tuple_annotation(default, allowed)
    return (
        Annotated[type(default), AfterValidator(lambda value: _checked(value, allowed))] if allowed else type(default)
    )


def _tuple_annotation(default: tuple[float, ...], allowed: str) -> Any:
    each = allowed.removesuffix(_FALLING)

    def widen(value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return (*default[:-1], value) if is_number else value

    def check(values: tuple[float, ...]) -> tuple[float, ...]:
        for value in values:
            _checked(value, each)
        if each != allowed and list(values) != sorted(values, reverse=True):
            raise ValueError("must not grow")
        return values

    numbers: Any = tuple[(float,) * len(default)]  # type: ignore[misc]
    return Annotated[numbers, BeforeValidator(widen), AfterValidator(check)]


def _checked(value: Any, allowed: str) -> Any:
    if not is_allowed(value, allowed):
        parts = (f"in {part}" if part[0] in "[(" else part for part in allowed.split(" or "))
        raise ValueError(f"must be {' or '.join(parts)}")
    return value


def _is_in(number: float, part: str) -> bool:
    if interval := re.fullmatch(r"([\[(])(\S+), (\S+)([\])])", part):
        left, low, high, right = interval.groups()
        above = number > float(low) or (left == "[" and number == float(low))
        return above and (number < float(high) or (right == "]" and number == float(high)))
    if bound := re.fullmatch(r"(>=?) (\S+)", part):
        return number > float(bound[2]) or (bound[1] == ">=" and number == float(bound[2]))
    return number == float(part)
