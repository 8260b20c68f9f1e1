"""Folders in which something is made before it gets its place, and the removal of those whose process is gone."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.machine.files import UNFINISHED
from regraft.machine.locks import held_if_free, take

PREFIX = ".drafting-"
MARK = "regraft-draft.txt"
_MARK_TEXT = "Regraft makes something in this folder. When no process does, its next start here removes the folder.\n"
_RANDOM = r"[a-z0-9_]{8}"  # what tempfile puts into names
_FILE_NAME = re.compile(rf"{re.escape(UNFINISHED)}{_RANDOM}(\..*)?", re.DOTALL)
_FOLDER_NAME = re.compile(rf"{re.escape(PREFIX)}{_RANDOM}")


@contextmanager
def draft_folder(parent: Path) -> Iterator[Path]:
    """An empty folder below `parent`, on the same disk; `publish` gives what was made in it its place.

    It is removed when the block ends, and by the next `sweep` of `parent` where the process was killed.
    """
    sweep(parent)
    holder, handle = _new_holder(parent)
    try:
        (holder / MARK).write_text(_MARK_TEXT, "utf-8")
        inside = holder / "draft"
        inside.mkdir()
        yield inside
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        os.close(handle)


def _new_holder(parent: Path) -> tuple[Path, int]:
    """An empty folder, and the handle that locks it, so that `sweep` leaves it alone while it is open."""
    while True:
        holder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            handle = os.open(holder, os.O_RDONLY)
        except FileNotFoundError:  # swept between being made and being locked
            continue
        if take(handle) and holder.exists():
            return holder, handle
        os.close(handle)


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
                shutil.rmtree(path, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether a folder bears the mark, or was left before it did."""
    mark = folder / MARK
    if mark.is_file() and not mark.is_symlink():
        return mark.read_bytes() in (_MARK_TEXT.encode(), b"")
    return not any(folder.iterdir())
