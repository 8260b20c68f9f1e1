"""The finished shards of a job, and the file that says which they are."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from regraft.data.records import Prediction
from regraft.machine.files import atomic_file
from regraft.prediction.job import Job, Shard

FACTS = ("rows", "counts", "blake2b")
"""What is known of a finished shard: its rows, how many have each status, the digest of its file."""


def read_journal(job: Job) -> dict[int, dict[str, Any]]:
    """The `FACTS` of each finished shard by its number; a line that breaks off, or is damaged, is nothing."""
    done: dict[int, dict[str, Any]] = {}
    if job.journal_file.is_file():
        for line in job.journal_file.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
                facts = json.loads(line)
                if sum(facts["counts"].values()) == facts["rows"] and job.shard_file(facts["shard"]).is_file():
                    done[facts["shard"]] = {name: facts[name] for name in FACTS}
    return done


class Writer:
    """Writes finished shards and says so in the journal."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __enter__(self) -> Writer:
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
            "blake2b": hashlib.blake2b(data, digest_size=16).hexdigest(),
        }
        self._journal.write(json.dumps(facts).encode() + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())


def encode(job: Job, predictions: Sequence[Prediction]) -> bytes:
    """The bytes of a shard's table: one row per prediction, in order."""
    return job.format.encode(job.columns, [job.columns.row(prediction) for prediction in predictions])
