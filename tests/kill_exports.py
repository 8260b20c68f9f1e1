"""`export_run`, killed at each of its file operations; in a process of its own, which must not run TensorFlow.

What is stood in for: the trained model, the converters (they write a few bytes), and the processes that answer photos.
"""

from __future__ import annotations

import importlib
import re
import shutil
import sys
import tempfile
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from killing import KILLED, LOSSES, Ended, points_of, run_killed
from listening import Listening

from regraft.errors import RegraftError, UsageError
from regraft.exports import exporting, saved_model
from regraft.exports.export import check_files, read_description, read_export
from regraft.exports.format import find_format
from regraft.machine import drafts, files
from regraft.machine.files import digest_file
from regraft.prediction.model_choice import choose, open_source
from regraft.progress import Silent
from regraft.runs.run import Run

ANSWERS = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]], np.float32)
RECORDS = [SimpleNamespace(path=Path("a.jpg"), class_index=0), SimpleNamespace(path=Path("b.jpg"), class_index=1)]


def killed_everywhere(run: str, format: str, force: bool, can_exchange: bool, losses: bool) -> dict[str, Any]:
    """What was found wrong after each kill, of how many.

    Args:
        run: a finished run, which is copied.
        format: of the export.
        force: whether it takes the place of an older export.
        can_exchange: whether the system exchanges two folders in one step.
        losses: whether the plug is pulled, too.
    """
    pretend(format, can_exchange=can_exchange)
    with tempfile.TemporaryDirectory() as name:
        before = Path(name, "before")
        copy_what_matters(Run(Path(run)), before / "run")
        export(before, _other(format))  # which is to stay
        if force:
            export(before, format)
            change_model(before)
        whole, after = killed(before, Path(name, "whole"), format, force, None, None)
        assert whole.code == 0, whole.said
        wrong, killings = [], 0
        cases = [(point, loss) for point in points_of(whole) for loss in (None, *(LOSSES if losses else ()))]
        for number, (point, loss) in enumerate(cases):
            folder = Path(name, str(number))
            ended, found = killed(before, folder, format, force, point, loss)
            killings += ended.code == KILLED
            assert ended.code == KILLED or (point.after and ended.code == 0), ended.said  # what fails has no end
            if found != after:
                wrong.append([whole.operations[point.number - 1], point.after, loss, found])
            shutil.rmtree(folder)
    return {"points": killings, "operations": whole.operations, "wrong": wrong}


