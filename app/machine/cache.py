"""Where things are kept that can be made again – scans, features, transcoded photos – and how large that may become."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from regraft.errors import UsageError
from regraft.machine.sizes import parse_size

_MOST_BYTES, _MOST_OF_THE_DISK = 10_000_000_000, 0.1
_LIMIT = "REGRAFT_CACHE_LIMIT"
_IN_USE = ".in-use"


def cache_folder() -> Path:
    """`$REGRAFT_CACHE`, or `regraft` in the user's cache folder. Deleting it costs time, nothing else.

    A user without a home folder, as in a container, gets one in the system's folder for temporary files.

    Raises:
        UsageError: it begins with the home folder of a user that does not exist.
    """
    if chosen := os.environ.get("REGRAFT_CACHE"):
        return _expanded("REGRAFT_CACHE", chosen)
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return _expanded("XDG_CACHE_HOME", chosen) / "regraft"
    try:
        return Path("~/.cache").expanduser() / "regraft"
    except RuntimeError:
        return _temporary_cache()


def cache_limit() -> int | None:
    """`$REGRAFT_CACHE_LIMIT` in bytes, by default 10 GB or a tenth of the disk if that is less; None for no limit.

    Raises:
        UsageError: it is no size.
    """
    chosen = os.environ.get(_LIMIT, "").strip()
    if chosen.lower() == "none":
        return None
    if chosen:
        try:
            return parse_size(chosen)
        except ValueError:
            raise UsageError(f'{_LIMIT} must be a size such as 500MB or 10GB, or none; received "{chosen}".') from None
    folder = cache_folder().absolute()
    try:
        disk = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.is_dir())).total
    except (OSError, StopIteration):
        return _MOST_BYTES
    return min(_MOST_BYTES, int(disk * _MOST_OF_THE_DISK))


def touch(path: Path) -> None:
    """Marks a file as used now, so that it goes last where room is made."""
    with suppress(OSError):
        os.utime(path)


def hold(folder: Path) -> None:
    """Keeps the files in `folder`, a part of the cache, from being removed until this process ends.

    Where room is being made in it, this waits until that is done.
    """
    if folder not in _HELD and (lock := _lock(folder, exclusive=False)) is not None:
        _HELD[folder] = lock


def was_held(folder: Path) -> bool:
    """Whether anybody ever held `folder`, which marks it as a part of the cache."""
    return (folder / _IN_USE).is_file()


@contextmanager
def unheld(folder: Path) -> Iterator[bool]:
    """Whether nobody holds `folder`, nor begins to within the block. Where that cannot be known, somebody does.

    Whoever begins to hold it waits until the block ends.
    """
    lock = _lock(folder, exclusive=True)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _lock(folder: Path, *, exclusive: bool) -> int | None:
    """The descriptor of the locked file in `folder` that says it is in use; None where it is, or cannot be locked."""
    try:
        import fcntl

        file = os.open(folder / _IN_USE, os.O_RDWR | (0 if exclusive else os.O_CREAT), 0o666)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
    except OSError:
        os.close(file)
        return None
    except BaseException:  # interrupted while it waited
        os.close(file)
        raise
    return file


def _expanded(variable: str, text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f'{variable} begins with the home folder of a user that does not exist: "{text}".') from None


def _temporary_cache() -> Path:
    """A folder of this user alone, as what lies in it is believed. Raises UsageError where another has made it."""
    user = os.getuid()
    folder = Path(tempfile.gettempdir(), f"regraft-{user}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != user:
        raise UsageError(f"There is no home folder for the cache, and {folder} is not yours; set REGRAFT_CACHE to one.")
    return folder


_HELD: dict[Path, int] = {}
