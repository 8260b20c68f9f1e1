"""Whether an argument is what the signature of a public function says, told in one line where it is not."""

from __future__ import annotations

import inspect
import operator
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, NamedTuple

from regraft.api.given_tables import is_frame, is_pairs
from regraft.errors import UsageError, option
from regraft.machine.addresses import is_address
from regraft.models.hub.networks import SCHEMES


class _Expected(NamedTuple):
    """What one part of an annotation asks for: in words, and whether a value is that."""

    words: str
    fits: Callable[[Any], bool]


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike) and bool(os.fspath(value))


def _is_whole(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and bool(operator.index(value) is not None)
    except TypeError:
        return False


def _is_several(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _is_of_class(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(each, Real) and not isinstance(each, bool) for each in value.values()
    )


def _is_named(value: Any) -> bool:
    """Names with a mapping each: as a mapping, or as pairs."""
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    return isinstance(pairs, list | tuple) and all(_is_pair(pair, Mapping) for pair in pairs)


def _is_varied(value: Any) -> bool:
    """Keys with a list each: as a mapping, or as pairs."""
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    return isinstance(pairs, list | tuple) and all(_is_pair(pair, Iterable) for pair in pairs)


def _is_pair(pair: Any, second: type) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], second)


def _is_a(name: str) -> Callable[[Any], bool]:
    """Whether a value is of the class of that name, which need not be imported for that."""
    return lambda value: any(kind.__name__ == name for kind in type(value).__mro__)


_A_PATH = _Expected("a path", _is_path)
_EXPECTED: dict[str, _Expected] = {
    "bool": _Expected("True or False", lambda value: isinstance(value, bool)),
    "int": _Expected("a whole number", _is_whole),
    "float": _Expected("a number", lambda value: isinstance(value, Real) and not isinstance(value, bool)),
    "str": _Expected("a string", lambda value: isinstance(value, str)),
    "PathLike": _A_PATH,
    "Photos": _Expected(
        "a folder, a table, a data frame or a list of (path, label)",
        lambda value: _is_path(value) or is_frame(value) or is_pairs(value),
    ),
    "Run": _Expected("a Run", _is_a("Run")),
    "Model": _Expected("a Model", _is_a("Model")),
    "Recipe": _Expected("a Recipe", _is_a("Recipe")),
    "Values": _Expected(
        'recipe keys with their values, such as {"finetune.epochs": 3}', lambda value: isinstance(value, Mapping)
    ),
    "OfClass": _Expected('a class and a number, such as {"melanoma": 0.95}', _is_of_class),
    "Varied": _Expected(
        'recipe keys with a list of values each, such as {"optimizer.name": ["adam", "sgd"]}', _is_varied
    ),
    "Named": _Expected("names with what each changes, such as "
                       '{"plain": {}, "mixed": {"augment.mixup": 0.2}}', _is_named),
    "Sequence": _Expected("several in a list", _is_several),
    "Iterable": _Expected("a list of them", _is_several),
    "Callable": _Expected("a function", callable),
    "Show": _Expected("a function", callable),
    "Progress": _Expected(
        "an object with the methods of regraft.Progress",
        lambda value: callable(getattr(value, "work", None)) and callable(getattr(value, "say", None)),
    ),
    "None": _Expected("None", lambda value: value is None),
}  # fmt: skip
"""Each part of the annotations of the public functions; a new one needs its row."""


def check_types(signature: inspect.Signature, arguments: Mapping[str, Any]) -> None:
    """Raises UsageError that names the first argument that is not of its annotated type."""
    for name, value in arguments.items():
        parameter = signature.parameters[name]
        expected = [_EXPECTED[part] for part in parts_of(parameter.annotation)]
        where = option(name) if parameter.kind is parameter.KEYWORD_ONLY else name
        if value is not parameter.default and not any(each.fits(value) for each in expected):
            words = " or ".join(each.words for each in expected if each.words != "None")
            raise UsageError(f"{where} must be {words}; received {shown(value)}.")
        is_hub = name == "weights" and str(value).startswith(SCHEMES)  # what its backbone makes of that, it says itself
        may_be_path = _A_PATH in expected or _EXPECTED["Photos"] in expected
        if may_be_path and isinstance(value, str | os.PathLike) and not is_hub:
            check_is_no_address(where, value)


def check_is_no_address(name: str, path: str | os.PathLike[str]) -> None:
    """Raises UsageError where a path is an address of the network."""
    if is_address(text := os.fspath(path)):
        raise UsageError(f'{name} must be a path on this machine; addresses such as "{text}" are not read or written.')


def check_range(low: int, high: int | None = None, **numbers: float) -> None:
    """Raises UsageError that names the first number outside `low` to `high`, inclusive."""
    for name, value in numbers.items():
        if not (value >= low and (high is None or value <= high)):  # of what is no number, neither holds
            span = f"at least {low}" if high is None else f"from {low} to {high}"
            raise UsageError(f"{option(name)} must be {span}; received {value}.")


def parts_of(annotation: str) -> list[str]:
    """["PathLike", "Sequence"] of "PathLike | Sequence[PathLike | Run]"."""
    bare = annotation
    while (shorter := re.sub(r"\[[^\[\]]*\]", "", bare)) != bare:
        bare = shorter
    return bare.split(" | ")


def shown(value: Any) -> str:
    """A value in a message: itself where it is plain and short, else its type."""
    is_plain = value is None or isinstance(value, str | bool | int | float | list | tuple | dict)
    return reprlib.repr(value) if is_plain else type(value).__name__
