"""From RGB in [0, 255] to what each family's published weights were trained on, as layers of the model.

The model does its own preprocessing, so nobody who calls it can get it wrong. Constants: those of
`keras.applications.imagenet_utils.preprocess_input`, which a test compares, and EfficientNet-Lite's own.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from regraft.models.backbones import Preprocessing

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


@keras.saving.register_keras_serializable(package="regraft")
class ReverseChannels(layers.Layer):
    """Swaps RGB and BGR: [..., C] -> [..., C] with the channels in reverse order."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """`inputs`, channels reversed."""
        return ops.flip(inputs, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape stays."""
        return input_shape


def preprocess(images: keras.KerasTensor, preprocessing: Preprocessing) -> keras.KerasTensor:
    """`images` (float [N, H, W, 3], RGB in [0, 255]) as networks of this kind want them."""
    if preprocessing == "included":
        return images
    if preprocessing == "caffe":
        images = ReverseChannels(name="rgb_to_bgr")(images)
    scale, offset = _SCALINGS[preprocessing]
    return layers.Rescaling(scale, offset=offset, name="rescale")(images)


_SCALINGS: dict[str, tuple[float | list[float], float | list[float]]] = {
    "tf": (1 / 127.5, -1.0),
    "lite": (1 / 128, -127 / 128),
    "unit": (1 / 255, 0.0),
    "torch": (
        [1 / (255 * std) for std in _IMAGENET_STD],
        [-mean / std for mean, std in zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)],
    ),
    "caffe": (1.0, [-mean for mean in _CAFFE_MEAN_BGR]),
}
"""What pixels in [0, 255] are multiplied by and what is then added, in the order of the network's channels."""


def scaling_of(preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """float64 [3] twice: what pixels in [0, 255] are multiplied by, and what is then added. Not for "caffe"."""
    scale, offset = _SCALINGS.get(preprocessing, (1.0, 0.0))
    return np.broadcast_to(np.asarray(scale, np.float64), 3), np.broadcast_to(np.asarray(offset, np.float64), 3)
