"""The three files by which a job's folder is known as ours, and which files in it that makes ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.errors import UsageError, option
from regraft.machine.files import digest_file, write_text
from regraft.prediction.job import Job, shard_name

ASKED, PLAN, MANIFEST = "asked.json", "plan.json", "manifest.json"

VERSION = 3
"""Of the three files. Grows whenever a plan begins to say more, or something else, of what its bytes depend on."""

_FIRST_MARKED = 3
_MARK = {"made_by": "regraft predict"}
_NEEDED: dict[str, dict[str, type]] = {
    ASKED: {"id": str, "over": str},
    PLAN: {"id": str, "over": str, "rows": int, "shard_rows": int, "format": str, "model": dict, "digest": str}
    | {"listed": str, "replaces": dict},
    MANIFEST: {"rows": int, "counts": dict, "columns": list, "shards": list, "made_of": dict},
}
_NEEDED_EARLIER: dict[str, dict[str, type]] = {
    ASKED: {},
    PLAN: {"source": str, "inputs": list, "rows": int, "shard_rows": int, "format": str, "model": dict},
    MANIFEST: {"rows": int, "counts": dict, "columns": list, "shards": list},
}
"""What the files of version 2 and before have, which bear no mark."""

_ID = re.compile(r"[0-9a-f]{16}")
_SUFFIX = re.compile(r"\.\w+")
_SHARD = re.compile(r"part-(\d{6,})(\.\w+)")
_WORKING = re.compile(r"(inputs|journal|merged)(-[0-9a-f]{16})?(\.\w+)?|manifest\.json")
_OUT, _RESUME, _FORCE = option("out"), option("resume", True), option("force", True)


@dataclass(frozen=True)
class Owned:
    """Files in a job's folder that are a job's.

    Attributes:
        files: names of its lists and marks.
        shards: suffixes, and how many shards there may be of each, from the first on.
    """

    files: tuple[str, ...] = ()
    shards: tuple[tuple[str, int], ...] = ()

    def __add__(self, other: Owned) -> Owned:
        return Owned((*self.files, *other.files), (*self.shards, *other.shards))

    def __contains__(self, name: str) -> bool:
        return name in self.files or self.has_shard(name)

    def __iter__(self) -> Iterator[str]:
        yield from self.files
        for suffix, count in self.shards:
            yield from (shard_name(number, suffix) for number in range(count))

    def has_shard(self, name: str) -> bool:
        """Whether a file of this name is one of the shards."""
        match = _SHARD.fullmatch(name)
        return match is not None and any(
            match[2] == suffix and int(match[1]) < count and name == shard_name(int(match[1]), suffix)
            for suffix, count in self.shards
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"files": list(self.files), "shards": [list(shards) for shards in self.shards]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Owned:
        """What `as_dict` gave. Raises ValueError where it names what no job writes."""
        files, shards = values.get("files", []), values.get("shards", [])
        if not all(isinstance(name, str) and _WORKING.fullmatch(name) for name in files):
            raise ValueError
        return cls(tuple(files), tuple((_checked(_SUFFIX, suffix), int(count)) for suffix, count in shards))


def read_asked(folder: Path) -> dict[str, Any] | None:
    """What `write_asked` wrote; None where there is none. Raises UsageError where the file is not ours, or damaged."""
    return _read(folder, ASKED)


def read_plan(folder: Path) -> dict[str, Any] | None:
    """What `write_plan` wrote, as `read_asked`; also of earlier versions."""
    return _read(folder, PLAN)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What `write_manifest` wrote, as `read_asked`; also of earlier versions, which do not say what it is made of."""
    return _read(folder, MANIFEST)


def write_asked(job: Job, asked: Mapping[str, Any]) -> None:
    """Says what is asked for, `id` of the job and `over` what it is written: with it, the folder is the job's."""
    _write(job.folder / ASKED, asked)


def write_plan(job: Job, plan: Mapping[str, Any]) -> None:
    """Writes the plan: with it, the job goes on instead of beginning. It takes the place of an earlier job's."""
    _write(job.folder / PLAN, plan)


def write_manifest(job: Job, manifest: Mapping[str, Any]) -> None:
    """Writes what a finished folder holds."""
    _write(job.folder / MANIFEST, manifest)


