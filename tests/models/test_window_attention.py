"""Attention within windows, against a plain loop over windows and tokens."""

from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.special import softmax

from regraft.models.window_attention import WindowAttention, mask_of, offsets_in

SIDE, WINDOW, HEADS, WIDTH = 4, 2, 2, 6


def made(shift: int) -> tuple[WindowAttention, np.ndarray]:
    layer = WindowAttention(SIDE, WINDOW, HEADS, shift)
    x = np.random.default_rng(0).normal(size=(2, SIDE**2, WIDTH)).astype(np.float32)
    keras.utils.set_random_seed(1)
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(np.random.default_rng(2).normal(size=weight.shape))
    return layer, x


def plain(layer: WindowAttention, x: np.ndarray) -> np.ndarray:
    """Each token looks at the tokens of its window that are its neighbours in the picture, one after the other."""
    weights = {
        weight.path.rpartition("/")[0].rpartition("/")[2] + "/" + weight.name: weight.numpy()
        for weight in layer.weights
    }
    qkv = x @ weights["qkv/kernel"] + weights["qkv/bias"]
    table, out = layer.table.numpy(), np.zeros_like(x)
    size = WIDTH // HEADS
    for token in range(SIDE**2):
        row, column = divmod(token, SIDE)
        shown = [other for other in range(SIDE**2) if in_one_window(layer.shift, (row, column), divmod(other, SIDE))]
        heads = []
        for head in range(HEADS):
            query, key, value = (qkv[..., part * WIDTH + head * size :][..., :size] for part in range(3))
            biases = [table[bias_of((row, column), divmod(other, SIDE)), head] for other in shown]
            score = np.einsum("nc,nsc->ns", query[:, token], key[:, shown]) / np.sqrt(size) + biases
            heads.append(np.einsum("ns,nsc->nc", softmax(score, axis=1), value[:, shown]))
        out[:, token] = np.concatenate(heads, axis=1)
    return out @ weights["projection/kernel"] + weights["projection/bias"]


def in_one_window(shift: int, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Windows begin at `shift`, and what is before it at an edge is a window of its own."""
    return all((a - shift) // WINDOW == (b - shift) // WINDOW for a, b in zip(one, other, strict=True))


def bias_of(one: tuple[int, int], other: tuple[int, int]) -> int:
    rows, columns = (a - b + WINDOW - 1 for a, b in zip(one, other, strict=True))
    return rows * (2 * WINDOW - 1) + columns


@pytest.mark.parametrize("shift", [0, 1])
def test_each_token_sees_its_window(shift: int):
    layer, x = made(shift)
    np.testing.assert_allclose(np.asarray(layer(x)), plain(layer, x), atol=1e-4)


def test_offsets_are_numbered_row_by_row():
    np.testing.assert_array_equal(offsets_in(2), [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]])


def test_only_windows_over_an_edge_are_masked():
    mask = mask_of(4, 2, 1)
    assert mask.shape == (4, 4, 4)
    assert (mask[0] == 0).all()
    np.testing.assert_array_equal(mask[3], np.where(np.eye(4), 0, -100))


def test_windows_that_do_not_divide_the_picture_are_refused():
    with pytest.raises(ValueError, match=r"side must be a multiple of window; received 5 and 2\."):
        WindowAttention(5, 2, 1)


def test_it_survives_saving(tmp_path: Path):
    layer, x = made(1)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        np.asarray(keras.models.load_model(tmp_path / "model.keras")(x)), np.asarray(model(x))
    )
