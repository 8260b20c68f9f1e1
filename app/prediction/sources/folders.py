"""A folder: the images in it and below."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from regraft.data.file_format import identify_file
from regraft.data.passed_over import is_left_by_system, what_file_of_ours, what_of_ours
from regraft.data.walk import identities_above, is_image_name
from regraft.prediction.sources.archives import LEFT_BY_SYSTEM, MORE_FILES, holds_more
from regraft.prediction.sources.item import Found, Item, LeftOut
from regraft.prediction.sources.kind import InputKind, Reading


def _images_in(folder: str, reading: Reading) -> Iterator[Found]:
    return _found_below(folder, frozenset(identities_above(Path(folder))), is_named=True)


def _found_below(folder: str, above: frozenset[object], *, is_named: bool = False) -> Iterator[Found]:
    """What is in a folder, in the order of paths, as `sorted` would give them; links that lead back up end there.

    One that the user has named is read, whatever it is.
    """
    try:
        status = os.stat(folder)  # noqa: PTH116 - one call for both numbers
        with os.scandir(folder) as entries:
            found = [(entry.name, _is_folder(entry)) for entry in entries]
    except OSError as error:
        yield Item(folder, kind="broken", reason=f"the folder cannot be read: {(error.strerror or '').lower()}")
        return
    here = (status.st_dev, status.st_ino)
    if here in above and not is_named:
        yield LeftOut(folder, "a link to a folder that it lies in")
    elif not is_named and (ours := what_of_ours([name for name, _ in found])):
        yield LeftOut(folder, f"{ours} of Regraft")
    else:
        for name, is_folder in sorted(found, key=lambda entry: entry[0] + "/" if entry[1] else entry[0]):
            path = os.path.join(folder, name)  # noqa: PTH118 - Path would change the folder's name
            if is_left_by_system(name):
                yield LeftOut(path, LEFT_BY_SYSTEM)
            elif ours := what_file_of_ours(name):
                yield LeftOut(path, f"{ours} of Regraft")
            elif is_folder:
                yield from _found_below(path, above | {here})
            else:
                yield _found_at(path)


def _found_at(path: str) -> Found:
    """The file as an item if its name or its content says that it is a photo."""
    if is_image_name(Path(path)):
        return Item(path, path)
    if holds_more(path):
        return LeftOut(path, MORE_FILES)
    if reason := _why_no_file(path):  # nor opened, as a pipe might never end
        return LeftOut(path, reason)
    found = identify_file(Path(path))
    return Item(path, path) if found.name else LeftOut(path, found.reason)


def _why_no_file(path: str) -> str:
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - Path would change the name
    except PermissionError:
        return "permission denied"
    except OSError:
        is_file = False
    return "" if is_file else "a broken link, or not a file"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


KIND = InputKind(
    recognizes=os.path.isdir,  # Path.is_dir raises where a name is too long for the system
    expand=_images_in,
    nothing="The folder {} holds no images",
    is_file=False,
)
