"""Folders in which something is made before it gets its place, and the removal of those whose process is gone."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.machine.files import UNFINISHED, exchange, remove_listed, sync, sync_tree
from regraft.machine.locks import held_if_free, is_held, take

PREFIX = ".drafting-"
MARK = "regraft-draft.txt"
_MARK_TEXT = "Regraft makes something in this folder. When no process does, its next start here removes the folder.\n"
_REPLACED = "replaced"
_RANDOM_LETTERS = 8
_RANDOM = rf"[a-z0-9_]{{{_RANDOM_LETTERS}}}"  # what tempfile puts into names
_FILE_NAME = re.compile(rf"{re.escape(UNFINISHED)}{_RANDOM}(\..*)?", re.DOTALL)
_FOLDER_NAME = re.compile(rf"{re.escape(PREFIX)}{_RANDOM}")


@contextmanager
def draft_folder(parent: Path) -> Iterator[Path]:
    """An empty folder below `parent`, on the same disk; `publish` gives what was made in it its place.

    It is removed when the block ends, and by the next `sweep` of `parent` where the process was killed.
    """
    with _drafting(parent, lambda: Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))) as draft:
        yield draft


@contextmanager
def draft_of(target: Path, busy: Exception) -> Iterator[Path]:
    """As `draft_folder(target.parent)`, for one process at a time.

    Args:
        target: what is being made; its folder exists.
        busy: what is raised where another process, or another call of this one, is making the same.
    """
    name = hashlib.blake2b(os.fsencode(target.name), digest_size=_RANDOM_LETTERS // 2).hexdigest()

    def make() -> Path:
        holder = target.with_name(f"{PREFIX}{name}")
        with contextlib.suppress(FileExistsError):
            holder.mkdir(mode=0o700)
            return holder
        if is_held(holder):
            raise busy
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=target.parent))  # left where no lock says whose it is

    with _drafting(target.parent, make) as draft:
        yield draft


def publish_instead(draft: Path, target: Path, names: Iterable[str]) -> None:
    """Gives a finished draft of `draft_folder` the place of the folder `target`, whose files `names` are removed.

    A reader finds the old one or the new one. Where the system cannot exchange them in one step, he may for a moment
    find neither; of a process that is killed in that moment, the next `sweep` puts the old one back. What somebody put
    into the old one meanwhile is left beside the new one, in a folder that is named after it.
    """
    sync_tree(draft)
    old = draft
    if not exchange(draft, target):
        old = draft.parent / _REPLACED / target.name
        old.parent.mkdir()
        target.rename(old)
        draft.rename(target)
    sync(target.parent)
    if remove_listed(old, names):
        old.rename(_free_name(target))


def _free_name(target: Path) -> Path:
    names = (target.with_name(f"{target.name}.{number}") for number in itertools.count(1))
    return next(name for name in names if not os.path.lexists(name))


@contextmanager
def _drafting(parent: Path, make: Callable[[], Path]) -> Iterator[Path]:
    sweep(parent)
    holder, handle = _locked(make)
    try:
        (holder / MARK).write_text(_MARK_TEXT, "utf-8")
        inside = holder / "draft"
        inside.mkdir()
        yield inside
    finally:
        _remove(holder)
        os.close(handle)


def _locked(make: Callable[[], Path]) -> tuple[Path, int]:
    """A folder that `make` gives, and the handle that locks it, so that `sweep` leaves it alone while it is open."""
    while True:
        holder = make()
        try:
            handle = os.open(holder, os.O_RDONLY)
        except FileNotFoundError:  # swept between being made and being locked
            continue
        if take(handle) and holder.exists():
            return holder, handle
        os.close(handle)


def is_unfinished(path: Path) -> bool:
    """Whether a file or folder bears a name that is given to what is being made, by `atomic_file` or `draft_folder`."""
    return bool(_FILE_NAME.fullmatch(path.name) or _FOLDER_NAME.fullmatch(path.name))


def sweep(folder: Path) -> None:
    """Removes what writers of this program left in `folder` whose process is gone, and nothing else.

    A file must bear a name that `atomic_file` gives, and a folder one of `draft_folder`'s and its mark (or be empty);
    their locks must be free, as the system lets go of them when a process ends.
    """
    for path in [*folder.glob(f"{UNFINISHED}*"), *folder.glob(f"{PREFIX}*")]:
        if path.is_symlink():
            continue
        with held_if_free(path) as is_free:
            if is_free and path.is_file() and _FILE_NAME.fullmatch(path.name):
                path.unlink(missing_ok=True)
            elif is_free and path.is_dir() and _FOLDER_NAME.fullmatch(path.name) and _is_ours(path):
                _remove(path)


def _remove(holder: Path) -> None:
    """Removes a folder of drafts. What was moved into it to make way, and nothing came, goes back to its place."""
    for old in (holder / _REPLACED).glob("*"):
        with contextlib.suppress(OSError):  # something is in its place
            if not os.path.lexists(holder.with_name(old.name)):
                old.rename(holder.with_name(old.name))
    shutil.rmtree(holder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether a folder bears the mark, or was left before it did."""
    mark = folder / MARK
    if mark.is_file() and not mark.is_symlink():
        return _MARK_TEXT.encode().startswith(mark.read_bytes())  # a pulled plug may have left a part of it
    return not any(folder.iterdir())
