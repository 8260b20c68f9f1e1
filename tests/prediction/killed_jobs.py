"""Jobs of a model that costs nothing, killed at each of their file operations and gone on with in every way.

`failures` runs in a process of its own: `killing.call_in_new_process("killed_jobs:failures", ...)`.
"""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from costless_model import READ, take_its_place
from killing import LOSSES, Moment, Tree, lay, memory_folder, moments

from regraft.errors import UsageError
from regraft.prediction.predict import Options, predict

ROWS, SHARD_ROWS = 5, 2
FORMS = {
    "csv": ("out.csv", None),
    "jsonl": ("out.jsonl", None),
    "parquet": ("out.parquet", None),
    "folder of csv": ("out", "csv"),
    "folder of parquet": ("out", "parquet"),
}
STARTS = ("nothing", "finished", "unfinished")
"""What lies where the job is to write. Over the last two, which are of other inputs, it is begun by force."""

_TEMPORARY, _ID = re.compile(r"\.writing-regraft-\w{8}"), re.compile(rb"-([0-9a-f]{16})\.")


@dataclass(frozen=True)
class Scene:
    """A disk with `place`, where `out` comes to lie, and the cache. What else there is lies outside and stays."""

    disk: Path
    out: Path
    options: Options
    aside: Path

    def predict(self, *, rows: int = ROWS, resume: bool = False, force: bool = False) -> None:
        """Answers so many inputs, as if no job had been before."""
        READ.clear()
        photos = [str(self.aside / f"{number}.jpg") for number in range(rows)]
        predict(self.aside, photos, self.out, dataclasses.replace(self.options, resume=resume, force=force))

    def tree(self) -> Tree:
        """What is on the disk."""
        paths = sorted(self.disk.rglob("*"))
        return {str(path.relative_to(self.disk)): path.read_bytes() if path.is_file() else None for path in paths}


def set_scene(form: str, folder: Path) -> Scene:
    """With the program made to answer by nothing but the length of a file, and to wait for no disk."""
    disk, aside, (name, format) = folder / "disk", folder / "aside", FORMS[form]
    for each in (disk / "place", disk / "cache", aside / "model"):
        each.mkdir(parents=True)
    for number in range(ROWS + 1):
        (aside / f"{number}.jpg").write_bytes(b"x" * number)
    os.environ["REGRAFT_CACHE"] = str(disk / "cache")
    take_its_place(pytest.MonkeyPatch(), aside / "model")
    os.fsync = lambda _: None
    return Scene(disk, disk / "place" / name, Options(shard_rows=SHARD_ROWS, format=format), aside)


def starting_tree(scene: Scene, start: str) -> Tree:
    """The disk before the job that is to be killed."""
    scene.predict(rows=ROWS + 1)  # also imports what the children of this process need
    finished = scene.tree()
    lay({"place": None, "cache": None}, scene.disk)
    if start != "unfinished":
        return finished if start == "finished" else scene.tree()
    _, found = moments(lambda: scene.predict(rows=ROWS + 1), scene.disk, losses=())
    return next(moment.trees[None] for moment in found if _shards_before(found, moment) == 2)


def _shards_before(found: list[Moment], moment: Moment) -> int:
    """How many shards were finished when the last file was begun: they must never be answered again."""
    done = [each.operation for each in found if each.point.after and each.point.number <= moment.point.number]
    begun = max((place for place, operation in enumerate(done) if "create" in operation), default=0)
    return sum("replace" in operation and "/part-" in operation for operation in done[:begun])


@dataclass
class Trial:
    """What became of jobs that were gone on with after a kill.

    Attributes:
        before: the disk before the job, and `after` when nobody kills it.
        is_forced: whether the job was begun by force.
        states: that were gone on with; the same state is so once.
        refused: of them those in which nothing of a forced job was on the disk, so that `resume` refuses the old one.
        failures: what did not end as it must, a line each.
    """

    scene: Scene
    before: Tree
    after: Tree
    is_forced: bool
    states: set[object] = field(default_factory=set)
    refused: int = 0
    failures: list[str] = field(default_factory=list)

    def go_on(self, where: str, tree: Tree, most_reads: int = ROWS) -> None:
        """By the same command, by `resume` and by `force`, each from what the kill left."""
        state = (_named_alike(tree), most_reads)
        if state in self.states:
            return
        self.states.add(state)
        untouched = _placed(tree) == _placed(self.before)
        self._one(f"{where}, resume", tree, {"resume": True}, may_refuse=self.is_forced and untouched, most=most_reads)
        self._one(f"{where}, force", tree, {"force": True}, may_refuse=False)
        self._one(f"{where}, the same", tree, {"force": self.is_forced}, may_refuse=not self.is_forced)

    def _one(self, where: str, tree: Tree, how: dict[str, bool], *, may_refuse: bool, most: int = ROWS) -> None:
        lay(tree, self.scene.disk)
        try:
            self.scene.predict(**how)
        except UsageError as error:
            self.refused += "resume" in how
            self._expect(may_refuse, f"{where}: refused, {error}")
            self._expect("force=True" in str(error), f"{where}: does not say what to do, {error}")
            self._expect(_placed(self.scene.tree()) == _placed(tree), f"{where}: refused, and yet changed the disk")
        except Exception as error:
            self.failures.append(f"{where}: {type(error).__name__}: {error}")
        else:
            self._expect(len(READ) <= most, f"{where}: answered {len(READ)} inputs, of which {most} were lost")
            self._check_end(where)

    def _check_end(self, where: str) -> None:
        """The place holds what an uninterrupted job leaves, and it is known what that is made of."""
        found, expected = _placed(self.scene.tree(), temporary=True), _placed(self.after, temporary=True)
        self._expect(found == expected, f"{where}: {sorted(found)}, or other bytes than an uninterrupted job's")
        try:
            self.scene.predict(resume=True)
        except UsageError as error:
            self.failures.append(f"{where}: it is not known what it was made of, {error}")
            return
        self._expect(not READ, f"{where}: answers again what is finished")
        try:
            self.scene.predict(rows=ROWS - 1, resume=True)
        except UsageError:
            self._expect(_placed(self.scene.tree(), temporary=True) == expected, f"{where}: changed by other inputs")
        else:
            self.failures.append(f"{where}: takes it for that of other inputs")

    def _expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.failures.append(otherwise)


