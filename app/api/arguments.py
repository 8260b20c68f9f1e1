"""From the arguments of the public functions to what the parts of the program take."""

from __future__ import annotations

import functools
import inspect
import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from regraft.api.argument_types import check_is_no_address, check_types, shown
from regraft.api.given_tables import as_table_file, is_frame, is_pairs
from regraft.errors import RunError, UsageError, checks_arguments, option, refused_by_system
from regraft.progress import Progress, Shown, Silent

if TYPE_CHECKING:
    from regraft.recipes.recipe import Recipe
    from regraft.training.session import Request

PathLike = str | os.PathLike[str]
Photos = PathLike | Any
"""A folder or a table by its path; a data frame of pandas or Polars; or a list of (path, label)."""

Values = Mapping[str, Any]
OfClass = Mapping[str, float]
"""A class and a number."""

COMMAND: ContextVar[tuple[str, ...]] = ContextVar("command", default=())
"""What a run records as the words that made it: those of the command line, or the call in Python."""

_KEYS = {
    "seed": "seed",
    "val_fraction": "data.val_fraction",
    "folds": "data.folds",
    "max_pixels": "data.max_pixels",
    "image_size": "data.image_size",
    "epochs": "finetune.epochs",
    "backbone": "model.backbone",
    "weights": "model.weights",
}
"""The recipe key that each of these arguments stands for."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def public(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The same function, which answers what a user can put right with a `RegraftError` of one line.

    That is arguments that do not exist, are missing or of another type, and what the file system refuses. It also
    remembers the call for the record of a run, where no command line has been remembered.
    """
    signature = inspect.signature(function)

    @checks_arguments(f"regraft.{function.__name__}")
    @functools.wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        bound = signature.bind(*args, **kwargs)
        check_types(signature, bound.arguments)
        outer = COMMAND.set(COMMAND.get() or (_as_written(function.__name__, bound),))
        try:
            return function(*args, **kwargs)
        except OSError as error:
            if not error.strerror or isinstance(error, BrokenPipeError):
                raise
            raise refused_by_system(error) from error
        finally:
            COMMAND.reset(outer)

    return call


def _as_written(name: str, bound: inspect.BoundArguments) -> str:
    """The call as one line of Python, such as `regraft.train('photos', seed=1)`."""
    named = {key for key, value in bound.signature.parameters.items() if value.kind is value.KEYWORD_ONLY}
    given = {key: reprlib.repr(value) for key, value in bound.arguments.items() if key != "progress"}
    words = ", ".join(f"{key}={value}" if key in named else value for key, value in given.items())
    return f"regraft.{name}({words})"


def edits_of(edits: Values | None, **arguments: Any) -> dict[str, Any]:
    """What is changed in a recipe: `set`, and what has an argument of its own and was given, which counts more."""
    given = {_KEYS[name]: value for name, value in arguments.items() if value is not None}
    named = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in given.items()}
    return {**(edits or {}), **named}


def make_recipe(recipe: PathLike | Recipe, edits: Values) -> Recipe:
    """A recipe by its name, its TOML file or itself, with the edits applied."""
    from regraft.recipes.recipe import Recipe, edit_recipe, load_recipe

    return edit_recipe(recipe, edits) if isinstance(recipe, Recipe) else load_recipe(os.fspath(recipe), edits)


def make_request(
    photos: Any,
    recipe: PathLike | Recipe,
    edits: Values,
    *,
    default: str = "balanced",
    out: PathLike | None = None,
    resume: bool = False,
    device: str,
    data_dir: PathLike | None,
) -> Request:
    """What is asked of a training; `default` is the recipe of the verb."""
    from regraft.recipes.asked import asked_keys
    from regraft.recipes.recipe import Recipe
    from regraft.training.session import Request

    named = recipe if isinstance(recipe, Recipe) else os.fspath(recipe)

    source, edits = as_source(photos, edits)
    return Request(
        source,
        make_recipe(recipe, edits),
        out=as_maybe_path(out),
        resume=resume,
        device=device,
        data_dir=as_maybe_path(data_dir),
        command=COMMAND.get(),
        asked=asked_keys(named, edits, default=default),
    )


