"""Work that is killed at one of its file operations, or whose plug is pulled there.

    from killing import call_in_new_process, lay, moments, points_of, run_killed

    def work() -> None: ...                        # writes below `folder`

    ended, states = moments(work, folder)          # one run, and what a kill would leave at each point of it
    for state in states:
        lay(state.trees["names"], folder)          # as if the plug had been pulled there
        ...                                        # go on

    run_killed(work, folder, Point(7, after=True)) # or really: its process ends there, as by SIGKILL

An operation is a file opened for writing, or made, renamed, replaced, linked, removed or synced, or a folder made or
removed. Work is killed before it, and after it, with nothing done since: what Python has not yet written is lost.

Both fork. The process that calls must therefore not have run TensorFlow, nor have threads: `call_in_new_process` gives
one. What libraries write without Python (pyarrow's files, TensorFlow's) is no point to be killed at, but lost all the
same when the plug is pulled.
"""

from __future__ import annotations

import builtins
import importlib
import io
import json
import os
import pickle
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

KILLED = 137  # 128 + SIGKILL, as a shell says it
LOSSES = ("bytes", "half", "names")
"""What a pulled plug takes.

"bytes": all that was written to a file since it was last synced, and all of the file where it was not only appended to;
"half": one half of that; "names": the bytes, and each file or folder made, renamed or removed since the folder it lies
in was last synced. POSIX promises no more; that a rename is done in both folders or in none is promised by every file
system with a journal.
"""

Tree = Mapping[str, bytes | str | None]
"""What lies below a folder, by relative path: a file's bytes, the target of a link, None for a folder."""


@dataclass(frozen=True)
class Point:
    """Where work is killed: its n-th operation, from 1, and whether that has been done."""

    number: int
    after: bool


@dataclass(frozen=True)
class Ended:
    """How work ended.

    Attributes:
        code: 0; 137 where it was killed; that of SystemExit; 1 where it raised something else.
        said: the class and the message of what it raised, or "".
        operations: in order, such as "replace a.csv".
    """

    code: int
    said: str
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Moment:
    """What a kill leaves at a point, by what is lost: None by a kill alone, and each of the losses asked for."""

    point: Point
    operation: str
    trees: Mapping[str | None, Tree]


def points_of(ended: Ended) -> list[Point]:
    """Every point at which work that ended so could have been killed."""
    return [Point(number, after) for number in range(1, len(ended.operations) + 1) for after in (False, True)]


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
        folder: all that is in it before is on the disk.
        point: None lets it end.
        loss: what a pulled plug takes when it has ended, by whatever; None nothing.
        end: what happens at the point; it may raise, as a signal does.
    """

    def at(operations: Operations, here: Point) -> None:
        if here == point:
            end()

    def left(operations: Operations) -> Tree | None:
        return operations.disk.tree(loss) if loss and operations.disk else None

    code, told = _in_child(work, Operations(folder, at, loses=bool(loss)), left)
    if loss:
        lay(told["more"], folder)
    return Ended(code, told["said"], tuple(told["operations"]))


def moments(work: Callable[[], object], folder: Path, losses: Sequence[str] = LOSSES) -> tuple[Ended, list[Moment]]:
    """Runs `work` in a child process to its end; what it would have left at each point, and last at its end."""
    found: list[Moment] = []

    def note(operations: Operations, here: Point) -> None:
        assert operations.disk
        trees = {loss: operations.disk.tree(loss) for loss in (None, *losses)}
        found.append(Moment(here, operations.names[-1] if operations.names else "", trees))

    def last(operations: Operations) -> list[Moment]:
        note(operations, Point(len(operations.names), True))
        return found

    code, told = _in_child(work, Operations(folder, note, loses=True), last)
    return Ended(code, told["said"], tuple(told["operations"])), told["more"]


def lay(tree: Tree, folder: Path) -> None:
    """Has `folder` hold just this."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, content in tree.items():
        path = folder / name
        if content is None:
            path.mkdir()
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def memory_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder, in memory where the system has a place for that: a disk takes its time for each name."""
    place = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=place if os.access(place, os.W_OK) else None)


def call_in_new_process(function: str, **arguments: Any) -> Any:
    """What a function such as "killed_jobs:failures" of the tests returns, called in a new Python process.

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

At = Callable[["Operations", Point], None]


