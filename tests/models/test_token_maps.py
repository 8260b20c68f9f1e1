"""Tokens and maps, by hand."""

from pathlib import Path

import keras
import numpy as np
import pytest

from regraft.models.token_maps import PatchTokens, RotaryPlaces, TokenMaps, maps_of_tokens, resize_places

TOKENS = np.arange(2 * 6 * 3, dtype=np.float32).reshape(2, 6, 3)
"""Two pictures of two first tokens and four patches."""


def test_patches_become_their_places_row_by_row():
    maps = np.asarray(TokenMaps(2, prefix=2)(TOKENS))
    assert maps.shape == (2, 2, 2, 3)
    np.testing.assert_array_equal(maps[0, 0, 1], TOKENS[0, 3])
    np.testing.assert_array_equal(maps[1, 1, 0], TOKENS[1, 4])


def test_the_mean_over_the_maps_is_that_of_the_patches_and_the_class_token():
    maps = np.asarray(TokenMaps(2, prefix=2, picture_token=True)(TOKENS))
    expected = np.concatenate([TOKENS[:, 2:].mean(axis=1), TOKENS[:, 0]], axis=1)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), expected)
    np.testing.assert_allclose(maps.max(axis=(1, 2)), np.concatenate([TOKENS[:, 2:].max(axis=1), TOKENS[:, 0]], axis=1))


def test_what_attention_pooled_stands_behind_the_patches():
    picture = np.array([[7.0, 8, 9], [1, 2, 3]], np.float32)
    maps = np.asarray(TokenMaps(2)([TOKENS[:, 2:], picture]))
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), np.concatenate([TOKENS[:, 2:].mean(axis=1), picture], axis=1))


def test_an_earlier_block_gives_maps_of_its_own_patches():
    tokens = keras.Input((6, 3))
    maps = maps_of_tokens(tokens, TokenMaps(2, prefix=2, picture_token=True), "early")
    assert maps.shape == (None, 2, 2, 3)


def test_tokens_are_class_registers_and_placed_patches():
    layer = PatchTokens(registers=2)
    patches = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    layer.build(patches.shape)
    layer.set_weights(
        [np.full((1, 1, 1), 100.0), np.array([[[200.0], [300.0]]]), np.array([[1.0], [10], [20], [30], [40]])]
    )
    np.testing.assert_array_equal(np.asarray(layer(patches))[0, :, 0], [101, 200, 300, 10, 21, 32, 43])
    assert layer.compute_output_shape((None, 2, 2, 1)) == (None, 7, 1)


def test_a_network_whose_blocks_know_their_places_gets_no_embeddings():
    layer = PatchTokens(class_token=False, places=False)
    patches = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(np.asarray(layer(patches))[0, :, 0], [0, 1, 2, 3])
    assert layer.weights == []


def test_both_survive_saving(tmp_path: Path):
    inputs = keras.Input((2, 2, 3))
    tokens = PatchTokens(registers=1)(inputs)
    model = keras.Model(inputs, TokenMaps(2, prefix=2, picture_token=True)(tokens))
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 3)).astype(np.float32)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        np.asarray(keras.models.load_model(tmp_path / "model.keras")(x)), np.asarray(model(x))
    )


@pytest.mark.parametrize("prefix", [0, 1])
def test_places_of_one_size_stay_and_a_constant_stays_constant(prefix: int):
    same = np.random.default_rng(0).normal(size=(4 + prefix, 2)).astype(np.float32)
    assert resize_places(same, 4 + prefix) is same
    constant = np.full((4 + prefix, 2), 3, np.float32)
    constant[:prefix] = 7
    finer = resize_places(constant, 16 + prefix)
    assert finer.shape == (16 + prefix, 2)
    np.testing.assert_array_equal(finer[:prefix], 7)
    np.testing.assert_allclose(finer[prefix:], 3, atol=1e-5)


def test_what_turns_queries_is_kept_and_not_trained(tmp_path: Path):
    layer = RotaryPlaces(4, 2)
    layer.set_weights([np.arange(8.0).reshape(4, 2), np.ones((4, 2))])
    assert layer.trainable_weights == []
    inputs = keras.Input((2, 2, 3))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    cosines, sines = keras.models.load_model(tmp_path / "model.keras")(np.zeros((5, 2, 2, 3), np.float32))
    np.testing.assert_array_equal(np.asarray(cosines), np.arange(8.0).reshape(4, 2))
    np.testing.assert_array_equal(np.asarray(sines), 1)
