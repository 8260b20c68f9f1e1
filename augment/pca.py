"""The colour shift of the AlexNet paper: along the directions in which the colours of photos vary most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from regraft.augment.color import clip_to_pixels

# Of the covariance of the RGB values, in [0, 1], of ImageNet's training photos: largest first, a vector a column.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045], np.float32)
EIGENVECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], np.float32
)


def make_pca_shift(*, pca: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function of (image, seed) that adds one colour to all pixels of a float32 image [H, W, 3] in [0, 255].

    Args:
        pca: the standard deviation of the three normal draws; 0.1 in the paper.

    The colour is the sum of the eigenvectors, each times its eigenvalue and its draw. Source: Krizhevsky et al. 2012,
    "ImageNet classification with deep convolutional neural networks", section 4.1. The paper does not tell the range
    of its values; here it is [0, 1], as in the ResNet training of fb.resnet.torch, whose eigenvectors these are, and
    the colour is scaled to [0, 255]. We differ in clipping the sum to that range.
    """

    def shift(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        draws = pca * tf.random.stateless_normal([3], seed)
        color = 255.0 * tf.linalg.matvec(EIGENVECTORS, EIGENVALUES * draws)
        return clip_to_pixels(image + color, image.shape)

    return shift
