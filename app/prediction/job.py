"""Predicting many inputs so that a kill at any moment costs little and changes nothing.

The job's folder holds the plan, the list of inputs, a file for each finished shard, and a journal with a line for each
of them. A shard is a fixed run of inputs; it is written whole, under its final name, and only then does the
journal say so. What is asked again goes on with the shards that the journal lacks. A batch never reaches over the end
of a shard and is always composed alike, so the bytes are those of a job that nobody interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.data.records import Prediction
from regraft.errors import UsageError, option
from regraft.machine.files import atomic_file, write_text
from regraft.prediction.sources.item import Item
from regraft.prediction.tables.columns import Columns
from regraft.prediction.tables.format import TableFormat

SHARD_ROWS = 1024
PLAN_VERSION = 2
"""Grows whenever a plan begins to say more, or something else, of what its bytes depend on."""

_OUT, _RESUME, _FORCE = option("out"), option("resume", True), option("force", True)
_WORKING = ("plan.json", "inputs.jsonl", "journal.jsonl")  # in this order: without its plan, a job is none


@dataclass(frozen=True)
class Job:
    """A job on disk.

    Attributes:
        out: the file or folder that the user asked for.
        folder: where the job's files lie: `out` itself, or beside a file `out` while it is unfinished.
        format: of the shards, and of `out`.
        columns: of the tables.
        shard_rows: how many inputs a shard has.
    """

    out: Path
    folder: Path
    format: TableFormat
    columns: Columns
    shard_rows: int

    @property
    def is_file(self) -> bool:
        """Whether one file comes out, or a folder of shards with a manifest."""
        return self.folder != self.out

    @property
    def plan_file(self) -> Path:
        """What is done, to be compared with what is asked again."""
        return self.folder / "plan.json"

    @property
    def inputs_file(self) -> Path:
        """One item per line."""
        return self.folder / "inputs.jsonl"

    @property
    def journal_file(self) -> Path:
        """One finished shard per line."""
        return self.folder / "journal.jsonl"

    @property
    def manifest_file(self) -> Path:
        """Of a finished folder: its shards, their rows and digests."""
        return self.folder / "manifest.json"

    @property
    def merged_file(self) -> Path:
        """`out`, before it has its name."""
        return self.folder / f"merged{self.format.suffix}"

    @property
    def merged_mark(self) -> Path:
        """There when `merged_file` is whole."""
        return self.folder / "merged"

    def shard_file(self, number: int) -> Path:
        """The rows of one shard."""
        return self.folder / f"part-{number:06d}{self.format.suffix}"


def job_folder(out: Path, *, is_file: bool) -> Path:
    """Where the job that writes `out` keeps its files."""
    return out.with_name(f"{out.name}.partial") if is_file else out


def check_out(out: Path, *, is_file: bool, resume: bool, force: bool) -> bool:
    """Whether the job is finished already, where it is to be resumed.

    Raises:
        UsageError: something is in the way.
    """
    folder = job_folder(out, is_file=is_file)
    _check_place(out, is_file=is_file)
    if is_job(folder) and (resume or force):
        return False
    is_finished = out.is_file() if is_file else (out / "manifest.json").is_file()
    if is_finished and resume and not force:
        _remove_leftovers(folder, is_file=is_file)
        return True
    if is_job(folder):
        raise UsageError(f"{out} was begun and not finished: go on with {_RESUME}, or begin anew with {_FORCE}.")
    if out.exists() and (is_file or any(out.iterdir())):
        if not is_file and not is_finished:
            raise UsageError(f"{_OUT} must be a new folder or one of shards; {out} is a folder with other files in it.")
        if not force:
            raise UsageError(f"{out} exists already; choose another {_OUT} or add {_FORCE}.")
    return False


def clear(job: Job) -> None:
    """Removes what an earlier job has written in the folder, its plan first, and no file of anybody else."""
    written = (job.plan_file, job.journal_file, job.manifest_file, job.merged_mark, job.merged_file)
    for path in (*written, *job.folder.glob("part-*")):
        path.unlink(missing_ok=True)


def _remove_leftovers(folder: Path, *, is_file: bool) -> None:
    """What a process leaves that was killed after it had finished."""
    if is_file:
        shutil.rmtree(_on_its_way_out(folder), ignore_errors=True)
    else:
        for name in _WORKING:
            (folder / name).unlink(missing_ok=True)


def _on_its_way_out(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.removed")


def _check_place(out: Path, *, is_file: bool) -> None:
    if is_file and out.is_dir():
        raise UsageError(f"{_OUT} must be a file to write; {out} is a folder.")
    if not is_file and out.exists() and not out.is_dir():
        raise UsageError(f"{_OUT} must be a folder to write to; {out} is a file.")
    parent = out.parent
    if not parent.is_dir():
        reason = "Not a directory" if parent.exists() or parent.parent.is_file() else "No such file or directory"
        raise UsageError(f"{out} cannot be written: {reason}.")


def is_job(folder: Path) -> bool:
    """Whether `folder` holds a job that was begun and not finished."""
    return (folder / "plan.json").is_file()


def write_inputs(job: Job, items: Iterable[Item]) -> int:
    """Writes the list of inputs and returns how many there are. An earlier job is removed once they are all known."""
    with atomic_file(job.inputs_file) as temporary, temporary.open("w", encoding="ascii") as file:
        count = 0
        for item in items:
            file.write(item.to_json() + "\n")
            count += 1
        file.flush()
        clear(job)
    return count


def write_plan(job: Job, plan: Mapping[str, Any]) -> None:
    """Writes the plan: with it, the job exists."""
    text = json.dumps({"version": PLAN_VERSION, **plan}, indent=2)
    write_text(job.plan_file, f"{text}\n", errors="surrogateescape")


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan of the job in `folder`. Raises UsageError where it is damaged."""
    try:
        return json.loads((folder / "plan.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{folder}/plan.json is damaged; begin anew with {_FORCE}.") from None


def check_version(plan: Mapping[str, Any], out: Path) -> None:
    """Raises UsageError where another version of Regraft wrote the plan."""
    version = plan.get("version", 1)
    if version < PLAN_VERSION:
        raise UsageError(
            f"{_RESUME}: {out} was begun by an earlier version of Regraft, whose plan says less; begin anew with "
            f"{_FORCE}."
        )
    if version > PLAN_VERSION:
        raise UsageError(
            f"{_RESUME}: {out} was begun by a later version of Regraft; go on with that, or begin anew with {_FORCE}."
        )


def check_same(plan: Mapping[str, Any], asked: Mapping[str, Any], out: Path) -> None:
    """Raises UsageError where what is asked now is not what the plan says."""
    for key, value in asked.items():
        if plan.get(key) != value:
            raise UsageError(
                f"{_RESUME}: {out} was begun with another {key} ({_short(plan.get(key))}, now {_short(value)}); ask as "
                f"before, or begin anew with {_FORCE}."
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@contextlib.contextmanager
def locked(job: Job) -> Iterator[None]:
    """Makes the job's folder and keeps a second process out of it; the system lets go when this one ends."""
    job.folder.mkdir(exist_ok=True)
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    handle = os.open(job.folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"Another process is writing {job.out} at this moment; wait for it or stop it.") from None
        yield
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            job.folder.rmdir()  # nothing came of it: it is empty


@dataclass(frozen=True)
class Shard:
    """A run of inputs: its number, where its lines begin in the list of inputs, and how many they are."""

    number: int
    offset: int
    rows: int

    def items(self, inputs_file: Path) -> list[Item]:
        """The items, in order."""
        with inputs_file.open("rb") as file:
            file.seek(self.offset)
            return [Item.from_json(file.readline()) for _ in range(self.rows)]


def shards_of(job: Job) -> Iterator[Shard]:
    """Every shard, in order."""
    with job.inputs_file.open("rb") as file:
        number = 0
        while True:
            offset, rows = file.tell(), 0
            while rows < job.shard_rows and file.readline():
                rows += 1
            if not rows:
                return
            yield Shard(number, offset, rows)
            number += 1


def read_journal(job: Job) -> dict[int, dict[str, Any]]:
    """What is known of each finished shard; a last line that breaks off is nothing."""
    done: dict[int, dict[str, Any]] = {}
    if job.journal_file.is_file():
        for line in job.journal_file.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                facts = json.loads(line)
                if job.shard_file(facts["shard"]).is_file():
                    done[facts["shard"]] = facts
    return done


class Writer:
    """Writes finished shards and says so in the journal."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __enter__(self) -> Writer:
        for leftover in self.job.folder.glob(".writing-*"):
            leftover.unlink()
        self._journal = self.job.journal_file.open("ab")
        self._journal.write(b"\n")  # ends a line that broke off
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    def write(self, shard: Shard, predictions: Sequence[Prediction]) -> None:
        """Writes the table of a shard whole, and then a line of the journal that says so."""
        data = encode(self.job, predictions)
        self.write_encoded(shard, data, Counter(prediction.status for prediction in predictions))

    def write_encoded(self, shard: Shard, data: bytes, counts: Mapping[str, int]) -> None:
        """As `write`, for a table that `encode` made elsewhere, with how many rows have each status."""
        with atomic_file(self.job.shard_file(shard.number)) as temporary:
            temporary.write_bytes(data)
        facts = {
            "shard": shard.number,
            "rows": shard.rows,
            "counts": dict(sorted(counts.items())),
            "blake2b": _digest(data),
        }
        self._journal.write(json.dumps(facts).encode() + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())


def encode(job: Job, predictions: Sequence[Prediction]) -> bytes:
    """The bytes of a shard's table: one row per prediction, in order."""
    return job.format.encode(job.columns, [job.columns.row(prediction) for prediction in predictions])


def finish(job: Job) -> dict[str, int]:
    """Makes `out` of the shards and leaves nothing else. Returns how many rows have each status."""
    done = read_journal(job)
    counts: Counter[str] = Counter()
    for number in sorted(done):
        counts.update(done[number]["counts"])
    if job.is_file:
        if not _is_merged(job):
            _merge(job, sorted(done))
        removed = _on_its_way_out(job.folder)
        shutil.rmtree(removed, ignore_errors=True)
        job.folder.rename(removed)
        shutil.rmtree(removed)
    else:
        manifest = {
            "rows": sum(facts["rows"] for facts in done.values()),
            "counts": dict(counts),
            "columns": job.columns.names(),
            "shards": [
                {
                    "file": job.shard_file(number).name,
                    **{key: done[number][key] for key in ("rows", "counts", "blake2b")},
                }
                for number in sorted(done)
            ],
        }
        write_text(job.manifest_file, json.dumps(manifest, indent=2) + "\n")
        _remove_leftovers(job.folder, is_file=False)
    return dict(counts)


def _is_merged(job: Job) -> bool:
    """Whether a process was killed after `out` got its name and before the job's folder was removed."""
    return job.merged_mark.is_file() and not job.merged_file.is_file() and job.out.is_file()


def _merge(job: Job, numbers: Sequence[int]) -> None:
    job.merged_mark.unlink(missing_ok=True)
    with atomic_file(job.merged_file) as temporary:
        job.format.merge(job.columns, (job.shard_file(number) for number in numbers), temporary)
    job.merged_mark.touch()
    job.merged_file.replace(job.out)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
