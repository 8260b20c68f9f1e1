"""Whether what a file says is of the types that a dataclass asks for: files can be damaged, or written by others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FITS: dict[str, Callable[[Any], bool]] = {
    "None": lambda value: value is None,
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": _is_number,
    "Sequence[str]": lambda value: _is_list_of(str, value),
    "Mapping[str, float]": lambda value: isinstance(value, Mapping) and all(map(_is_number, value.values())),
}
"""What the parts of an annotation ask for. Others are checked where they are made."""


def check_field_types(kind: type, values: Any) -> None:
    """Raises ValueError that names the first of `values` which the dataclass `kind` does not take; others are left."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{kind.__name__} is {type(values).__name__}, and no object")
    for each in fields(kind):
        allowed = [_FITS.get(part) for part in re.split(r" \| ", str(each.type))]
        if each.name in values and all(allowed) and not any(fits(values[each.name]) for fits in allowed if fits):
            raise ValueError(f"{each.name} is no {each.type}")


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(entry, kind) for entry in value)
