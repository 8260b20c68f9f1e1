"""Files that are either whole or not there, and the text, JSON and CSV in them."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regraft.machine.locks import take

UNFINISHED = ".writing-regraft-"
"""How the names of files begin that are being written; `regraft.machine.drafts.sweep` removes what was left.

The name is all that marks them, so it is none that anybody else gives.
"""

_HERE = -100  # AT_FDCWD: relative paths start in the current folder
_LONGEST_SUFFIX = 24  # characters; what is kept of a suffix must not make the temporary name too long for the disk


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` when the block ends well.

    The temporary name keeps the suffix, which some writers look at. A pulled plug leaves the old file or the new one:
    the bytes are on the disk before the name is, and the name before this returns.
    """
    temporary, handle = _new_temporary(path)
    try:
        yield temporary
        sync(temporary)
        temporary.chmod(_FILE_MODE)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _new_temporary(path: Path) -> tuple[Path, int]:
    """An empty file beside `path`, and the handle that locks it, so that `sweep` leaves it alone while it is open."""
    suffix = "".join(path.suffixes[-2:])[-_LONGEST_SUFFIX:]
    while True:
        handle, name = tempfile.mkstemp(prefix=UNFINISHED, suffix=suffix, dir=path.parent)
        if take(handle) and Path(name).exists():  # not swept between being made and being locked
            return Path(name), handle
        os.close(handle)


def sync(path: Path) -> None:
    """Waits until a file's bytes, or the names in a folder, are on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some network file systems sync no folders
            raise
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Waits until everything below `folder`, and `folder` itself, is on the disk."""
    for place, _, files in os.walk(folder, topdown=False):
        for name in files:
            if not Path(place, name).is_symlink():
                sync(Path(place, name))
        sync(Path(place))


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it that are missing; their names are on the disk before this returns."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync(each.parent)


def check_makeable(path: Path) -> None:
    """Raises OSError where the file or folder `path`, with what is missing above it, cannot be made in its place.

    A name is too long, say, or the disk is read-only: better known before hours of work than after them.
    """
    place = path.absolute()
    nearest = next(parent for parent in place.parents if parent.exists())
    for name in place.relative_to(nearest).parts:
        with contextlib.suppress(FileNotFoundError):
            (nearest / name).lstat()
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(nearest)) from None


@contextmanager
def making_folder(folder: Path) -> Iterator[None]:
    """Makes a folder, and those above it that are missing; takes them back, as far as empty, where the block fails."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    make_folder(folder)
    try:
        yield
    except BaseException:
        for each in missing:
            with contextlib.suppress(OSError):  # somebody has put something there
                each.rmdir()
        raise


def publish(draft: Path, target: Path) -> None:
    """Gives a finished file or folder its name, where nothing has it yet; all of it is on the disk before that."""
    if draft.is_dir():
        sync_tree(draft)
    else:
        sync(draft)
    draft.rename(target)
    sync(target.parent)


def exchange(one: Path, other: Path) -> bool:
    """Gives each of two files or folders the other's name in one step; False, and nothing done, where that cannot be.

    Linux and macOS can, on most file systems.
    """
    import ctypes  # here, as every start would wait for it

    library: Any = ctypes.CDLL(None) if os.name == "posix" else None
    first, second = os.fsencode(one), os.fsencode(other)
    if hasattr(library, "renameat2"):
        return bool(library.renameat2(_HERE, first, _HERE, second, 2) == 0)  # RENAME_EXCHANGE
    if hasattr(library, "renamex_np"):
        return bool(library.renamex_np(first, second, 2) == 0)  # RENAME_SWAP
    return False


def remove_listed(folder: Path, names: Iterable[str]) -> list[str]:
    """Removes these files of `folder`, then the folders of theirs and `folder` itself as far as they are empty.

    Args:
        folder: which may be gone already.
        names: of files, relative to it, with "/". What they do not name is never touched.

    Returns:
        What is left in `folder`, sorted; empty where `folder` is gone.
    """
    places, home = {folder}, folder.resolve()
    for name in names:
        path = folder / name
        if path.parent.resolve().is_relative_to(home):  # a list that somebody edited may lead out of it
            path.unlink(missing_ok=True)
            places.update(parent for parent in path.parents if folder in parent.parents)
    for place in sorted(places, key=lambda place: len(place.parts), reverse=True):
        with contextlib.suppress(OSError):  # others' files are in it
            place.rmdir()
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def digest_file(path: Path) -> str:
    """32 hexadecimal digits of the bytes of a file (BLAKE2b)."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
