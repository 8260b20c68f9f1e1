"""Stochastic depth: which branches, how often, and that pretrained networks stay what they are."""

import keras
import numpy as np
import pytest
from keras import layers

from regraft.models.backbones import build_backbone
from regraft.models.errors import BackboneError
from regraft.models.stochastic_depth import (
    BlockStochasticDepth,
    StochasticDepth,
    add_stochastic_depth,
    residual_blocks,
    residual_branches,
    survival_probabilities,
)


def test_each_image_is_dropped_whole_or_scaled_to_keep_the_mean():
    ones = np.ones((2000, 2, 3), np.float32)
    dropped = np.asarray(StochasticDepth(0.8, seed=1)(ones, training=True))
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:, :1, :1], dropped.shape))
    assert set(np.unique(dropped)) == {np.float32(0.0), np.float32(1.25)}
    survived = (dropped[:, 0, 0] > 0).mean()
    assert abs(survived - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 2000)


def test_at_inference_and_at_survival_one_nothing_changes():
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(StochasticDepth(0.3, seed=1)(x, training=False), x)
    np.testing.assert_array_equal(StochasticDepth(1.0, seed=1)(x, training=True), x)


def test_survival_falls_linearly_to_the_last_block():
    assert survival_probabilities(4, 1.0, 0.5) == [0.875, 0.75, 0.625, 0.5]  # p_l = 1 - l/L (1 - p_L)
    assert survival_probabilities(2, 0.9, 0.9) == [0.9, 0.9]


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (0.8, 0.9, r"^survival probabilities may not grow with depth; received 0\.8 and then 0\.9\.$"),
        (1.0, 0.0, r"^survival must be in \(0, 1\]; received 0\.$"),
        (1.5, 0.5, r"^survival must be in \(0, 1\]; received 1\.5\.$"),
    ],
)
def test_probabilities_that_cannot_be_are_refused(first, last, message):
    with pytest.raises(ValueError, match=message):
        survival_probabilities(3, first, last)


# Blocks with a shortcut, counted in the papers' tables.
FAMILIES = [
    ("tiny", 16, 2),
    ("mobilenet_v2", 32, 10),
    ("mobilenet_v3_small", 32, 6),
    ("efficientnet_b0", 32, 9),
    ("resnet50", 32, 16),
    ("resnet50_v2", 32, 16),
    ("convnext_tiny", 32, 18),
]


@pytest.fixture(scope="module", params=FAMILIES, ids=[name for name, *_ in FAMILIES])
def family(request) -> tuple[keras.Model, int, np.ndarray]:
    name, side, blocks = request.param
    images = np.random.default_rng(0).uniform(-1, 1, (2, side, side, 3)).astype(np.float32)
    return build_backbone(name, image_size=side), blocks, images


@pytest.mark.slow
def test_every_residual_branch_is_found_and_at_survival_one_the_network_is_bit_identical(family):
    backbone, blocks, images = family
    assert len(residual_branches(backbone)) == blocks
    changed = add_stochastic_depth(backbone, survival=1.0, seed=0)
    assert sum(isinstance(layer, StochasticDepth) for layer in changed.layers) == blocks
    np.testing.assert_array_equal(changed(images, training=False), backbone(images, training=False))
    names = sorted(layer.name for layer in changed.layers if not isinstance(layer, StochasticDepth))
    assert names == sorted(layer.name for layer in backbone.layers)


@pytest.mark.slow
def test_below_one_inference_stays_bit_identical_and_training_does_not(family):
    backbone, _, images = family
    changed = add_stochastic_depth(backbone, survival=0.5, seed=0)
    inference = np.asarray(changed(images, training=False))
    np.testing.assert_array_equal(inference, backbone(images, training=False))
    for layer in changed._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False  # stays in inference mode, so that only the depth is random
    assert not np.array_equal(changed(images, training=True), inference)


def test_the_layer_is_put_on_the_branch_and_never_on_the_shortcut():
    inputs = keras.Input((4, 4, 3))
    shortcut = layers.Conv2D(3, 1, name="projection")(inputs)
    branch = layers.Conv2D(3, 3, padding="same", name="second")(layers.Conv2D(3, 1, name="first")(inputs))
    for number, pair in enumerate(([shortcut, branch], [branch, shortcut])):
        network = keras.Model(inputs, layers.Add(name="sum")(pair))
        assert [(add.name, index) for add, index in residual_branches(network)] == [("sum", 1 - number)]
        changed = add_stochastic_depth(network, survival=0.5, seed=0)
        behind = changed.get_layer("sum_stochastic_depth")._inbound_nodes[0].input_tensors
        assert [tensor._keras_history.operation.name for tensor in behind] == ["second"]


def test_a_sum_of_equal_branches_is_no_residual():
    inputs = keras.Input((4, 4, 3))
    pair = [layers.Conv2D(3, 1)(inputs), layers.Conv2D(3, 1)(inputs)]
    assert residual_branches(keras.Model(inputs, layers.Add()(pair))) == []


def test_depth_of_the_backbones_own_is_taken_out():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(3, 1)(inputs)
    x = layers.Dropout(0.2, noise_shape=(None, 1, 1, 1), name="own")(x)
    changed = add_stochastic_depth(keras.Model(inputs, layers.Add()([inputs, x])), survival=0.5, seed=0)
    assert isinstance(changed.get_layer("own"), layers.Identity)


def test_a_backbone_without_residual_branches_is_refused():
    inputs = keras.Input((4, 4, 3))
    plain = keras.Model(inputs, layers.Conv2D(3, 1)(inputs), name="plain")
    with pytest.raises(BackboneError, match=r"^plain has no residual branches for stochastic depth; leave "):
        add_stochastic_depth(plain, survival=0.5, seed=0)


def test_a_block_of_one_layer_becomes_its_input_or_its_branch_scaled_up():
    before, after = np.full((1000, 2), 3, np.float32), np.full((1000, 2), 5, np.float32)
    layer = BlockStochasticDepth(0.8, seed=1)
    np.testing.assert_array_equal(np.asarray(layer([before, after])), after)
    drawn = np.asarray(layer([before, after], training=True))
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    np.testing.assert_allclose(np.unique(drawn), [3, 5.5])  # 3, or 3 + (5 - 3) / 0.8
    assert abs((drawn[:, 0] > 3).mean() - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 1000)


def test_layers_that_are_whole_blocks_are_found_where_they_add_their_input():
    pytest.importorskip("keras_hub")
    from hub_cases import build_backbone as build_small

    assert [layer.name for layer in residual_blocks(build_small("dinov2_small"))] == ["block0", "block1"]
    assert [layer.name for layer in residual_blocks(build_small("efficientnet_v2_rw_s"))] == [
        "block1a_", "block1b_", "block2b_",  # 2a halves the picture
    ]  # fmt: skip
    assert residual_blocks(build_backbone("tiny", image_size=32)) == []
