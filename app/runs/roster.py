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


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One image of a run: its absolute path, class name, role ("fit", "select" or "report") and fingerprint."""

    path: Path
    class_name: str
    role: str
    fingerprint: str


def write_roster(path: Path, roles: Roles, class_names: Sequence[str]) -> None:
    """images.csv: one row per image that had a role."""
    parts = (("fit", roles.fit), ("select", roles.select), ("report", roles.report))
    write_csv(path, _COLUMNS, (_row(record, role, class_names) for role, records in parts for record in records))


def read_roster(path: Path) -> list[RosterRow]:
    """The rows of `write_roster`. Raises RunError where the file is missing or damaged."""
    try:
        return [RosterRow(Path(row["path"]), *(_text(row[key]) for key in _COLUMNS[1:])) for row in read_csv(path)]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunError(
            f"{path} is missing or damaged, so nobody knows what the run was trained on; train again."
        ) from error


def _text(cell: str | None) -> str:
    if cell is None:
        raise ValueError("the row is cut short")
    return cell


def _row(record: Record, role: str, class_names: Sequence[str]) -> tuple[str, str, str, str]:
    return str(record.path.absolute()), class_names[record.class_index], role, record.fingerprint
