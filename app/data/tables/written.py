"""A table written from what a scan found: what `scan_table` reads back as the same records."""

from __future__ import annotations

import os
from pathlib import Path

from regraft.data.records import ImageFolder
from regraft.errors import UsageError, option
from regraft.machine.files import check_makeable, write_csv

_UNSAID: dict[str, object] = {"split": "", "group": "", "weight": 1.0}
"""Columns that are written where a record says something else than this."""


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
    more = [name for name, unsaid in _UNSAID.items() if any(getattr(one, name) != unsaid for one in folder.records)]
    rows = [
        [path.as_posix(), folder.class_names[record.class_index], *(getattr(record, name) for name in more)]
        for path, record in zip(paths, folder.records, strict=True)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_csv(file, ["path", "label", *more], rows)
