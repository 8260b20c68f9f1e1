"""Work that is killed at one of its file operations, or whose plug is pulled there, in a process of its own.

    from killing import call_in_new_process, run_killed

    def work() -> None: ...                                   # writes below `folder`
    whole = run_killed(work, folder)                           # nobody kills it: whole.operations names its points
    for point in points_of(whole):
        ended = run_killed(work, folder, point)                # ended.code is 137
        ended = run_killed(work, folder, point, loss="names")  # and what the disk forgets is gone

An operation is a file opened for writing, or made, renamed, replaced, linked, removed or synced, or a folder made or
removed. It is killed before it, and after it, with nothing done since: what Python has not yet written is lost.

Each call forks. The process that calls must therefore not have run TensorFlow, nor have threads: `call_in_new_process`
gives one. What libraries write without Python (pyarrow's files, TensorFlow's) is no point to be killed at, but lost all
the same when the plug is pulled.
"""

from __future__ import annotations

import builtins
import importlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

KILLED = 137  # 128 + SIGKILL, as a shell says it
LOSSES = ("bytes", "half", "names")
"""What a pulled plug takes: `run_killed` says how much."""


@dataclass(frozen=True)
class Point:
    """Where work is killed: its n-th operation, from 1, and whether that has been done."""

    number: int
    after: bool


@dataclass(frozen=True)
class Ended:
    """How work ended.

    Attributes:
        code: 0; 137 where it was killed; 1 where it raised.
        said: the class and the message of what it raised, or "".
        operations: in order, such as "replace a.csv".
    """

    code: int
    said: str
    operations: tuple[str, ...]


def points_of(whole: Ended) -> list[Point]:
    """Every point at which work that ended so could be killed."""
    return [Point(number, after) for number in range(1, len(whole.operations) + 1) for after in (False, True)]


def die() -> NoReturn:
    """Ends the process as SIGKILL does: nothing is cleaned up, nothing written that is still in memory."""
    os._exit(KILLED)