def copy_what_matters(run: Run, folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in (run.recipe_file, run.labels_file, run.metrics_file, run.calibration_file):
        shutil.copy(file, folder)
    Run(folder).model_file.write_bytes(b"a model")


def killed(before: Path, folder: Path, format: str, force: bool, point: Any, loss: str | None) -> tuple[Ended, Any]:
    """How the command ended over a copy of `before`, and what is there when it was given once more."""
    shutil.copytree(before, folder)
    ended = run_killed(lambda: export(folder, format, force=force), folder, point, loss=loss)
    try:
        if point:
            check_answers(folder, format, force and drafts.exchange is files.exchange)
            export(folder, format, force=force)
            check_answers(folder, format, force)
    except UsageError as error:
        if force or "exists already" not in str(error):
            return ended, f"{type(error).__name__}: {error}"
    except (RegraftError, AssertionError, OSError) as error:
        return ended, f"{type(error).__name__}: {error}"
    return ended, tree(folder)


def export(folder: Path, format: str, *, force: bool = False) -> None:
    exporting.export_run(folder / "run", format, force=force, progress=Silent())


def check_answers(folder: Path, format: str, is_there: bool) -> None:
    """`predict RUN` works, and the export, if it must be there, is what it was or will be."""
    run, said = folder / "run", Listening()
    choice = choose(open_source(run, said), progress=said)
    assert not choice.is_run, "there is an export"
    assert not said.said, said.said
    if is_there:
        target = run / "saved_model" if format == "saved_model" else run / "exports" / f"{format}-float32"
        read_export(target)


def tree(folder: Path) -> dict[str, str]:
    """What each file holds. The versions of a SavedModel, of which each is whole, are one: a third does no harm."""
    for version in folder.glob("run/saved_model/[0-9]*"):
        check_files(read_description(version))
    held = [path for path in folder.rglob("*") if path.is_file()]
    names = {str(path.relative_to(folder)): digest_file(path) for path in held}
    return {re.sub(r"saved_model/\d+/", "saved_model/", name): data for name, data in sorted(names.items())}


def change_model(folder: Path) -> None:
    """So that the old export is not the new one: other bytes beside a network that is to be written anew."""
    Run(folder / "run").calibration_file.write_bytes(b"another calibration")


# --- what is stood in for ---


def pretend(format: str, *, can_exchange: bool) -> None:
    """Puts pretenders in the place of what needs TensorFlow, processes or a fast disk, until this process ends."""
    patch("os.fsync", lambda handle: None).start()  # of a child that is killed, it is noted
    for name in {format, _other(format)} - {"saved_model"}:
        module = importlib.import_module(f"regraft.exports.{name}")
        patch.object(module, "FORMAT", replace(find_format(name), write=write_network)).start()
    sys.modules["regraft.models.classifier"] = SimpleNamespace(  # type: ignore[assignment]
        answering_model=lambda model: model, embedding_size=lambda model: 5
    )
    tensorflow = sys.modules["tensorflow"] = ModuleType("tensorflow")
    tensorflow.__spec__ = ModuleSpec("tensorflow", None)
    tensorflow.errors = SimpleNamespace(OpError=KeyError)  # type: ignore[attr-defined]
    sys.modules["regraft.exports.signatures"] = SimpleNamespace(  # type: ignore[assignment]
        write_saved_model=write_saved_model
    )
    patch("regraft.inference.trained.open_trained", open_pretended).start()
    patch.object(exporting, "open_trained", open_pretended).start()
    patch.object(exporting, "model_card", lambda run, export: "The card.").start()
    patch.object(exporting, "answers_of", lambda export, paths: ANSWERS).start()
    patch.object(saved_model, "Proof", PretendedProof).start()
    patch.object(saved_model, "tolerance_for", lambda model, device: 1e-5).start()
    for module in (exporting, saved_model):
        patch.object(module, "answers_of_trained", lambda trained, records, progress: ANSWERS).start()
        patch.object(module, "proof_records", lambda run, photos, progress, role="report": RECORDS).start()
    if not can_exchange:
        patch.object(drafts, "exchange", lambda one, other: False).start()


def _other(format: str) -> str:
    return "onnx" if format == "litert" else "litert"


class PretendedProof:
    """Answers as the trained model does."""

    def __init__(self, **_: object) -> None:
        pass

    def __enter__(self) -> PretendedProof:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def scores(self, model: Path, paths: list[Path]) -> tuple[np.ndarray, list[str]]:
        return ANSWERS, list(Run(model.parents[2]).class_names)


def open_pretended(folder: Path, *, device: str) -> Any:
    class Model:
        input_shape = (None, 4, 4, 3)

        def __call__(self, images: np.ndarray) -> np.ndarray:
            return images

    view = {"image_size": 4, "crop_fraction": 1.0, "background": "white", "range": "auto", "fit": "crop"}
    reader = SimpleNamespace(**view, tensorflow_path=lambda record: record.path)
    return SimpleNamespace(run=Run(folder), model=Model(), reader=reader, infer=None, device=None)


def write_network(model: object, network: Path, export: Any, views: object) -> None:
    for name in (network.name, *find_format(export.format).more_files):
        network.with_name(name).write_bytes(f"{export.format} {name}".encode() * 50)


def write_saved_model(model: object, class_names: tuple[str, ...], folder: Path, **_: object) -> None:
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/labels.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(f"{label}\n" for label in class_names))
