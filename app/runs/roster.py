"""Which image did what in a run, on disk: the proof that nothing reported was trained on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.records import Record
from regraft.data.roles import Roles
from regraft.errors import RunError
from regraft.machine.files import read_csv, write_csv

_COLUMNS = ("path", "class", "role", "fingerprint")
_GROUP = "group"  # of runs with groups; the others, and those from before there were any, have no such column


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One image of a run: its absolute path, class name, role ("fit", "select" or "report"), fingerprint and group."""

    path: Path
    class_name: str
    role: str
    fingerprint: str
    group: str = ""


def write_roster(path: Path, roles: Roles, class_names: Sequence[str]) -> None:
    """images.csv: one row per image that had a role."""
    parts = (("fit", roles.fit), ("select", roles.select), ("report", roles.report))
    columns = (*_COLUMNS, _GROUP) if any(record.group for _, records in parts for record in records) else _COLUMNS
    rows = (_row(record, role, class_names)[: len(columns)] for role, records in parts for record in records)
    write_csv(path, columns, rows)


def read_roster(path: Path) -> list[RosterRow]:
    """The rows of `write_roster`. Raises RunError where the file is missing or damaged."""
    try:
        return [
            RosterRow(
                Path(row["path"]), *map(_text, (row["class"], row["role"], row["fingerprint"], row.get(_GROUP, "")))
            )
            for row in read_csv(path)
        ]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunError(
            f"{path} is missing or damaged, so nobody knows what the run was trained on; train again."
        ) from error


def _text(cell: str | None) -> str:
    if cell is None:
        raise ValueError("the row is cut short")
    return cell


def _row(record: Record, role: str, class_names: Sequence[str]) -> tuple[str, ...]:
    return str(record.path.absolute()), class_names[record.class_index], role, record.fingerprint, record.group
