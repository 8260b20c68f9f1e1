"""A table written from what a scan found: what `scan_table` reads back as the same records."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regraft.data.records import ImageFolder, Record
from regraft.errors import UsageError, option
from regraft.machine.files import check_makeable, write_csv

_OPTIONAL: dict[str, Callable[[Record], Any]] = {
    "split": lambda record: record.split,
    "group": lambda record: record.group,
    "weight": lambda record: "" if record.weight == 1 else record.weight,
}
"""Columns that are written where they say something."""


def check_table_place(file: Path) -> None:
    """Raises UsageError where no table can be written to `file`, or something is there; OSError of the system."""
    if file.suffix.lower() != ".csv":
        raise UsageError(f"{option('to')} must end in .csv; received {file}.")
    if os.path.lexists(file):
        raise UsageError(f"{file} exists already; choose another {option('to')} or remove it.")
    check_makeable(file)


def write_table(folder: ImageFolder, file: Path) -> None:
    """A CSV file with the path and label of each photo and, where there are any, its split, group and weight.

    Paths are relative to the file's folder where all photos lie below it, so that both can be moved together; else
    they are absolute.
    """
    start = Path(os.path.abspath(file)).parent  # noqa: PTH100 - resolve would follow links
    paths = [Path(os.path.abspath(record.path)) for record in folder.records]  # noqa: PTH100
    if all(path.is_relative_to(start) for path in paths):
        paths = [path.relative_to(start) for path in paths]
    more = {name: say for name, say in _OPTIONAL.items() if any(map(say, folder.records))}
    rows = [
        [path.as_posix(), folder.class_names[record.class_index], *_cells(record, more)]
        for path, record in zip(paths, folder.records, strict=True)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_csv(file, ["path", "label", *more], rows)


def _cells(record: Record, columns: dict[str, Callable[[Record], Any]]) -> list[Any]:
    return [record.weight if name == "weight" else say(record) for name, say in columns.items()]
