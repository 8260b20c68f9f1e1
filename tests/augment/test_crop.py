"""Random crops: where the box lies, and that decoding a part equals a part of the decoded."""

import io

import numpy as np
import pytest
import tensorflow as tf
from drawn_photos import draw_photo
from PIL import Image

from regraft.augment.crop import ASPECT_RATIOS, make_crop, random_box, random_square
from regraft.augment.decode import decode_upright
from regraft.augment.view import center_part

RESIZED = make_crop(crop="resized", crop_area_min=0.3, crop_scale=1.0)


def box_of(seed: int, *, height: int = 60, width: int = 90, min_area: float = 0.3) -> tuple[int, ...]:
    box = random_box(tf.constant(height), tf.constant(width), tf.constant([seed, 1]), min_area)
    return tuple(box.numpy().tolist())


def jpeg(orientation: int = 1, subsampling: int = 2) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    draw_photo(2, seed=1, size=(90, 60)).save(buffer, "JPEG", quality=90, subsampling=subsampling, exif=exif)
    return buffer.getvalue()


def crop_of(encoded: bytes, seed: int, *, height: int, width: int, plain: bool) -> np.ndarray:
    sizes = tf.constant(height), tf.constant(width)
    return RESIZED(tf.constant(encoded), *sizes, tf.constant(plain), tf.constant([seed, 1])).numpy()


@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60), (64, 64), (7, 9)])
def test_box_lies_inside_the_image(height, width):
    for seed in range(50):
        top, left, tall, wide = box_of(seed, height=height, width=width)
        assert min(top, left) >= 0
        assert min(tall, wide) >= 1
        assert top + tall <= height
        assert left + wide <= width


def test_box_covers_the_asked_area_at_a_moderate_aspect_ratio():
    boxes = np.array([box_of(seed, height=600, width=900) for seed in range(200)])
    areas, ratios = boxes[:, 2] * boxes[:, 3] / (600 * 900), boxes[:, 3] / boxes[:, 2]
    assert areas.min() >= 0.3 * 0.99
    assert areas.max() > 0.7
    assert ratios.min() >= ASPECT_RATIOS[0] * 0.99
    assert ratios.max() <= ASPECT_RATIOS[1] * 1.01


def test_box_is_the_whole_image_where_no_draw_fits():
    assert box_of(0, height=4, width=400, min_area=0.9) == (0, 0, 4, 400)


@pytest.mark.parametrize(("height", "width"), [(60, 90), (900, 100), (300, 20_000)])
def test_a_box_of_another_fit_has_the_proportions_of_the_image(height, width):
    sizes = tf.constant(height), tf.constant(width)
    boxes = np.array([random_box(*sizes, tf.constant([seed, 1]), 0.3, "stretch").numpy() for seed in range(60)])
    parts = boxes / [height, width, height, width]
    assert boxes[:, :2].min() >= 0
    assert boxes[:, 2:].min() >= 1
    assert (boxes[:, :2] + boxes[:, 2:] <= [height, width]).all()
    ratios, areas = parts[:, 3] / parts[:, 2], parts[:, 3] * parts[:, 2]
    off = 1 + 2 / (0.4 * min(height, width))  # a pixel at either end of the shortest part
    assert 3 / 4 / off < ratios.min() < 0.9
    assert 1.1 < ratios.max() < 4 / 3 * off
    assert 0.3 / off < areas.min() < 0.5
    assert areas.max() > 0.7


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_a_box_of_all_of_the_area_is_the_whole_image(fit):
    box = random_box(tf.constant(61), tf.constant(1234), tf.constant([5, 1]), 1.0, fit)
    assert box.numpy().tolist() == [0, 0, 61, 1234]


def test_the_same_seed_gives_the_same_box_and_others_differ():
    boxes = [box_of(seed) for seed in range(20)]
    assert boxes == [box_of(seed) for seed in range(20)]
    assert len(set(boxes)) == 20


