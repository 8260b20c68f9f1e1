"""TrivialAugment: one change, any strength, and that it follows from the seed."""

import numpy as np
import tensorflow as tf
from drawn_photos import draw_photo

from regraft.augment import trivial_augment
from regraft.augment.trivial_augment import make_trivial_augment, wide_ops

SIDE = 16
PHOTO = tf.constant(np.asarray(draw_photo(1, seed=3, size=(SIDE, SIDE))), tf.float32)


def test_one_change_is_drawn_at_a_uniform_strength(monkeypatch):
    ops = [lambda image, strength, index=index: tf.fill(image.shape, 10.0 * index + strength) for index in range(2)]
    monkeypatch.setattr(trivial_augment, "wide_ops", lambda: ops)
    augment = make_trivial_augment(trivial_augment=True)
    told = np.array([float(augment(PHOTO, [0, number])[0, 0, 0]) for number in range(400)])
    index, strength = np.round(told / 10), told - 10 * np.round(told / 10)
    assert abs(index.mean() - 0.5) < 4 * np.sqrt(0.25 / 400)
    assert abs(strength.mean()) < 4 * np.sqrt(1 / 3 / 400)  # uniform on [-1, 1] has the variance 1/3
    assert abs((strength**2).mean() - 1 / 3) < 4 * np.sqrt((1 / 5 - 1 / 9) / 400)
    assert np.abs(strength).max() <= 1.0


def test_the_wide_space_has_fourteen_changes():
    assert len(wide_ops()) == 14


def test_turned_off_it_changes_nothing():
    np.testing.assert_array_equal(make_trivial_augment(trivial_augment=False)(PHOTO, [0, 1]), PHOTO)


def test_the_seed_decides_eagerly_and_in_a_pipeline():
    augment = make_trivial_augment(trivial_augment=True)
    seeds = tf.constant([[1, number] for number in range(30)])
    eager = np.stack([augment(PHOTO, seed) for seed in seeds])
    mapped = tf.data.Dataset.from_tensor_slices(seeds).map(lambda seed: augment(PHOTO, seed), num_parallel_calls=2)
    np.testing.assert_allclose(eager, np.stack(list(mapped)), atol=1e-3)
    assert len({image.tobytes() for image in eager}) > 15
