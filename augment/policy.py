"""What happens to a training image, as one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from regraft.augment.color import make_color_jitter
from regraft.augment.crop import decode_crop
from regraft.augment.flip import flip_horizontally
from regraft.augment.view import resize_to

ImageOp = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class AugmentPolicy:
    """How much a training image may vary.

    Attributes:
        flip: mirror half of the images.
        crop_area_min: smallest part of a photo's area that a crop covers, in (0, 1].
        brightness, contrast, saturation, hue: see `make_color_jitter`; 0 changes nothing.
    """

    flip: bool = True
    crop_area_min: float = 0.35
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.02

    def image_ops(self) -> list[ImageOp]:
        """The ops on the cropped and resized image, in order; each takes (image, seed)."""
        ops: list[ImageOp] = []
        if self.flip:
            ops.append(flip_horizontally)
        if any((self.brightness, self.contrast, self.saturation, self.hue)):
            ops.append(
                make_color_jitter(
                    brightness=self.brightness,
                    contrast=self.contrast,
                    saturation=self.saturation,
                    hue=self.hue,
                )
            )
        return ops


def make_train_view(policy: AugmentPolicy, image_size: int) -> Callable[..., tf.Tensor]:
    """A function (encoded, height, width, plain_jpeg, seed) -> float32 [image_size, image_size, 3] in [0, 255].

    The arguments are those of `decode_crop`. The same seed gives the same pixels; each op draws from its own
    part of the seed, so adding an op leaves the draws of those before it alone.
    """
    ops = policy.image_ops()

    def train_view(
        encoded: tf.Tensor, height: tf.Tensor, width: tf.Tensor, plain_jpeg: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        crop = decode_crop(encoded, height, width, plain_jpeg, tf.random.fold_in(seed, 0), policy.crop_area_min)
        image = resize_to(crop, image_size)
        for position, op in enumerate(ops, start=1):
            image = op(image, tf.random.fold_in(seed, position))
        return image

    return train_view
