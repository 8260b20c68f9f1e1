"""What is in the cache, and making room in it.

Whatever is removed is named as this program names it, one file after the other, and where such a name says little, its
content says whose it is: a folder which `REGRAFT_CACHE` points at by mistake loses nothing else. Readers expect that a
file may be gone: what is not there is made again.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from regraft.machine.cache import cache_folder, cache_limit, unheld, was_held
from regraft.machine.files import UNFINISHED

_ABANDONED_SECONDS = 24 * 3600


class _Part(NamedTuple):
    """One kind of content.

    Attributes:
        name: its folder.
        what: it is, in words.
        files: what they are called, relative to the cache.
        makes_room: whether its files are removed where room is needed, the one that was not used for longest first.
        is_held: whether a process that reads them for long holds them all.
        is_ours: whether a file of such a name is of this program. The names of features alone tell.
    """

    name: str
    what: str
    files: str
    makes_room: bool = True
    is_held: bool = False
    is_ours: Callable[[Path], bool] = lambda path: True


def _holds_scans_alone(file: Path) -> bool:
    """Whether an SQLite file has the tables of `regraft.data.scan_cache`, of whatever version, and no others."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            tables = [name for (name,) in database.execute("SELECT DISTINCT tbl_name FROM sqlite_master")]
    except sqlite3.Error:
        return False
    return all(re.fullmatch(r"photos(_\d+)?", name) for name in tables)


def _says_what_answers_are_made_of(file: Path) -> bool:
    try:
        record = json.loads(file.read_bytes())
        return isinstance(record, dict) and record.keys() >= {"version", "out", "blake2b", "made_of"}
    except (OSError, ValueError, RecursionError):
        return False


_PARTS = (
    _Part("features", "what backbones made of photos", r"features/[0-9a-f]{24}/[0-9a-f]{24}\.npz"),
    _Part("transcoded", "photos as TensorFlow reads them", r"transcoded/[0-9a-f]{32}[\w.+-]*\.png", is_held=True,
          is_ours=lambda path: was_held(path.parent)),
    _Part("scans", "what photos are, by path and time", r"scans\.sqlite", makes_room=False,
          is_ours=_holds_scans_alone),
    _Part("predictions", "what tables of answers were made of", r"predictions/[0-9a-f]{32}\.json", makes_room=False,
          is_ours=_says_what_answers_are_made_of),
    _Part("tables", "labels of data frames, which runs look at again", r"tables/data_frame_[0-9a-f]{32}\.csv",
          makes_room=False),
    _Part("tfds", "photos of data sets, which runs look at again", r"tfds/[^.].*", makes_room=False),
)  # fmt: skip
_HALF_WRITTEN = rf"(features/[0-9a-f]{{24}}|transcoded)/{re.escape(UNFINISHED)}\w+\.(npz|png)"


@dataclass(frozen=True)
class CachePart:
    """One kind of content of the cache.

    Attributes:
        name: "features", "transcoded", "scans", "predictions", "tables" or "tfds".
        what: it is, in words.
        files, bytes: how many, and how large together.
        removed_files, removed_bytes: by this call.
        in_use: whether another process holds its files, so that none was removed.
    """

    name: str
    what: str
    files: int
    bytes: int
    removed_files: int = 0
    removed_bytes: int = 0
    in_use: bool = False


@dataclass(frozen=True)
class CacheReport:
    """What is in the cache.

    Attributes:
        folder: where it is.
        limit_bytes: how large features and transcoded photos may become together; None for no limit.
        parts: one entry per kind of content.
    """

    folder: str
    limit_bytes: int | None
    parts: tuple[CachePart, ...]

    @property
    def bytes(self) -> int:
        """How large all of it is."""
        return sum(part.bytes for part in self.parts)

    def as_dict(self) -> dict[str, Any]:
        """The attributes as JSON types, and `bytes`, their sum."""
        return {**asdict(self), "bytes": self.bytes}


