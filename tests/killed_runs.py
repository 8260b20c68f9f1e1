"""Verbs that write runs, killed at their file operations and gone on with; see `killing` for how.

    call_in_new_process("killed_runs:kill", verb="train", folder=str(tmp_path), most=60)
    python tests/killed_runs.py train compare --most 60      # of all verbs, at all of their operations, unless told

A process that has imported TensorFlow and run nothing forks for every call, so that none waits for the import. The
export is written without TensorFlow and not proven: that is what tests of exports kill.
"""

from __future__ import annotations

import argparse
import csv
import functools
import importlib
import io
import json
import os
import random
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from drawn_photos import draw_photo
from killing import KILLED, Point, call_in_new_process, run_killed

Work = Callable[[bool], object]

_IMPORTED = (
    "keras sklearn.model_selection scipy.optimize matplotlib.pyplot regraft.training.train regraft.training.finish "
    "regraft.ensembles.ensemble regraft.ensembles.from_runs regraft.ensembles.independent regraft.ensembles.heads "
    "regraft.ensembles.soup regraft.ensembles.along_one_run regraft.experiments.compare regraft.experiments.evaluate "
    "regraft.api.training_calls regraft.api.judging_calls regraft.api.model_calls regraft.evidence.report.judgement"
)
_TIMES = re.compile("seconds|speed|verdict|images_per_second")
_QUICK: dict[str, Any] = {"recipe": "quick", "backbone": "tiny", "set": {"head.l2": [0.1]}, "progress": False}
_SHORT: dict[str, Any] = {
    "recipe": "balanced", "backbone": "tiny", "epochs": 2, "progress": False,
    "set": {"head.l2": [0.1], "finetune.batch_size": 8, "data.select_fraction": 0.3, "optimizer.ema": 0.5},
}  # fmt: skip


def kill(verb: str, folder: str, most: int, ends: int = 0, seed: int = 0) -> dict[str, Any]:
    """Kills a verb at its operations and goes on; how many points there were, and what went wrong at which.

    Args:
        verb: a key of `WORKS`.
        folder: empty.
        most: how many of the points are tried, drawn with `seed` but for those at the ends.
        ends: how many from the first and how many from the last on are all tried.
        seed: of the draw.
    """
    base = Path(folder)
    os.environ["REGRAFT_CACHE"] = str(base / "cache")
    _import()
    work, prepare = WORKS[verb]
    place = base / "work"
    photos = _draw_photos(base / "photos")
    for step in prepare:
        _must(run_killed(functools.partial(step, base, photos), base))
    place.mkdir()
    whole = run_killed(lambda: work(base, photos, False), place)
    _must(whole)
    expected = _contents(place)
    numbers = _chosen(len(whole.operations), most, ends, seed)
    failures = [
        f"before {number} ({whole.operations[number - 1]}): {failure}"
        for number in numbers
        if (failure := _try(place, base, photos, work, number, expected))
    ]
    return {"operations": len(whole.operations), "tried": len(numbers), "failures": failures}


def _chosen(count: int, most: int, ends: int, seed: int) -> list[int]:
    kept = {*range(1, 1 + min(ends, count)), *range(max(count - ends, 0) + 1, count + 1)}
    others = [number for number in range(1, count + 1) if number not in kept]
    room = max(most - len(kept), 0)
    return sorted(kept | set(random.Random(seed).sample(others, min(room, len(others)))))


def _try(place: Path, base: Path, photos: Path, work: Any, number: int, expected: dict[str, Any]) -> str:
    """What went wrong when the work was killed before this operation and then gone on with; "" for nothing."""
    shutil.rmtree(place)
    place.mkdir()
    killed = run_killed(lambda: work(base, photos, False), place, Point(number, after=False))
    if killed.code != KILLED:
        return f"it was not killed: {killed.code} {killed.said}"
    ended = run_killed(lambda: _go_on(lambda resume: work(base, photos, resume)), place)
    if ended.code:
        return ended.said
    found = _contents(place)
    return "" if found == expected else f"it ended otherwise: {_difference(found, expected)}"


def _go_on(work: Work) -> None:
    """What a user does: the same command again, and --resume where that is the advice."""
    from regraft.errors import RunError

    try:
        work(False)
    except RunError as refusal:
        try:
            work(True)
        except RunError as finished:
            if "nothing to resume" not in str(finished):
                raise RuntimeError(f"{refusal} Then: {finished}") from None


def _must(ended: Any) -> None:
    if ended.code:
        raise RuntimeError(ended.said)


def _import() -> None:
    from regraft.machine.devices import start_tensorflow

    start_tensorflow()
    for module in _IMPORTED.split():
        importlib.import_module(module)
    finish, session = (importlib.import_module(f"regraft.training.{name}") for name in ("finish", "session"))
    finish.Proof = session.Proof = _NoProof  # type: ignore[attr-defined]
    finish.export_proven = _export_without_tensorflow  # type: ignore[attr-defined]


class _NoProof:
    def __init__(self, **_: object) -> None: ...

    def __enter__(self) -> _NoProof:
        return self

    def __exit__(self, *_: object) -> None: ...


