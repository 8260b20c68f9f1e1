"""Fractional max pooling: sizes and regions by the paper's definition, maxima by TensorFlow's own op."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from regraft.models.errors import BackboneError
from regraft.models.fractional_pooling import (
    FractionalMaxPooling2D,
    pool_regions,
    pooled_size,
    replace_max_pools,
)

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(2, 11, 13, 3)).astype(np.float32)


def sequences_of(layer: FractionalMaxPooling2D, length: int, draws: int) -> list[tuple[int, ...]]:
    """The row boundaries of several steps, read back from maps that hold their row's number."""
    rows = np.broadcast_to(np.arange(length, dtype=np.float32)[None, :, None, None], (1, length, 4, 1))
    step = tf.function(lambda: layer(rows, training=True)[0, :, 0, 0], autograph=False)
    pooled = [step().numpy() for _ in range(draws)]
    return [(0, *(last + 1 for last in draw.astype(int))) for draw in pooled]  # the maximum is the last row of a region


@pytest.mark.parametrize(
    ("length", "ratio", "size"),
    [(25, 1.41, 17), (36, 1.44, 25), (10, 1.25, 8), (7, 1.9, 4), (2, 1.5, 1), (112, 2**0.5, 79)],
)
def test_the_output_is_floor_of_length_over_ratio_with_steps_of_at_most_two(length, ratio, size):
    assert pooled_size(length, ratio) == size


@pytest.mark.parametrize("regions", ["random", "pseudorandom"])
def test_regions_part_the_rows_by_steps_of_one_and_two(regions):
    layer = FractionalMaxPooling2D(1.4, regions=regions, overlapping=False, seed=1)
    drawn = sequences_of(layer, 11, 60)
    for boundaries in drawn:
        assert boundaries[0] == 0
        assert boundaries[-1] == 11
        assert set(np.diff(boundaries)) == {1, 2}
        assert len(boundaries) == 1 + 7  # floor(11 / 1.4)
    assert len(set(drawn)) > 3


def test_pseudorandom_sequences_are_those_of_the_paper():
    """The sequences a_i = ceil(alpha (i + u)), alpha = 11 / 7, for u in (0, 1), counted from a_0."""
    papers = set()
    for u in np.linspace(0.0005, 0.9995, 2000):
        a = np.ceil(11 / 7 * (np.arange(8) + u) - 1e-9).astype(int)
        papers.add(tuple(a - a[0]))
    layer = FractionalMaxPooling2D(1.4, regions="pseudorandom", overlapping=False, seed=1)
    assert set(sequences_of(layer, 11, 200)) == papers
    assert len(papers) == 7


def test_random_sequences_are_all_orders_of_the_steps_with_equal_chances():
    layer = FractionalMaxPooling2D(1.4, regions="random", overlapping=False, seed=3)
    drawn = sequences_of(layer, 5, 600)
    expected = {tuple(np.cumsum((0, *steps)).tolist()) for steps in set(itertools.permutations((2, 2, 1)))}
    assert set(drawn) == expected
    for sequence in expected:
        assert abs(drawn.count(sequence) / 600 - 1 / 3) < 4 * np.sqrt(2 / 9 / 600)


@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("pseudo_random", [True, False])
def test_the_maxima_are_those_of_tensorflow_for_the_same_sequences(overlapping, pseudo_random):
    expected, rows, columns = tf.nn.fractional_max_pool(
        MAPS, [1.0, 1.4, 1.3, 1.0], pseudo_random=pseudo_random, overlapping=overlapping, seed=7
    )
    pooled = pool_regions(MAPS, tf.cast(rows, tf.int32), tf.cast(columns, tf.int32), overlapping=overlapping)
    np.testing.assert_array_equal(pooled, expected)


def test_overlapping_regions_share_a_row_and_a_column():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    disjoint = pool_regions(x, [0, 2, 3, 4], [0, 1, 2, 4], overlapping=False)
    overlapping = pool_regions(x, [0, 2, 3, 4], [0, 1, 2, 4], overlapping=True)
    np.testing.assert_array_equal(np.asarray(disjoint)[0, ..., 0], [[4, 5, 7], [8, 9, 11], [12, 13, 15]])
    np.testing.assert_array_equal(np.asarray(overlapping)[0, ..., 0], [[9, 10, 11], [13, 14, 15], [13, 14, 15]])


