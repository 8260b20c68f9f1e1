"""A whole training view: seeds in, pixels out, whatever the parallelism."""

import io

import numpy as np
import pytest
import tensorflow as tf
from conftest import draw_photo

from regraft.augment import AugmentPolicy, make_train_view
from regraft.augment.crop import decode_crop
from regraft.augment.flip import flip_horizontally
from regraft.augment.view import resize_to

SIZE = 16
PLAIN = AugmentPolicy(flip=False, crop_area_min=0.5, brightness=0, contrast=0, saturation=0, hue=0)


def encoded_photo() -> bytes:
    buffer = io.BytesIO()
    draw_photo(3, seed=1, size=(40, 32)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def views(policy: AugmentPolicy, *, epoch: int = 0, count: int = 12, parallel: int | None = None) -> np.ndarray:
    """float32 [count, SIZE, SIZE, 3]: the views at these positions of an epoch of one photo."""
    view, encoded = make_train_view(policy, SIZE), tf.constant(encoded_photo())

    def load(position: tf.Tensor) -> tf.Tensor:
        seed = tf.random.fold_in(tf.constant([9, epoch]), tf.cast(position, tf.int32))
        return view(encoded, tf.constant(32), tf.constant(40), tf.constant(True), seed)

    return np.stack([image.numpy() for image in tf.data.Dataset.range(count).map(load, num_parallel_calls=parallel)])


def test_the_same_seed_epoch_and_position_give_the_same_pixels_whatever_the_parallelism():
    alone = views(AugmentPolicy())
    for parallel in (2, 4):
        np.testing.assert_array_equal(views(AugmentPolicy(), parallel=parallel), alone)


def test_every_position_and_epoch_has_its_own_pixels():
    all_views = np.concatenate([views(AugmentPolicy(), epoch=epoch) for epoch in (0, 1)])
    assert len(np.unique(all_views.reshape(len(all_views), -1), axis=0)) == len(all_views)


def test_views_are_float32_of_the_asked_size_in_the_range_of_pixels():
    images = views(AugmentPolicy(brightness=1.0, contrast=1.0))
    assert (images.shape, images.dtype) == ((12, SIZE, SIZE, 3), np.float32)
    assert images.min() >= 0
    assert images.max() <= 255


def test_a_policy_without_ops_crops_and_resizes_alone():
    seed, sizes = tf.constant([4, 5]), (tf.constant(32), tf.constant(40))
    encoded, plain_jpeg = tf.constant(encoded_photo()), tf.constant(True)
    image = make_train_view(PLAIN, SIZE)(encoded, *sizes, plain_jpeg, seed)
    crop = decode_crop(encoded, *sizes, plain_jpeg, tf.random.fold_in(seed, 0), 0.5)
    np.testing.assert_array_equal(image, resize_to(crop, SIZE))
    assert PLAIN.image_ops() == []


@pytest.mark.parametrize("strength", ["brightness", "contrast", "saturation", "hue"])
def test_one_strength_above_zero_brings_the_color_jitter(strength):
    policy = AugmentPolicy(**{**vars(PLAIN), strength: 0.3})
    assert len(policy.image_ops()) == 1
    assert not np.array_equal(views(policy), views(PLAIN))


def test_adding_the_jitter_leaves_crop_and_flip_alone():
    flips = AugmentPolicy(**{**vars(PLAIN), "flip": True})
    faint = AugmentPolicy(**{**vars(flips), "brightness": 1e-6})
    assert flips.image_ops() == [flip_horizontally]
    np.testing.assert_allclose(views(faint), views(flips), atol=1e-2)
