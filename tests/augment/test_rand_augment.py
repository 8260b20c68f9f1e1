"""RandAugment: how many changes, how strong, and that they follow from the seed."""

import numpy as np
import pytest
import tensorflow as tf
from drawn_photos import draw_photo

from regraft.augment import rand_augment
from regraft.augment.rand_augment import elementary_ops, make_rand_augment

SIDE = 16
PHOTO = tf.constant(np.asarray(draw_photo(1, seed=3, size=(SIDE, SIDE))), tf.float32)


def record_ops(monkeypatch: pytest.MonkeyPatch, count: int) -> list[tuple[int, float]]:
    """Replaces the changes by `count` that only tell their number and strength, read back from the pixels."""
    ops = [lambda image, strength, index=index: tf.fill(image.shape, index + strength / 4) for index in range(count)]
    monkeypatch.setattr(rand_augment, "elementary_ops", lambda: ops)
    augment = make_rand_augment(randaugment=5.0, randaugment_ops=1)
    told = [float(augment(PHOTO, [0, number])[0, 0, 0]) for number in range(400)]
    return [(round(value), 4 * (value - round(value))) for value in told]


def test_every_change_has_the_same_chance_and_both_directions(monkeypatch):
    drawn = record_ops(monkeypatch, 4)
    for index in range(4):
        share = sum(number == index for number, _ in drawn) / 400
        assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 400)
    assert {round(strength, 4) for _, strength in drawn} == {-0.5, 0.5}
    ups = sum(strength > 0 for _, strength in drawn) / 400
    assert abs(ups - 0.5) < 4 * np.sqrt(0.25 / 400)


def test_the_paper_has_fourteen_changes():
    assert len(elementary_ops()) == 14


def test_it_is_applied_as_often_as_asked(monkeypatch):
    monkeypatch.setattr(rand_augment, "elementary_ops", lambda: [lambda image, strength: image + 1.0])
    augment = make_rand_augment(randaugment=5.0, randaugment_ops=3)
    np.testing.assert_array_equal(augment(PHOTO, [0, 1]), PHOTO + 3.0)


def test_the_seed_decides_eagerly_and_in_a_pipeline():
    augment = make_rand_augment(randaugment=9.0, randaugment_ops=2)
    seeds = tf.constant([[1, number] for number in range(30)])
    eager = [augment(PHOTO, seed).numpy() for seed in seeds]
    mapped = list(
        tf.data.Dataset.from_tensor_slices(seeds).map(lambda seed: augment(PHOTO, seed), num_parallel_calls=2)
    )
    np.testing.assert_allclose(np.stack(eager), np.stack(mapped), atol=1e-3)
    assert len({image.tobytes() for image in eager}) > 20


def test_pixels_stay_in_range():
    augment = make_rand_augment(randaugment=10.0, randaugment_ops=2)
    images = np.stack([augment(PHOTO, [2, number]) for number in range(60)])
    assert images.shape == (60, SIDE, SIDE, 3)
    assert images.min() >= -1e-3
    assert images.max() <= 255 + 1e-3
