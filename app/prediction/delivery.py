"""From finished shards to what the user asked for, and what is known of it afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regraft.errors import RegraftError
from regraft.machine.cache import cache_folder
from regraft.machine.drafts import sweep
from regraft.machine.files import atomic_file, digest_file, make_folder, sync, write_json
from regraft.prediction.job import Job
from regraft.prediction.journal import read_journal
from regraft.prediction.plan import (
    ASKED,
    PLAN,
    VERSION,
    Owned,
    check_over,
    made_of,
    owned_by,
    write_manifest,
    write_plan,
)


def finish(job: Job, plan: Mapping[str, Any]) -> dict[str, int]:
    """Makes `out` of the shards and leaves nothing else. Returns how many rows have each status."""
    if "finished" not in plan:
        done = read_journal(job)
        counts: Counter[str] = Counter()
        for number in sorted(done):
            counts.update(done[number]["counts"])
        digest = (_merge if job.is_file else _describe)(job, plan, done, counts)
        plan = {**plan, "finished": {"counts": dict(counts), "blake2b": digest}}
        write_plan(job, plan)
    if job.is_file and job.merged_file.exists():
        check_over(job, plan)
        job.merged_file.replace(job.out)
        sync(job.out.parent)
    _remove_working_files(job, plan)
    return dict(plan["finished"]["counts"])


def _describe(job: Job, plan: Mapping[str, Any], done: Mapping[int, Mapping[str, Any]], counts: Counter[str]) -> str:
    shards = [{"file": job.shard_file(number).name, **done[number]} for number in sorted(done)]
    manifest = {"rows": sum(shard["rows"] for shard in shards), "counts": dict(counts)}
    write_manifest(job, {**manifest, "columns": job.columns.names(), "made_of": made_of(plan), "shards": shards})
    return ""


def _merge(job: Job, plan: Mapping[str, Any], done: Mapping[int, Mapping[str, Any]], counts: Counter[str]) -> str:
    """Writes `merged_file` and returns its digest."""
    with atomic_file(job.merged_file) as temporary:
        job.format.merge(job.columns, (job.shard_file(number) for number in sorted(done)), temporary)
    digest = digest_file(job.merged_file)
    remember(job.out, digest, {**made_of(plan), "counts": dict(counts)})
    return digest


def _remove_working_files(job: Job, plan: Mapping[str, Any]) -> None:
    """Removes the job's own files, the plan last: while it is there, what is asked again removes the others."""
    owned = owned_by(None, plan, None)
    remove(job.folder, owned if job.is_file else Owned(owned.files))
    for name in (ASKED, PLAN):
        (job.folder / name).unlink(missing_ok=True)
    if job.is_file:
        with contextlib.suppress(OSError):  # somebody has put a file of his own there
            job.folder.rmdir()
    sync(job.out.parent if job.is_file else job.out)


def remove(folder: Path, owned: Owned) -> None:
    """Removes these files."""
    for name in owned:
        (folder / name).unlink(missing_ok=True)


def remember(out: Path, digest: str, values: Mapping[str, Any]) -> None:
    """Keeps in the cache what the file `out`, of this digest, is made of, and how many rows have each status."""
    with contextlib.suppress(OSError, RegraftError):  # without a cache, the file is as good
        file = _record_file(out)
        make_folder(file.parent)
        sweep(file.parent)
        write_json(file, {"version": VERSION, "out": str(out.absolute()), "blake2b": digest, "made_of": values})


def recall(out: Path) -> dict[str, Any] | None:
    """What `remember` kept of the file `out`; None where that is not known, or it is another file by now."""
    try:
        record = json.loads(_record_file(out).read_text("utf-8"))
        is_known = record["version"] == VERSION and record["blake2b"] == digest_file(out)
        return dict(record["made_of"]) if is_known else None
    except (OSError, ValueError, TypeError, LookupError, RecursionError, RegraftError):
        return None


def counts_of(job: Job, manifest: Mapping[str, Any] | None) -> dict[str, int]:
    """How many rows of a finished output have each status, as its manifest or what is known of the file says."""
    known = recall(job.out) if job.is_file else manifest
    return dict((known or {}).get("counts", {}))


def _record_file(out: Path) -> Path:
    name = str(out.absolute()).encode("utf-8", "surrogateescape")
    return cache_folder() / "predictions" / f"{hashlib.blake2b(name, digest_size=16).hexdigest()}.json"
