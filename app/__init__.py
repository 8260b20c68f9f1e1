"""Regraft: a folder of photos in, an image classifier you can trust out.

>>> import regraft                                               # instant: TensorFlow starts when it is needed
>>> run = regraft.train("photos/", recipe="quick")
>>> model = regraft.load(run)
>>> model.predict(["a.jpg"])[0].label
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regraft.api.judging_calls import compare_runs, evaluate, threshold
    from regraft.api.machine_calls import backbones, cache
    from regraft.api.model_calls import export, load, predict
    from regraft.api.photo_calls import augment_preview, check
    from regraft.api.training_calls import compare, ensemble, find_lr, pretrain, train
    from regraft.data.records import Prediction
    from regraft.errors import (
        BackboneError,
        ExportError,
        FolderError,
        RegraftError,
        RunError,
        UsageError,
        WeightsError,
    )
    from regraft.prediction.model import Model
    from regraft.progress import Progress
    from regraft.recipes.recipe import Recipe
    from regraft.runs.run import Run

__version__ = "0.1.0"

_HOMES = {
    "api.machine_calls": "backbones cache",
    "api.judging_calls": "compare_runs evaluate threshold",
    "api.model_calls": "export load predict",
    "api.photo_calls": "augment_preview check",
    "api.training_calls": "compare ensemble find_lr pretrain train",
    "data.records": "Prediction",
    "errors": "BackboneError ExportError FolderError RegraftError RunError UsageError WeightsError",
    "prediction.model": "Model",
    "progress": "Progress",
    "recipes.recipe": "Recipe",
    "runs.run": "Run",
}
"""Where the public names are defined; a name is imported when it is first asked for."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "BackboneError",
    "ExportError",
    "FolderError",
    "Model",
    "Prediction",
    "Progress",
    "Recipe",
    "RegraftError",
    "Run",
    "RunError",
    "UsageError",
    "WeightsError",
    "__version__",
    "augment_preview",
    "backbones",
    "cache",
    "check",
    "compare",
    "compare_runs",
    "ensemble",
    "evaluate",
    "export",
    "find_lr",
    "load",
    "predict",
    "pretrain",
    "threshold",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
