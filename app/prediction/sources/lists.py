"""Lists of paths: in a text file or on stdin, and what a path in any list means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from regraft.data.tables.text import first_line, is_unmarked_utf16, lines_of, lines_on
from regraft.data.walk import is_image_name
from regraft.errors import UsageError
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import InputKind, Reading

MOST_LETTERS = 1 << 16
"""Of a path; systems allow 4,096 bytes."""

_SUFFIXES = (".txt", ".lst", ".list")


def listed(path: str, reading: Reading) -> Item:
    """The item of a path in a list or table; an empty one keeps its row.

    Raises:
        UsageError: no path is that long, so this is no list of them.
    """
    if not path:
        return Item(path, kind="broken", reason="empty path", status="missing")
    if len(path) > MOST_LETTERS:
        raise UsageError(f"A path in a list has at most {MOST_LETTERS:,} letters; {path[:40]}... has {len(path):,}.")
    return Item(path, os.path.join(reading.root, path))  # noqa: PTH118 - Path would change the name


def listed_on(stdin: Iterable[str], reading: Reading) -> Iterator[Item]:
    """The item of each line that is not blank, or of each path that ends with a null byte."""
    return (listed(path, reading) for path in (_between_nulls(stdin) if reading.null else _paths(lines_on(stdin))))


def _paths(lines: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines if line.strip())


def _between_nulls(stdin: Iterable[str]) -> Iterator[str]:
    read = getattr(stdin, "read", None)
    rest = ""
    for chunk in iter(lambda: read(MOST_LETTERS), "") if read else stdin:
        *whole, rest = (rest + chunk).split("\0")
        yield from filter(None, whole)
        if len(rest) > MOST_LETTERS:
            yield rest  # which is refused
    if rest:
        yield rest


def _is_list(given: str) -> bool:
    """Of a text that is there, the first line decides: notes that lie among photos are no list."""
    if not given.lower().endswith(_SUFFIXES):
        return False
    is_there = os.path.exists(given)  # noqa: PTH110 - never raises
    return not is_there or is_unmarked_utf16(given) or is_image_name(Path(first_line(given)))


def _lines(file: str, reading: Reading) -> Iterator[Item]:
    return (listed(path, reading) for path in _paths(lines_of(file)))


KIND = InputKind(recognizes=_is_list, expand=_lines)