def run_killed(
    work: Callable[[], object],
    folder: Path,
    point: Point | None = None,
    *,
    loss: str | None = None,
    end: Callable[[], object] = die,
) -> Ended:
    """Runs `work` in a child process and does `end` to it at a point.

    Args:
        work: what it does below `folder`, with Python's own functions, is its operations.
        folder: on a disk of this machine. All that is in it before is on the disk.
        point: None lets it end.
        loss: what a pulled plug takes when it has ended, by whatever: None nothing; "bytes" all that was written to a
            file since it was last synced; "half" one half of that; "names" the bytes, and every file or folder made,
            renamed or removed since the folder in which it lies was last synced (POSIX promises no more).
        end: what happens at the point; it may raise, as a signal does.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".kept-") as kept:
        before = {_number(path): path.stat().st_size for path in _files(folder)}
        log_file = Path(kept) / "log.json"
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _work(work, _Operations(folder, point, end, Path(kept)), log_file)
        _, status = os.waitpid(child, 0)
        log = json.loads(log_file.read_text())
        if loss == "names":
            _forget_names(folder, log["done"])
        if loss:
            _forget_bytes(folder, before, log["done"], half=loss == "half")
    return Ended(os.waitstatus_to_exitcode(status), log["said"], tuple(log["operations"]))


def call_in_new_process(function: str, **arguments: Any) -> Any:
    """What a function such as "kill_jobs:count" of the tests returns, called in a new Python process.

    Arguments and answer are JSON values. Raises subprocess.CalledProcessError where it raises.
    """
    words = [sys.executable, "-c", "import killing; killing.answer()", function, json.dumps(arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def answer() -> None:
    """What the new process does: prints, last, what the function gave."""
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    print(json.dumps(function(**json.loads(sys.argv[2]))))


# --- in the child ---


def _work(work: Callable[[], object], operations: _Operations, log_file: Path) -> NoReturn:
    code, said = 0, ""

    def tell() -> None:
        log = {"said": said, "operations": operations.names, "done": operations.done}
        with real_open(log_file, "w") as file:
            json.dump(log, file)

    real_open, real_exit = builtins.open, os._exit
    os._exit = lambda code: (tell(), real_exit(code))  # type: ignore[assignment]
    try:
        operations.watch()
        work()
    except BaseException as error:
        code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
        said = f"{type(error).__name__}: {error}"
    os._exit(code)


class _Operations:
    """Counts the operations below a folder, notes what they did, and ends the process at one.

    Attributes:
        names: one operation each, as `Ended` has them.
        done: what is needed to take them back: each its kind, the numbers of the folders whose sync makes it last, and
            its words. Folders and files have the system's numbers, as names change.
    """

    def __init__(self, folder: Path, point: Point | None, end: Callable[[], object], kept: Path) -> None:
        self.folder, self.point, self.end, self.kept = folder.resolve(), point, end, kept
        self.names: list[str] = []
        self.done: list[list[Any]] = []
        self.lock = threading.RLock()
        self.real = {name: getattr(os, name) for name in _WATCHED}
        self.real_open, self.keeps = builtins.open, itertools.count()

    def watch(self) -> None:
        """Puts itself in the place of Python's functions."""
        builtins.open = io.open = self._open_file  # type: ignore[assignment]
        os.open = self._open_handle  # type: ignore[assignment]
        os.fsync = self._sync  # type: ignore[assignment]
        os.mkdir = self._make("mkdir")
        os.symlink = self._link("symlink")
        os.link = self._link("link")
        os.unlink = os.remove = self._remove("unlink")  # type: ignore[assignment]
        os.rmdir = self._remove("rmdir")
        os.rename = self._rename("rename")
        os.replace = self._rename("replace")

    def _around(self, name: str, do: Callable[[], Any]) -> Any:
        with self.lock:
            self.names.append(name)
            number = len(self.names)
            if self.point == Point(number, False):
                self.end()
            result = do()
            if self.point == Point(number, True):
                self.end()
            return result

    def _is_inside(self, path: Path | None) -> bool:
        return path is not None and self.folder in path.parents

    def _open_file(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        def do() -> Any:
            return self.real_open(file, mode, *args, **options)

        path = None if isinstance(file, int) else _absolute(file)
        if path is None or not set(mode) & set("wax+") or not self._is_inside(path):
            return do()
        return self._opened(path, do, empties="w" in mode)

    def _open_handle(self, path: Any, flags: int, *args: Any, **options: Any) -> int:
        def do() -> int:
            return self.real["open"](path, flags, *args, **options)

        place = _absolute(path, options.get("dir_fd"))
        if not flags & (os.O_CREAT | os.O_TRUNC) or not self._is_inside(place):
            return do()
        return self._opened(place, do, empties=bool(flags & os.O_TRUNC))

    def _opened(self, path: Path, do: Callable[[], Any], *, empties: bool) -> Any:
        is_new = not _is_there(path)

        def open_it() -> Any:
            result = do()
            if is_new:
                self._note("make", path)
            elif empties:
                self.done.append(["empty", [], _number(path)])
            return result

        return self._around(f"{'create' if is_new else 'empty' if empties else 'open'} {self._short(path)}", open_it)

    def _sync(self, handle: Any) -> None:
        number = handle if isinstance(handle, int) else handle.fileno()
        path = _of_handle(number)
        if not self._is_inside(path / "any"):
            self.real["fsync"](handle)
            return

        def sync() -> None:
            facts = os.fstat(number)  # noted, not done: it takes the disk a hundredth of a second
            self.done.append(["sync", [], facts.st_ino, facts.st_size])

        self._around(f"fsync {self._short(path)}", sync)

    def _make(self, name: str) -> Callable[..., None]:
        def make(path: Any, *args: Any, **options: Any) -> None:
            place = _absolute(path, options.get("dir_fd"))
            self._do(name, [place], lambda: self.real[name](path, *args, **options), lambda: self._note("make", place))

        return make

    def _link(self, name: str) -> Callable[..., None]:
        def link(source: Any, path: Any, *args: Any, **options: Any) -> None:
            place = _absolute(path, options.get("dst_dir_fd", options.get("dir_fd")))
            do = lambda: self.real[name](source, path, *args, **options)  # noqa: E731
            self._do(name, [place], do, lambda: self._note("make", place))

        return link

    def _remove(self, name: str) -> Callable[..., None]:
        def remove(path: Any, **options: Any) -> None:
            place = _absolute(path, options.get("dir_fd"))
            kept = self._keep(place)
            do = lambda: self.real[name](path, **options)  # noqa: E731
            self._do(name, [place], do, lambda: self._note("remove", place, *kept))

        return remove

    def _rename(self, name: str) -> Callable[..., None]:
        def rename(source: Any, target: Any, **options: Any) -> None:
            old, new = _absolute(source, options.get("src_dir_fd")), _absolute(target, options.get("dst_dir_fd"))
            kept, _ = self._keep(new)
            do = lambda: self.real[name](source, target, **options)  # noqa: E731
            self._do(name, [old, new], do, lambda: self._note("rename", old, new, kept))

        return rename

    def _do(self, name: str, places: list[Path], do: Callable[[], None], note: Callable[[], None]) -> None:
        if any(map(self._is_inside, places)):
            self._around(f"{name} {self._short(places[-1])}", lambda: (do(), note()))
        else:
            do()

    def _note(self, kind: str, *words: Any) -> None:
        paths = [word for word in words if isinstance(word, Path)]
        rest = words[len(paths) :]
        self.done.append([kind, [_number(path.parent) for path in paths], *(path.name for path in paths), *rest])

    def _keep(self, path: Path) -> tuple[str, int]:
        """A second name, outside, for a file that is about to lose its own, or "" for a folder; and its number."""
        if not self._is_inside(path) or not _is_there(path):
            return "", 0
        number = path.lstat().st_ino
        if path.is_dir() and not path.is_symlink():
            return "", number
        kept = str(self.kept / str(next(self.keeps)))
        self.real["link"](path, kept, follow_symlinks=False)
        return kept, number

    def _short(self, path: Path) -> str:
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)