def test_random_squares_have_the_asked_side_and_lie_anywhere_inside():
    boxes = np.array([random_square(60, 90, tf.constant([seed, 1]), 1.25).numpy() for seed in range(300)])
    assert np.unique(boxes[:, 2:]).tolist() == [48]  # 60 / 1.25
    assert np.unique(boxes[:, 0]).tolist() == list(range(13))
    assert (boxes[:, 1].min(), boxes[:, 1].max()) == (0, 42)


def test_random_parts_of_another_fit_have_each_side_divided():
    boxes = np.array([random_square(60, 90, tf.constant([seed, 1]), 1.25, "pad").numpy() for seed in range(300)])
    assert np.unique(boxes[:, 2:], axis=0).tolist() == [[48, 72]]
    assert np.unique(boxes[:, 0]).tolist() == list(range(13))
    assert np.unique(boxes[:, 1]).tolist() == list(range(19))


def test_a_random_square_of_scale_one_moves_along_the_long_side_alone():
    boxes = np.array([random_square(90, 60, tf.constant([seed, 1]), 1.0).numpy() for seed in range(100)])
    assert np.unique(boxes[:, 1:], axis=0).tolist() == [[0, 60, 60]]
    assert boxes[:, 0].max() - boxes[:, 0].min() > 20


@pytest.mark.parametrize("plain", [True, False])
def test_a_center_crop_is_the_center_part_whatever_the_seed(plain):
    crop = make_crop(crop="center", crop_area_min=0.3, crop_scale=1.5)
    encoded = tf.constant(jpeg(subsampling=0))
    for seed in range(3):
        part = crop(encoded, tf.constant(60), tf.constant(90), tf.constant(plain), tf.constant([seed, 1]))
        np.testing.assert_array_equal(part, center_part(decode_upright(encoded), 1.0))


def test_another_kind_of_crop_is_refused_with_the_kinds_there_are():
    with pytest.raises(ValueError, match=r"^crop must be one of resized, random, center; received 'middle'\.$"):
        make_crop(crop="middle", crop_area_min=0.3, crop_scale=1.0)


def test_decoding_a_part_gives_that_part_of_the_decoded_photo():
    encoded = jpeg(subsampling=0)
    whole = decode_upright(tf.constant(encoded)).numpy()
    for seed in range(20):
        top, left, tall, wide = box_of(seed)
        part = crop_of(encoded, seed, height=60, width=90, plain=True)
        np.testing.assert_array_equal(part, whole[top : top + tall, left : left + wide])


def test_with_subsampled_color_only_the_outermost_pixels_of_a_decoded_part_differ():
    encoded = jpeg(subsampling=2)
    whole = decode_upright(tf.constant(encoded)).numpy()
    for seed in range(20):
        top, left, tall, wide = box_of(seed)
        part = crop_of(encoded, seed, height=60, width=90, plain=True)
        expected = whole[top : top + tall, left : left + wide]
        np.testing.assert_array_equal(part[1:-1, 1:-1], expected[1:-1, 1:-1])
        np.testing.assert_allclose(part.astype(int), expected.astype(int), atol=16)


@pytest.mark.parametrize(("orientation", "height", "width"), [(3, 60, 90), (6, 90, 60), (8, 90, 60)])
def test_a_turned_photo_is_cropped_upright(orientation, height, width):
    encoded = jpeg(orientation)
    whole = decode_upright(tf.constant(encoded)).numpy()
    assert whole.shape == (height, width, 3)
    for seed in range(10):
        top, left, tall, wide = box_of(seed, height=height, width=width)
        part = crop_of(encoded, seed, height=height, width=width, plain=False)
        np.testing.assert_array_equal(part, whole[top : top + tall, left : left + wide])


def test_crop_gives_the_same_pixels_inside_a_pipeline():
    encoded = jpeg()
    rows = tf.data.Dataset.range(8).map(
        lambda seed: RESIZED(tf.constant(encoded), tf.constant(60), tf.constant(90), seed % 2 == 0, tf.stack([seed, 1]))
    )
    for seed, part in enumerate(rows):
        np.testing.assert_array_equal(part, crop_of(encoded, seed, height=60, width=90, plain=seed % 2 == 0))
