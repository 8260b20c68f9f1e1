"""Photos that are named in Python by a data frame or a list of (path, label): kept as a table, which a run can name."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from numbers import Integral
from pathlib import Path
from typing import Any

from regraft.data.tables.label_table import table_of_columns
from regraft.errors import RegraftError, UsageError
from regraft.machine.cache import cache_folder, hold
from regraft.machine.files import atomic_file


def is_frame(value: Any) -> bool:
    """Whether this is a data frame, of pandas, Polars or whatever else has columns and rows of values."""
    return hasattr(value, "columns") and (hasattr(value, "itertuples") or hasattr(value, "iter_rows"))


def is_pairs(value: Any) -> bool:
    """Whether this is a list of (path, label)."""
    return isinstance(value, list | tuple) and bool(value) and all(_is_pair(one) for one in value)


def as_table_file(photos: Any) -> Path:
    """A CSV file in the cache with what a frame or a list of pairs says; the same for the same content.

    Relative paths stay as they are: they start where the frame was made.

    Raises:
        UsageError: a cell is no text.
        RegraftError: the cache cannot be written.
    """
    table = table_of_columns("the data frame", _columns_of(photos))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    try:
        content = text.getvalue().encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(f"The data frame has a cell that is no text: {error.reason}.") from None
    folder = cache_folder() / "tables"
    file = folder / f"data_frame_{hashlib.blake2b(content, digest_size=16).hexdigest()}.csv"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        hold(folder)
        if not file.is_file():
            with atomic_file(file) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise RegraftError(f"The cache {folder} cannot be written: {error.strerror}.") from error
    return file


def _columns_of(photos: Any) -> dict[str, list[Any]]:
    """The values of each column; paths as text."""
    if is_frame(photos):
        names = [str(name) for name in photos.columns]
        rows = photos.iter_rows() if hasattr(photos, "iter_rows") else photos.itertuples(index=False, name=None)
    else:
        names, rows = ["path", "label"], photos
    values = [[_plain(value) for value in row] for row in rows]
    return {name: [row[place] for row in values] for place, name in enumerate(names)}


def _plain(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _is_pair(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return isinstance(value[0], str | os.PathLike) and isinstance(value[1], str | Integral)