def test_inference_has_the_same_regions_each_time_and_training_others_each_step():
    layer = FractionalMaxPooling2D(1.4, seed=1)
    np.testing.assert_array_equal(layer(MAPS, training=False), layer(MAPS, training=False))
    again = FractionalMaxPooling2D(1.4, seed=1)
    np.testing.assert_array_equal(layer(MAPS, training=False), again(MAPS, training=False))
    steps = {np.asarray(layer(MAPS, training=True)).tobytes() for _ in range(10)}
    assert len(steps) > 5


def test_all_images_of_a_batch_have_the_same_regions():
    layer = FractionalMaxPooling2D(1.4, regions="random", seed=1)
    pooled = np.asarray(layer(np.repeat(MAPS[:1], 4, axis=0), training=True))
    np.testing.assert_array_equal(pooled, np.repeat(pooled[:1], 4, axis=0))


def test_the_gradient_reaches_the_maxima_alone():
    layer = FractionalMaxPooling2D(1.5, overlapping=False, seed=1)
    x = tf.constant(RANDOM.permutation(36).reshape(1, 6, 6, 1), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        pooled = layer(x, training=False)
        total = tf.reduce_sum(pooled)
    gradient = tape.gradient(total, x).numpy()
    assert sorted(x.numpy()[gradient == 1]) == sorted(pooled.numpy().ravel())
    assert gradient.sum() == pooled.numpy().size


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: FractionalMaxPooling2D(2.0),
            r"^ratio must be in \(1, 2\), or a pair of such numbers; received 2\.0\.$",
        ),
        (lambda: FractionalMaxPooling2D((1.0, 1.5)), r"^ratio must be in \(1, 2\)"),
        (
            lambda: FractionalMaxPooling2D(1.5, regions="fixed"),
            r'^regions must be "random" or "pseudorandom"; received ',
        ),
        (lambda: FractionalMaxPooling2D(1.5)(np.zeros((1, 1, 4, 2))), r"fractional pooling needs maps of at least 2 "),
        (
            lambda: FractionalMaxPooling2D(1.5)(keras.Input((None, 4, 2))),
            r"maps \[N, H, W, C\] of known sides; received ",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_max_pools_of_a_backbone_are_replaced_and_its_weights_kept():
    inputs = keras.Input((24, 24, 3))
    x = layers.MaxPooling2D(3, 2, name="pool1")(layers.Conv2D(4, 3, name="conv1")(inputs))
    x = layers.MaxPooling2D(1, 2, name="skip")(layers.Conv2D(4, 3, name="conv2")(x))
    backbone = keras.Model(inputs, x, name="plain")
    changed = replace_max_pools(backbone, ratio=1.4, regions="random", overlapping=True, seed=0)
    replaced = [layer.name for layer in changed.layers if isinstance(layer, FractionalMaxPooling2D)]
    assert replaced == ["pool1"]
    for before, after in zip(backbone.weights, changed.weights, strict=True):
        np.testing.assert_array_equal(before, after)
    assert changed.get_layer("pool1").output.shape == (None, 15, 15, 4)


def test_a_backbone_without_max_pools_is_told_of_the_head():
    inputs = keras.Input((8, 8, 3))
    plain = keras.Model(inputs, layers.Conv2D(4, 3)(inputs), name="plain")
    with pytest.raises(
        BackboneError, match=r"^plain has no max pool; use regularize\.fractional_head_pooling instead\.$"
    ):
        replace_max_pools(plain, ratio=1.4, regions="random", overlapping=True, seed=0)


def test_pools_beside_a_strided_layer_are_not_replaced():
    inputs = keras.Input((8, 8, 3))
    x = layers.Add()([layers.MaxPooling2D(2)(inputs), layers.Conv2D(3, 2, strides=2)(inputs)])
    with pytest.raises(
        BackboneError, match=r"^both has only max pools beside strided layers, whose maps they must match; use"
    ):
        replace_max_pools(keras.Model(inputs, x, name="both"), ratio=1.4, regions="random", overlapping=True, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pools"), [("vgg16", 5), ("resnet50", 1), ("densenet121", 1)])
def test_real_backbones_run_with_fractional_pools(name, pools):
    from regraft.models.backbones import build_backbone

    changed = replace_max_pools(
        build_backbone(name, image_size=64), ratio=1.41, regions="pseudorandom", overlapping=True, seed=0
    )
    assert sum(isinstance(layer, FractionalMaxPooling2D) for layer in changed.layers) == pools
    assert np.isfinite(changed(RANDOM.uniform(size=(1, 64, 64, 3)).astype(np.float32), training=True)).all()
