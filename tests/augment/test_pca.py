"""The colour shift along the principal components of ImageNet's colours."""

import numpy as np
import pytest
import tensorflow as tf

from regraft.augment.pca import EIGENVALUES, EIGENVECTORS, make_pca_shift

GREY = np.full((5, 4, 3), 127.5, np.float32)


def shifts(pca: float, count: int) -> np.ndarray:
    """float32 [count, 3]: the colours added for as many seeds."""
    shift = make_pca_shift(pca=pca)
    return np.stack(
        [shift(tf.constant(GREY), tf.constant([seed, 2])).numpy()[0, 0] - GREY[0, 0] for seed in range(count)]
    )


def test_eigenvectors_are_orthonormal():
    np.testing.assert_allclose(EIGENVECTORS.T @ EIGENVECTORS, np.eye(3), atol=1e-3)  # four digits are published


def test_the_shift_is_each_eigenvector_times_its_eigenvalue_and_its_draw():
    draws = 0.1 * tf.random.stateless_normal([3], [9, 2]).numpy()
    by_hand = 255 * sum(draws[i] * EIGENVALUES[i] * EIGENVECTORS[:, i] for i in range(3))
    np.testing.assert_allclose(shifts(0.1, 10)[9], by_hand, atol=1e-3)


def test_all_pixels_are_shifted_by_the_same_color():
    image = np.random.default_rng(1).integers(80, 170, (6, 7, 3)).astype(np.float32)
    change = make_pca_shift(pca=0.1)(tf.constant(image), tf.constant([3, 2])).numpy() - image
    np.testing.assert_allclose(change, np.broadcast_to(change[0, 0], change.shape), atol=1e-3)
    assert np.abs(change).max() > 0.5


def test_shifts_spread_along_each_eigenvector_by_its_eigenvalue():
    along = shifts(0.1, 400) @ EIGENVECTORS / 255
    # A standard deviation from 400 draws is off by 1 / sqrt(2 * 400) of itself, typically; four times that.
    np.testing.assert_allclose(along.std(axis=0), 0.1 * EIGENVALUES, rtol=4 / np.sqrt(800))


def test_values_stay_those_of_pixels():
    shift, image = make_pca_shift(pca=3.0), tf.constant(np.float32([[[0, 0, 0], [255, 255, 255]]]))
    results = np.stack([shift(image, tf.constant([seed, 2])) for seed in range(10)])
    assert (results.min(), results.max()) == (0, 255)


@pytest.mark.parametrize("parallel", [None, 3])
def test_the_same_seed_gives_the_same_shift_inside_a_pipeline(parallel):
    shift = make_pca_shift(pca=0.1)
    mapped = tf.data.Dataset.range(6).map(
        lambda seed: shift(tf.constant(GREY), tf.stack([seed, 2])), num_parallel_calls=parallel
    )
    np.testing.assert_allclose([image[0, 0] - GREY[0, 0] for image in mapped], shifts(0.1, 6), atol=1e-4)
