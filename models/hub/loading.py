"""Networks of KerasHub, from their plan or from a preset. Nothing else imports KerasHub."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regraft.models.errors import WeightsError, option
from regraft.models.hub.graph import Scaling, as_graph
from regraft.models.hub.networks import HUB, SCHEMES, check_installed, check_kind

if TYPE_CHECKING:
    from regraft.models.preprocessing import Preprocessing

_OFF = {
    "DINOV2Backbone": "drop_path_rate",
    "DINOV3Backbone": "drop_path_rate",
    "EfficientNetBackbone": "dropout",
    "SwinTransformerBackbone": "drop_path",
}
"""The stochastic depth of KerasHub's own, which stays off: regularize.stochastic_depth is where it is asked for."""

_SIZES = {
    "EfficientNetBackbone": "input_shape",
    "HGNetV2Backbone": "image_shape",
    "MobileNetBackbone": "image_shape",
    "SwinTransformerBackbone": "image_shape",
}
"""The argument that says the image size, of kinds that a preset's weights fit at any."""


def build_hub(name: str, input_shape: tuple[int, int, int]) -> keras.Model:
    """The backbone `name` by its plan, with fresh weights: float [N, S, S, 3] -> float [N, h, w, C].

    Raises:
        WeightsError: KerasHub is not installed.
    """
    check_installed(name)
    model = HUB[name]
    network = _of_plan(model.kind, dict(model.plan), input_shape)
    return as_graph(network, model.kind, name=name, image_size=input_shape[0])


def _of_plan(kind: str, plan: dict[str, Any], input_shape: tuple[int, int, int]) -> Any:
    import keras_hub

    off = {_OFF[kind]: 0.0} if kind in _OFF else {}
    size = _SIZES.get(kind, "image_shape")
    build = getattr(keras_hub.models, "SigLIPVisionEncoder" if kind == "SigLIPBackbone" else kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Swin's blocks take a mask by Keras's word for another one
        return build(**(plan | off | {size: input_shape}))


def load_hub(name: str, weights: str, *, image_size: int, preprocessing: Preprocessing) -> keras.Model:
    """The backbone `name` with the weights of a preset: float [N, S, S, 3] -> float [N, h, w, C].

    The network is the preset's own, which may be another size of the family. Position embeddings of another image size
    are interpolated. Where the preset says how it wants its pixels, and that is not the row's `preprocessing`, the
    network begins with the difference.

    Args:
        name: a key of `HUB`.
        weights: a preset's name, its folder, or hf://... or kaggle://...
        image_size: pixels a side.
        preprocessing: how its pixels come.

    Raises:
        WeightsError: the preset cannot be had, is damaged or is one of another network.
    """
    check_installed(name)
    kind = HUB[name].kind
    network = _preset_of(name, kind, weights, image_size)
    network = network.vision_encoder if kind == "SigLIPBackbone" else network
    scaling = _difference(weights, preprocessing)
    return as_graph(network, kind, name=name, image_size=image_size, scaling=scaling)


def _preset_of(name: str, kind: str, weights: str, image_size: int) -> Any:
    """The preset as KerasHub loads it; where its kind has to be asked for, before its weights are downloaded."""
    from keras_hub.models import Backbone

    changed: dict[str, Any] = {_OFF[kind]: 0.0} if kind in _OFF else {}
    if kind in _SIZES:
        changed[_SIZES[kind]] = (image_size, image_size, 3)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            if weights.startswith(SCHEMES):
                check_kind(name, weights, type(Backbone.from_preset(weights, load_weights=False)).__name__)
            return _loaded(name, kind, weights, changed)
    except WeightsError:
        raise
    except Exception as error:  # Kaggle, Hugging Face, h5py and Keras raise nearly any type
        raise WeightsError(_what_is_wrong(error, name, weights)) from error


def _loaded(name: str, kind: str, weights: str, changed: dict[str, Any]) -> Any:
    from keras_hub.models import Backbone

    try:
        return Backbone.from_preset(weights, **changed)
    except Exception:  # KerasHub does not write how wide the last convolution of an EfficientNet is
        if kind != "EfficientNetBackbone":
            raise
        return Backbone.from_preset(weights, **changed, num_features=HUB[name].plan["num_features"])


def _what_is_wrong(error: Exception, name: str, weights: str) -> str:
    said = str(error).strip().splitlines() or [type(error).__name__]
    first = said[0].partition(" (Caused by")[0].partition(". ")[0][:160].rstrip(".")
    if Path(weights).is_dir():
        return f"{weights} is damaged, or its weights are not of its config.json, so {name} cannot load it ({first})."
    where = weights if weights.startswith(SCHEMES) else f"The preset {weights} of {name}"
    folder = option("weights", "FOLDER")
    return f"{where} could not be downloaded ({first}). Put its files into a folder and name it with {folder}."


def _difference(weights: str, preprocessing: Preprocessing) -> Scaling | None:
    """From pixels as `preprocessing` makes them to those that the preset says it wants; None where both are one."""
    from regraft.models.preprocessing import scaling_of

    wanted = _converter_of(weights)
    if wanted is None:
        return None
    (scale, offset), (scale_wanted, offset_wanted) = scaling_of(preprocessing), wanted
    factor = scale_wanted / scale
    shift = offset_wanted - offset * factor
    if np.allclose(factor, 1, atol=1e-4) and np.allclose(shift, 0, atol=1e-3):
        return None
    return factor.tolist(), shift.tolist()


def _converter_of(weights: str) -> tuple[np.ndarray, np.ndarray] | None:
    """What the preset multiplies pixels in [0, 255] by and adds, for each channel; None where it says nothing."""
    import keras_hub

    try:
        converter = keras_hub.layers.ImageConverter.from_preset(weights)
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, json.JSONDecodeError):
        return None  # most presets say it, and the row's own preprocessing is that of the rest
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return np.broadcast_to(np.asarray(scale, np.float64), 3), np.broadcast_to(np.asarray(offset, np.float64), 3)
