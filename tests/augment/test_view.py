"""The deterministic view: which pixels it keeps, and how they are scaled."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from regraft.augment.fits import FITS, MARGIN, sides_in_square
from regraft.augment.view import center_part, make_view, resize_to


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
def test_a_crop_keeps_the_square_in_the_middle(given, kept):
    height, width, fraction = given
    top, left, tall, wide = kept
    image = noise(height, width)
    np.testing.assert_array_equal(center_part(tf.constant(image), fraction), image[top:, left:][:tall, :wide])


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (8, 13), (13, 8), (31, 20)])
@pytest.mark.parametrize("fraction", [1.0, 0.875, 0.5])
def test_the_crop_of_a_mirrored_or_turned_image_is_the_mirrored_or_turned_square(size, fraction):
    image = noise(*size)
    square = center_part(tf.constant(image), fraction).numpy()
    for turn in (np.fliplr, np.flipud, np.rot90, lambda x: x.transpose(1, 0, 2)):
        turned = center_part(tf.constant(np.ascontiguousarray(turn(image))), fraction)
        np.testing.assert_array_equal(turned, turn(square))


# As above, where each side counts.
CENTERS = [
    ((6, 10, 1.0), (0, 0, 6, 10)),
    ((6, 10, 0.5), (1, 2, 4, 6)),  # 3 and 5, one more each
    ((9, 13, 0.5), (2, 3, 5, 7)),  # 4.5 and 6.5 are rounded to the even one, and then one more
    ((1, 3, 0.1), (0, 1, 1, 1)),
]


@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize(("given", "kept"), CENTERS)
def test_other_fits_keep_the_middle_of_each_side(given, kept, fit):
    height, width, fraction = given
    top, left, tall, wide = kept
    image = noise(height, width)
    np.testing.assert_array_equal(center_part(tf.constant(image), fraction, fit), image[top:, left:][:tall, :wide])


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(48, 64), (47, 65), (33, 40), (200, 301), (301, 97)])
def test_view_of_a_mirrored_image_is_the_mirrored_view(size, fit):
    view, image = make_view(32, 0.9, fit), noise(*size)
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


def averaged(image: np.ndarray, shown: tuple[int, int]) -> np.ndarray:
    """As Pillow scales it, which looks at every pixel."""
    size = shown[::-1]
    channels = [Image.fromarray(image[..., each].astype(np.float32)) for each in range(3)]
    return np.stack([channel.resize(size, Image.Resampling.BILINEAR) for channel in channels], axis=-1)


def test_a_stretched_photo_is_scaled_by_each_side():
    image = noise(48, 60)
    np.testing.assert_allclose(make_view(32, 1.0, "stretch")(tf.constant(image)), bilinear(image, 32), atol=1e-2)


@pytest.mark.parametrize("size", [(40, 100), (20, 64), (32, 70)])
def test_a_side_is_averaged_by_its_own_length(size):
    image = noise(*size)
    expected = bilinear(averaged(image, (size[0], 32)), 32)  # the width is 32 already, and stays
    np.testing.assert_allclose(make_view(32, 1.0, "stretch")(tf.constant(image)), expected, atol=1e-2)
    turned = np.ascontiguousarray(image.transpose(1, 0, 2))
    expected = expected.transpose(1, 0, 2)
    np.testing.assert_allclose(make_view(32, 1.0, "stretch")(tf.constant(turned)), expected, atol=1e-2)


def test_a_padded_photo_lies_in_the_middle_of_margins_of_the_mean_of_imagenet():
    image = noise(24, 32)
    expected = np.empty((32, 32, 3))
    expected[:] = [round(255 * mean) for mean in (0.485, 0.456, 0.406)]
    expected[4:28] = image
    np.testing.assert_array_equal(make_view(32, 1.0, "pad")(tf.constant(image)), expected)
    turned = np.ascontiguousarray(image.transpose(1, 0, 2))
    np.testing.assert_array_equal(make_view(32, 1.0, "pad")(tf.constant(turned)), expected.transpose(1, 0, 2))


@pytest.mark.parametrize("size", [(25, 90), (90, 64), (64, 65), (100, 30)])
def test_a_large_padded_photo_is_averaged_to_its_place(size):
    image = noise(*size)
    tall, wide = sides_in_square(*size, 24)
    view = make_view(24, 1.0, "pad")(tf.constant(image)).numpy()
    top, left = (24 - tall) // 2, (24 - wide) // 2
    seen = view[top : top + tall, left : left + wide].copy()
    np.testing.assert_allclose(seen, averaged(image, (tall, wide)), atol=1e-2)
    view[top : top + tall, left : left + wide] = MARGIN
    np.testing.assert_array_equal(view, np.broadcast_to(np.float32(MARGIN), view.shape))


@pytest.mark.parametrize("fit", FITS)
def test_a_square_photo_has_the_same_view_in_every_fit(fit):
    image = noise(50, 50)
    np.testing.assert_allclose(make_view(32, 1.0, fit)(tf.constant(image)), bilinear(image, 32), atol=1e-2)


def test_another_fit_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r'^fit must be one of crop, stretch, pad; received "squeeze"\.$'):
        make_view(32, 1.0, "squeeze")


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (5, 7), (500, 20), (3, 20_000), (20_000, 3)])
def test_view_is_float32_of_the_asked_size_in_the_range_of_the_pixels(size, fit):
    image = noise(*size)
    view = make_view(24, 0.875, fit)(tf.constant(image))
    assert (view.shape, view.dtype) == ((24, 24, 3), tf.float32)
    assert image.min() - 1e-3 <= view.numpy().min() <= view.numpy().max() <= image.max() + 1e-3


@pytest.mark.parametrize("fit", FITS)
def test_view_gives_the_same_pixels_inside_a_pipeline(fit):
    image, view = noise(75, 50), make_view(32, 0.9, fit)
    mapped = next(iter(tf.data.Dataset.from_tensors(image).map(view)))
    np.testing.assert_array_equal(mapped, view(tf.constant(image)))
