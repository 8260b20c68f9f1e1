"""JSON Lines: an object a line, ASCII.

Bytes of a name that are no UTF-8 are lone surrogates, as `os.fsencode` takes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from regraft.prediction.tables.columns import Cell, Columns, rounded
from regraft.prediction.tables.format import TableFormat

_LONGEST_ROW = 1 << 24  # bytes; an embedding has thousands of numbers


def _encode(columns: Columns, rows: Iterable[Sequence[Cell]]) -> bytes:
    names = columns.names()
    lines = (json.dumps(dict(zip(names, map(_value, row), strict=True))) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _value(cell: Cell) -> Cell:
    if isinstance(cell, float):
        return rounded(cell)
    return [rounded(value) for value in cell] if isinstance(cell, list) else cell


def _column_names(file: Path) -> list[str]:
    with file.open("rb") as lines:
        row = json.loads(lines.readline(_LONGEST_ROW))
    if not isinstance(row, dict):
        raise ValueError
    return [*row]


FORMAT = TableFormat(".jsonl", _encode, column_names=_column_names)
