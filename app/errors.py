"""What can go wrong that a user can put right.

    RegraftError
    ├── UsageError         an argument, key or value that does not exist or does not fit
    ├── FolderError        a photo folder that cannot be used as it is
    ├── RunError           a run directory that is missing, unfinished, damaged or in the way
    ├── BackboneError      a backbone that does not exist, or what it does not take
    ├── WeightsError       a weights file that is missing, damaged or of another network
    └── ExportError        an export that does not do what the trained model does

Every message is one line: what was expected, what came, what to do. It names arguments (`device`); the command line
prints it with dashes (`--device`) and exits with code 2 (code 1 for `ExportError`, which is never the user's mistake).
"""

from __future__ import annotations

import difflib
import errno
import functools
import inspect
import os
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from regraft.models.errors import BackboneError, RegraftError, WeightsError, as_keywords, as_options, option

__all__ = [
    "BackboneError",
    "ExportError",
    "FolderError",
    "RegraftError",
    "RunError",
    "UsageError",
    "WeightsError",
    "as_keywords",
    "as_options",
    "checks_arguments",
    "did_you_mean",
    "option",
    "refused_by_system",
    "visible",
]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class UsageError(RegraftError):
    """An argument, key or value that does not exist or does not fit."""


class FolderError(RegraftError):
    """A photo folder that cannot be used as it is."""


class RunError(RegraftError):
    """A run directory that is missing, unfinished, damaged or in the way."""


class ExportError(RegraftError):
    """An export that does not do what the trained model does."""

    exit_code = 1


def refused_by_system(error: OSError) -> RegraftError:
    """What the file system refused, in one line: a place, a reason, what to do."""
    place = f"{error.filename}: " if error.filename else ""
    if not place and error.errno == errno.ENOENT and not _current_folder_is_there():
        return RegraftError(
            "The current folder is no longer there. Go to another one, and name what you want by its path."
        )
    return RegraftError(f"{place}{error.strerror}. Check the path, its permissions and the space on the disk.")


def _current_folder_is_there() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd() is the same
    except OSError:
        return False
    return True


_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)  # line breaks are among them
_TURNS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))  # of the direction of the text
_UNSEEN = {code: f"\\u{code:04x}" for code in (*_CONTROLS, *_TURNS)}


def visible(text: str) -> str:
    """`text` on one line for people to read: what a terminal would obey instead of show is written as \\u202e.

    A JSON object on one line stays the same object.
    """
    return text.translate(_UNSEEN)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` for the nearest of `known`, or an empty string where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f' Did you mean "{near[0]}"?' if near else ""


def checks_arguments(name: str) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """A decorator: the same function, which answers arguments that do not exist or are missing with a `UsageError`.

    Args:
        name: what the message calls the function, such as "regraft.train".
    """

    def checked(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise UsageError(_what_does_not_fit(name, signature, kwargs, error)) from None
            return function(*args, **kwargs)

        return call

    return checked


def _what_does_not_fit(name: str, signature: inspect.Signature, given: Iterable[str], error: TypeError) -> str:
    for key in given:
        if key not in signature.parameters:
            known = [parameter for parameter in signature.parameters if parameter != "self"]
            return f'{name} has no argument "{key}".{did_you_mean(key, known)}'
    return f"{name}: {error}."
