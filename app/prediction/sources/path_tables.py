"""A CSV, TSV or Parquet table: the paths in one of its columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from regraft.errors import UsageError, did_you_mean, option
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import InputKind, Reading, is_file_named
from regraft.prediction.sources.lists import listed


def _rows(file: str, reading: Reading) -> Iterator[Item]:
    paths = _column_of_parquet if file.lower().endswith(".parquet") else _column_of_csv
    return (listed(path, reading) for path in paths(file, reading.column))


def _column_of_csv(file: str, column: str) -> Iterator[str]:
    delimiter = "\t" if file.lower().endswith(".tsv") else ","
    with Path(file).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        try:
            rows = csv.reader(stream, delimiter=delimiter)
            place = _place_of(column, next(rows, []), file)
            for row in rows:
                if row:
                    yield row[place] if place < len(row) else ""
        except csv.Error as error:
            raise UsageError(f"{file} is no CSV file that can be read: {error}.") from None


def _column_of_parquet(file: str, column: str) -> Iterator[str]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(file)
        name = table.schema_arrow.names[_place_of(column, table.schema_arrow.names, file)]
        for batch in table.iter_batches(4096, columns=[name]):
            yield from ("" if value is None else _text(value) for value in batch.column(0).to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{file} is no Parquet file that can be read: {str(error).splitlines()[0]}") from None


def _text(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)


def _place_of(column: str, names: Sequence[str], file: str) -> int:
    if column not in names:
        has, hint = ", ".join(names) or "none", did_you_mean(column, names)
        raise UsageError(f'{file} has no column "{column}" (it has: {has}); name one with {option("column")}.{hint}')
    return list(names).index(column)


KIND = InputKind(recognizes=is_file_named(".csv", ".tsv", ".parquet"), expand=_rows)
