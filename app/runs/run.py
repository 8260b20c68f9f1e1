"""A run directory and what is in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from regraft.data.rendering import AS_EARLIER
from regraft.errors import RunError, option
from regraft.machine.files import write_json, write_text
from regraft.machine.notebook import framed
from regraft.recipes.recipe import Recipe, load_recipe
from regraft.runs.run_metrics import RunMetrics

_EARLIER = {"background": AS_EARLIER.background, "range": AS_EARLIER.range}
"""Choices that runs of an earlier version made without saying so."""


@dataclass(frozen=True)
class Run:
    """Names every file of a run directory. `metrics.json` is written last: with it, a run is finished."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))

    def _repr_html_(self) -> str:
        return framed(self.report_file, repr(self))

    @property
    def report_file(self) -> Path:
        """The page a person reads."""
        return self.folder / "report.html"

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe, enough to repeat the run."""
        return self.folder / "recipe.toml"

    @property
    def environment_file(self) -> Path:
        """Versions, device, precision, seed, data fingerprint, command line."""
        return self.folder / "environment.json"

    @property
    def labels_file(self) -> Path:
        """One class name per line, in output order."""
        return self.folder / "labels.txt"

    @property
    def roster_file(self) -> Path:
        """Which image did what."""
        return self.folder / "images.csv"

    @property
    def model_file(self) -> Path:
        """The trained Keras model."""
        return self.folder / "model.keras"

    @property
    def backbone_file(self) -> Path:
        """The trained backbone's weights, written by `pretrain` for `--weights`."""
        return self.folder / "backbone.weights.h5"

    @property
    def export_folder(self) -> Path:
        """The export, one numbered folder per version, as TF Serving wants it."""
        return self.folder / "saved_model"

    @property
    def exports(self) -> Path:
        """Exports for other runtimes, a folder for each format and precision."""
        return self.folder / "exports"

    @property
    def history_file(self) -> Path:
        """One row per epoch."""
        return self.folder / "history.csv"

    @property
    def metrics_file(self) -> Path:
        """The headline numbers."""
        return self.folder / "metrics.json"

    @property
    def calibration_file(self) -> Path:
        """How the model answered the reported images, for `predict --unknown-at`."""
        return self.folder / "calibration.npz"

    @property
    def snapshots(self) -> Path:
        """Weights at the end of cycles or epochs, where the recipe asks for them."""
        return self.folder / "snapshots"

    @property
    def ensemble_plan_file(self) -> Path:
        """Which kind of ensemble this run is, of how many members; of ensembles."""
        return self.folder / "ensemble.json"

    @property
    def members(self) -> Path:
        """The runs that an ensemble was made of, if it trained them."""
        return self.folder / "members"

    @property
    def stages_file(self) -> Path:
        """What each stage answered for the reported images; of runs that were made to be compared."""
        return self.folder / "stages.npz"

    @property
    def checkpoints(self) -> Path:
        """The state of unfinished training."""
        return self.folder / "checkpoints"

    @property
    def is_finished(self) -> bool:
        """Whether training came to its end."""
        return self.metrics_file.is_file()

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe the run was made with; what it does not say, as those before there was a choice, is as then."""
        recipe = load_recipe(str(self.recipe_file))
        unsaid = {key: value for key, value in _EARLIER.items() if key not in recipe.data.model_fields_set}
        return recipe.model_copy(update={"data": recipe.data.model_copy(update=unsaid)})

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The labels in output order."""
        text = _read(self.labels_file, str)
        return tuple(text.removesuffix("\n").split("\n"))  # splitlines splits at more

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What `environment.json` says."""
        return read_json(self.environment_file)

    @cached_property
    def metrics(self) -> RunMetrics:
        """What `metrics.json` says. Raises RunError where it is missing or damaged."""
        return RunMetrics.from_dict(read_json(self.metrics_file))

    def start(self, recipe: Recipe, class_names: tuple[str, ...], environment: Mapping[str, Any]) -> None:
        """Makes the directory and writes what is known before training. Raises RunError where that cannot be."""
        try:
            self.folder.mkdir(parents=True)
            self.checkpoints.mkdir()
            write_text(self.labels_file, "".join(f"{name}\n" for name in class_names))
            write_json(self.environment_file, environment)
            write_text(self.recipe_file, recipe.to_toml())
        except FileExistsError:
            raise RunError(_in_the_way(self.folder)) from None
        except (OSError, UnicodeError) as error:
            self._remove_start()
            raise RunError(f"{self.folder} cannot be written: {getattr(error, 'strerror', None) or error}.") from None

    def _remove_start(self) -> None:
        if not self.folder.is_dir():
            return
        for path in (self.labels_file, self.environment_file, self.recipe_file):
            path.unlink(missing_ok=True)
        if self.checkpoints.is_dir():
            self.checkpoints.rmdir()
        self.folder.rmdir()


def new_run(out: Path | None, name: str) -> Run:
    """The run that will be written to `out`, or to a new folder under `saved_models/`. Nothing is made yet.

    Raises:
        RunError: `out` exists.
    """
    folder = out or _unused(Path("saved_models") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}")
    if not str(folder).isascii() and str(folder) != str(folder).encode("utf-8", "replace").decode():
        raise RunError(f"A run directory must have a UTF-8 name, as TensorFlow writes to it; received {str(folder)!r}.")
    if folder.exists() or folder.is_symlink():
        raise RunError(_in_the_way(folder))
    nearest = next(parent for parent in folder.absolute().parents if parent.exists())
    if not nearest.is_dir():
        raise RunError(f"{folder} cannot be made: {nearest} is a file.")
    return Run(folder)


def open_run(folder: Path) -> Run:
    """The finished run in `folder`. Raises RunError where there is none."""
    run = _existing(folder)
    if not run.is_finished:
        raise RunError(
            f"{folder} is a run that did not finish; continue it with "
            f"regraft {run.environment.get('verb', 'train')} {run.environment.get('source', 'FOLDER')} "
            f"{option('resume', True)} {option('out', folder)}."
        )
    if not run.model_file.is_file():
        raise RunError(f"{folder} has lost its model.keras; train again.")
    return run


def resumable_run(folder: Path) -> Run:
    """The unfinished run in `folder`. Raises RunError where there is none, or where it is finished."""
    run = _existing(folder)
    if run.is_finished:
        raise RunError(f"{folder} is finished; there is nothing to resume.")
    run.checkpoints.mkdir(exist_ok=True)
    shutil.rmtree(run.export_folder, ignore_errors=True)  # of a run killed after its export: it is written anew
    for leftover in (*folder.glob(".writing-*"), *run.checkpoints.glob(".writing-*")):
        leftover.unlink()
    return run


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file. Raises RunError where it is missing or damaged."""
    return _read(path, json.loads)


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    if not path.parent.is_dir():
        raise RunError(f"There is no run directory {path.parent}.")
    try:
        return parse(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is missing or damaged; train again.") from error


def _existing(folder: Path) -> Run:
    run = Run(folder)
    if not folder.is_dir():
        raise RunError(f"There is no run directory {folder}.")
    if not run.recipe_file.is_file():
        raise RunError(f"{folder} is not a run directory: it has no {run.recipe_file.name}.")
    return run


def _in_the_way(folder: Path) -> str:
    unfinished = Run(folder).recipe_file.is_file() and not Run(folder).is_finished
    advice = f"continue it with {option('resume', True)}, or choose" if unfinished else "choose"
    return f"{folder} exists already; {advice} another {option('out')}."


def _unused(folder: Path) -> Path:
    candidates = (folder.with_name(f"{folder.name}-{number}") for number in range(2, 1000))
    return folder if not folder.exists() else next(path for path in candidates if not path.exists())
