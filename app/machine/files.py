"""Files that are either whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def _read_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_FILE_MODE = 0o666 & ~_read_umask()  # read once: it can only be read by changing it, for all threads
