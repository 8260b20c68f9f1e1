"""Parquet: float32 numbers; bytes of a name that are no UTF-8 are written as \\xNN, as its text cannot hold them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from regraft.prediction.tables.columns import DOUBTS, Cell, Columns
from regraft.prediction.tables.format import TableFormat


def _encode(columns: Columns, rows: Iterable[Sequence[Cell]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(name, _type(name, pyarrow)) for name in columns.names()])
    cells = [[_value(cell) for cell in row] for row in rows]
    table = pyarrow.table([list(values) for values in zip(*cells, strict=True)], schema=schema)
    file = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue().to_pybytes()


def _type(name: str, pyarrow: Any) -> Any:
    if name == "embedding":
        return pyarrow.list_(pyarrow.float32())
    is_number = name in DOUBTS or name.partition("_")[0] in ("score", "p")
    return pyarrow.float32() if is_number else pyarrow.string()


def _value(cell: Cell) -> Cell:
    return os.fsencode(cell).decode("utf-8", "backslashreplace") if isinstance(cell, str) else cell


def _join(parts: Iterable[Path], out: Path) -> None:
    """Each part becomes a row group."""
    import pyarrow.parquet

    writer = None
    for part in parts:
        table = pyarrow.parquet.read_table(part)
        writer = writer or pyarrow.parquet.ParquetWriter(out, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _column_names(file: Path) -> list[str]:
    import pyarrow.parquet

    return list(pyarrow.parquet.read_schema(file).names)


FORMAT = TableFormat(".parquet", _encode, _join, column_names=_column_names)
