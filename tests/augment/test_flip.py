"""Mirror images."""

import numpy as np
import pytest
import tensorflow as tf

from regraft.augment.flip import make_flip, make_vertical_flip

IMAGE = np.arange(2 * 3 * 3, dtype=np.float32).reshape(2, 3, 3)
FLIPS = [(make_flip(flip=True), np.fliplr), (make_vertical_flip(flip_vertical=True), np.flipud)]
either_way = pytest.mark.parametrize(("flip", "mirror"), FLIPS, ids=["horizontal", "vertical"])


def flipped(flip, seed: int) -> np.ndarray:
    return flip(tf.constant(IMAGE), tf.constant([seed, 7])).numpy()


@either_way
def test_flip_leaves_half_of_the_images_alone(flip, mirror):
    seeds = tf.data.Dataset.range(10_000)
    images = seeds.map(lambda seed: flip(tf.constant(IMAGE), tf.stack([seed, 7]))).batch(10_000).get_single_element()
    mirrored = (images.numpy() != IMAGE).any(axis=(1, 2, 3))
    assert abs(mirrored.sum() - 5_000) < 4 * np.sqrt(10_000 / 4)  # four standard deviations of the binomial


@either_way
def test_flip_gives_the_mirror_image_or_changes_nothing(flip, mirror):
    for seed in range(20):
        result = flipped(flip, seed)
        assert np.array_equal(result, IMAGE) or np.array_equal(result, mirror(IMAGE))


@either_way
def test_flip_does_the_same_for_the_same_seed_inside_a_pipeline(flip, mirror):
    mapped = tf.data.Dataset.range(20).map(lambda seed: flip(tf.constant(IMAGE), tf.stack([seed, 7])))
    for seed, result in enumerate(mapped):
        np.testing.assert_array_equal(result, flipped(flip, seed))


@pytest.mark.parametrize("flip", [make_flip(flip=False), make_vertical_flip(flip_vertical=False)])
def test_flip_turned_off_leaves_all_images_alone(flip):
    for seed in range(20):
        np.testing.assert_array_equal(flipped(flip, seed), IMAGE)
