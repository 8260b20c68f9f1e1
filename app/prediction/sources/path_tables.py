"""A CSV, TSV or Parquet table: the paths in one of its columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from regraft.data.tables.label_table import DELIMITERS, cells_of, declared_delimiter
from regraft.data.tables.text import MOST_LETTERS, lines_of
from regraft.errors import UsageError, did_you_mean, option, visible
from regraft.machine.memory import decoding_budget
from regraft.machine.sizes import show_size
from regraft.prediction.sources.archives import no_archive
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import InputKind, Reading, is_file_named
from regraft.prediction.sources.lists import listed

_NAMES_SHOWN, _LETTERS_SHOWN = 20, 100
_BYTES_FOR_A_BYTE = 6
"""How much memory PyArrow takes for a byte of a Parquet column, at most; measured by benchmarks/input_memory.py."""


def _rows(file: str, reading: Reading) -> Iterator[Item]:
    paths = _column_of_parquet if file.lower().endswith(".parquet") else _column_of_csv
    return (listed(path, reading) for path in paths(file, reading))


def _place_of(column: str, names: Sequence[str], file: str) -> int:
    if column not in names:
        shown = [visible(name[:_LETTERS_SHOWN]) for name in names[:_NAMES_SHOWN]]
        has = ", ".join(shown) + (", ..." if len(names) > _NAMES_SHOWN else "") or "none"
        hint = did_you_mean(column, shown)
        raise UsageError(f'{file} has no column "{column}" (it has: {has}); name one with {option("column")}.{hint}')
    return list(names).index(column)


# --- CSV ---


def _column_of_csv(file: str, reading: Reading) -> Iterator[str]:
    lines = _Rows(lines_of(file), file)
    delimiter = "\t" if file.lower().endswith(".tsv") else ","
    header = next(lines, "")
    if declared := declared_delimiter(header):
        delimiter, header = declared, next(lines, "")
    try:
        delimiter = _delimiter_of(header, delimiter, reading.column)
        rows = csv.reader(chain([header], lines), delimiter=delimiter)
        place = _place_of(reading.column, next(rows, []), file)
        for row in rows:
            lines.letters = 0
            if row:
                yield row[place] if place < len(row) else ""
    except csv.Error as error:
        raise no_archive(file, "CSV file", error) from None


class _Rows:
    """Lines, and how many letters of them have come since `letters` was set to 0, which has an end too."""

    def __init__(self, lines: Iterator[str], file: str) -> None:
        self.letters, self._lines, self._file = 0, lines, file

    def __iter__(self) -> _Rows:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.letters += len(line)
        if self.letters > MOST_LETTERS:
            raise UsageError(f"{self._file} has a row of over {MOST_LETTERS:,} letters: a quote may lack its end.")
        return line


def _delimiter_of(header: str, usual: str, column: str) -> str:
    """What parts the columns: what the suffix says, or else the one sign that makes `column` one of the names."""
    fitting = [sign for sign in DELIMITERS if column in cells_of(header, sign)]
    return usual if usual in fitting or not fitting else fitting[0]


# --- Parquet ---


def _column_of_parquet(file: str, reading: Reading) -> Iterator[str]:
    try:
        table = _opened_parquet(file, reading)
        for batch in table.iter_batches(4096, columns=[reading.column], use_threads=False):
            yield from map(_text, _values(batch.column(0)))
    except UsageError:
        raise
    except Exception as error:  # of a damaged file, of nearly any type
        raise no_archive(file, "Parquet file", error) from None


def _opened_parquet(file: str, reading: Reading) -> Any:
    """The file as one that is read piece by piece. Raises UsageError where its column is no text or too large."""
    import pyarrow.parquet

    metadata, schema = pyarrow.parquet.read_metadata(file), pyarrow.parquet.read_schema(file)
    kind = schema.types[_place_of(reading.column, schema.names, file)]
    if not _is_text(kind):
        raise UsageError(
            f'{file} must have paths in its column "{reading.column}", which holds {kind}; name another with '
            f"{option('column')}."
        )
    total = decoding_budget().total
    most = total // _BYTES_FOR_A_BYTE
    if (largest := _largest_chunk(metadata, reading.column, most)) > most:
        raise UsageError(
            f'The column "{reading.column}" of {file} has {show_size(largest)} in one row group, the limit is '
            f"{show_size(most)}: it can hardly be one of paths; name another with {option('column')}."
        )
    return pyarrow.parquet.ParquetFile(
        file,
        read_dictionary=[reading.column],  # else a long text that is used often is copied as often
        buffer_size=1 << 20,
        pre_buffer=False,
        page_checksum_verification=True,
    )


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    names = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view", "fixed_size_binary")
    return any(getattr(types, f"is_{name}")(kind) for name in names) or types.is_null(kind)


def _largest_chunk(metadata: Any, column: str, most: int) -> int:
    """Bytes of the column in the row group that has most of it, uncompressed, as the file states it; 0 up to `most`.

    Only large groups are asked of their columns: PyArrow ends the process where what is said of one is damaged.
    """
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    large = (group for group in groups if group.total_byte_size > most)
    chunks = (group.column(place) for group in large for place in range(group.num_columns))
    return max((chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == column), default=0)


def _values(column: Any) -> Iterator[bytes | None]:
    """The cells as bytes: what calls itself text need not be UTF-8."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        words = list(_values(column.dictionary))
        return (None if place is None else words[place] for place in column.indices.to_pylist())
    return iter(column.cast(pyarrow.large_binary()).to_pylist())


def _text(value: bytes | None) -> str:
    return "" if value is None else os.fsdecode(value)


KIND = InputKind(recognizes=is_file_named(".csv", ".tsv", ".parquet"), expand=_rows)
