"""A finished run, opened to answer photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.devices import Device, open_device
from regraft.errors import RunError
from regraft.run import Run, open_run

if TYPE_CHECKING:
    import keras

    from regraft.views import ViewReader


@dataclass(frozen=True)
class TrainedModel:
    """The model of a run, where it computes, and how it wants its photos."""

    run: Run
    model: keras.Model
    device: Device
    reader: ViewReader


def open_trained(folder: Path, *, device: str = "auto") -> TrainedModel:
    """Loads the model of the run in `folder`.

    Raises:
        RunError: there is no finished run, or its model is damaged.
    """
    run = open_run(folder)
    opened = open_device(device)
    import keras

    import regraft.models.preprocessing  # noqa: F401 - registers the layers a model may hold
    from regraft.views import ViewReader

    try:
        model = keras.saving.load_model(run.model_file, compile=False)
    except Exception as error:  # a damaged file makes Keras, zipfile and h5py raise nearly any type
        raise RunError(f"{run.model_file} is damaged; train again.") from error
    data = run.recipe.data
    return TrainedModel(run, model, opened, ViewReader(data.image_size or 0, data.crop_fraction))
