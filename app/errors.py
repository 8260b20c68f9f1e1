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
from collections.abc import Iterable

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
    "did_you_mean",
    "option",
    "refused_by_system",
]


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
    return RegraftError(f"{place}{error.strerror}. Check the path, its permissions and the space on the disk.")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` for the nearest of `known`, or an empty string where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f' Did you mean "{near[0]}"?' if near else ""
