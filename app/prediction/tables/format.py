"""What there is to say of a format of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.prediction.tables.columns import ALWAYS, Cell, Columns


@dataclass(frozen=True)
class TableFormat:
    """A way to write tables.

    Attributes:
        suffix: of its files.
        encode: a whole file of these columns and rows.
        join: writes one file of many, in order. None where a file without rows is a header and the rows of all files
            may follow one after the other, so that they can also go to a pipe.
        spreadsheet_safe: the same format with no cell that a spreadsheet would run; None where none would.
        column_names: reads those of a file, by which answers are told from other tables; raises ValueError or OSError
            where it is no file of this format. None where a file begins with them, as `encode` writes them.
    """

    suffix: str
    encode: Callable[[Columns, Iterable[Sequence[Cell]]], bytes]
    join: Callable[[Iterable[Path], Path], None] | None = None
    spreadsheet_safe: TableFormat | None = None
    column_names: Callable[[Path], Sequence[str]] | None = None

    @property
    def streams(self) -> bool:
        """Whether rows can be written as they come."""
        return self.join is None

    def has_answers(self, file: Path) -> bool:
        """Whether a file is empty, or a table with the columns that all tables of answers begin with."""
        try:
            if not file.stat().st_size:
                return True
            if self.column_names:
                return tuple(self.column_names(file))[: len(ALWAYS)] == ALWAYS
            start = self.encode(Columns(()), []).rstrip()
            with file.open("rb") as opened:
                return opened.read(len(start)) == start
        except (OSError, ValueError, RecursionError):
            return False

    def merge(self, columns: Columns, parts: Iterable[Path], out: Path) -> None:
        """Writes one file of many that `encode` made, in order."""
        if self.join:
            self.join(parts, out)
            return
        header = self.encode(columns, [])
        with out.open("wb") as file:
            file.write(header)
            for part in parts:
                file.write(part.read_bytes()[len(header) :])
