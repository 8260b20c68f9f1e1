"""Warps, against what NumPy does where it can do the same, and the ranges of the random ones."""

import numpy as np
import pytest
import tensorflow as tf

from regraft.augment.affine import make_random_affine, rotation, shear, translation, warp, zoom


def noise(height: int = 9, width: int = 9) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.float32)


def warped(image: np.ndarray, matrix: tf.Tensor, fill: float | None = None) -> np.ndarray:
    return warp(tf.constant(image), matrix, fill=fill).numpy()


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("quarters", [1, 2, 3, -1])
def test_rotation_by_quarters_of_a_turn_is_that_of_numpy(side, quarters):
    image = noise(side, side)
    np.testing.assert_allclose(warped(image, rotation(90.0 * quarters)), np.rot90(image, quarters), atol=1e-2)


@pytest.mark.parametrize(("build", "nothing"), [(rotation, [0]), (shear, [0, 0]), (translation, [0, 0]), (zoom, [1])])
def test_a_matrix_that_moves_nothing_changes_nothing(build, nothing):
    np.testing.assert_array_equal(warped(noise(7, 10), build(*nothing)), noise(7, 10))


def test_translation_moves_to_the_right_and_down_and_fills_with_the_asked_value():
    image = noise(7, 10)
    expected = np.full_like(image, 5.0)
    expected[2:, 3:] = image[:-2, :-3]
    np.testing.assert_allclose(warped(image, translation(3.0, 2.0), fill=5.0), expected, atol=1e-3)


def test_translation_by_half_a_pixel_is_the_mean_of_neighbours():
    image = noise()
    expected = (image[:, :-1] + image[:, 1:]) / 2
    np.testing.assert_allclose(warped(image, translation(-0.5, 0.0))[:, :-1], expected, atol=1e-2)


def test_beyond_the_border_stands_the_mirror_image():
    image = noise(7, 10)
    expected = np.pad(image, ((3, 0), (0, 4), (0, 0)), mode="symmetric")[:7, 4:]
    np.testing.assert_allclose(warped(image, translation(-4.0, 3.0)), expected, atol=1e-3)


def test_zoom_by_two_shows_the_middle_twice_as_large():
    ramp = np.broadcast_to(np.arange(9, dtype=np.float32)[None, :, None], (9, 9, 3))
    np.testing.assert_allclose(warped(ramp, zoom(2.0))[0, :, 0], 4 + (np.arange(9) - 4) / 2, atol=1e-4)


def test_shear_moves_each_row_by_its_distance_from_the_middle():
    image = noise(5, 9)
    expected = np.full_like(image, 0.0)
    for row, moved in enumerate((2, 1, 0, -1, -2)):  # the rows above the middle to the right
        expected[row, max(moved, 0) : 9 + min(moved, 0)] = image[row, max(-moved, 0) : 9 - max(moved, 0)]
    np.testing.assert_allclose(warped(image, shear(1.0, 0.0), fill=0.0), expected, atol=1e-3)


def test_shear_moves_each_column_by_its_distance_from_the_middle():
    image = noise(9, 5)
    turned = warped(image.transpose(1, 0, 2), shear(1.0, 0.0), fill=0.0).transpose(1, 0, 2)
    np.testing.assert_allclose(warped(image, shear(0.0, 1.0), fill=0.0), turned, atol=1e-3)


def test_matrices_are_chained_in_the_order_in_which_they_change_the_picture():
    image = noise()
    turned = np.rot90(image)
    moved = np.zeros_like(image)
    moved[:, 2:] = turned[:, :-2]
    result = warped(image, rotation(90.0) @ translation(2.0, 0.0), fill=0.0)
    np.testing.assert_allclose(result[:, 2:], moved[:, 2:], atol=1e-2)
    np.testing.assert_allclose(result[:, :2], 0.0, atol=1e-2)


def place_of_spot(image: np.ndarray) -> np.ndarray:
    """(x, y) of the centre of brightness, from the image's centre."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    weights = image[..., 0] / image[..., 0].sum()
    return np.array([(x * weights).sum(), (y * weights).sum()]) - (np.array(image.shape[1::-1]) - 1) / 2


def spot(x: int, y: int, side: int = 41) -> np.ndarray:
    """A soft bright spot at (x, y) from the centre."""
    rows, columns = np.mgrid[:side, :side] - side // 2
    return np.repeat(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)[..., None], 3, axis=-1).astype(np.float32)


def places(image: np.ndarray, count: int = 150, **options: float) -> np.ndarray:
    """Where the spot is found for as many seeds, [count, 2]."""
    transform = tf.function(make_random_affine(**options))
    seeds = (tf.constant([seed, 4]) for seed in range(count))
    return np.stack([place_of_spot(transform(tf.constant(image), seed).numpy()) for seed in seeds])


def test_rotations_fill_their_range():
    x, y = places(spot(10, 0), rotate=30.0).T
    angles = np.degrees(np.arctan2(-y, x))
    assert -30.5 < angles.min() < -27
    assert 27 < angles.max() < 30.5
    np.testing.assert_allclose(np.hypot(x, y), 10, atol=0.1)


def test_moves_fill_their_range_in_both_directions():
    moved = places(spot(0, 0), translate=0.2)
    assert np.abs(moved).max() < 0.2 * 41 + 0.1
    assert (moved.min(axis=0) < -7).all()
    assert (moved.max(axis=0) > 7).all()


def test_zooms_are_as_often_larger_as_smaller():
    factors = places(spot(8, 0), zoom=0.5)[:, 0] / 8
    assert 1 / 1.5 - 0.01 < factors.min() < 0.72
    assert 1.4 < factors.max() < 1.5 + 0.01
    assert abs((factors > 1).sum() - 75) < 4 * np.sqrt(150 / 4)  # four standard deviations of the binomial


def test_shears_fill_their_range_and_move_rows_alone():
    x, y = places(spot(0, -10), shear=0.4).T
    np.testing.assert_allclose(y, -10, atol=0.1)
    assert -4.1 < x.min() < -3.6
    assert 3.6 < x.max() < 4.1


def test_an_affine_of_nothing_changes_nothing():
    image = noise()
    np.testing.assert_allclose(make_random_affine()(tf.constant(image), tf.constant([1, 2])), image, atol=1e-2)


def test_the_same_seed_gives_the_same_warp_inside_a_pipeline():
    transform = make_random_affine(rotate=40.0, translate=0.1, zoom=0.2, shear=0.2)
    mapped = tf.data.Dataset.range(6).map(
        lambda seed: transform(tf.constant(noise()), tf.stack([seed, 4])), num_parallel_calls=3
    )
    for seed, image in enumerate(mapped):
        np.testing.assert_allclose(image, transform(tf.constant(noise()), tf.constant([seed, 4])), atol=1e-2)
