"""What lies where a job is to write, whose it is, and what is to be done about it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from regraft.errors import UsageError, option
from regraft.machine.drafts import is_unfinished
from regraft.machine.files import digest_file
from regraft.prediction.delivery import recall
from regraft.prediction.job import Job
from regraft.prediction.plan import (
    VERSION,
    Owned,
    check_over,
    check_version,
    difference,
    owned_by,
    read_asked,
    read_manifest,
    read_plan,
)

_OUT, _RESUME, _FORCE = option("out"), option("resume", True), option("force", True)


class Step(enum.Enum):
    """What is to be done: `BEGIN` a job, `GO_ON` with the one that is planned, or nothing, as all is `DONE`."""

    BEGIN = enum.auto()
    GO_ON = enum.auto()
    DONE = enum.auto()


@dataclass(frozen=True)
class Standing:
    """What was found.

    Attributes:
        asked: of a job that was begun; None where there is none.
        plan: of a job that was planned; None where there is none.
        manifest: of a finished folder; None where there is none, or `out` is a file.
        is_made: whether there is a finished `out`, whoever made it.
    """

    asked: Mapping[str, Any] | None
    plan: Mapping[str, Any] | None
    manifest: Mapping[str, Any] | None
    is_made: bool

    @property
    def owned(self) -> Owned:
        """The files in the job's folder that are ours, but for `asked.json` and `plan.json`."""
        return owned_by(self.asked, self.plan, self.manifest)


@dataclass(frozen=True)
class Request:
    """What a call wants of `out`.

    Attributes:
        asked: all that the bytes depend on, as JSON values.
        digest: of the files of the model that a plan names.
        resume: whether to go on with what was begun.
        force: whether to begin anew, over what is there and ours.
    """

    asked: Mapping[str, Any]
    digest: Callable[[Mapping[str, Any]], str]
    resume: bool
    force: bool


def standing_of(job: Job) -> Standing:
    """What lies there. Raises UsageError where it is in the way: no place for `out`, or files of somebody else."""
    _check_place(job.out, is_file=job.is_file)
    if job.folder.is_symlink() or (job.folder.exists() and not job.folder.is_dir()):
        raise _in_the_way(job.folder)
    asked, plan = read_asked(job.folder), read_plan(job.folder)
    manifest = None if job.is_file else read_manifest(job.folder)
    if asked is plan is manifest is None and job.folder.is_dir():
        others = [path for path in job.folder.iterdir() if not is_unfinished(path)]
        if others and job.is_file:
            raise _in_the_way(job.folder)
        if others:
            raise UsageError(
                f"{_OUT} must be a new folder or one of shards; {job.out} is a folder with other files in it."
            )
    return Standing(asked, plan, manifest, job.out.exists() if job.is_file else manifest is not None)


def place_of(out: Path) -> Path:
    """`out`, or what it is a link to. Raises UsageError where that can become neither a file nor a folder."""
    if out.exists() and not out.is_file() and not out.is_dir():
        raise UsageError(
            f"{_OUT} must be a file or a folder; {out} is a pipe or a device: without {_OUT}, answers go to stdout."
        )
    try:
        return out.resolve() if out.is_symlink() else out
    except (OSError, RuntimeError):
        raise UsageError(f"{_OUT} must be a file or a folder; {out} is a link to itself.") from None


def _check_place(out: Path, *, is_file: bool) -> None:
    if is_file and out.is_dir():
        raise UsageError(f"{_OUT} must be a file to write; {out} is a folder.")
    if not is_file and out.exists() and not out.is_dir():
        raise UsageError(f"{_OUT} must be a folder to write to; {out} is a file.")
    parent = out.parent
    if not parent.is_dir():
        reason = "Not a directory" if parent.exists() or parent.parent.is_file() else "No such file or directory"
        raise UsageError(f"{out} cannot be written: {reason}.")


def _in_the_way(path: Path) -> UsageError:
    return UsageError(f"{path} is in the way, as Regraft did not make it; move it away, or choose another {_OUT}.")


