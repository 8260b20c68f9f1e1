"""What is to be predicted, from whatever the user names, as one stream.

Everything is a generator: no list of all inputs is ever held, so that memory does not grow with their number.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from regraft.data.wording import show_path
from regraft.errors import UsageError
from regraft.machine.addresses import ADDRESS_NOT_READ, is_address
from regraft.prediction.sources.item import Item, LeftOut
from regraft.prediction.sources.kind import Reading
from regraft.prediction.sources.lists import listed_on
from regraft.prediction.sources.table import INPUT_KINDS, find_kind

Name = str | os.PathLike[str]
Inputs = Name | Sequence[Name]
"""One input or several; a single text is one path, never its letters."""

_NAMES_SHOWN = 2  # of files that are left out for the same reason


def names_of(inputs: Inputs) -> list[str]:
    """Each input as text. Raises UsageError where one is no path, or an empty one."""
    several = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    for each in several:
        if not isinstance(each, str | os.PathLike):
            raise UsageError(f"An input must be a path, as a str or os.PathLike; received {type(each).__name__}.")
        if not os.fspath(each):
            raise UsageError("An input must be a path; received an empty one.")
    return [os.fspath(each) for each in several]


class LeftOutCount:
    """How many files get no row, for which reasons, and the names of a few.

    Attributes:
        counts: by reason.
    """

    def __init__(self, tell: Callable[[str], None] | None = None, *, results: Iterable[Path] = ()) -> None:
        """`tell` is told each of them, in a line; not those that are the `results` themselves, or lie in them."""
        self.counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}
        self._tell = tell
        self._results = [Path(os.path.realpath(result)) for result in results]

    def add(self, file: LeftOut) -> None:
        """Takes in one of them."""
        if self._results and any(map(Path(os.path.realpath(file.path)).is_relative_to, self._results)):
            return
        self.counts[file.reason] += 1
        names = self._names.setdefault(file.reason, [])
        if len(names) < _NAMES_SHOWN:
            names.append(show_path(Path(file.path), Path()))
        if self._tell:
            self._tell(f"Left out {show_path(Path(file.path), Path())}: {file.reason}.")

    def __str__(self) -> str:
        """Such as "2 not an image (text?) (notes.txt, b.md); 1 hidden, or left by a system (.DS_Store)"."""
        return "; ".join(
            f"{count:,} {reason} ({', '.join(self._names[reason])}{', ...' if count > _NAMES_SHOWN else ''})"
            for reason, count in self.counts.most_common()
        )


def expand_inputs(
    inputs: Inputs,
    stdin: Iterable[str] = (),
    reading: Reading | None = None,
    left_out: LeftOutCount | None = None,
) -> Iterator[Item]:
    """Every item that is meant, in order.

    Args:
        inputs: a file is taken as it is, also where it is missing; a folder gives the images in it and below, by
            name; a pattern with `*`, `?` or `[` gives the files that match, by name; `-` gives the lines of `stdin`;
            a .csv, .tsv or .parquet file the paths in one of its columns, a .txt file those in its lines; a .zip or
            .tar file the images in it, in its order; a .tfrecord file its examples. `INPUT_KINDS` has a file for each.
        stdin: lines, each a file.
        reading: how tables, lists and shards are read.
        left_out: is told of files that were found and get no row.

    Raises:
        UsageError: a folder, pattern, list, table, archive or shard gives nothing, is damaged or is not there, or
            nothing is left at all.
    """
    reading, found = reading or Reading(), False
    left_out = LeftOutCount() if left_out is None else left_out
    for given in names_of(inputs):
        for item in listed_on(stdin, reading) if given == "-" else _expand(given, reading, left_out):
            found = True
            yield item
    if not found:
        raise UsageError("There is nothing to predict: name photos, folders, patterns, or - for a list on stdin.")


def _expand(given: str, reading: Reading, left_out: LeftOutCount) -> Iterator[Item]:
    kind = next((kind for kind in map(find_kind, INPUT_KINDS) if kind.recognizes(given)), None)
    if kind is None or (is_address(given) and not kind.is_file):  # a "?" makes no pattern of it
        yield Item(given, given)
        return
    if kind.is_file and not os.path.exists(given):  # noqa: PTH110 - never raises
        if is_address(given):
            raise UsageError(f"{given}: {ADDRESS_NOT_READ}.")
        raise UsageError(f"{given} is not there: no such file to read photos or paths from. Check the name.")
    before, is_empty = left_out.counts.total(), True
    for found in kind.expand(given, reading):
        if isinstance(found, LeftOut):
            left_out.add(found)
        else:
            is_empty = False
            yield found
    if is_empty:
        others = f"; left out: {left_out}" if left_out.counts.total() > before else ""
        raise UsageError(f"{kind.nothing.format(given)}{others}.")