def _named_alike(tree: Tree) -> frozenset[tuple[object, ...]]:
    """A tree in which nothing differs that is drawn anew by each job: temporary names and the ids of jobs."""
    names = sorted(tree)
    ids = {found: b"%016d" % number for number, found in enumerate(_ID.findall("/".join([*names, ""]).encode()))}
    alike = set()
    for name in names:
        parts = [_TEMPORARY.sub("T", name).encode(), tree[name]]
        for found, number in ids.items():
            parts = [part.replace(found, number) if isinstance(part, bytes) else part for part in parts]
        alike.add(tuple(parts))
    return frozenset(alike)


def _placed(tree: Tree, *, temporary: bool = False) -> dict[str, Any]:
    """Of a disk what lies in the place; temporary files only if asked for, and empty folders likewise."""
    placed = {name: content for name, content in tree.items() if name.startswith("place/")}
    if temporary:
        return placed
    return {name: content for name, content in placed.items() if content is not None and not _TEMPORARY.search(name)}


def failures(form: str, start: str, every: int = 1, first: int = 0) -> dict[str, Any]:
    """Kills a job of this form at every n-th point, pulls the plug there, and goes on.

    Returns:
        "points": at how many it was killed; "states": how many different ones it left; "refused", "failures": as
        `Trial` has them.
    """
    with memory_folder() as name:
        scene = set_scene(form, Path(name))
        before, is_forced = starting_tree(scene, start), start != "nothing"
        lay(before, scene.disk)
        ended, found = moments(lambda: scene.predict(force=is_forced), scene.disk)
        assert ended.code == 0, ended.said
        *kills, last = found
        trial = Trial(scene, before, last.trees[None], is_forced)
        for moment in [*kills[first::every], last]:
            for loss in (None, *LOSSES):
                where = f"{moment.operation} {'done' if moment.point.after else 'not done'}, {loss or 'nothing'} lost"
                lost = max(ROWS - SHARD_ROWS * _shards_before(found, moment), 0)
                trial.go_on(where, moment.trees[loss], lost)
        for loss in LOSSES:
            lay(last.trees[loss], scene.disk)
            trial._check_end(f"after the end, {loss} lost")
        return {
            "points": len(kills[first::every]) * (1 + len(LOSSES)),
            "states": len(trial.states),
            "refused": trial.refused,
            "failures": trial.failures,
        }


def failures_of_two_kills(form: str, every: int = 1) -> dict[str, Any]:
    """Kills a job at every n-th point, and what goes on with it at every point of its own; see `failures`."""
    with memory_folder() as name:
        scene = set_scene(form, Path(name))
        before = starting_tree(scene, "nothing")
        lay(before, scene.disk)
        _, first = moments(scene.predict, scene.disk, losses=())
        trial = Trial(scene, before, first[-1].trees[None], is_forced=False)
        points, known = 0, set()
        for moment in first[:-1:every]:
            if (state := _named_alike(moment.trees[None])) in known:
                continue
            known.add(state)
            lay(moment.trees[None], scene.disk)
            _, second = moments(lambda: scene.predict(resume=True), scene.disk, losses=())
            points += len(second) - 1
            for again in second[:-1]:
                trial.go_on(f"{moment.operation}, then {again.operation}", again.trees[None])
        return {"points": points, "states": len(trial.states), "refused": 0, "failures": trial.failures}


def sample(every: int) -> list[dict[str, Any]]:
    """`failures` of two jobs that have all kinds of operations."""
    return [failures("csv", "nothing", every), failures("folder of csv", "finished", every, first=4)]
