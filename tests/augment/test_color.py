"""Colour jitter, against the same arithmetic written out pixel by pixel in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from default_cases import few_by_default

from regraft.augment.color import adjust_colors, make_color_jitter, map_colors

LUMA = np.array([0.299, 0.587, 0.114])


def photo(low: int = 60, high: int = 180) -> np.ndarray:
    """Far enough from 0 and 255 that moderate factors do not clip."""
    return np.random.default_rng(5).integers(low, high, (6, 7, 3)).astype(np.float32)


def adjusted(image: np.ndarray, *, brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0) -> np.ndarray:
    factors = (tf.constant(value, tf.float32) for value in (brightness, contrast, saturation, hue))
    return adjust_colors(tf.constant(image), *factors).numpy()


def jittered(image: np.ndarray, seed: int, **ranges: float) -> np.ndarray:
    return make_color_jitter(**ranges)(tf.constant(image), tf.constant([seed, 3])).numpy()


def test_factors_of_one_and_no_turn_change_nothing():
    np.testing.assert_allclose(adjusted(photo(0, 256)), photo(0, 256), atol=1e-3)


def test_brightness_multiplies_the_pixels():
    np.testing.assert_allclose(adjusted(photo(), brightness=1.3), photo() * 1.3, atol=1e-2)


def test_contrast_stretches_distances_to_the_mean_grey():
    mean_grey = (photo() @ LUMA).mean()
    np.testing.assert_allclose(adjusted(photo(), contrast=0.6), mean_grey + 0.6 * (photo() - mean_grey), atol=1e-2)


def test_saturation_stretches_distances_to_each_pixels_own_grey():
    grey = (photo() @ LUMA)[..., None]
    np.testing.assert_allclose(adjusted(photo(), saturation=1.4), grey + 1.4 * (photo() - grey), atol=1e-2)


def test_no_saturation_leaves_greys():
    result = adjusted(photo(), saturation=0.0)
    np.testing.assert_allclose(result, np.repeat((photo() @ LUMA)[..., None], 3, axis=-1), atol=1e-2)


@pytest.mark.parametrize("hue", [0.1, 0.5, -0.3])
def test_hue_keeps_the_grey_and_the_chroma_of_each_pixel(hue):
    result = adjusted(photo(100, 150), hue=hue)
    np.testing.assert_allclose(result @ LUMA, photo(100, 150) @ LUMA, atol=1e-2)
    assert np.abs(result - photo(100, 150)).max() > 5


def test_half_a_turn_of_hue_gives_the_complementary_color():
    grey = (photo(100, 150) @ LUMA)[..., None]
    np.testing.assert_allclose(adjusted(photo(100, 150), hue=0.5), 2 * grey - photo(100, 150), atol=0.1)


def test_a_whole_turn_of_hue_changes_nothing():
    np.testing.assert_allclose(adjusted(photo(), hue=1.0), photo(), atol=1e-2)


@pytest.mark.parametrize("change", [{"saturation": 1.8}, {"saturation": 0.2}, {"hue": 0.37}])
def test_greys_stay_as_they_are_under_saturation_and_hue(change):
    grey = np.repeat(photo()[..., :1], 3, axis=-1)
    np.testing.assert_allclose(adjusted(grey, **change), grey, atol=2e-2)


def test_all_four_together_are_hue_saturation_contrast_brightness_in_this_order():
    turned = adjusted(photo(100, 150), hue=0.05).astype(np.float64)
    grey = (turned @ LUMA)[..., None]
    saturated = grey + 1.1 * (turned - grey)
    contrasted = grey.mean() + 0.9 * (saturated - grey.mean())
    result = adjusted(photo(100, 150), brightness=1.2, contrast=0.9, saturation=1.1, hue=0.05)
    np.testing.assert_allclose(result, contrasted * 1.2, atol=2e-2)


def test_values_are_clipped_to_what_a_pixel_can_be():
    result = adjusted(photo(0, 256), brightness=1.5, contrast=2.0)
    assert (result.min(), result.max()) == (0.0, 255.0)


@pytest.mark.parametrize("sides", [(1, 1), (3, 5), (4, 8), (16, 16)])  # by how many pixels at once they can be mapped
@pytest.mark.parametrize("known", [True, False])
def test_colors_are_mapped_by_one_matrix_and_offset_whatever_the_size(sides, known):
    rng = np.random.default_rng(4)
    image, matrix = rng.uniform(80, 120, (*sides, 3)), rng.uniform(0, 0.6, (3, 3))
    spec = tf.TensorSpec([*sides, 3] if known else [None, None, 3])
    mapped = tf.function(map_colors, input_signature=[spec, tf.TensorSpec([3, 3]), tf.TensorSpec([3])])
    result = mapped(*(tf.constant(value, tf.float32) for value in (image, matrix, [1.0, 2.0, 3.0])))
    expected = np.einsum("hwd,cd->hwc", image, matrix) + np.array([1, 2, 3])
    np.testing.assert_allclose(result, expected.clip(0, 255), atol=1e-2)


@pytest.mark.parametrize("spread", few_by_default([0.1, 0.4], 0.4))
def test_brightness_factors_fill_their_range(spread):
    factors = np.array([jittered(photo(), seed, brightness=spread).mean() / photo().mean() for seed in range(300)])
    assert np.abs(factors - 1).max() <= spread * 1.001
    assert factors.min() < 1 - 0.9 * spread
    assert factors.max() > 1 + 0.9 * spread


def test_jitter_without_ranges_changes_nothing():
    np.testing.assert_allclose(jittered(photo(), 0), photo(), atol=1e-3)


def test_jitter_gives_the_same_colors_for_the_same_seed_inside_a_pipeline():
    ranges = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}
    jitter = make_color_jitter(**ranges)
    mapped = tf.data.Dataset.range(6).map(lambda seed: jitter(tf.constant(photo()), tf.stack([seed, 3])))
    for seed, result in enumerate(mapped):
        np.testing.assert_allclose(result, jittered(photo(), seed, **ranges), atol=1e-3)