class _Entry(NamedTuple):
    """A file: when it was last used (seconds since the epoch), where it is, how large."""

    used: float
    path: Path
    bytes: int


def read_cache() -> CacheReport:
    """What is in the cache. Nothing is changed."""
    return _report(cache_folder(), (), ())


def trim_cache(most_bytes: int) -> CacheReport:
    """Removes what was not used for longest until at most `most_bytes` are left.

    With 0 also what is known of photos and of tables of answers.
    Photos of data sets stay, as runs look at them again. So does what a running process holds, and what somebody else
    has put there.
    """
    folder = cache_folder()
    removed, in_use = _make_room(folder, most_bytes)
    if most_bytes == 0:
        for name in ("scans", "predictions"):
            removed += [entry for entry in _entries(folder, _part(name)) if _remove(entry.path)]
    return _report(folder, removed, in_use)


def keep_within_limit(folder: Path, used: Path) -> None:
    """Removes what was not used for longest until the cache `folder` keeps its limit; what is in `used` stays."""
    limit = cache_limit()
    if limit is not None:
        _make_room(folder, limit, spared=used)


def _make_room(folder: Path, most_bytes: int, *, spared: Path | None = None) -> tuple[list[_Entry], list[str]]:
    """The files that were removed, and the names of those kinds that a process holds."""
    _sweep(folder)
    entries = {part: list(_entries(folder, part)) for part in _PARTS if part.makes_room}
    excess = sum(entry.bytes for each in entries.values() for entry in each) - most_bytes
    removed, in_use = [], []
    if excess <= 0:
        return [], []
    with unheld(folder / "transcoded") as is_free:
        for part in [part for part in entries if part.is_held and entries[part] and not is_free]:
            in_use.append(part.name)
            entries[part] = []
        for entry in sorted(entry for each in entries.values() for entry in each):
            if excess > 0 and entry.path.parent != spared and _remove(entry.path):
                excess -= entry.bytes
                removed.append(entry)
    for parent in {entry.path.parent for entry in removed}:
        with suppress(OSError):  # there is still something in it
            parent.rmdir()
    return removed, in_use


def _report(folder: Path, removed: Sequence[_Entry], in_use: Sequence[str]) -> CacheReport:
    parts = []
    for part in _PARTS:
        entries = list(_entries(folder, part))
        gone = [entry for entry in removed if _is_of(entry.path, folder, part.files)]
        parts.append(
            CachePart(
                part.name,
                part.what,
                files=len(entries),
                bytes=sum(entry.bytes for entry in entries),
                removed_files=len(gone),
                removed_bytes=sum(entry.bytes for entry in gone),
                in_use=part.name in in_use,
            )
        )
    return CacheReport(str(folder), cache_limit(), tuple(parts))


def _part(name: str) -> _Part:
    return next(part for part in _PARTS if part.name == name)


def _entries(folder: Path, part: _Part) -> Iterator[_Entry]:
    """The regular files of one kind that are ours."""
    start = folder if part.name == "scans" else folder / part.name
    for path in _files_below(start, deep=start != folder):
        if _is_of(path, folder, part.files):
            with suppress(OSError):  # gone meanwhile
                state = path.lstat()
                if stat.S_ISREG(state.st_mode) and part.is_ours(path):
                    yield _Entry(state.st_mtime, path, state.st_size)


def _files_below(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        if not deep:
            folders.clear()
        yield from (Path(place, name) for name in names)


def _is_of(path: Path, folder: Path, pattern: str) -> bool:
    return bool(re.fullmatch(pattern, path.relative_to(folder).as_posix(), re.DOTALL))


def _sweep(folder: Path) -> None:
    """Removes what a killed process has left half written; whoever writes for a day is not disturbed."""
    for name in ("features", "transcoded"):
        for path in _files_below(folder / name):
            with suppress(OSError):
                if _is_of(path, folder, _HALF_WRITTEN) and time.time() - path.lstat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
