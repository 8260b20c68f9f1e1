"""From RGB in [0, 255] to what each family's published weights were trained on, as layers of the model.

The model does its own preprocessing, so nobody who calls it can get it wrong. Constants: those of
`keras.applications.imagenet_utils.preprocess_input`, which a test compares, and EfficientNet-Lite's own.
"""

from __future__ import annotations

import keras
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
    if preprocessing == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(images)
    if preprocessing == "lite":
        return layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(images)
    if preprocessing == "torch":
        scale = [1 / (255 * std) for std in _IMAGENET_STD]
        offset = [-mean / std for mean, std in zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)]
        return layers.Rescaling(scale, offset=offset, name="rescale")(images)
    if preprocessing == "caffe":
        bgr = ReverseChannels(name="rgb_to_bgr")(images)
        return layers.Rescaling(1.0, offset=[-mean for mean in _CAFFE_MEAN_BGR], name="rescale")(bgr)
    return images
