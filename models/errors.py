"""The root of every error that a user can put right, and those of backbones and weights.

It stands here, below everything, so that one `except RegraftError` catches what models and application raise;
`regraft.errors` shows the whole tree.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Self

_MARK = "\x1f"  # around an argument's name; no message has a control character of its own
_OR = "\x1e"  # between the value on the command line and another one in Python
_MARKED = re.compile(f"{_MARK}(\\w+)(?:=([^{_MARK}{_OR}]*)(?:{_OR}([^{_MARK}]*))?)?{_MARK}")


def option(name: str, value: Any = None, *, python: str = "") -> str:
    """The argument `name` in a message, with a value if there is one, which each front end writes in its own way.

    In Python it reads `device` or `kind="ema"`, on the command line `--device` or `--kind ema`, quoted where a shell
    needs it; True is a bare flag.
    `python` is the value as Python spells it, where that is another spelling.
    """
    if value is None:
        return f"{_MARK}{name}{_MARK}"
    return f"{_MARK}{name}={value}{_OR}{python}{_MARK}" if python else f"{_MARK}{name}={value}{_MARK}"


def as_keywords(text: str) -> str:
    """`text` with its arguments as Python writes them: `kind="ema"`, `force=True`."""
    return _MARKED.sub(_keyword, text)


def as_options(text: str) -> str:
    """`text` with its arguments as the command line writes them: `--kind ema`, `--force`."""
    return _MARKED.sub(_flag, text)


def _keyword(match: re.Match[str]) -> str:
    name, value, python = match.groups()
    if value is None:
        return name
    if python:
        return f"{name}={python}"
    is_plain = value in ("True", "False") or re.fullmatch(r"-?[\d.]+(e-?\d+)?", value)
    if is_plain:
        return f"{name}={value}"
    return f'{name}="{value}"' if not set(value) & set('"\\') else f"{name}={value!r}"


def _flag(match: re.Match[str]) -> str:
    name, value, _ = match.groups()
    flag = name.replace("_", "-")
    if value == "False":
        return f"--no-{flag}"
    return f"--{flag}" if value in (None, "True") else f"--{flag} {shlex.quote(value)}"


class RegraftError(Exception):
    """Base of every error that a user can put right. Its message is one line: what was expected, what came, what to do.

    Arguments in it are marked by `option`, so that each front end can write them in its own way.
    """

    exit_code = 2

    @property
    def text(self) -> str:
        """The message with its arguments still marked."""
        return " ".join(map(str, self.args))

    def __str__(self) -> str:
        return as_keywords(self.text)

    def after(self, start: str) -> Self:
        """The same error, its message behind `start`, such as the name of what it happened to."""
        return type(self)(f"{start}{self.text}")


class BackboneError(RegraftError, ValueError):
    """A backbone that does not exist, or an option or image size it does not take."""


class WeightsError(RegraftError, ValueError):
    """A weights file that is missing, damaged or of another network."""
