"""A pattern with `*`, `?` or `[`: the files that match, by name."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from regraft.data.walk import identities_above
from regraft.prediction.sources.item import Found, Item, LeftOut
from regraft.prediction.sources.kind import InputKind, Reading

_ANY_FOLDERS, _SEPARATOR = "**", os.sep


def _is_pattern(given: str) -> bool:
    """Not so where there is a file of just that name."""
    return any(sign in given for sign in "*?[") and not os.path.exists(given)  # noqa: PTH110 - never raises


def _matches(pattern: str, reading: Reading) -> Iterator[Found]:
    found = sorted(set(_paths(pattern)))
    return (Item(path, path) if Path(path).is_file() else LeftOut(path, "a folder, or not a file") for path in found)


def _paths(pattern: str) -> Iterator[str]:
    """What `glob.glob` finds, which for `**` follows links in circles: of a few it makes billions of paths."""
    parts = pattern.split(_SEPARATOR)
    if _ANY_FOLDERS not in parts:
        yield from glob.iglob(pattern)  # noqa: PTH207 - Path.glob refuses absolute patterns
        return
    place = parts.index(_ANY_FOLDERS)
    beginning = "".join(part + _SEPARATOR for part in parts[:place])
    rest = _SEPARATOR.join(parts[place + 1 :] or ["*"])
    for top in glob.glob(beginning) if beginning else [""]:  # noqa: PTH207 - as above
        for folder in _folders_below(top, frozenset(identities_above(Path(top)))):
            yield from _paths(glob.escape(folder) + rest)


def _folders_below(folder: str, above: frozenset[object]) -> Iterator[str]:
    """`folder` and those below it that are not hidden, each with a separator behind; no link that leads back up."""
    yield folder
    try:
        with os.scandir(folder or ".") as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError:  # it is no folder, or cannot be entered, which `glob` passes over too
        return
    for name in names:
        path = folder + name + _SEPARATOR
        try:
            state = os.stat(path)  # noqa: PTH116 - Path would take the separator away, which only a folder may have
        except OSError:
            continue
        if (here := (state.st_dev, state.st_ino)) not in above:
            yield from _folders_below(path, above | {here})


KIND = InputKind(recognizes=_is_pattern, expand=_matches, nothing="No file matches {}", is_file=False)
