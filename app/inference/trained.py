"""A finished run, opened to answer photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.augment.view_names import VIEWS
from regraft.errors import RunError, UsageError, option
from regraft.machine.devices import Device, open_device
from regraft.models.hub.networks import INSTALL, is_installed
from regraft.runs.digests import MODEL, check_digests
from regraft.runs.run import Run, open_run

if TYPE_CHECKING:
    import keras

    from regraft.inference.views import Infer, ViewReader


@dataclass(frozen=True)
class Look:
    """How closely each photo is looked at.

    Attributes:
        views: a name in `regraft.augment.view_names`: how many views of a photo are answered and averaged.
        draws: of the noise of the model's regularizers, averaged; 0 is none, as they are off at inference.
        members: also ask each member of an ensemble, if the model is one.
    """

    views: str = "one"
    draws: int = 0
    members: bool = False

    def __post_init__(self) -> None:
        if self.views not in VIEWS:
            raise UsageError(f'{option("views")} must be one of {", ".join(VIEWS)}; received "{self.views}".')
        if self.draws < 0:
            raise UsageError(f"{option('draws')} must be at least 0; received {self.draws}.")
        if self.members and (self.draws or self.views != "one"):
            asked, views, draws = option("uncertainty"), option("views"), option("draws")
            raise UsageError(f"{asked} asks each member once; leave {views} and {draws} out.")


@dataclass(frozen=True)
class TrainedModel:
    """The model of a run, where it computes, how it wants its photos and what it answers to them.

    `infer` gives logits [N, C] for what `reader` gives, `batch_size` photos at a time; or [N, 1 + M, C], those of the
    ensemble and then of its members, where these were asked for.
    """

    run: Run
    model: keras.Model
    device: Device
    reader: ViewReader
    infer: Infer
    batch_size: int


def open_trained(
    folder: Path, *, device: str = "auto", look: Look | None = None, embedding: bool = False
) -> TrainedModel:
    """Loads the model of the run in `folder`; with `embedding`, `infer` gives the features [N, F] after the logits.

    Raises:
        RunError: there is no finished run, or its model is damaged.
        UsageError: `look` asks for draws of a model without noise, or there is no single embedding.
    """
    run, look = open_run(folder), look or Look()
    opened = open_device(device)
    from regraft.inference.views import ViewReader, make_infer, make_noisy_infer, over_views
    from regraft.models.combine_members import is_ensemble, with_members

    model = load_model(run)
    reader = ViewReader.of_recipe(run.recipe, views=look.views)
    infer = make_noisy_infer(model, opened, draws=look.draws) if look.draws else make_infer(model, opened)
    if embedding:
        infer = make_infer(_with_embedding(model, look), opened)
    if look.members and is_ensemble(model):
        infer = make_infer(with_members(model), opened)
    if look.views != "one":
        infer = over_views(infer)
    return TrainedModel(run, model, opened, reader, infer, max(1, 32 // VIEWS[look.views]))


def load_model(run: Run) -> keras.Model:
    """The trained model of a finished run, once a device is open.

    Raises:
        RunError: the file is damaged, needs KerasHub, or holds code, which is not run.
    """
    import keras

    from regraft.models.regularizers import register_layers

    check_digests(run.folder, MODEL)
    register_layers()
    try:
        model = keras.saving.load_model(run.model_file, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file makes Keras, zipfile and h5py raise nearly any type
        if "Lambda" in str(error):
            raise RunError(
                f"{run.model_file} has a Lambda layer, which is code of whoever made the file, and not run. Regraft "
                "writes none; open the file with Keras if you trust it."
            ) from error
        if "keras_hub" in str(error) and not is_installed():
            raise RunError(f"{run.model_file} has layers of KerasHub, which is not installed: {INSTALL}") from error
        raise RunError(f"{run.model_file} is damaged; train again.") from error
    if model.output_shape != (None, len(run.class_names)):
        raise RunError(
            f"{run.model_file} answers {model.output_shape[-1]} numbers per photo, and {run.labels_file} names "
            f"{len(run.class_names)} classes: one of both is of another run."
        )
    return model


def _with_embedding(model: keras.Model, look: Look) -> keras.Model:
    import keras

    from regraft.models.classifier import HEAD
    from regraft.models.combine_members import is_ensemble

    if is_ensemble(model) or look != Look():
        asked = option("embeddings")
        raise UsageError(f"{asked} are those of one model for one look at each photo; this is an ensemble or more.")
    as_float32 = keras.layers.Concatenate(dtype="float32")
    return keras.Model(model.input, as_float32([model.output, model.get_layer(HEAD).input]))
