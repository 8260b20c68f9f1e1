"""From the arguments of the public functions to what the parts of the program take."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from regraft.errors import UsageError, did_you_mean, option
from regraft.progress import Progress, Shown, Silent

if TYPE_CHECKING:
    from regraft.recipes.recipe import Recipe
    from regraft.training.session import Request

PathLike = str | os.PathLike[str]
Values = Mapping[str, Any]

COMMAND: ContextVar[tuple[str, ...]] = ContextVar("command", default=())
"""The words of the command line that a run records, where there is one."""

_KEYS = {
    "seed": "seed",
    "val_fraction": "data.val_fraction",
    "image_size": "data.image_size",
    "epochs": "finetune.epochs",
    "backbone": "model.backbone",
    "weights": "model.weights",
}
"""The recipe key that each of these arguments stands for."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def public(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The same function, which answers arguments that do not exist or are missing with a `UsageError`."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise UsageError(_what_does_not_fit(function.__name__, signature, kwargs, error)) from None
        return function(*args, **kwargs)

    return call


def _what_does_not_fit(name: str, signature: inspect.Signature, given: Values, error: TypeError) -> str:
    for key in given:
        if key not in signature.parameters:
            return f'regraft.{name} has no argument "{key}".{did_you_mean(key, signature.parameters)}'
    return f"regraft.{name}: {error}."


def named_edits(**arguments: Any) -> dict[str, Any]:
    """The arguments that were given, by the recipe keys they stand for."""
    given = {_KEYS[name]: value for name, value in arguments.items() if value is not None}
    return {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in given.items()}


def edits_of(edits: Values | None, named: Values) -> dict[str, Any]:
    """What is changed in a recipe: `set`, and what has an argument of its own, which counts more."""
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
    out: PathLike | None = None,
    resume: bool = False,
    device: str,
    data_dir: PathLike | None,
) -> Request:
    """What is asked of a training."""
    from regraft.training.session import Request

    return Request(
        as_text(photos),
        make_recipe(recipe, edits),
        out=as_maybe_path(out),
        resume=resume,
        device=device,
        data_dir=as_maybe_path(data_dir),
        command=COMMAND.get(),
    )


def are_runs(sources: Sequence[Any]) -> bool:
    """Whether run directories are named, and not one folder of photos. Raises UsageError where it is neither."""
    from regraft.runs.run import Run

    kinds = [Run(folder_of(source)).recipe_file.is_file() for source in sources]
    if all(kinds):
        return True
    if not any(kinds) and len(sources) == 1:
        return False
    odd = sources[kinds.index(False)]
    raise UsageError(f"ensemble takes one folder of photos or several run directories; {odd} is not a run directory.")


def start_tensorflow_for(run: Any) -> Path:
    """The run's folder; imports TensorFlow, which takes seconds, once it is clear that there is a finished run."""
    from regraft.machine.devices import start_tensorflow
    from regraft.runs.run import open_run

    folder = open_run(folder_of(run)).folder
    start_tensorflow()
    return folder


def as_progress(progress: bool | Progress) -> Progress:
    """Who is told: a bar for True, nobody for False, else the object itself."""
    if isinstance(progress, bool):
        return Shown() if progress else Silent()
    return progress


def as_list(values: Any) -> list[Any]:
    """Several values as a list; a single path or run as a list of one."""
    is_one = isinstance(values, str | bytes | os.PathLike) or hasattr(values, "folder")
    return [values] if is_one else list(values)


def folder_of(source: Any) -> Path:
    """The folder of a path, a `Run`, a `Model` or an `Export`."""
    folder = getattr(source, "folder", None)
    return Path(folder) if folder else as_path(source, "source")


def as_path(value: Any, name: str) -> Path:
    """`value` as a path. Raises UsageError that names the argument where it is none."""
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{option(name)} must be a path; received {type(value).__name__}.")
    return Path(value)


def as_maybe_path(value: PathLike | None) -> Path | None:
    """`value` as a path; None stays."""
    return None if value is None else Path(value)


def as_text(value: Any) -> str:
    """A path, or the folder of a run, as text; "" for None."""
    return "" if value is None else os.fspath(getattr(value, "folder", value))
