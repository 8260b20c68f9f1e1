"""Files that are either whole or not there, and the text, JSON and CSV in them."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` when the block ends well.

    The temporary name keeps the suffix, which some writers look at. A pulled plug leaves the old file.
    """
    suffix = "".join(path.suffixes)
    handle, name = tempfile.mkstemp(prefix=".writing-", suffix=suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(_FILE_MODE)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, errors: str = "strict") -> None:
    """Writes `text` as UTF-8, whole or not at all; "surrogateescape" lets file names of other encodings through."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, "utf-8", errors=errors)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """`values` as indented strict JSON, whole or not at all."""
    write_text(path, to_json(values, indent=2) + "\n")


def to_json(values: Mapping[str, Any], *, indent: int | None = None) -> str:
    """`values` as strict JSON. Bytes of a file name that are not UTF-8 are written as \\udcXX."""
    text = json.dumps(values, indent=indent, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file with this header, whole or not at all; bytes of file names that are no UTF-8 stay as they are."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue(), errors="surrogateescape")


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of `write_csv` by column. Raises OSError, csv.Error."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def _read_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_FILE_MODE = 0o666 & ~_read_umask()  # read once: it can only be read by changing it, for all threads
