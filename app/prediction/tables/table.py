"""Every format of tables by its name. A format is a file of this package that ends with its FORMAT, and a row here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.errors import UsageError, option

if TYPE_CHECKING:
    from regraft.prediction.tables.format import TableFormat

TABLE_FORMATS = {
    "csv": "csv",
    "jsonl": "json_lines",
    "parquet": "parquet",
}
"""Every format's module. The command line shows the names, so nothing heavy is imported until one is taken."""


def find_table_format(name: str) -> TableFormat:
    """The format of this name. Raises UsageError where there is none."""
    if name not in TABLE_FORMATS:
        raise UsageError(f'{option("format")} must be one of {", ".join(TABLE_FORMATS)}; received "{name}".')
    return import_module(f"regraft.prediction.tables.{TABLE_FORMATS[name]}").FORMAT


def is_table_name(path: Path) -> bool:
    """Whether the suffix of `path` names a format."""
    return path.suffix.lower() in _by_suffix()


def format_of(path: Path) -> TableFormat:
    """The format that the suffix of `path` names. Raises UsageError where it names none."""
    formats = _by_suffix()
    if not is_table_name(path):
        raise UsageError(
            f"{option('out')} must end with one of {', '.join(formats)}, or be a folder with {option('format')}; "
            f"received {path}."
        )
    return formats[path.suffix.lower()]


def _by_suffix() -> dict[str, TableFormat]:
    return {form.suffix: form for form in map(find_table_format, TABLE_FORMATS)}