def check_free(job: Job, shards: int, owned: Owned) -> None:
    """Raises UsageError where a file that is not `owned` has the name of one of so many shards."""
    wanted = Owned(shards=((job.format.suffix, shards),))
    for path in job.folder.iterdir():
        if wanted.has_shard(path.name) and not owned.has_shard(path.name):
            raise _in_the_way(path)


def decide(job: Job, standing: Standing, request: Request) -> Step:
    """What is to be done.

    Raises:
        UsageError: it was begun or made otherwise, or it is there and neither `resume` nor `force` was given.
    """
    if request.force:
        _check_replaceable(job)
        return Step.BEGIN
    if standing.plan is None and not standing.is_made:
        return Step.BEGIN  # nothing is lost by it
    if not request.resume:
        if standing.plan is not None or standing.asked is not None:
            raise UsageError(
                f"{job.out} was begun and not finished: go on with {_RESUME}, or begin anew with {_FORCE}."
            )
        raise UsageError(f"{job.out} exists already; choose another {_OUT} or add {_FORCE}.")
    is_newer = standing.asked is not None and standing.asked["id"] != (standing.plan or {}).get("id")
    if is_newer and not difference(standing.asked or {}, request.asked):
        check_over(job, standing.asked or {})
        return Step.BEGIN  # begun anew by force, and stopped before it was planned
    if standing.plan is not None:
        return _gone_on_with(job, standing.plan, request)
    return _made_already(job, standing, request)


def _check_replaceable(job: Job) -> None:
    """Raises UsageError where `out` is a file of something else than answers, such as the list of the inputs."""
    if job.is_file and job.out.exists() and not job.format.has_answers(job.out):
        raise UsageError(
            f"{job.out} holds no answers of Regraft, so {_FORCE} does not replace it; move it away, or choose another "
            f"{_OUT}."
        )


def _gone_on_with(job: Job, plan: Mapping[str, Any], request: Request) -> Step:
    check_version(plan, job.out)
    _compare(job.out, "begun", plan, request)
    if job.is_file and "finished" in plan and not replace(job, id=plan["id"]).merged_file.exists():
        if not job.out.exists():
            return Step.BEGIN  # somebody removed what was finished
        check_over(job, {"over": plan["finished"]["blake2b"]})
    else:
        check_over(job, plan)
    inputs = replace(job, id=plan["id"]).inputs_file
    if "finished" not in plan and (not inputs.is_file() or digest_file(inputs) != plan["listed"]):
        raise UsageError(f"{_RESUME}: {inputs} is damaged; begin anew with {_FORCE}.")
    return Step.GO_ON


def _made_already(job: Job, standing: Standing, request: Request) -> Step:
    """`DONE` where `out` was made of what is asked for."""
    if job.is_file:
        values = recall(job.out)
    else:
        manifest = standing.manifest or {}
        values = manifest.get("made_of") if manifest.get("version") == VERSION else None
    if values is None:
        where = "nothing is known of it here" if job.is_file else "another version of Regraft made it"
        raise UsageError(
            f"{_RESUME}: {job.out} may be made of something else, as {where}; keep it, or begin anew with {_FORCE}."
        )
    _compare(job.out, "made", values, request)
    for shard in [] if job.is_file else (standing.manifest or {})["shards"]:
        _check_shard(job.folder / shard["file"], shard)
    return Step.DONE


def _check_shard(file: Path, told: Mapping[str, Any]) -> None:
    """Raises UsageError where a shard of a finished folder is not what its manifest tells of it."""
    what = "" if file.is_file() else "is missing"
    if not what and digest_file(file) != told.get("blake2b"):
        what = "was changed since it was made"
    if what:
        raise UsageError(f"{_RESUME}: {file} {what}; put it back, or begin anew with {_FORCE}.")


def _compare(out: Path, how: str, plan: Mapping[str, Any], request: Request) -> None:
    """Raises UsageError where what is asked now is not what the plan says."""
    found = difference(plan, {**request.asked, "digest": request.digest(plan.get("model", {}))})
    if found:
        raise UsageError(f"{_RESUME}: {out} was {how} with {found}; ask as before, or begin anew with {_FORCE}.")
