"""CSV: numbers with six decimals, an embedding as a JSON list, bytes of a name that are no UTF-8 as they are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence

from regraft.prediction.tables.columns import Cell, Columns, rounded
from regraft.prediction.tables.format import TableFormat


def _encode(columns: Columns, rows: Iterable[Sequence[Cell]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(_LineFeeds(text), lineterminator="\r\n")
    writer.writerow(columns.names())
    for row in rows:
        writer.writerow([_text(cell) for cell in row])
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


FORMAT = TableFormat(".csv", _encode)
