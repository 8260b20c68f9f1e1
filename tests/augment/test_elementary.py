"""The elementary changes, against Pillow's."""

import numpy as np
import pytest
import tensorflow as tf
from drawn_photos import draw_photo
from PIL import Image, ImageEnhance, ImageOps

from regraft.augment import elementary

SIDE = 32


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return draw_photo(2, seed=7, size=(SIDE, SIDE))


def changed(op: elementary.Elementary, photo: Image.Image, strength: float) -> np.ndarray:
    pixels = tf.constant(np.asarray(photo), tf.float32)
    return op(pixels, tf.constant(strength, tf.float32)).numpy()


def assert_near(ours: np.ndarray, pillow: Image.Image, *, within: float) -> None:
    """Pillow rounds or cuts to whole numbers, after each step."""
    assert np.abs(ours - np.asarray(pillow, np.float32)).max() <= within


def test_identity_changes_nothing(photo):
    np.testing.assert_array_equal(changed(elementary.identity, photo, 1.0), np.asarray(photo))


def test_autocontrast_is_pillows(photo):
    assert_near(changed(elementary.autocontrast, photo, 1.0), ImageOps.autocontrast(photo), within=1.0)


def test_autocontrast_leaves_a_channel_of_one_value_alone():
    flat = Image.new("RGB", (8, 8), (10, 20, 30))
    np.testing.assert_array_equal(changed(elementary.autocontrast, flat, 1.0), np.asarray(flat))


def test_equalize_is_pillows_to_the_last_bit(photo):
    np.testing.assert_array_equal(changed(elementary.equalize, photo, 1.0), np.asarray(ImageOps.equalize(photo)))


def test_equalize_leaves_a_flat_image_alone():
    flat = Image.new("RGB", (8, 8), (10, 20, 30))
    np.testing.assert_array_equal(changed(elementary.equalize, flat, 1.0), np.asarray(flat))


@pytest.mark.parametrize("strength", [0.25, -0.5, 1.0])
def test_solarize_is_pillows(photo, strength):
    expected = ImageOps.solarize(photo, threshold=256 * (1 - abs(strength)))
    np.testing.assert_array_equal(changed(elementary.solarize, photo, strength), np.asarray(expected))


@pytest.mark.parametrize(("strength", "bits"), [(0.25, 7), (-0.5, 6), (1.0, 4)])
def test_posterize_is_pillows(photo, strength, bits):
    ours = changed(elementary.make_posterize(4), photo, strength)
    np.testing.assert_array_equal(ours, np.asarray(ImageOps.posterize(photo, bits)))


@pytest.mark.parametrize(
    ("make", "enhance", "within"),
    [
        (elementary.make_brightness, ImageEnhance.Brightness, 1.0),
        (elementary.make_color, ImageEnhance.Color, 2.0),  # Pillow's grey is a whole number
        (elementary.make_contrast, ImageEnhance.Contrast, 2.0),
        (elementary.make_sharpness, ImageEnhance.Sharpness, 2.0),
    ],
)
@pytest.mark.parametrize("strength", [-1.0, -0.4, 0.4, 1.0])
def test_an_enhancement_is_pillows(photo, make, enhance, within, strength):
    expected = enhance(photo).enhance(1 + 0.9 * strength)
    assert_near(changed(make(0.9), photo, strength), expected, within=within)


@pytest.mark.parametrize(("strength", "quarter_turns"), [(1.0, 1), (-1.0, -1)])
def test_a_turn_by_a_right_angle_moves_every_pixel_to_its_place(photo, strength, quarter_turns):
    turned = changed(elementary.make_rotate(90.0), photo, strength)
    np.testing.assert_allclose(turned, np.rot90(np.asarray(photo, np.float32), quarter_turns), atol=0.05)


def test_a_move_by_whole_pixels_mirrors_what_comes_in_at_the_border(photo):
    pixels = np.asarray(photo, np.float32)
    moved = changed(elementary.make_translate(0.25, sideways=True), photo, 0.5)  # 4 of 32 pixels to the right
    np.testing.assert_allclose(moved[:, 4:], pixels[:, :-4], atol=0.01)
    np.testing.assert_allclose(moved[:, :4], pixels[:, 3::-1], atol=0.01)
    down = changed(elementary.make_translate(0.25, sideways=False), photo, -0.5)
    np.testing.assert_allclose(down[:-4], pixels[4:], atol=0.01)


@pytest.mark.parametrize("rows", [True, False])
def test_a_shear_keeps_the_middle_and_moves_the_edges_apart(photo, rows):
    pixels = np.asarray(photo, np.float32)
    sheared = changed(elementary.make_shear(0.5, rows=rows), photo, 1.0)
    sheared, pixels = (sheared, pixels) if rows else (sheared.transpose(1, 0, 2), pixels.transpose(1, 0, 2))
    inner = np.arange(10, 22)
    # Row 1 is 14.5 pixels above the centre and moves by half of that, 7.25 pixels; rows to the right, columns down.
    moved = {sign: 0.75 * pixels[1, inner - sign * 7] + 0.25 * pixels[1, inner - sign * 8] for sign in (1, -1)}
    distances = {sign: np.abs(sheared[1, inner] - one).max() for sign, one in moved.items()}
    assert min(distances.values()) < 0.05
    assert max(distances.values()) > 5


def test_only_the_drawn_op_is_applied(photo):
    ops = [elementary.identity, elementary.solarize]
    pixels = tf.constant(np.asarray(photo), tf.float32)
    for index, expected in enumerate((np.asarray(photo), 255 - np.asarray(photo))):
        answer = elementary.apply_drawn(ops, pixels, tf.constant(index), tf.constant(1.0))
        np.testing.assert_array_equal(answer, expected)
