"""The view without TensorFlow: the same numbers as with it, and what shrinking while decoding does."""

import io
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from drawn_photos import STORED, draw_photo
from PIL import Image

from regraft.augment.decode import decode_upright
from regraft.augment.fits import FITS, Fit
from regraft.augment.view import make_view
from regraft.data.photo_view import read_view, view_of
from regraft.data.photos import UnreadablePhoto


def jpeg(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, **options)
    return file.getvalue()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("crop_fraction", [1.0, 0.875])
@pytest.mark.parametrize("size", [(500, 375), (33, 47), (32, 32), (20, 31), (64, 64), (129, 65), (1, 1), (640, 2)])
def test_the_view_is_that_of_tensorflow(size: tuple[int, int], crop_fraction: float, fit: Fit):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    expected = make_view(32, crop_fraction, fit)(tf.constant(pixels)).numpy()
    view = view_of(pixels, 32, crop_fraction, fit)
    assert (view.dtype, view.shape) == (np.float32, (32, 32, 3))
    np.testing.assert_allclose(view, expected, atol=2e-4)


@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_of_any_orientation_gives_the_view_of_tensorflow(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = jpeg(Image.fromarray(STORED[orientation](np.asarray(draw_photo(1, seed=5)))), exif=exif)
    expected = make_view(32, 0.9)(decode_upright(tf.constant(encoded))).numpy()
    np.testing.assert_allclose(read_view(encoded, 32, 0.9), expected, atol=2e-4)


def test_two_pixels_are_stretched_or_padded_by_hand():
    pixels = np.array([[[100, 100, 100], [200, 200, 200]]], np.uint8)
    # Two pixels a side: in the one row that there is, each stays as it is.
    assert view_of(pixels, 2, 1.0, "stretch")[..., 0].tolist() == [[100, 200], [100, 200]]
    # Four pixels a side: centres at -0.25, 0.25, 0.75 and 1.25 of the row, which fills two of four rows.
    padded = view_of(pixels, 4, 1.0, "pad")
    assert padded[1:3, :, 0].tolist() == [[100, 125, 175, 200]] * 2
    assert padded[[0, 3]].tolist() == [[[124, 116, 104]] * 4] * 2


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_a_strip_needs_little_memory(fit: Fit):
    strip = np.random.default_rng(0).integers(0, 256, (1, 60_000, 3), np.uint8)
    tracemalloc.start()
    try:
        for pixels in (strip, strip.transpose(1, 0, 2)):
            view_of(pixels, 224, 1.0, fit)
        held, most = tracemalloc.get_traced_memory()
        assert most < 12_000_000  # of 224 rows as long as it: 160 million
        assert held < 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_another_fit_is_read_from_shrunk_and_whole_photos_alike(fit: Fit):
    encoded = jpeg(draw_photo(2, seed=1, size=(560, 400)))
    shrunk, whole = (read_view(encoded, 32, 1.0, fit=fit, shrink=shrink) for shrink in (True, False))
    assert 0 < np.abs(shrunk - whole).mean() < 1.5
    np.testing.assert_allclose(whole, make_view(32, 1.0, fit)(decode_upright(tf.constant(encoded))), atol=2e-4)


def test_a_square_of_three_is_halved_by_hand():
    pixels = np.array([[0, 30, 60], [90, 120, 150], [180, 210, 240]], np.uint8)[..., None].repeat(3, 2)
    # Centres lie at 0.25 and 1.75: a quarter of the way to the neighbour on each side.
    expected = [[30, 75], [165, 210]]
    np.testing.assert_array_equal(view_of(pixels, 2, 1.0)[..., 1], expected)


def test_a_photo_of_less_than_four_times_the_view_is_decoded_whole():
    encoded = jpeg(draw_photo(2, seed=1, size=(200, 127)))
    np.testing.assert_array_equal(read_view(encoded, 32, 1.0), read_view(encoded, 32, 1.0, shrink=False))


@pytest.mark.parametrize("size", [(260, 200), (1100, 800)])
def test_shrinking_while_decoding_moves_a_large_photo_by_little(size: tuple[int, int]):
    encoded = jpeg(draw_photo(2, seed=1, size=size))
    shrunk, whole = read_view(encoded, 32, 1.0), read_view(encoded, 32, 1.0, shrink=False)
    difference = np.abs(shrunk - whole)
    assert 0 < difference.mean() < 1.5


def test_a_photo_over_the_limit_says_so():
    with pytest.raises(UnreadablePhoto, match=r"too large: 0 million pixels, the limit is 0.001") as caught:
        read_view(jpeg(draw_photo(0, seed=0)), 32, 1.0, max_pixels=1000)
    assert caught.value.status == "too_large"
