"""A folder: the images in it and below."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from regraft.data.passed_over import is_left_by_system
from regraft.data.walk import is_image_name
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import InputKind, Reading


def _images_in(folder: str, reading: Reading) -> Iterator[Item]:
    return (Item(path, path) for path in _images_below(folder, ()))


def _images_below(folder: str, parents: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Paths in the order of their names, as `sorted` would give them; links that lead back up are not followed."""
    status = os.stat(folder)  # noqa: PTH116 - one call for both numbers
    here = (status.st_dev, status.st_ino)
    if here in parents:
        return
    with os.scandir(folder) as entries:
        found = [(entry.name, _is_folder(entry)) for entry in entries if not is_left_by_system(entry.name)]
    for name, is_folder in sorted(found, key=lambda entry: entry[0] + "/" if entry[1] else entry[0]):
        path = os.path.join(folder, name)  # noqa: PTH118 - Path would change the folder's name
        if is_folder:
            yield from _images_below(path, (*parents, here))
        elif is_image_name(Path(name)):
            yield path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


KIND = InputKind(
    recognizes=os.path.isdir,  # Path.is_dir raises where a name is too long for the system
    expand=_images_in,
    nothing="The folder {} holds no images.",
)