def _export_without_tensorflow(model: Any, class_names: Any, target: Path, **facts: Any) -> Any:
    from dataclasses import replace

    from regraft.exports.export import Export, ProofResult
    from regraft.machine.drafts import draft_folder
    from regraft.machine.files import publish

    target.mkdir(exist_ok=True)
    found = ProofResult(images=1, largest_difference=0.0, same_label=1, tolerance=0.0)
    reader = facts["reader"]
    with draft_folder(target) as draft:
        (draft / "saved_model.pb").touch()
        export = Export(
            draft, "saved_model", "float32", tuple(class_names), reader.image_size, reader.crop_fraction, embedding=0,
            model=facts["model_digest"], background=reader.background, range=reader.range, proof=found,
        )  # fmt: skip
        export.write()
        publish(draft, target / "1")
    return replace(export, folder=target / "1")


def _draw_photos(folder: Path) -> Path:
    for class_index, name in enumerate(("ant", "bee")):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            draw_photo(class_index, seed=number, size=(32, 32), classes=2).save(folder / name / f"{number}.png")
    return folder


# --- what is killed ---


def _train(base: Path, photos: Path, resume: bool) -> None:
    import regraft

    asked = {"recipe": "quick", "progress": False} if resume else _QUICK
    regraft.train(photos, **asked, out=base / "work/run", resume=resume)


def _fine_tune(base: Path, photos: Path, resume: bool) -> None:
    import regraft

    asked = {"progress": False} if resume else _SHORT
    regraft.train(photos, **asked, out=base / "work/run", resume=resume)


def _heads(base: Path, photos: Path, resume: bool) -> None:
    import regraft

    asked = {"progress": False} if resume else {**_QUICK, "kind": "heads", "members": 2}
    regraft.ensemble(photos, **asked, out=base / "work/run", resume=resume)


def _independent(base: Path, photos: Path, resume: bool) -> None:
    import regraft

    asked = {"progress": False} if resume else {**_SHORT, "epochs": 1, "members": 2, "rival": False}
    regraft.ensemble(photos, **asked, out=base / "work/run", resume=resume)


def _member(seed: int) -> Callable[[Path, Path], None]:
    def train(base: Path, photos: Path) -> None:
        import regraft

        regraft.train(
            photos, **_QUICK | {"set": {"head.l2": [0.1], "data.split_seed": 0}}, seed=seed, out=base / f"run-{seed}"
        )

    return train


def _of_runs(base: Path, photos: Path, resume: bool) -> None:
    import regraft

    regraft.ensemble([base / "run-1", base / "run-2"], out=base / "work/run", resume=resume, progress=False)


def _compare(base: Path, photos: Path, resume: bool) -> None:
    import regraft

    regraft.compare(photos, **_QUICK, vary={"head.folds": [4, 5]}, seeds=1, out=base / "work/run", resume=resume)


def _evaluate(base: Path, photos: Path, resume: bool) -> None:
    import regraft
    from regraft.errors import RunError

    if resume:  # which it does not know: it is finished, or began anew
        raise RunError("there is nothing to resume")
    regraft.evaluate(base / "run-1", out=base / "work/run", progress=False)


WORKS: dict[str, tuple[Callable[[Path, Path, bool], None], Sequence[Callable[[Path, Path], None]]]] = {
    "train": (_train, ()),
    "fine-tune": (_fine_tune, ()),
    "heads": (_heads, ()),
    "independent": (_independent, ()),
    "of runs": (_of_runs, (_member(1), _member(2))),
    "compare": (_compare, ()),
    "evaluate": (_evaluate, (_member(1),)),
}
"""What is killed, and what has to be there before."""


# --- what is left ---


def _contents(place: Path) -> dict[str, Any]:
    """Every file below `place` and what it says, without times of day and lengths of time."""
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return {path.relative_to(place).as_posix(): _content(path) for path in files}


def _content(path: Path) -> Any:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return archive.getinfo("model.weights.h5").CRC
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tolist() for name in arrays.files}
    if path.name in ("environment.json", "files.json", "export.json") or path.suffix in (".png", ".html"):
        return None
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        return _timeless(json.loads(text))
    if path.name in ("history.csv", "comparison.csv", "learning_curves.csv"):
        return [_timeless(row) for row in csv.DictReader(io.StringIO(text))]
    return None if path.name == "summary.md" else text


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if not _TIMES.search(key)}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def _difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    names = [name for name in sorted(found | expected) if found.get(name, ...) != expected.get(name, ...)]
    return ", ".join(names)


def main() -> None:
    """Kills the verbs that are named, each in a process of its own, and prints what came of it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("verbs", nargs="*", default=list(WORKS), choices=[*WORKS, []], metavar="VERB")
    parser.add_argument("--most", type=int, default=10**6)
    parser.add_argument("--ends", type=int, default=0)
    words = parser.parse_args()
    for verb in words.verbs:
        with tempfile.TemporaryDirectory(prefix="killed-runs-") as folder:
            found = call_in_new_process("killed_runs:kill", verb=verb, folder=folder, most=words.most, ends=words.ends)
        print(
            f"{verb}: killed before {found['tried']} of {found['operations']} operations",
            *found["failures"],
            sep="\n  ",
        )


if __name__ == "__main__":
    main()
