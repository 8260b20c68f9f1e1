"""The deterministic view: which pixels it keeps, and how they are scaled."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from regraft.augment.view import center_square, make_view, resize_to


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


# (height, width, crop fraction) and the (top, left, height, width) that is kept. A side is one pixel longer
# than the square where it would otherwise not lie in the middle.
SQUARES = [
    ((6, 10, 1.0), (0, 2, 6, 6)),
    ((7, 11, 1.0), (0, 2, 7, 7)),
    ((6, 9, 1.0), (0, 1, 6, 7)),
    ((9, 6, 1.0), (1, 0, 7, 6)),
    ((8, 8, 0.5), (2, 2, 4, 4)),
    ((9, 9, 0.5), (2, 2, 5, 5)),
    ((10, 10, 0.5), (2, 2, 6, 6)),
    ((8, 13, 0.75), (1, 3, 6, 7)),
    ((1, 5, 1.0), (0, 2, 1, 1)),
    ((1, 1, 0.1), (0, 0, 1, 1)),
    ((3, 1000, 0.1), (1, 499, 1, 2)),
]


@pytest.mark.parametrize(("given", "kept"), SQUARES)
def test_center_square_keeps_the_middle(given, kept):
    height, width, fraction = given
    top, left, tall, wide = kept
    image = noise(height, width)
    np.testing.assert_array_equal(center_square(tf.constant(image), fraction), image[top:, left:][:tall, :wide])


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (8, 13), (13, 8), (31, 20)])
@pytest.mark.parametrize("fraction", [1.0, 0.875, 0.5])
def test_center_square_of_a_mirrored_or_turned_image_is_the_mirrored_or_turned_square(size, fraction):
    image = noise(*size)
    square = center_square(tf.constant(image), fraction).numpy()
    for turn in (np.fliplr, np.flipud, np.rot90, lambda x: x.transpose(1, 0, 2)):
        turned = center_square(tf.constant(np.ascontiguousarray(turn(image))), fraction)
        np.testing.assert_array_equal(turned, turn(square))


@pytest.mark.parametrize("size", [(48, 64), (47, 65), (33, 40), (200, 301)])
def test_view_of_a_mirrored_image_is_the_mirrored_view(size):
    view, image = make_view(32, 0.9), noise(*size)
    mirrored = view(tf.constant(np.ascontiguousarray(image[:, ::-1])))
    np.testing.assert_allclose(mirrored, view(tf.constant(image))[:, ::-1], atol=1e-3)  # of 255: rounding alone


def test_resize_below_twice_the_size_is_plain_bilinear():
    image = noise(48, 60)
    expected = bilinear(image, 32)
    np.testing.assert_allclose(resize_to(tf.constant(image), 32), expected, atol=1e-2)


def bilinear(image: np.ndarray, size: int) -> np.ndarray:
    """Four neighbours around each sample point, pixel centres at half integers."""
    for axis in (0, 1):
        length = image.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(at).astype(int)
        share = np.expand_dims(at - low, tuple(i for i in range(3) if i != axis))
        high = np.minimum(low + 1, length - 1)
        image = image.take(low, axis) * (1 - share) + image.take(high, axis) * share
    return image


@pytest.mark.parametrize("size", [(64, 64), (100, 150)])
def test_resize_from_twice_the_size_looks_at_every_pixel_like_pillow(size):
    image = noise(*size)
    pillow = [
        Image.fromarray(image[..., channel].astype(np.float32)).resize((32, 32), Image.Resampling.BILINEAR)
        for channel in range(3)
    ]
    np.testing.assert_allclose(resize_to(tf.constant(image), 32), np.stack(pillow, axis=-1), atol=1e-2)


def test_view_of_a_square_of_the_right_size_changes_nothing():
    image = noise(32, 32)
    np.testing.assert_array_equal(make_view(32, 1.0)(tf.constant(image)), image.astype(np.float32))


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (5, 7), (500, 20)])
def test_view_is_float32_of_the_asked_size_in_the_range_of_the_pixels(size):
    image = noise(*size)
    view = make_view(24, 0.875)(tf.constant(image))
    assert (view.shape, view.dtype) == ((24, 24, 3), tf.float32)
    assert image.min() - 1e-3 <= view.numpy().min() <= view.numpy().max() <= image.max() + 1e-3


def test_view_gives_the_same_pixels_inside_a_pipeline():
    image, view = noise(75, 50), make_view(32, 0.9)
    mapped = next(iter(tf.data.Dataset.from_tensors(image).map(view)))
    np.testing.assert_array_equal(mapped, view(tf.constant(image)))
