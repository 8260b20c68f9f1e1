"""The memory of earlier scans: what photos were, by path, size and time of change."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import astuple, fields
from pathlib import Path

from regraft.data.file_format import PLUGINS, can_read
from regraft.data.photos import Photo

_OF_OTHERS = "SELECT 1 FROM sqlite_master WHERE tbl_name NOT GLOB 'photos*'"
"""Finds something in the file that no version of this one made: it is somebody else's, and stays as it is."""


class ScanCache:
    """Photos seen by earlier scans, in an SQLite file that may be missing, locked, damaged or read-only.

    Only readable photos are kept: what cannot be read now may be readable tomorrow, and there are few.
    """

    _columns = ("path", "size", "mtime_ns", *(field.name for field in fields(Photo)))
    _table = "photos_5"  # another number where the columns, or what they mean, change
    _unusable = (sqlite3.Error, OSError)

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._keys: dict[Path, tuple[bytes, int, int]] = {}

    def recall(self, paths: Sequence[Path]) -> dict[Path, Photo]:
        """The photos of those `paths` that have not changed since they were remembered, and whose plugin is there."""
        if self._file is None:
            return {}
        self._keys = {path: key for path in paths if (key := _state_of(path))}
        query = f"SELECT * FROM {self._table} WHERE path = ? AND size = ? AND mtime_ns = ?"
        try:
            with closing(sqlite3.connect(self._file)) as database:
                rows = {path: database.execute(query, key).fetchone() for path, key in self._keys.items()}
        except self._unusable:
            return {}
        photos = {path: Photo(*row[3:]) for path, row in rows.items() if row}
        return {path: photo for path, photo in photos.items() if photo.format not in PLUGINS or can_read(photo.format)}

    def remember(self, answers: Mapping[Path, Photo | str]) -> None:
        """Keeps the readable ones of `answers`, as of the time when `recall` asked for them."""
        photos = {path: answer for path, answer in answers.items() if isinstance(answer, Photo)}
        rows = [(*self._keys[path], *astuple(photo)) for path, photo in photos.items() if path in self._keys]
        if self._file is None or not rows:
            return
        with suppress(*self._unusable):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file)) as database, database:
                if database.execute(_OF_OTHERS).fetchone():
                    return
                columns = ", ".join(self._columns)
                database.execute(f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}, PRIMARY KEY (path))")
                places = ", ".join("?" * len(self._columns))
                database.executemany(f"INSERT OR REPLACE INTO {self._table} VALUES ({places})", rows)


def _state_of(path: Path) -> tuple[bytes, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return os.fsencode(path.absolute()), state.st_size, state.st_mtime_ns