def made_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for in a plan, and what answers it: all that the bytes depend on."""
    own = {*_MARK, "version", "id", "over", "listed", "rows", "replaces", "finished"}
    return {key: value for key, value in plan.items() if key not in own}


def owned_by(
    asked: Mapping[str, Any] | None, plan: Mapping[str, Any] | None, manifest: Mapping[str, Any] | None
) -> Owned:
    """The files that what was read of a folder makes ours, but for `asked.json` and `plan.json` themselves."""
    owned = Owned()
    if asked:
        owned += Owned((f"inputs-{asked['id']}.jsonl",))
    if plan:
        owned += _owned_by_plan(plan)
    if manifest:
        owned += Owned((MANIFEST,), _shards_of_manifest(manifest))
    return owned


def digest_over(job: Job) -> str:
    """Of the file that is there already and is to be written over; "" where there is none, or `out` is a folder."""
    return digest_file(job.out) if job.is_file and job.out.exists() else ""


def check_over(job: Job, began: Mapping[str, Any]) -> None:
    """Raises UsageError where `out` is not what it was when the job began: what somebody wrote since is his."""
    now = digest_over(job)
    if now and now != began["over"]:
        anew = f", or begin anew with {_FORCE}, which writes over it" if job.format.has_answers(job.out) else ""
        raise UsageError(f"{job.out} was written since the job for it began; move it away{anew}.")


def check_version(plan: Mapping[str, Any], out: Path) -> None:
    """Raises UsageError where another version of Regraft wrote the plan."""
    version = plan.get("version", 1)
    if version < VERSION:
        raise UsageError(
            f"{_RESUME}: {out} was begun by an earlier version of Regraft, whose plan says less; begin anew with "
            f"{_FORCE}."
        )
    if version > VERSION:
        raise UsageError(
            f"{_RESUME}: {out} was begun by a later version of Regraft; go on with that, or begin anew with {_FORCE}."
        )


def difference(plan: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """The first thing that is asked otherwise than in the plan, with both values, or ""."""
    for key, value in asked.items():
        if plan.get(key) != value:
            return f"{key} {_short(plan.get(key))} (now {_short(value)})"
    return ""


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _write(path: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps({**_MARK, "version": VERSION, **values}, indent=2)
    write_text(path, f"{text}\n", errors="surrogateescape")


def _read(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / name
    if not path.exists() and not path.is_symlink():
        return None
    try:
        values = json.loads(path.read_text("utf-8"))
        _check(values, name)
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        raise UsageError(f"{path} is damaged, or none of Regraft's; move it away, or choose another {_OUT}.") from None
    return values


def _check(values: Any, name: str) -> None:
    """Raises ValueError where the values are not those of a file of ours."""
    if not isinstance(values, dict):
        raise ValueError
    is_marked = values.items() >= _MARK.items()
    needed = (_NEEDED if is_marked else _NEEDED_EARLIER)[name]
    if not needed or not all(isinstance(values.get(key), kind) for key, kind in needed.items()):
        raise ValueError
    version = values.get("version", 1)
    if not isinstance(version, int) or not (is_marked or (version < _FIRST_MARKED and "made_by" not in values)):
        raise ValueError
    if not _is_end(values.get("finished", {"counts": {}, "blake2b": ""})):
        raise ValueError
    owned_by(*(values if name == each else None for each in (ASKED, PLAN, MANIFEST)))
    if is_marked and "id" in needed:
        _checked(_ID, values["id"])


def _is_end(value: Any) -> bool:
    """Whether it is what the plan of a finished job says: how many rows have each status, and the digest of `out`."""
    counts = value.get("counts") if isinstance(value, dict) else None
    return isinstance(counts, dict) and all(map(_is_int, counts.values())) and isinstance(value.get("blake2b"), str)


def _is_int(value: Any) -> bool:
    return isinstance(value, int)


def _checked(pattern: re.Pattern[str], text: Any) -> str:
    """`text`. Raises ValueError where it is none of the pattern: names of files are made of it."""
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise ValueError
    return text


def _owned_by_plan(plan: Mapping[str, Any]) -> Owned:
    suffix = _checked(_SUFFIX, plan["format"])
    shards = ((suffix, -(-plan["rows"] // plan["shard_rows"])),)
    if "id" not in plan:  # version 2 and before
        return Owned(("inputs.jsonl", "journal.jsonl", "merged", f"merged{suffix}"), shards)
    working = tuple(f"{kind}-{plan['id']}" for kind in ("inputs", "journal", "merged"))
    files = (f"{working[0]}.jsonl", f"{working[1]}.jsonl", f"{working[2]}{suffix}")
    return Owned(files, shards) + Owned.from_dict(plan["replaces"])


def _shards_of_manifest(manifest: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    names = [shard["file"] for shard in manifest["shards"]]
    if not names:
        return ()
    match = _SHARD.fullmatch(names[0])
    suffix = match[2] if match else ""
    if names != [shard_name(number, suffix) for number in range(len(names))]:
        raise ValueError
    return ((suffix, len(names)),)
