"""One process at a time: locks of the system, which lets go of them when the process ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: there, nothing keeps a second process out
    fcntl = None  # type: ignore[assignment]

_AS_IT_IS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no link, and no pipe that waits for a writer


def take(handle: int) -> bool:
    """Whether an open file or folder is this process's now, until the handle is closed; False where another's it is.

    True also where the file system knows no locks: better no lock than no work.
    """
    return _lock(handle) is not False


def _lock(handle: int) -> bool | None:
    """Whether it is locked now; None where nothing can be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def exclusive(path: Path, busy: Exception) -> Iterator[None]:
    """Keeps every other process that asks for the same file or folder out while the block runs.

    Args:
        path: an existing file or folder. Nothing is written to it.
        busy: what is raised where another process, or another call of this one, is inside.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        if not take(handle) or not _is_there(path, handle):
            raise busy
        yield
    finally:
        os.close(handle)


def _is_there(path: Path, handle: int) -> bool:
    """Whether an open file or folder has its name still, and nobody removed it between its opening and its locking."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Whether nobody held a file or folder, which is held while the block runs. False, too, where none can know."""
    try:
        handle = os.open(path, os.O_RDONLY | _AS_IT_IS)
    except OSError:
        yield False
        return
    try:
        yield _lock(handle) is True
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Whether another process holds a file or folder. False where none can know."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not take(handle)
    finally:
        os.close(handle)