_WATCHED = ("open", "fsync", "mkdir", "symlink", "link", "unlink", "rmdir", "rename", "replace")


def _absolute(path: Any, dir_fd: int | None = None) -> Path:
    """With the links of its folders followed, and not that of its last part."""
    whole = (Path() if dir_fd is None else _of_handle(dir_fd)) / os.fsdecode(path)
    return whole.parent.resolve() / whole.name


def _of_handle(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


# --- the disk, after the plug was pulled ---


def _forget_names(folder: Path, done: list[list[Any]]) -> None:
    """Takes back, from the last to the first, what was done in a folder since that was last synced."""
    synced = {entry[2]: place for place, entry in enumerate(done) if entry[0] == "sync"}
    again: dict[int, int] = {}  # numbers of folders that were removed, and what they have when they are put back
    for place, (kind, folders, *words) in reversed(list(enumerate(done))):
        if kind in ("sync", "empty") or any(synced.get(number, -1) > place for number in folders):
            continue
        paths = _folders(folder)
        there = [paths[again.get(number, number)] for number in folders if again.get(number, number) in paths]
        if len(there) < len(folders):  # the folder itself was taken back
            continue
        if kind == "make":
            _remove_all(there[0] / words[0])
        elif kind == "remove":
            again[words[2]] = _put_back(there[0] / words[0], words[1])
        else:
            source, target = there[0] / words[0], there[1] / words[1]
            if _is_there(target):
                target.rename(source)
            if words[2]:
                _put_back(target, words[2])


def _folders(folder: Path) -> dict[int, Path]:
    paths = (path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())
    return {_number(path): path for path in (folder, *paths)}


def _put_back(path: Path, kept: str) -> int:
    if kept:
        os.link(kept, path, follow_symlinks=False)
    else:
        path.mkdir(exist_ok=True)
    return path.lstat().st_ino


def _remove_all(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _forget_bytes(folder: Path, before: dict[int, int], done: list[list[Any]], *, half: bool) -> None:
    """Cuts each file down to what was synced of it; what was written over and never synced leaves nothing."""
    synced = dict(before)
    for kind, _, *words in done:
        if kind in ("sync", "empty"):
            synced[words[0]] = words[1] if kind == "sync" else 0
    for path in _files(folder):
        size, kept = path.stat().st_size, synced.get(_number(path), 0)
        if size > kept:
            os.truncate(path, kept + (size - kept) // 2 if half else kept)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _number(path: Path) -> int:
    return path.stat().st_ino
