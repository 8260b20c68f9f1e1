"""TOML as people write it, in files and after --set, and what is said of values that do not fit."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from regraft.errors import UsageError

_NO_TOML = (ValueError, RecursionError)  # malformed, not UTF-8, a number of thousands of digits; nested too deeply
_MOST_SIGNS, _LAST_SIGNS = 120, 15


def value_of(text: str) -> Any:
    """What `text` is in TOML, or else the text itself: 3 of "3", "sgd" of "sgd"."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except _NO_TOML:
        return text.strip()


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a recipe's file. Raises UsageError where it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"There is no recipe file {path}.") from None
    except (OSError, *_NO_TOML) as error:
        raise UsageError(f"{path} cannot be read as TOML: {_why(error)}.") from None


def brief(value: Any) -> str:
    """`value` in a message: on one line, its middle left out where it is long."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists that are nested as deeply
        return type(value).__name__
    text = text if text.isprintable() else " ".join(text.split())
    return text if len(text) <= _MOST_SIGNS else f"{text[: _MOST_SIGNS - _LAST_SIGNS]} ... {text[-_LAST_SIGNS:]}"


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, tomllib.TOMLDecodeError | UnicodeError):
        return brief(error).rstrip(".")
    return getattr(error, "strerror", None) or "a number in it has thousands of digits"
