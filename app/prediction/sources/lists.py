"""Lists of paths: on stdin, and what a path in any list means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import Reading


def listed(path: str, reading: Reading) -> Item:
    """The item of a path in a list or table; an empty one keeps its row."""
    if not path:
        return Item(path, kind="broken", reason="empty path", status="missing")
    return Item(path, os.path.join(reading.root, path))  # noqa: PTH118 - Path would change the name


def listed_on(stdin: Iterable[str], reading: Reading) -> Iterator[Item]:
    """The item of each line that is not blank, or of each path that ends with a null byte."""
    return (listed(path, reading) for path in (_between_nulls(stdin) if reading.null else _lines(stdin)))


def _lines(stdin: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in stdin if line.strip())


def _between_nulls(stdin: Iterable[str]) -> Iterator[str]:
    rest = ""
    for chunk in stdin:
        *whole, rest = (rest + chunk).split("\0")
        yield from filter(None, whole)
    if rest:
        yield rest
