"""A job: predicting many inputs so that a kill at any moment costs little and changes nothing.

Its folder holds, in the order in which they are written:

    asked.json        what is asked for; with it, the folder is ours
    inputs-ID.jsonl   an input a line
    plan.json         what is asked for, and what answers it: from here on, the job goes on instead of beginning
    journal-ID.jsonl  a line for each finished shard
    part-000000.csv   the rows of a shard
    manifest.json     of a folder: its shards; or merged-ID.csv, of a file

`plan.json` is removed last. Each is written whole. A shard is a fixed run of inputs; only when it has its name does the
journal say so. What is asked again goes on with the shards that the journal lacks. A batch never reaches over the end
of a shard and is always composed alike, so the bytes are those of a job that nobody interrupted.

Nothing is removed, written over or gone on with that one of the three .json files does not name as ours: ID, which is
drawn anew for each job, and the range of its shards (`regraft.prediction.plan`).
"""

from __future__ import annotations

import contextlib
import errno
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from regraft.errors import RunError, UsageError, option
from regraft.machine.files import atomic_file, make_folder
from regraft.machine.locks import exclusive
from regraft.prediction.sources.item import Item
from regraft.prediction.tables.columns import Columns
from regraft.prediction.tables.format import TableFormat

SHARD_ROWS = 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, the user's part of it, what a file may be


@dataclass(frozen=True)
class Job:
    """A job on disk.

    Attributes:
        out: the file or folder to write, no link.
        folder: where the job's files lie: `out` itself, or beside a file `out` while it is unfinished.
        format: of the shards, and of `out`.
        columns: of the tables.
        shard_rows: how many inputs a shard has.
        id: in the names of its files; `new_id` draws one.
    """

    out: Path
    folder: Path
    format: TableFormat
    columns: Columns
    shard_rows: int
    id: str = ""

    @property
    def is_file(self) -> bool:
        """Whether one file comes out, or a folder of shards with a manifest."""
        return self.folder != self.out

    @property
    def inputs_file(self) -> Path:
        """One item per line."""
        return self.folder / f"inputs-{self.id}.jsonl"

    @property
    def journal_file(self) -> Path:
        """One finished shard per line."""
        return self.folder / f"journal-{self.id}.jsonl"

    @property
    def merged_file(self) -> Path:
        """`out`, before it has its name."""
        return self.folder / f"merged-{self.id}{self.format.suffix}"

    def shard_file(self, number: int) -> Path:
        """The rows of one shard."""
        return self.folder / shard_name(number, self.format.suffix)


def new_id() -> str:
    """16 hexadecimal digits that no other job has."""
    return secrets.token_hex(8)


def job_folder(out: Path, *, is_file: bool) -> Path:
    """Where the job that writes `out` keeps its files."""
    return out.with_name(f"{out.name}.partial") if is_file else out


def shard_name(number: int, suffix: str) -> str:
    """The name of the file of a shard, such as "part-000007.csv"."""
    return f"part-{number:06d}{suffix}"


@contextlib.contextmanager
def locked(job: Job) -> Iterator[None]:
    """Makes the job's folder and keeps a second process out of it; the system lets go when this one ends.

    Raises:
        UsageError: another process is in it.
        RunError: the disk became full within the block.
    """
    busy = UsageError(f"Another process is writing {job.out} at this moment; wait for it or stop it.")
    is_new = not job.folder.exists()
    make_folder(job.folder)
    with exclusive(job.folder, busy):
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise RunError(
                f"{job.out} cannot be written: {error.strerror}. Make room and go on with {option('resume', True)}."
            ) from error
        finally:
            if job.is_file or is_new:
                with contextlib.suppress(OSError):
                    job.folder.rmdir()  # nothing came of it: it is empty


def write_inputs(job: Job, items: Iterable[Item]) -> int:
    """Writes the list of inputs and returns how many there are."""
    with atomic_file(job.inputs_file) as temporary, temporary.open("w", encoding="ascii") as file:
        count = 0
        for item in items:
            file.write(item.to_json() + "\n")
            count += 1
    return count


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
