"""Photos that are named in Python by a data frame or a list of (path, label): kept as a table, which a run can name."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from regraft.data.tables.table import as_text
from regraft.errors import RegraftError, UsageError
from regraft.machine.cache import cache_folder, hold
from regraft.machine.files import atomic_file


def is_frame(value: Any) -> bool:
    """Whether this is a data frame, of pandas, Polars or Arrow, or whatever else has columns of values."""
    return hasattr(value, "columns") and (hasattr(value, "itertuples") or hasattr(value, "iter_rows"))


def is_pairs(value: Any) -> bool:
    """Whether this is a list of (path, label)."""
    return isinstance(value, list | tuple) and bool(value) and all(_is_pair(one) for one in value)


def as_table_file(photos: Any) -> Path:
    """A CSV file in the cache with what a frame or a list of pairs says; the same for the same content.

    Relative paths stay as they are: they start where the frame was made.

    Raises:
        UsageError: a cell holds several values.
        RegraftError: the cache cannot be written.
    """
    columns, rows = _of_frame(photos) if is_frame(photos) else (["path", "label"], photos)
    cells = [[_cell(value) for value in row] for row in rows]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(cells)
    content = text.getvalue().encode("utf-8", "surrogateescape")
    folder = cache_folder() / "tables"
    file = folder / f"{hashlib.blake2b(content, digest_size=16).hexdigest()}.csv"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        hold(folder)
        if not file.is_file():
            with atomic_file(file) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise RegraftError(f"The cache {folder} cannot be written: {error.strerror}.") from error
    return file


def _cell(value: Any) -> str:
    try:
        return as_text(os.fspath(value) if isinstance(value, os.PathLike) else value)
    except UsageError as error:
        raise error.after("In the data frame, ") from None


def _of_frame(frame: Any) -> tuple[list[str], Iterable[Sequence[Any]]]:
    names = [str(name) for name in frame.columns]
    return names, frame.iter_rows() if hasattr(frame, "iter_rows") else frame.itertuples(index=False, name=None)


def _is_pair(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return isinstance(value[0], str | os.PathLike) and isinstance(value[1], str | int)
