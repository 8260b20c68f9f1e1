"""A table read whole: CSV as spreadsheets write it, TSV, Parquet or JSON Lines, every cell as text."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from regraft.data.tables.text import lines_of
from regraft.errors import FolderError, UsageError, visible

DELIMITERS = ",;\t|"
"""What parts the columns of a text, the most usual first."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table.

    Attributes:
        name: of the file, or of what it came from, as messages call it.
        columns: the names of the columns, in order.
        rows: the cells of each row as text, "" where there is none; as many as there are columns.
        places: where each row is: the number of its line, or of the row where there are no lines, from 1.
        word: what `places` count, "line" or "row".
        delimiter: what parts the columns of a text; "" where nothing does.
        nested: the names of columns with several values in a cell, or bytes of pictures, which are left out.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    places: tuple[int, ...]
    word: str = "row"
    delimiter: str = ""
    nested: tuple[str, ...] = ()

    def column(self, name: str) -> list[str]:
        """The cells of the column, blanks around them taken away."""
        place = self.columns.index(name)
        return [row[place].strip() for row in self.rows]

    def where(self, row: int) -> str:
        """Such as `line 12`: where to look for the row of this index."""
        return f"{self.word} {self.places[row]:,}"


def is_table(path: str | Path) -> bool:
    """Whether the name is that of a table."""
    return Path(path).suffix.lower() in READERS


def read_table(path: Path) -> Table:
    """The table in a file whose name `is_table`.

    Raises:
        FolderError: it is not there, damaged, empty, or of another encoding than it says.
    """
    if not path.exists():
        raise FolderError(f"No such table: {path}.")
    try:
        table = READERS[path.suffix.lower()](path)
    except UsageError as error:
        raise FolderError(error.text) from None
    except OSError as error:
        raise FolderError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    if twice := sorted({name for name in table.columns if table.columns.count(name) > 1}):
        raise FolderError(f'{path} has more than one column "{visible(twice[0])}"; rename one.')
    if not table.rows:
        raise FolderError(f"Expected rows of paths and labels; {path} has none.")
    return table


def table_of_columns(name: str, columns: Mapping[str, Sequence[Any]]) -> Table:
    """A table of values that are in memory, which become text as `as_text` says; all columns are equally long."""
    nested = tuple(column for column, values in columns.items() if any(map(is_nested, values)))
    kept = {column: map(as_text, values) for column, values in columns.items() if column not in nested}
    rows = tuple(zip(*kept.values(), strict=True))
    return Table(name, tuple(kept), rows, tuple(range(1, len(rows) + 1)), nested=nested)


def is_nested(value: Any) -> bool:
    """Whether a cell holds several values."""
    return isinstance(value, list | tuple | dict | set) or getattr(value, "shape", ()) != ()


def as_text(value: Any) -> str:
    """A cell as text: nothing, NaN and NA as "", a whole float without its fraction, which pandas makes of a number."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if hasattr(value, "dtype"):  # of NumPy
        value = value.item()
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)


# --- CSV and TSV ---


def _read_csv(path: Path) -> Table:
    lines = lines_of(str(path))
    header, passed = next(lines, ""), 0
    delimiter = ""
    if declared := declared_delimiter(header):
        delimiter, header, passed = declared, next(lines, ""), 1
    delimiter = delimiter or widest_delimiter(header)
    try:
        reader = csv.reader(chain([header], lines), delimiter=delimiter)
        columns = tuple(name.strip() for name in next(reader, []))
        found = list(_rows(reader, len(columns), passed, path))
    except csv.Error as error:
        raise FolderError(f"{path} cannot be read as a table: {error}.") from None
    return Table(str(path), columns, tuple(row for _, row in found), tuple(at for at, _ in found), "line", delimiter)


def _rows(reader: Any, width: int, passed: int, path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each row that is not blank with the number of its last line; short ones are filled up."""
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        line = reader.line_num + passed
        if len(row) > width and any(cell.strip() for cell in row[width:]):
            raise FolderError(
                f"{path} has {len(row)} cells in line {line:,} under {width} columns: a cell with the delimiter in it "
                "needs quotes around it."
            )
        yield line, tuple((row + [""] * width)[:width])


def declared_delimiter(header: str) -> str:
    """The sign in a first line `sep=;`, as Excel writes it; "" where it is none."""
    text = header.rstrip("\r\n")
    return text[4] if text.lower().startswith("sep=") and len(text) == len("sep=;") else ""


def widest_delimiter(header: str) -> str:
    """The sign that parts a header into the most columns, the most usual of equals."""
    return max(DELIMITERS, key=lambda sign: len(cells_of(header, sign)))


def cells_of(line: str, delimiter: str) -> list[str]:
    """The cells of one line."""
    return next(csv.reader([line], delimiter=delimiter), [])


# --- JSON Lines ---


def _read_json_lines(path: Path) -> Table:
    objects: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(lines_of(str(path)), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise FolderError(f'{path} must have an object such as {{"path": ..., "label": ...}} in line {number:,}.')
        objects.append((number, value))
    names = dict.fromkeys(name for _, one in objects for name in one)
    table = table_of_columns(str(path), {name: [one.get(name) for _, one in objects] for name in names})
    return replace(table, places=tuple(at for at, _ in objects), word="line")


# --- Parquet ---


def _read_parquet(path: Path) -> Table:
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path)
        flat = [field.name for field in schema if _holds_cells(field.type)]
        read = pyarrow.parquet.read_table(path, columns=flat, use_threads=False)
        values = [read.column(place).to_pylist() for place in range(len(flat))]
    except Exception as error:  # of a damaged file, of nearly any type
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FolderError(f"{path} cannot be read as a Parquet file: {reason}.") from None
    table = table_of_columns(str(path), dict(zip(flat, values, strict=True)))
    return replace(table, nested=tuple(name for name in schema.names if name not in flat))


def _holds_cells(kind: Any) -> bool:
    """Whether a column is of text, numbers or words, and not of lists or of the bytes of pictures."""
    from pyarrow import types

    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
"""What reads a table, by the end of its name."""
