"""A run directory and what is in it."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from regraft.data.rendering import AS_EARLIER
from regraft.errors import RegraftError, RunError, option
from regraft.machine.drafts import draft_folder, sweep
from regraft.machine.files import check_makeable, making_folder, publish, remove_listed, write_json, write_text
from regraft.machine.locks import exclusive
from regraft.machine.notebook import framed
from regraft.recipes.recipe import Recipe, load_recipe
from regraft.runs.digests import DECISION, DIGESTS, SMALL_FILES, check_digests
from regraft.runs.reading import read_file, read_json
from regraft.runs.run_metrics import RunMetrics

_EARLIER: dict[str, dict[str, Any]] = {
    "data": {"background": AS_EARLIER.background, "range": AS_EARLIER.range, "fit": "crop"},
    "head": {"taps": 0},
}
"""Choices that runs of an earlier version made without saying so, by the section of the recipe."""


@dataclass(frozen=True)
class Run:
    """Names every file of a run directory.

    It appears with the recipe in it or not at all. `metrics.json` is written when all results of the training are on
    the disk: with it, a run is finished, though its export may still be missing.
    """

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
    def digests_file(self) -> Path:
        """Digests of the files that decide an answer, see `regraft.runs.digests`."""
        return self.folder / DIGESTS

    @property
    def calibration_file(self) -> Path:
        """How the model answered the reported images, for `predict --unknown-at`."""
        return self.folder / "calibration.npz"

    @property
    def decision_file(self) -> Path:
        """How labels are made of probabilities, where it is not the most probable class."""
        return self.folder / DECISION

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
    def awaited_answers_file(self) -> Path:
        """What the export has to answer for the reported photos; while it is missing."""
        return self.checkpoints / "answers.npz"

    @property
    def is_finished(self) -> bool:
        """Whether training came to its end."""
        return self.metrics_file.is_file()

    @property
    def lacks_export(self) -> bool:
        """Whether the run is finished but for an export, whose reason `metrics.json` then says."""
        return self.is_finished and "reason" in (self.metrics.export or {})

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe the run was made with; what it does not say, as those before there was a choice, is as then.

        Raises:
            RunError: its file is missing or damaged.
        """
        try:
            recipe = load_recipe(str(self.recipe_file))
        except (RegraftError, OSError, UnicodeError, RecursionError) as error:
            text = error.text if isinstance(error, RegraftError) else type(error).__name__
            reason = text.removeprefix(f"{self.recipe_file} ").rstrip(".")
            raise RunError(f"{self.recipe_file} is missing or damaged ({reason}); train again.") from error
        sections = {}
        for name, choices in _EARLIER.items():
            section = getattr(recipe, name)
            unsaid = {key: value for key, value in choices.items() if key not in section.model_fields_set}
            sections[name] = section.model_copy(update=unsaid)
        return recipe.model_copy(update=sections)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The labels in output order."""
        text = read_file(self.labels_file, str)
        return tuple(text.removesuffix("\n").split("\n"))  # splitlines splits at more

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What `environment.json` says. Raises RunError where it is missing or damaged."""
        values = read_json(self.environment_file)
        for key in ("verb", "source", "root", "table", "command"):
            if not isinstance(values.get(key, ""), str):
                raise RunError(f"{self.environment_file} is damaged: {key} is no text; train again.")
        return values

    @property
    def root(self) -> Path:
        """The folder that its photos lay in. Raises RunError where the run does not know."""
        if not (root := self.environment.get("root")):
            raise RunError(f"{self.environment_file} does not say where the photos lay; train again.")
        return Path(root)

    @property
    def table(self) -> Path | None:
        """The table that named its photos; None where their folders did."""
        table = self.environment.get("table")
        return Path(table) if table else None

    @cached_property
    def metrics(self) -> RunMetrics:
        """What `metrics.json` says. Raises RunError where it is missing or damaged."""
        values = read_json(self.metrics_file)
        try:
            return RunMetrics.from_dict(values)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise RunError(f"{self.metrics_file} is missing or damaged; train again.") from error

    def start(
        self,
        recipe: Recipe,
        class_names: tuple[str, ...],
        environment: Mapping[str, Any],
        *,
        ensemble_plan: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes the directory with what is known before training, all at once.

        Raises:
            RunError: it is there meanwhile, or cannot be written; then nothing is.
        """
        with new_folder(self.folder) as draft:
            Run(draft)._write_start(recipe, class_names, environment, ensemble_plan)

    def _write_start(
        self,
        recipe: Recipe,
        class_names: tuple[str, ...],
        environment: Mapping[str, Any],
        ensemble_plan: Mapping[str, Any] | None,
    ) -> None:
        self.checkpoints.mkdir()
        write_text(self.labels_file, "".join(f"{name}\n" for name in class_names))
        write_json(self.environment_file, environment)
        if ensemble_plan is not None:
            write_json(self.ensemble_plan_file, ensemble_plan)
        write_text(self.recipe_file, recipe.to_toml())

    def settle(self, recipe: Recipe, **why: Any) -> None:
        """Puts `recipe`, in which what was left open is decided, in the place of the one the run began with.

        `why` goes into `environment.json` before: what is decided is not asked again.
        """
        self.note(**why)
        write_text(self.recipe_file, recipe.to_toml())
        self.__dict__.pop("recipe", None)  # what was read before

    def note(self, **facts: Any) -> None:
        """Adds to what `environment.json` says."""
        write_json(self.environment_file, self.environment | facts)
        self.__dict__.pop("environment", None)

    def remove_start(self) -> None:
        """Takes back what `start` and the beginning of a training wrote; whatever else is there stays."""
        sweep(self.folder)
        files = (self.labels_file, self.environment_file, self.ensemble_plan_file, self.roster_file, self.recipe_file)
        self.clear_checkpoints()
        remove_listed(self.folder, [path.name for path in files])

    def tidy(self) -> None:
        """Removes what a killed process was writing in the run and beside it; of a finished run, also checkpoints."""
        for folder in (self.folder.parent, self.folder, self.checkpoints, self.snapshots, self.export_folder):
            sweep(folder)
        if self.is_finished and not self.lacks_export:
            self.clear_checkpoints()
        else:
            self.checkpoints.mkdir(exist_ok=True)

    def tidy_if_free(self) -> None:
        """The same, where no process is writing the run: it may have been killed just after it was finished."""
        with contextlib.suppress(OSError, RunError), self.held():
            self.tidy()

    def clear_checkpoints(self) -> None:
        """Removes the state of unfinished training, and nothing that this program did not write."""
        if self.checkpoints.is_dir():
            sweep(self.checkpoints)
            states = [path.name for path in self.checkpoints.glob(CHECKPOINT_NAMES)]
            remove_listed(self.checkpoints, [*states, BEST_CHECKPOINT, self.awaited_answers_file.name])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps every other process from writing the run while the block runs. Raises RunError where one is at it."""
        with exclusive(self.folder, RunError(f"Another process is writing {self.folder} at this moment; {WAIT}")):
            yield


WAIT = "wait for it or stop it."
"""What to do about another process."""

CHECKPOINT_NAMES, BEST_CHECKPOINT = "epoch_[0-9][0-9][0-9][0-9][0-9].npz", "best.npz"
"""The files in `Run.checkpoints`."""


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A draft to write into, which becomes `folder` when the block ends well: all at once or not at all.

    Raises:
        RunError: something is there meanwhile, or it cannot be written.
    """
    try:
        with making_folder(folder.parent), draft_folder(folder.parent) as draft:
            yield draft
            if folder.exists() or folder.is_symlink():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            publish(draft, folder)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise RunError(_in_the_way(folder)) from None
        raise RunError(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}.") from None


def new_run(out: Path | None, name: str) -> Run:
    """The run that will be written to `out`, or to a new folder under `saved_models/`. Nothing is made yet.

    Raises:
        RunError: `out` exists.
    """
    folder = out or _unused(Path("saved_models") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}")
    if not str(folder).isascii() and str(folder) != str(folder).encode("utf-8", "replace").decode():
        raise RunError(f"A run directory must have a UTF-8 name, as TensorFlow writes to it; received {str(folder)!r}.")
    check_free(folder)
    return Run(folder)


def check_free(folder: Path) -> None:
    """Raises RunError where something is in the way of a new folder, and OSError where none can be made there."""
    if folder.exists() or folder.is_symlink():
        raise RunError(_in_the_way(folder))
    nearest = next(parent for parent in folder.absolute().parents if parent.exists())
    if not nearest.is_dir():
        raise RunError(f"{folder} cannot be made: {nearest} is a file.")
    check_makeable(folder)


def open_run(folder: Path) -> Run:
    """The finished run in `folder`. Raises RunError where there is none."""
    run = _existing(folder)
    if not run.is_finished:
        again = command_to_resume(run.environment.get("verb", "train"), _sources(run), folder)
        raise RunError(f"{folder} is a run that did not finish; continue it: {again}")
    if not run.model_file.is_file():
        raise RunError(f"{folder} has lost its model.keras; train again.")
    check_digests(folder, *SMALL_FILES)
    return run


def _sources(run: Run) -> list[str]:
    """What the run was begun from: runs, or a folder of photos."""
    return [*map(str, run.environment.get("members") or [run.environment.get("source", "FOLDER")])]


def command_to_resume(verb: str, sources: str | Path | list[str], folder: Path) -> str:
    """The command line that goes on with an unfinished run, quoted so that it can be copied."""
    named = sources if isinstance(sources, list) else [str(sources)]
    return f"regraft {shlex.join([verb, *named, '--resume', '--out', str(folder)])}"


def resumable_run(folder: Path) -> Run:
    """The run in `folder` that lacks something: it is unfinished, or its export is missing.

    Raises:
        RunError: there is no run, or nothing is missing.
    """
    run = _existing(folder)
    if run.is_finished and not run.lacks_export:
        run.tidy_if_free()
        raise RunError(f"{folder} is finished; there is nothing to resume.")
    return run


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
