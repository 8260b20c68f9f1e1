"""CSV: numbers with six decimals, an embedding as a JSON list, bytes of a name that are no UTF-8 as they are.

So are the beginnings of names that a spreadsheet runs as formulas, unless an apostrophe is asked for before them.
Source: "CSV Injection" of the Open Worldwide Application Security Project (OWASP).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence

from regraft.prediction.tables.columns import Cell, Columns, rounded
from regraft.prediction.tables.format import TableFormat

_RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What cells begin with that spreadsheets run, with the wide forms of the signs."""


def _encode(columns: Columns, rows: Iterable[Sequence[Cell]]) -> bytes:
    return _encode_with(_text, columns, rows)


def _encode_safely(columns: Columns, rows: Iterable[Sequence[Cell]]) -> bytes:
    return _encode_with(_safe_text, columns, rows)


def _encode_with(as_text: Callable[[Cell], str], columns: Columns, rows: Iterable[Sequence[Cell]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(_LineFeeds(text), lineterminator="\r\n")
    writer.writerow([as_text(name) for name in columns.names()])
    for row in rows:
        writer.writerow([as_text(cell) for cell in row])
    return text.getvalue().encode("utf-8", "surrogateescape")


class _LineFeeds:
    """Ends rows with a line feed alone. The csv module quotes a carriage return only where rows end with one."""

    def __init__(self, text: io.StringIO) -> None:
        self.text = text

    def write(self, row: str) -> None:
        self.text.write(row.removesuffix("\r\n") + "\n")


def _text(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.6f}"
    return json.dumps([rounded(value) for value in cell]) if isinstance(cell, list) else cell or ""


def _safe_text(cell: Cell) -> str:
    text = _text(cell)
    return f"'{text}" if isinstance(cell, str) and text.startswith(_RUN) else text


FORMAT = TableFormat(".csv", _encode, spreadsheet_safe=TableFormat(".csv", _encode_safely))
