"""Mirror images."""

import numpy as np
import tensorflow as tf

from regraft.augment.flip import flip_horizontally

IMAGE = np.arange(2 * 3 * 3, dtype=np.float32).reshape(2, 3, 3)


def flipped(seed: int) -> np.ndarray:
    return flip_horizontally(tf.constant(IMAGE), tf.constant([seed, 7])).numpy()


def test_flip_leaves_half_of_the_images_alone():
    mirrored = np.array([not np.array_equal(flipped(seed), IMAGE) for seed in range(400)])
    assert abs(mirrored.sum() - 200) < 4 * np.sqrt(400 / 4)  # four standard deviations of the binomial


def test_flip_mirrors_left_and_right_or_changes_nothing():
    for seed in range(20):
        result = flipped(seed)
        assert np.array_equal(result, IMAGE) or np.array_equal(result, IMAGE[:, ::-1])


def test_flip_does_the_same_for_the_same_seed_inside_a_pipeline():
    mapped = tf.data.Dataset.range(20).map(lambda seed: flip_horizontally(tf.constant(IMAGE), tf.stack([seed, 7])))
    for seed, result in enumerate(mapped):
        np.testing.assert_array_equal(result, flipped(seed))
