"""Random erasing: how often, how large, where, and with what."""

import numpy as np
import tensorflow as tf

from regraft.augment.erase import AREAS, ASPECT_RATIOS, make_random_erasing, random_part

SIZE = 40
BLANK = np.full((SIZE, SIZE, 3), -1.0, np.float32)  # no noise has this value


def erased(erase: float, seed: int) -> np.ndarray:
    return make_random_erasing(erase=erase)(tf.constant(BLANK), tf.constant([seed, 5])).numpy()


draw_part = tf.function(random_part, input_signature=[tf.TensorSpec([2], tf.int32)] * 2)


def part_of(sides: tuple[int, int], seed: int) -> list[int]:
    return draw_part(sides, [seed, 5]).numpy().tolist()


def test_the_asked_share_of_images_loses_a_part():
    count = sum(bool((erased(0.3, seed) >= 0).any()) for seed in range(300))
    assert abs(count - 90) < 4 * np.sqrt(300 * 0.3 * 0.7)  # four standard deviations of the binomial


def test_a_share_of_one_erases_a_part_of_every_image():
    assert all((erased(1.0, seed) >= 0).any() for seed in range(30))


def test_what_is_erased_is_the_rectangle_and_nothing_else():
    for seed in range(30):
        top, left, height, width = part_of((SIZE, SIZE), seed)
        hidden = np.zeros((SIZE, SIZE, 3), bool)
        hidden[top : top + height, left : left + width] = True
        np.testing.assert_array_equal(erased(1.0, seed) >= 0, hidden)


def test_parts_have_the_areas_and_aspect_ratios_of_the_paper():
    parts = np.array([part_of((1000, 1000), seed) for seed in range(300)])
    areas, ratios = parts[:, 2] * parts[:, 3] / 1e6, parts[:, 2] / parts[:, 3]
    assert AREAS[0] * 0.99 < areas.min() < 0.05
    assert 0.3 < areas.max() < AREAS[1] * 1.01
    assert ASPECT_RATIOS[0] * 0.99 < ratios.min() < 0.35
    assert 2.8 < ratios.max() < ASPECT_RATIOS[1] * 1.01


def test_wide_and_tall_parts_are_as_frequent():
    tall = sum(height > width for _, _, height, width in (part_of((1000, 1000), seed) for seed in range(300)))
    assert abs(tall - 150) < 4 * np.sqrt(300 / 4)


def test_parts_lie_anywhere_inside():
    for sides in [(1000, 1000), (30, 90), (3, 200), (1, 1)]:
        parts = np.array([part_of(sides, seed) for seed in range(100)])
        ends = parts[:, :2] + parts[:, 2:]
        assert parts[:, :2].min() >= 0
        assert parts[:, 2:].min() >= 1
        assert (ends <= sides).all()
    places = np.array([part_of((1000, 1000), seed)[:2] for seed in range(100)])
    assert places.min() < 50
    assert places.max() > 600


def test_the_noise_is_uniform_over_the_values_of_a_pixel_and_its_own_for_every_value():
    noise = np.concatenate([image[image >= 0] for image in (erased(1.0, seed) for seed in range(20))])
    error = 255 / np.sqrt(12 * len(noise))
    assert abs(noise.mean() - 127.5) < 4 * error
    assert noise.min() < 5
    assert 250 < noise.max() <= 255
    assert len(np.unique(noise)) > 0.99 * len(noise)


def test_the_same_seed_erases_the_same_inside_a_pipeline():
    erase = make_random_erasing(erase=0.5)
    mapped = tf.data.Dataset.range(8).map(
        lambda seed: erase(tf.constant(BLANK), tf.stack([seed, 5])), num_parallel_calls=3
    )
    for seed, image in enumerate(mapped):
        np.testing.assert_array_equal(image, erased(0.5, seed))