def _in_child(
    work: Callable[[], object], operations: Operations, more: Callable[[Operations], Any]
) -> tuple[int, dict[str, Any]]:
    """Its exit code, and what it told: what it raised, its operations, and `more`."""
    with tempfile.TemporaryDirectory() as told:
        file = Path(told, "told")
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _work(work, operations, more, file)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), pickle.loads(file.read_bytes())


def _work(
    work: Callable[[], object], operations: Operations, more: Callable[[Operations], Any], file: Path
) -> NoReturn:
    code, said, real_open, real_exit = 0, "", builtins.open, os._exit

    def exit(code: int) -> None:
        operations.at = lambda *_: None
        with real_open(file, "wb") as stream:
            pickle.dump({"said": said, "operations": operations.names, "more": more(operations)}, stream)
        real_exit(code)

    os._exit = exit  # type: ignore[assignment]
    try:
        operations.watch()
        work()
    except BaseException as error:
        code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
        said = f"{type(error).__name__}: {error}"
    os._exit(code)


class Operations:
    """Notes the operations below a folder, and what of them is on the disk.

    Attributes:
        names: one operation each, as `Ended` has them.
        disk: what is synced; None where nobody asks.
        at: called before and after each.
    """

    def __init__(self, folder: Path, at: At, *, loses: bool) -> None:
        self.folder, self.at, self.loses = folder.resolve(), at, loses
        self.names: list[str] = []
        self.disk: _Disk | None = None
        self.lock = threading.RLock()
        self.real = {name: getattr(os, name) for name in _WATCHED}
        self.real_open = builtins.open

    def watch(self) -> None:
        """Puts itself in the place of Python's functions."""
        self.disk = _Disk(self.folder) if self.loses else None
        builtins.open = io.open = self._open_file  # type: ignore[assignment]
        os.open = self._open_handle  # type: ignore[assignment]
        os.fsync = self._sync  # type: ignore[assignment]
        for name in _PLACED:
            setattr(os, name, self._placing(name))
        for name in _MOVED:
            setattr(os, name, self._moving(name))

    def _around(self, name: str, path: Path, do: Callable[[], Any]) -> Any:
        with self.lock:
            self.names.append(f"{name} {path.relative_to(self.folder)}")
            number = len(self.names)
            self.at(self, Point(number, False))
            result = do()
            self.at(self, Point(number, True))
            return result

    def _place(self, path: Any, dir_fd: int | None = None) -> Path | None:
        """Where it is below the folder; None where it is not. Links of folders are followed."""
        if isinstance(path, int):
            return None
        whole = (Path.cwd() if dir_fd is None else _of_handle(dir_fd)) / os.fsdecode(path)
        if ".." in whole.parts or not whole.is_relative_to(self.folder):
            whole = whole.parent.resolve() / whole.name
        return whole if whole != self.folder and whole.is_relative_to(self.folder) else None

    def _open_file(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        def do() -> Any:
            return self.real_open(file, mode, *args, **options)

        place = self._place(file) if set(mode) & set("wax+") else None
        return do() if place is None else self._around(_how(place, "w" in mode), place, do)

    def _open_handle(self, path: Any, flags: int, *args: Any, **options: Any) -> int:
        def do() -> int:
            return self.real["open"](path, flags, *args, **options)

        place = self._place(path, options.get("dir_fd")) if flags & (os.O_CREAT | os.O_TRUNC) else None
        return do() if place is None else self._around(_how(place, bool(flags & os.O_TRUNC)), place, do)

    def _sync(self, file: Any) -> None:
        """Nothing but a note: it would take the disk a hundredth of a second."""
        handle = file if isinstance(file, int) else file.fileno()
        place = _of_handle(handle)
        if place.is_relative_to(self.folder):
            self._around("fsync", place, lambda: self.disk and self.disk.sync(handle))

    def _placing(self, name: str) -> Callable[..., None]:
        real = self.real[name]

        def call(*args: Any, **options: Any) -> None:
            path = args[1] if name in ("link", "symlink") else args[0]
            place = self._place(path, options.get("dir_fd", options.get("dst_dir_fd")))
            if place is None:
                real(*args, **options)
            else:
                self._around("unlink" if name == "remove" else name, place, lambda: real(*args, **options))

        return call

    def _moving(self, name: str) -> Callable[..., None]:
        real = self.real[name]

        def call(source: Any, target: Any, **options: Any) -> None:
            places = self._place(source, options.get("src_dir_fd")), self._place(target, options.get("dst_dir_fd"))

            def move() -> None:
                real(source, target, **options)
                if places[0] and places[1] and self.disk:
                    self.disk.tie(places[0].parent, places[1].parent)

            place = places[1] or places[0]
            real(source, target, **options) if place is None else self._around(name, place, move)

        return call


_PLACED = ("mkdir", "rmdir", "unlink", "remove", "link", "symlink")
_MOVED = ("rename", "replace")
_WATCHED = ("open", "fsync", *_PLACED, *_MOVED)


def _how(path: Path, empties: bool) -> str:
    return "create" if not path.exists() and not path.is_symlink() else "empty" if empties else "open"


def _of_handle(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()


class _Disk:
    """What is on the disk below a folder, and what is not yet, by the numbers that the system gives files and folders.

    A number stays a file's, also when its name is gone, as a handle to it is kept open.
    """

    def __init__(self, folder: Path) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
        self.folder = folder
        self.bytes: dict[int, bytes] = {}
        self.links: dict[int, str] = {}
        self.names: dict[int, dict[str, int]] = {}
        self.tied: dict[int, set[int]] = {}
        self.kept: dict[int, int] = {}
        self.read: dict[int, tuple[tuple[int, int], bytes]] = {}
        for place, _, files in os.walk(folder):
            self._sync_folder(Path(place))
            for name in files:
                if not Path(place, name).is_symlink():
                    self.bytes[Path(place, name).stat().st_ino] = self._content(Path(place, name))

    def sync(self, handle: int) -> None:
        """A file or folder is on the disk from now on."""
        facts = os.fstat(handle)
        if stat.S_ISDIR(facts.st_mode):
            self._sync_folder(_of_handle(handle))
        else:
            self._keep(Path(f"/proc/self/fd/{handle}"), facts.st_ino)
            self.bytes[facts.st_ino] = self._content(Path(f"/proc/self/fd/{handle}"))

    def tie(self, *folders: Path) -> None:
        """Something was moved between folders: when one is synced, all are."""
        numbers = {folder.stat().st_ino for folder in folders}
        for number in numbers:
            self.tied.setdefault(number, set()).update(numbers - {number})

    def tree(self, loss: str | None) -> Tree:
        """What is left."""
        if loss == "names":
            return dict(self._synced("", self.folder.stat().st_ino))
        found: dict[str, bytes | str | None] = {}
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if path.is_symlink():
                found[name] = str(path.readlink())
            else:
                found[name] = None if path.is_dir() else self._left(path, loss)
        return found

    def _left(self, path: Path, loss: str | None) -> bytes:
        content, kept = self._content(path), self.bytes.get(path.stat().st_ino, b"")
        if loss is None or content == kept:
            return content
        start = len(kept) if content.startswith(kept) else 0  # what was written over leaves nothing
        return content[: start + (len(content) - start) // 2 if loss == "half" else start]

    def _synced(self, prefix: str, folder: int) -> dict[str, bytes | str | None]:
        found: dict[str, bytes | str | None] = {}
        for name, number in sorted(self.names.get(folder, {}).items()):
            if number in self.links:
                found[prefix + name] = self.links[number]
            elif stat.S_ISDIR(os.fstat(self.kept[number]).st_mode):
                found[prefix + name] = None
                found |= self._synced(f"{prefix}{name}/", number)
            else:
                found[prefix + name] = self.bytes.get(number, b"")
        return found

    def _sync_folder(self, folder: Path) -> None:
        number = folder.stat().st_ino
        self._keep(folder, number)
        entries = {path.name: path.lstat().st_ino for path in folder.iterdir()}
        for name, each in entries.items():
            if (folder / name).is_symlink():
                self.links[each] = str((folder / name).readlink())
            else:
                self._keep(folder / name, each)
        self.names[number] = entries
        for other in self.tied.pop(number, set()) & self.kept.keys():
            if _of_handle(self.kept[other]).is_dir():  # it was not removed since
                self._sync_folder(_of_handle(self.kept[other]))

    def _keep(self, path: Path, number: int) -> None:
        if number not in self.kept:
            self.kept[number] = _REAL_OPEN(path, os.O_RDONLY)

    def _content(self, path: Path) -> bytes:
        """The bytes of a file, read again only where it was changed."""
        facts = path.stat()
        state = (facts.st_size, facts.st_mtime_ns)
        if facts.st_ino not in self.read or self.read[facts.st_ino][0] != state:
            self.read[facts.st_ino] = (state, path.read_bytes())
        return self.read[facts.st_ino][1]


_REAL_OPEN = os.open
