"""Predictions as rows of a table, and tables as CSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regraft.data.records import TOP, Prediction
from regraft.errors import UsageError
from regraft.evidence.conformal import UnknownRule

_DOUBTS = ("entropy", "disagreement", "mutual_information")

Cell = str | float | list[float] | None


@dataclass(frozen=True)
class Columns:
    """Which columns a table of answers has.

    Columns: path, status, reason, label, score (the probability of label), label_2, score_2, ... up to the `top` best,
    then those asked for. A row without an answer leaves all after reason empty.

    Attributes:
        class_names: in label order.
        top: how many labels a row names.
        uncertainty: adds entropy (of the answer, in nats), disagreement (the part of an ensemble's members with
            another label) and mutual_information (in nats, what the answers of members say of which member it is); the
            last two are empty for a single model.
        rule: adds guess (the most probable label) and possible (the labels in the prediction set); label is then
            "unknown" unless exactly one is possible.
        probabilities: adds p_CLASS for each class.
        embedding: adds embedding, a list of numbers.
    """

    class_names: tuple[str, ...]
    top: int = TOP
    uncertainty: bool = False
    rule: UnknownRule | None = None
    probabilities: bool = False
    embedding: bool = False

    def names(self) -> list[str]:
        """In order."""
        best = [f"{name}_{place}" for place in range(2, self._count() + 1) for name in ("label", "score")]
        return [
            *("path", "status", "reason", "label", "score", *best),
            *(_DOUBTS if self.uncertainty else ()),
            *(("guess", "possible") if self.rule else ()),
            *((f"p_{name}" for name in self.class_names) if self.probabilities else ()),
            *(("embedding",) if self.embedding else ()),
        ]

    def row(self, prediction: Prediction) -> list[Cell]:
        """One cell a column; None where there is no answer."""
        start: list[Cell] = [prediction.path, prediction.status, prediction.reason]
        if not prediction.scores:
            return start + [None] * (len(self.names()) - len(start))
        cells = self._best(prediction.scores)
        cells += _doubts(prediction) if self.uncertainty else []
        if self.rule:
            label, possible = self.rule.answer(prediction.scores, self.class_names)
            cells = [label, *cells[1:], cells[0], "|".join(possible)]
        cells += prediction.scores if self.probabilities else ()
        cells += [list(prediction.embedding)] if self.embedding else []
        return start + cells

    def _count(self) -> int:
        return min(self.top, len(self.class_names))

    def _best(self, scores: Sequence[float]) -> list[Cell]:
        order = np.argsort(-np.asarray(scores), kind="stable")[: self._count()]
        return [cell for index in order.tolist() for cell in (self.class_names[index], scores[index])]


def _doubts(prediction: Prediction) -> list[Cell]:
    from regraft.models.monte_carlo import entropy, mutual_information

    cells: list[Cell] = [float(entropy(np.asarray(prediction.scores)))]
    if not prediction.members:
        return [*cells, None, None]
    members = np.asarray(prediction.members)
    others = members.argmax(axis=1) != int(np.argmax(prediction.scores))
    return [*cells, float(others.mean()), max(float(mutual_information(members[:, None])[0]), 0.0)]


# --- formats ---


@dataclass(frozen=True)
class TableFormat:
    """A way to write tables.

    Attributes:
        suffix: of its files.
        encode: a whole file of these columns and rows.
        merge: writes one file of many, in order.
    """

    suffix: str
    encode: Callable[[Columns, Iterable[Sequence[Cell]]], bytes]
    merge: Callable[[Columns, Iterable[Path], Path], None]


def format_of(path: Path) -> TableFormat:
    """The format that the suffix of `path` names. Raises UsageError where it names none."""
    for row in FORMATS.values():
        if path.suffix.lower() == row.suffix:
            return row
    known = ", ".join(row.suffix for row in FORMATS.values())
    raise UsageError(f"--out must end with one of {known}, or be a folder with --format; received {path}.")


def _to_csv(columns: Columns, rows: Iterable[Sequence[Cell]]) -> bytes:
    """Numbers with six decimals; an embedding is a JSON list."""
    text = io.StringIO(newline="")
    writer = csv.writer(_LineFeeds(text), lineterminator="\r\n")
    writer.writerow(columns.names())
    for row in rows:
        writer.writerow([_csv_cell(cell) for cell in row])
    return text.getvalue().encode("utf-8", "surrogateescape")


class _LineFeeds:
    """Ends rows with a line feed alone. The csv module quotes a carriage return only where rows end with one."""

    def __init__(self, text: io.StringIO) -> None:
        self.text = text

    def write(self, row: str) -> None:
        self.text.write(row.removesuffix("\r\n") + "\n")


def _csv_cell(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.6f}"
    return json.dumps([_rounded(value) for value in cell]) if isinstance(cell, list) else cell or ""


def _to_json_lines(columns: Columns, rows: Iterable[Sequence[Cell]]) -> bytes:
    """One object a line, ASCII; bytes of a name that are no UTF-8 are lone surrogates, as `os.fsencode` takes them."""
    names = columns.names()
    lines = (json.dumps(dict(zip(names, map(_json_cell, row), strict=True))) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _json_cell(cell: Cell) -> Any:
    if isinstance(cell, float):
        return _rounded(cell)
    return [_rounded(value) for value in cell] if isinstance(cell, list) else cell


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")  # what float32 holds


def _to_parquet(columns: Columns, rows: Iterable[Sequence[Cell]]) -> bytes:
    """float32 numbers; bytes of a name that are no UTF-8 are written as \\xNN, as Parquet's text cannot hold them."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(name, _arrow_type(name, pyarrow)) for name in columns.names()])
    cells = [[_arrow_cell(cell) for cell in row] for row in rows]
    table = pyarrow.table([list(values) for values in zip(*cells, strict=True)], schema=schema)
    file = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue().to_pybytes()


def _arrow_type(name: str, pyarrow: Any) -> Any:
    if name == "embedding":
        return pyarrow.list_(pyarrow.float32())
    is_number = name in _DOUBTS or name.partition("_")[0] in ("score", "p")
    return pyarrow.float32() if is_number else pyarrow.string()


def _arrow_cell(cell: Cell) -> Cell:
    return os.fsencode(cell).decode("utf-8", "backslashreplace") if isinstance(cell, str) else cell


def _merge_csv(columns: Columns, parts: Iterable[Path], out: Path) -> None:
    header = _to_csv(columns, [])
    with out.open("wb") as file:
        file.write(header)
        for part in parts:
            file.write(part.read_bytes()[len(header) :])


def _merge_bytes(columns: Columns, parts: Iterable[Path], out: Path) -> None:
    with out.open("wb") as file:
        for part in parts:
            file.write(part.read_bytes())


def _merge_parquet(columns: Columns, parts: Iterable[Path], out: Path) -> None:
    """Each part becomes a row group."""
    import pyarrow.parquet

    writer = None
    for part in parts:
        table = pyarrow.parquet.read_table(part)
        writer = writer or pyarrow.parquet.ParquetWriter(out, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


FORMATS = {
    "csv": TableFormat(".csv", _to_csv, _merge_csv),
    "jsonl": TableFormat(".jsonl", _to_json_lines, _merge_bytes),
    "parquet": TableFormat(".parquet", _to_parquet, _merge_parquet),
}