def as_source(photos: Any, edits: Values) -> tuple[str, Values]:
    """A folder or table as text, and the edits; a frame becomes a file, and its relative paths start here."""
    if not is_given_table(photos):
        return as_text(photos), edits
    return str(as_table_file(photos)), {"data.root": os.getcwd(), **edits}  # noqa: PTH109 - text, as in a recipe


def is_given_table(photos: Any) -> bool:
    """Whether photos are named by what is in memory, and not by a path."""
    return is_frame(photos) or is_pairs(photos)


def are_runs(sources: Sequence[Any]) -> bool:
    """Whether run directories are named, and not one folder of photos. Raises UsageError where it is neither."""
    from regraft.exports.export import kind_of

    if not sources:
        raise UsageError("sources must name a folder of photos or several runs; received none.")
    kinds = [kind_of(folder_of(source)) == "run" for source in sources]
    if all(kinds):
        return True
    if not any(kinds) and len(sources) == 1:
        return False
    odd = sources[kinds.index(False)]
    raise UsageError(f"ensemble takes one folder of photos or several run directories; {odd} is not a run directory.")


def start_tensorflow_for(run: Any) -> Path:
    """The run's folder; imports TensorFlow, which takes seconds, once it is clear that there is a finished run."""
    from regraft.machine.devices import start_tensorflow

    folder = finished_run(run)
    start_tensorflow()
    return folder


def finished_run(run: Any) -> Path:
    """The folder of a finished run. Raises RunError, also where it is an export, which has not what a run has."""
    from regraft.exports.export import kind_of
    from regraft.runs.run import open_run

    folder = folder_of(run)
    if kind_of(folder) == "export":
        raise RunError(f"{folder} is an export; name the run that it was made of.")
    return open_run(folder).folder


def as_progress(progress: bool | Progress) -> Progress:
    """Who is told: a bar for True, nobody for False, else the object itself."""
    if isinstance(progress, bool):
        return Shown() if progress else Silent()
    return progress


def as_list(values: Any) -> list[Any]:
    """Several values as a list; a single path or run as a list of one."""
    is_one = isinstance(values, str | bytes | os.PathLike) or hasattr(values, "folder")
    return [values] if is_one else list(values)


def as_names(inputs: Any) -> list[str]:
    """The inputs of a prediction as text, which no path is made of: "-" and patterns are none."""
    listed = as_list(inputs)
    for place, value in enumerate(listed):
        if not isinstance(value, str | os.PathLike):
            raise UsageError(
                f"inputs[{place}] must be a path; received {shown(value)}. model.predict answers pictures and arrays."
            )
    return [os.fspath(value) for value in listed]


def as_bytes(name: str, value: int | str | None) -> int | None:
    """A number of bytes, of "4G" too; None stays. Raises UsageError where the argument `name` is no such number."""
    from regraft.machine.sizes import parse_size

    if value is None:
        return None
    try:
        amount = parse_size(str(value))
    except ValueError:
        amount = 0
    if amount < 1:
        raise UsageError(f'{option(name)} must be a number of bytes, such as "4G"; received {shown(value)}.')
    return amount


def folder_of(source: Any) -> Path:
    """The folder of a path, a `Run`, a `Model` or an `Export`."""
    folder = getattr(source, "folder", None)
    if folder:
        return Path(folder)
    if not isinstance(source, str | os.PathLike) or not os.fspath(source):  # no annotation has checked several
        raise UsageError(f"{option('source')} must be a path; received {shown(source)}.")
    check_is_no_address(option("source"), source)
    return Path(source)


def as_maybe_path(value: PathLike | None) -> Path | None:
    """`value` as a path; None stays."""
    return None if value is None else Path(value)


def as_text(value: Any) -> str:
    """A path, or the folder of a run, as text; "" for None."""
    return "" if value is None else os.fspath(getattr(value, "folder", value))
