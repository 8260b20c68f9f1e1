"""Several views of one photo."""

import numpy as np
import pytest
import tensorflow as tf

from regraft.augment.fits import FITS, MARGIN, Fit
from regraft.augment.many_views import make_test_views
from regraft.augment.view import make_view
from regraft.augment.view_names import VIEWS

SIDE = 28  # of 32 pixels: crops of 0.875 are taken as they are
PHOTO = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)


def views_of(name: str, *, crop_fraction: float = 1.0, fit: Fit = "crop") -> np.ndarray:
    return make_test_views(SIDE, crop_fraction, name, fit)(tf.constant(PHOTO)).numpy()


@pytest.mark.parametrize("name", VIEWS)
def test_there_are_as_many_views_as_the_table_says(name):
    views = views_of(name)
    assert (views.shape, views.dtype) == ((VIEWS[name], SIDE, SIDE, 3), np.float32)


def test_one_view_is_the_view_of_prediction():
    np.testing.assert_array_equal(views_of("one", crop_fraction=0.8)[0], make_view(SIDE, 0.8)(tf.constant(PHOTO)))


def test_flip_adds_the_mirror_image():
    plain, mirrored = views_of("flip")
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])


def test_five_are_the_corners_and_the_centre():
    expected = [PHOTO[:28, :28], PHOTO[:28, 20:], PHOTO[4:, :28], PHOTO[4:, 20:], PHOTO[2:30, 10:38]]
    np.testing.assert_allclose(views_of("five"), np.stack(expected), atol=1e-3)


def test_stretched_five_are_corners_of_the_photos_own_shape():
    parts = [PHOTO[:28, :42], PHOTO[:28, 6:], PHOTO[4:, :42], PHOTO[4:, 6:], PHOTO[2:30, 3:45]]
    stretch = make_view(SIDE, 1.0, "stretch")
    expected = [stretch(tf.constant(part)) for part in parts]
    np.testing.assert_allclose(views_of("five", fit="stretch"), np.stack(expected), atol=1e-3)


def test_padded_five_have_the_margins_of_the_photo():
    parts = [PHOTO[:28, :42], PHOTO[:28, 6:], PHOTO[4:, :42], PHOTO[4:, 6:], PHOTO[2:30, 3:45]]
    expected = np.empty((5, 42, 42, 3))
    expected[:] = MARGIN
    expected[:, 7:35] = parts
    np.testing.assert_array_equal(make_test_views(42, 1.0, "five", "pad")(tf.constant(PHOTO)), expected)


def test_ten_are_the_five_and_their_mirror_images():
    ten, five = views_of("ten"), views_of("five")
    np.testing.assert_array_equal(ten[:5], five)
    np.testing.assert_array_equal(ten[5:], five[:, :, ::-1])


@pytest.mark.parametrize("fit", FITS)
def test_scales_are_smaller_and_smaller_centres_and_their_mirror_images(fit):
    views = views_of("scales", fit=fit)
    for view, fraction in zip(views[:3], (1.0, 0.875, 0.75), strict=True):
        np.testing.assert_array_equal(view, make_view(SIDE, fraction, fit)(tf.constant(PHOTO)))
    np.testing.assert_array_equal(views[3:], views[:3, :, ::-1])


def test_photos_of_a_pipeline_are_not_mixed():
    photos = [np.full((40 + number, 40, 3), 20 * number, np.uint8) for number in range(6)]
    signature = tf.TensorSpec([None, None, 3], tf.uint8)
    look = make_test_views(SIDE, 1.0, "ten")
    dataset = tf.data.Dataset.from_generator(lambda: iter(photos), output_signature=signature)
    for number, views in enumerate(dataset.map(look, num_parallel_calls=2)):
        np.testing.assert_allclose(views, 20 * number, atol=1e-3)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r'^views must be one of one, flip, five, ten, scales; received "nine"\.$'):
        make_test_views(SIDE, 1.0, "nine")
