"""What happens to a training image and to a batch of them, as one function each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from regraft.augment.fits import Fit
from regraft.augment.table import active, defaults
from regraft.augment.view import show_part

BatchOp = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class AugmentPolicy:
    """How much a training image may vary: a value for every option of the table of augmentations.

    Args:
        fit: how a part of the photo becomes a square.
        values: options by name; what is left out has the table's default.

    Attributes:
        fit: as given.
        values: all options, read-only.

    Raises:
        ValueError: the table has no option of that name.
    """

    def __init__(self, fit: Fit = "crop", **values: Any) -> None:
        known = defaults()
        for key in values:
            if key not in known:
                raise ValueError(f"There is no augmentation option {key!r}{_nearest(key, known)}")
        self.fit = fit
        self.values = MappingProxyType({**known, **values})


def make_train_view(policy: AugmentPolicy, image_size: int) -> Callable[..., tf.Tensor]:
    """A function (encoded, height, width, plain_jpeg, seed) -> float32 [image_size, image_size, 3] in [0, 255].

    The arguments are those that `make_crop` describes. The same seed gives the same pixels; each op draws from its
    own part of the seed, so turning one on or off leaves the draws of the others alone.
    """
    (crop_row,) = active(policy.values, "crop")
    crop = crop_row.build(policy.values, fit=policy.fit)
    ops = [(row.number, row.build(policy.values)) for row in active(policy.values, "image")]

    def train_view(
        encoded: tf.Tensor, height: tf.Tensor, width: tf.Tensor, plain_jpeg: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        part = crop(encoded, height, width, plain_jpeg, tf.random.fold_in(seed, crop_row.number))
        image = show_part(part, tf.stack([height, width]), image_size, policy.fit)
        for number, op in ops:
            image = op(image, tf.random.fold_in(seed, number))
        return image

    return train_view


def make_batch_op(policy: AugmentPolicy) -> BatchOp | None:
    """A function (images, labels, seed) -> (images, labels) that mixes the images of a batch; None where none is on.

    Images are float32 [B, S, S, 3] in [0, 255], labels float32 [B, classes] whose rows sum to 1, seed int32 [2].
    """
    ops = [(row.number, row.build(policy.values)) for row in active(policy.values, "batch")]
    if not ops:
        return None

    def mix(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for number, op in ops:
            images, labels = op(images, labels, tf.random.fold_in(seed, number))
        return images, labels

    return mix


def _nearest(key: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(key, known, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; there are {', '.join(known)}."
