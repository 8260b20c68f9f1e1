"""What training sees: each image once an epoch, the same pixels for the same seed, whatever the parallelism."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from drawn_photos import draw_photo
from PIL import Image

from regraft.augment.policy import AugmentPolicy
from regraft.training import pipeline
from regraft.training.pipeline import TrainingImages, balanced_order, steps_per_epoch, training_batches

SIZE, CLASSES, COUNT = 16, 2, 10


def write_photos(folder: Path) -> TrainingImages:
    """Ten photos of two classes: eight JPEGs, one of them turned, and two PNGs."""
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = [folder / f"{number}.{'png' if number > 7 else 'jpg'}" for number in range(COUNT)]
    for number, path in enumerate(paths):
        options = {"exif": exif} if number == 7 else {}
        draw_photo(number % CLASSES, seed=number, size=(24, 20), classes=CLASSES).save(path, **options)
    turned, png = np.arange(COUNT) == 7, np.arange(COUNT) > 7
    heights, widths = np.where(turned, 24, 20), np.where(turned, 20, 24)
    return TrainingImages([str(path) for path in paths], np.arange(COUNT) % CLASSES, heights, widths, ~(turned | png))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> TrainingImages:
    return write_photos(tmp_path_factory.mktemp("photos"))


def batches_of(
    images: TrainingImages, *, first_epoch: int = 0, epochs: int = 2, batch_size: int = 4, seed: int = 5, **policy
):
    """Batches whose labels are the positions of the images."""
    numbered = replace(images, labels=np.arange(len(images.paths)))
    return training_batches(
        numbered,
        class_count=len(images.paths),
        policy=AugmentPolicy(**policy),
        image_size=SIZE,
        batch_size=batch_size,
        seed=seed,
        first_epoch=first_epoch,
        epochs=epochs,
    )


def orders_of(batches: tf.data.Dataset, steps: int) -> list[list[int]]:
    """The positions of the images, an epoch a list."""
    shown = [np.argmax(labels, axis=1).tolist() for _, labels in batches]
    return [list(chain.from_iterable(shown[start : start + steps])) for start in range(0, len(shown), steps)]


def test_each_epoch_shows_each_image_once_and_fills_the_last_batch_from_its_beginning(images):
    orders = orders_of(batches_of(images, epochs=3), steps=3)
    assert [len(order) for order in orders] == [12, 12, 12]
    for order in orders:
        assert sorted(order[:COUNT]) == list(range(COUNT))
        assert order[COUNT:] == order[:2]
    assert len({tuple(order) for order in orders}) == 3


def test_a_batch_larger_than_the_folder_repeats_it(images):
    (order,) = orders_of(batches_of(images, epochs=1, batch_size=24), steps=1)
    assert order[:COUNT] == order[COUNT : 2 * COUNT]
    assert len(order) == 24


def test_batches_are_float32_images_and_one_hot_labels(images):
    pixels, labels = next(iter(batches_of(images)))
    assert (pixels.shape, pixels.dtype) == ((4, SIZE, SIZE, 3), tf.float32)
    assert (labels.shape, labels.dtype) == ((4, COUNT), tf.float32)
    assert 0 <= pixels.numpy().min() < pixels.numpy().max() <= 255
    np.testing.assert_array_equal(np.sort(labels, axis=1), [[0.0] * 9 + [1.0]] * 4)


def test_batches_from_a_later_epoch_are_the_tail_of_those_from_the_first(images):
    whole, tail = list(batches_of(images, epochs=3)), list(batches_of(images, first_epoch=1, epochs=3))
    assert (len(whole), len(tail)) == (9, 6)
    for (pixels, labels), (later_pixels, later_labels) in zip(whole[3:], tail, strict=True):
        np.testing.assert_array_equal(pixels, later_pixels)
        np.testing.assert_array_equal(labels, later_labels)


def test_the_same_image_looks_different_in_every_epoch_and_with_every_seed(images):
    seen = []
    for seed in (5, 6):
        for pixels, labels in batches_of(images, seed=seed):
            seen += [image.tobytes() for image, label in zip(pixels.numpy(), labels.numpy(), strict=True) if label[0]]
    assert len(set(seen)) == len(seen) >= 4


def test_autotuning_is_off_which_would_block_for_seconds(images):
    options = batches_of(images).options()
    assert options.autotune.enabled is False
    assert options.deterministic is True


@pytest.mark.parametrize(("count", "batch_size", "steps"), [(10, 4, 3), (8, 4, 2), (1, 32, 1)])
def test_steps_per_epoch_show_every_image(count, batch_size, steps):
    assert steps_per_epoch(count, batch_size) == steps


@pytest.mark.slow
def test_pixels_do_not_depend_on_how_many_work_at_once(images, monkeypatch):
    policy = {"rotate": 10.0, "erase": 0.5, "randaugment": 5.0, "mixup": 0.4, "cutmix": 1.0}
    seen = []
    for cores in (1, 4):
        monkeypatch.setattr(pipeline, "cores", lambda cores=cores: cores)
        seen.append([pixels.numpy() for pixels, _ in batches_of(images, **policy)])
    np.testing.assert_array_equal(*seen)


def test_mixed_labels_keep_their_sum_and_differ_from_batch_to_batch(images):
    mixed = [labels.numpy() for _, labels in batches_of(images, mixup=0.4)]
    np.testing.assert_allclose(np.stack(mixed).sum(axis=-1), 1.0, atol=1e-6)
    assert all((labels.max(axis=1) < 1).any() for labels in mixed)
    assert len({labels.tobytes() for labels in mixed}) == len(mixed)


@pytest.mark.parametrize("policy", [{}, {"mixup": 0.4}])
def test_images_count_as_the_classes_in_their_labels_weigh(images, policy):
    weights = np.linspace(0.5, 1.5, COUNT)
    plain = list(batches_of(images, **policy))
    weighted = list(batches_of(replace(images, class_weights=weights), **policy))
    for (pixels, labels), (same, same_labels, counts) in zip(plain, weighted, strict=True):
        np.testing.assert_array_equal(pixels, same)
        np.testing.assert_array_equal(labels, same_labels)
        np.testing.assert_allclose(counts, labels.numpy() @ weights, rtol=1e-6)
        assert counts.dtype == tf.float32


UNEVEN = np.array([0] * 13 + [1] * 2 + [4] * 3)


def test_a_balanced_order_shows_each_class_equally_often_and_each_photo_in_turn():
    orders = [balanced_order(UNEVEN, 20, seed=3, epoch=epoch) for epoch in range(9)]
    shown = np.bincount(UNEVEN[np.concatenate(orders)], minlength=5)
    assert shown.tolist() == [60, 60, 0, 0, 60]
    for order in orders:
        assert order.dtype == np.int32
        assert set(np.bincount(UNEVEN[order], minlength=5)[[0, 1, 4]]) <= {6, 7}
    seen = np.bincount(np.concatenate(orders), minlength=len(UNEVEN))
    assert set(seen[:13]) == {4, 5}  # 60 turns of 13 photos
    assert set(seen[13:15]) == {30}
    assert set(seen[15:]) == {20}


def test_a_balanced_order_follows_from_the_seed_and_the_epoch_alone():
    (one, again), later, other = (
        [balanced_order(UNEVEN, 20, seed=3, epoch=1) for _ in range(2)],
        balanced_order(UNEVEN, 20, seed=3, epoch=2),
        balanced_order(UNEVEN, 20, seed=4, epoch=1),
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, later)
    assert not np.array_equal(one, other)
    assert np.any(np.diff(UNEVEN[one]) == 0)  # classes do not take turns


def test_balanced_batches_are_those_of_their_order_from_any_epoch_on(images):
    labels = np.arange(COUNT) // 8  # 8 of one class and 2 of the other
    balanced = replace(images, labels=labels, is_balanced=True)
    options = {"class_count": 2, "policy": AugmentPolicy(), "image_size": SIZE, "batch_size": 4, "seed": 5, "epochs": 3}
    whole, tail = (list(training_batches(balanced, first_epoch=first, **options)) for first in (0, 1))
    found = [np.argmax(given, axis=1) for _, given in whole]
    expected = [labels[balanced_order(labels, 12, seed=5, epoch=epoch)] for epoch in range(3)]
    np.testing.assert_array_equal(np.reshape(found, (3, 12)), expected)
    for (pixels, given), (later_pixels, later_given) in zip(whole[3:], tail, strict=True):
        np.testing.assert_array_equal(pixels, later_pixels)
        np.testing.assert_array_equal(given, later_given)


def test_each_photo_counts_as_its_own_weight_says_times_that_of_its_class(images: TrainingImages):
    own, by_class = np.linspace(0.5, 1.5, COUNT), np.linspace(1.0, 2.0, COUNT)  # here, each image is a class of its own
    weighted = replace(images, counts=own, class_weights=by_class)
    for _, labels, counts in batches_of(weighted, epochs=1):
        shown = np.argmax(labels, axis=1)
        np.testing.assert_allclose(counts, own[shown] * by_class[shown], rtol=1e-6)
