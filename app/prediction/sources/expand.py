"""What is to be predicted, from whatever the user names, as one stream.

Everything is a generator: no list of all inputs is ever held, so that memory does not grow with their number.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from regraft.errors import UsageError
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import Reading
from regraft.prediction.sources.lists import listed_on
from regraft.prediction.sources.table import INPUT_KINDS, find_kind

Name = str | os.PathLike[str]
Inputs = Name | Sequence[Name]
"""One input or several; a single text is one path, never its letters."""


def names_of(inputs: Inputs) -> list[str]:
    """Each input as text. Raises UsageError where one is no path, or an empty one."""
    several = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    for each in several:
        if not isinstance(each, str | os.PathLike):
            raise UsageError(f"An input must be a path, as a str or os.PathLike; received {type(each).__name__}.")
        if not os.fspath(each):
            raise UsageError("An input must be a path; received an empty one.")
    return [os.fspath(each) for each in several]


def expand_inputs(inputs: Inputs, stdin: Iterable[str] = (), reading: Reading | None = None) -> Iterator[Item]:
    """Every item that is meant, in order.

    Args:
        inputs: a file is taken as it is, also where it is missing; a folder gives the images in it and below, by
            name; a pattern with `*`, `?` or `[` gives the files that match, by name; `-` gives the lines of `stdin`;
            a .csv, .tsv or .parquet file the paths in one of its columns; a .zip or .tar file the images in it, in
            its order; a .tfrecord file its examples. `INPUT_KINDS` has a file for each.
        stdin: lines, each a file.
        reading: how tables, lists and shards are read.

    Raises:
        UsageError: a folder, pattern, table, archive or shard gives nothing or is damaged, or nothing is left at all.
    """
    reading, found = reading or Reading(), False
    for given in names_of(inputs):
        for item in listed_on(stdin, reading) if given == "-" else _expand(given, reading):
            found = True
            yield item
    if not found:
        raise UsageError("There is nothing to predict: name photos, folders, patterns, or - for a list on stdin.")


def _expand(given: str, reading: Reading) -> Iterator[Item]:
    kind = next((kind for kind in map(find_kind, INPUT_KINDS) if kind.recognizes(given)), None)
    if kind is None:
        yield Item(given, given)
        return
    items = kind.expand(given, reading)
    first = next(items, None)
    if first is None:
        raise UsageError(kind.nothing.format(given))
    yield first
    yield from items
