"""A pattern with `*`, `?` or `[`: the files that match, by name."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from regraft.prediction.sources.item import Found, Item, LeftOut
from regraft.prediction.sources.kind import InputKind, Reading


def _is_pattern(given: str) -> bool:
    """Not so where there is a file of just that name."""
    return any(sign in given for sign in "*?[") and not os.path.exists(given)  # noqa: PTH110 - never raises


def _matches(pattern: str, reading: Reading) -> Iterator[Found]:
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
    return (Item(path, path) if Path(path).is_file() else LeftOut(path, "a folder, or not a file") for path in found)


KIND = InputKind(recognizes=_is_pattern, expand=_matches, nothing="No file matches {}", is_file=False)
