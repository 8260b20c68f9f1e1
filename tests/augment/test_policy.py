"""A whole training view: seeds in, pixels out, whatever the parallelism."""

import functools
import io

import numpy as np
import pytest
import tensorflow as tf
from default_cases import few_by_default
from drawn_photos import draw_photo

from regraft.augment.crop import make_crop, random_box
from regraft.augment.decode import decode_upright
from regraft.augment.fits import FITS, MARGIN
from regraft.augment.policy import AugmentPolicy, make_batch_op, make_train_view
from regraft.augment.table import AUGMENTATIONS, Augmentation, Option
from regraft.augment.view import make_view, resize_to

SIZE = 16
OFF = {"flip": False, "crop_area_min": 0.5, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
PLAIN = AugmentPolicy(**OFF)
STRONG = AugmentPolicy(flip_vertical=True, rotate=20.0, zoom=0.1, pca=0.1, erase=0.5)
CROPPED = {"crop": "resized", "crop_area_min": 0.5, "crop_scale": 1.15}


def encoded_photo(subsampling: int = 2) -> bytes:
    buffer = io.BytesIO()
    draw_photo(3, seed=1, size=(40, 32)).save(buffer, "JPEG", quality=90, subsampling=subsampling)
    return buffer.getvalue()


@functools.cache
def views(policy: AugmentPolicy, *, epoch: int = 0, count: int = 12, parallel: int | None = None) -> np.ndarray:
    """float32 [count, SIZE, SIZE, 3]: the views at these positions of an epoch of one photo."""
    view, encoded = make_train_view(policy, SIZE), tf.constant(encoded_photo())

    def load(position: tf.Tensor) -> tf.Tensor:
        seed = tf.random.fold_in(tf.constant([9, epoch]), tf.cast(position, tf.int32))
        return view(encoded, tf.constant(32), tf.constant(40), tf.constant(True), seed)

    images = np.stack([image.numpy() for image in tf.data.Dataset.range(count).map(load, num_parallel_calls=parallel)])
    images.flags.writeable = False  # as the next test gets the same
    return images


@pytest.mark.parametrize("policy", few_by_default([AugmentPolicy(), STRONG], STRONG))
def test_the_same_seed_epoch_and_position_give_the_same_pixels_whatever_the_parallelism(policy):
    alone = views(policy)
    for parallel in (2, 4):
        np.testing.assert_array_equal(views(policy, parallel=parallel), alone)


def test_every_position_and_epoch_has_its_own_pixels():
    all_views = np.concatenate([views(AugmentPolicy(), epoch=epoch) for epoch in (0, 1)])
    assert len(np.unique(all_views.reshape(len(all_views), -1), axis=0)) == len(all_views)


def test_views_are_float32_of_the_asked_size_in_the_range_of_pixels():
    images = views(AugmentPolicy(brightness=1.0, contrast=1.0, pca=1.0, erase=0.5, rotate=180.0))
    assert (images.shape, images.dtype) == ((12, SIZE, SIZE, 3), np.float32)
    assert images.min() >= 0
    assert images.max() <= 255


def test_a_policy_without_ops_crops_and_resizes_alone():
    seed, sizes = tf.constant([4, 5]), (tf.constant(32), tf.constant(40))
    encoded, plain_jpeg = tf.constant(encoded_photo()), tf.constant(True)
    image = make_train_view(PLAIN, SIZE)(encoded, *sizes, plain_jpeg, seed)
    crop = make_crop(**CROPPED)(encoded, *sizes, plain_jpeg, tf.random.fold_in(seed, 0))
    np.testing.assert_array_equal(image, resize_to(crop, SIZE))


@pytest.mark.parametrize("fit", FITS)
def test_a_policy_of_center_crops_shows_what_evaluation_shows(fit):
    photo = encoded_photo(subsampling=0)
    view = make_train_view(AugmentPolicy(fit, **{**OFF, "crop": "center"}), SIZE)
    seen = view(tf.constant(photo), tf.constant(32), tf.constant(40), tf.constant(True), tf.constant([1, 2]))
    np.testing.assert_array_equal(seen, make_view(SIZE, 1.0, fit)(decode_upright(tf.constant(photo))))


@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize("plain_jpeg", [True, False])
def test_a_random_part_takes_the_place_of_the_whole_photo(fit, plain_jpeg):
    """Margins of a padded photo of 32 x 40 are 2 of 24 pixels each: it is 19.2 high, rounded to 19, one more."""
    photo, seed = tf.constant(encoded_photo(subsampling=0)), tf.constant([4, 5])
    sizes = tf.constant(32), tf.constant(40)
    image = make_train_view(AugmentPolicy(fit, **OFF), 24)(photo, *sizes, tf.constant(plain_jpeg), seed).numpy()
    top, left, tall, wide = random_box(*sizes, tf.random.fold_in(seed, 0), 0.5, fit).numpy()
    part = decode_upright(photo)[top : top + tall, left : left + wide]
    margin = 2 if fit == "pad" else 0
    expected = tf.image.resize(part, [24 - 2 * margin, 24]).numpy()
    np.testing.assert_allclose(image[margin : 24 - margin], expected, atol=1e-3)
    edges = np.concatenate([image[:margin], image[24 - margin :]])
    np.testing.assert_array_equal(edges, np.broadcast_to(np.float32(MARGIN), edges.shape))


@pytest.mark.slow
@pytest.mark.parametrize(
    "strength",
    few_by_default(["brightness", "contrast", "saturation", "hue", "rotate", "pca", "erase"], "hue", "rotate"),
)
def test_one_strength_above_zero_changes_the_pixels(strength):
    assert not np.array_equal(views(AugmentPolicy(**{**OFF, strength: 0.3})), views(PLAIN))


@pytest.mark.slow
def test_adding_the_jitter_leaves_crop_and_flip_alone():
    flips = AugmentPolicy(**{**OFF, "flip": True})
    faint = AugmentPolicy(**{**OFF, "flip": True, "brightness": 1e-6})
    np.testing.assert_allclose(views(faint), views(flips), atol=1e-2)


def test_turning_an_op_off_leaves_the_draws_of_those_after_it_alone():
    """The flip comes before the colours: without it, each view is the same or mirrored."""
    colored = views(AugmentPolicy(flip=False))
    for flipped, alone in zip(views(AugmentPolicy()), colored, strict=True):
        assert min(np.abs(flipped - alone).max(), np.abs(flipped[:, ::-1] - alone).max()) < 1e-2


def test_each_op_draws_from_its_own_part_of_the_seed():
    """Two flips with one draw would turn a photo by half a turn or leave it alone, and never do one of both."""
    flips = AugmentPolicy(**{**OFF, "crop": "center", "flip": True, "flip_vertical": True})
    plain = views(AugmentPolicy(**{**OFF, "crop": "center"}), count=1)[0]
    either = [plain, plain[:, ::-1], plain[::-1], plain[::-1, ::-1]]
    seen = [[np.array_equal(view, way) for way in either].index(True) for view in views(flips, count=40)]
    assert set(seen) == {0, 1, 2, 3}


def test_an_option_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"^There is no augmentation option 'brightnes'; did you mean 'brightness'\?$"):
        AugmentPolicy(brightnes=0.1)
    with pytest.raises(ValueError, match=r"^There is no augmentation option 'xyz'; there are crop, crop_area_min, "):
        AugmentPolicy(xyz=1)


def test_ops_on_batches_draw_from_their_own_part_of_the_seed(monkeypatch):
    import regraft.augment.flip as module

    def make_add(*, add):
        return lambda images, labels, seed: (images + tf.random.stateless_uniform([], seed) * add, labels)

    monkeypatch.setattr(module, "make_add", make_add, raising=False)
    row = Augmentation({"add": Option(0.0, ">= 0")}, make="flip:make_add", stage="batch", number=77)
    monkeypatch.setitem(AUGMENTATIONS, "add", row)
    images, labels, seed = tf.zeros([2, 4, 4, 3]), tf.eye(2), tf.constant([3, 8])
    mixed, kept = make_batch_op(AugmentPolicy(add=10.0))(images, labels, seed)
    drawn = tf.random.stateless_uniform([], tf.random.fold_in(seed, 77)).numpy()
    np.testing.assert_allclose(mixed, np.full((2, 4, 4, 3), 10 * drawn), rtol=1e-6)
    np.testing.assert_array_equal(kept, labels)
