"""MixUp and CutMix: pixels and labels are mixed in the same shares."""

import numpy as np
import pytest
import tensorflow as tf

from regraft.augment import mixing
from regraft.augment.mixing import draw_beta, draw_boxes, make_mixing

COUNT, SIDE, SEED = 8, 10, [3, 4]


@pytest.fixture
def batch() -> tuple[tf.Tensor, tf.Tensor]:
    """Each image is of one value, its number, and has a class of its own."""
    numbers = tf.range(COUNT, dtype=tf.float32)
    return tf.tile(numbers[:, None, None, None], [1, SIDE, SIDE, 3]), tf.eye(COUNT)


def test_mixup_blends_each_image_and_its_label_with_one_other(batch):
    images, labels = make_mixing(mixup=0.4, cutmix=0.0)(*batch, SEED)
    values = images.numpy()[:, 0, 0, 0]
    np.testing.assert_allclose(images, np.broadcast_to(values[:, None, None, None], images.shape), atol=1e-6)
    np.testing.assert_allclose(labels.numpy() @ np.arange(COUNT), values, atol=1e-5)
    np.testing.assert_allclose(labels.numpy().sum(axis=1), 1.0, atol=1e-6)
    assert ((labels.numpy() > 0).sum(axis=1) <= 2).all()
    assert len(set(labels.numpy().max(axis=1).round(5))) > 2  # a share for each image


def test_cutmix_gives_the_label_the_share_of_the_pixels(batch):
    images, labels = make_mixing(mixup=0.0, cutmix=1.0)(*batch, SEED)
    for pixels, label in zip(images.numpy()[..., 0], labels.numpy(), strict=True):
        counted = np.bincount(pixels.astype(int).ravel(), minlength=COUNT) / SIDE**2
        np.testing.assert_allclose(label, counted, atol=1e-6)


def test_a_cut_box_is_a_rectangle(batch):
    images, _ = make_mixing(mixup=0.0, cutmix=1.0)(*batch, SEED)
    boxes = [pixels != number for number, pixels in enumerate(images.numpy()[..., 0])]
    assert any(box.any() for box in boxes)
    for box in boxes:
        np.testing.assert_array_equal(box, np.outer(box.any(axis=1), box.any(axis=0)))


def test_boxes_have_the_area_where_the_border_does_not_cut_them():
    inside = draw_boxes(tf.fill([4000], 0.75), tf.constant(100), [1, 2]).numpy()
    sides = inside.any(axis=2).sum(axis=1)
    assert sides.max() in (50, 51)  # half of the side: a quarter of the area
    # A centre at least 25 pixels from both borders, as half of all are, is not cut.
    assert abs((sides >= 50).mean() - 0.5) < 4 * np.sqrt(0.25 / 4000) + 0.01


def test_both_on_take_turns(batch):
    mix = make_mixing(mixup=1.0, cutmix=1.0)
    whole = [np.all(images == np.round(images)) for images in (mix(*batch, [0, n])[0].numpy() for n in range(200))]
    assert abs(np.mean(whole) - 0.5) < 4 * np.sqrt(0.25 / 200)  # cut images keep whole numbers


def test_the_share_is_beta_distributed():
    shares = draw_beta(0.4, tf.constant(20_000), [5, 6]).numpy()
    variance = 1 / (4 * (2 * 0.4 + 1))  # of Beta(a, a)
    assert abs(shares.mean() - 0.5) < 4 * np.sqrt(variance / 20_000)
    assert abs(shares.var() - variance) < 0.01
    assert np.isfinite(draw_beta(0.01, tf.constant(20_000), [5, 6]).numpy()).all()


def test_the_seed_decides(batch):
    mix = make_mixing(mixup=0.4, cutmix=0.0)
    np.testing.assert_array_equal(mix(*batch, SEED)[0], mix(*batch, SEED)[0])
    assert not np.array_equal(mix(*batch, SEED)[0], mix(*batch, [3, 5])[0])


def test_partners_are_a_shuffle_of_the_batch(batch, monkeypatch):
    monkeypatch.setattr(
        mixing, "draw_beta", lambda alpha, count, seed: tf.zeros([count])
    )  # nothing of the image itself
    images, labels = make_mixing(mixup=1.0, cutmix=0.0)(*batch, SEED)
    partners = images.numpy()[:, 0, 0, 0]
    assert sorted(partners) == list(range(COUNT))
    np.testing.assert_array_equal(labels.numpy().argmax(axis=1), partners)
