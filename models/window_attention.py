"""Attention within windows of a picture, whose places may be shifted: what Swin transformers are made of.

Source: Liu et al. 2021, "Swin Transformer", arXiv:2103.14030, section 3.2. KerasHub's layer takes its biases by an
index that neither ONNX nor OpenVINO can hold, and turns maps by an operation that LiteRT has not.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="regraft")
class WindowAttention(layers.Layer):
    """Tokens [N, side * side, C] -> the same, each having looked at those of its window of the picture.

    Args:
        side: of the picture in tokens, a multiple of `window`.
        window: side of a window.
        heads: of the attention; C is a multiple of them.
        shift: by how many tokens the windows are moved right and down; those over the edge see their own part alone.
        qkv_bias: whether queries, keys and values have a bias.

    Raises:
        ValueError: `side` is no multiple of `window`.
    """

    def __init__(
        self, side: int, window: int, heads: int, shift: int = 0, qkv_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if side % window:
            raise ValueError(f"side must be a multiple of window; received {side} and {window}.")
        self.side, self.window, self.heads, self.shift, self.qkv_bias = side, window, heads, shift, qkv_bias

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Two dense layers, and a bias [(2 window - 1)^2, heads] for each offset between two places."""
        width = input_shape[-1] or 0
        self.qkv = layers.Dense(3 * width, use_bias=self.qkv_bias, dtype=self.dtype_policy, name="qkv")
        self.projection = layers.Dense(width, dtype=self.dtype_policy, name="projection")
        self.qkv.build(input_shape)
        self.projection.build(input_shape)
        initial = keras.initializers.TruncatedNormal(stddev=0.02)
        shape = ((2 * self.window - 1) ** 2, self.heads)
        self.table = self.add_weight(shape=shape, initializer=initial, name="relative_position_bias")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """What each token has seen."""
        width, count = inputs.shape[-1], self.window**2
        windows = self._in_windows(self._rolled(inputs, self.shift))
        qkv = ops.reshape(self.qkv(windows), (-1, count, 3 * self.heads, width // self.heads))
        query, key, value = ops.split(ops.transpose(qkv, (0, 2, 1, 3)), 3, axis=1)
        weights = ops.matmul(query * (width // self.heads) ** -0.5, ops.transpose(key, (0, 1, 3, 2)))
        weights = ops.softmax(self._masked(weights + ops.cast(self._biases(), weights.dtype)), axis=-1)
        seen = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        seen = self.projection(ops.reshape(seen, (-1, count, width)))
        return self._rolled(self._out_of_windows(seen), -self.shift)

    def _biases(self) -> Any:
        """[heads, T, T] for the T places of a window."""
        taken = ops.take(self.table, offsets_in(self.window).reshape(-1), axis=0)
        return ops.transpose(ops.reshape(taken, (self.window**2, self.window**2, self.heads)), (2, 0, 1))

    def _masked(self, weights: Any) -> Any:
        """-100 between places of a window that are from different edges of the picture."""
        if not self.shift:
            return weights
        mask, count = mask_of(self.side, self.window, self.shift), self.window**2
        by_picture = ops.reshape(weights, (-1, len(mask), self.heads * count, count))
        spread = np.tile(mask, (1, self.heads, 1))  # [windows, heads * T, T]
        return ops.reshape(by_picture + ops.cast(spread, weights.dtype), (-1, self.heads, count, count))

    def _rolled(self, tokens: Any, by: int) -> Any:
        """Each map moved left and up by so many tokens, what leaves it coming back from the other side."""
        if not by:
            return tokens
        width = tokens.shape[-1]
        x = ops.reshape(tokens, (-1, self.side, self.side, width))
        by = by % self.side
        x = ops.concatenate([x[:, by:], x[:, :by]], axis=1)
        x = ops.concatenate([x[:, :, by:], x[:, :, :by]], axis=2)
        return ops.reshape(x, (-1, self.side**2, width))

    def _in_windows(self, tokens: Any) -> Any:
        """[N, side * side, C] -> [N * windows, window * window, C]."""
        width, across = tokens.shape[-1], self.side // self.window
        rows = ops.reshape(tokens, (-1, self.window, across, self.window * width))
        return ops.reshape(ops.transpose(rows, (0, 2, 1, 3)), (-1, self.window**2, width))

    def _out_of_windows(self, windows: Any) -> Any:
        """The way back."""
        width, across = windows.shape[-1], self.side // self.window
        rows = ops.reshape(windows, (-1, across, self.window, self.window * width))
        return ops.reshape(ops.transpose(rows, (0, 2, 1, 3)), (-1, self.side**2, width))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape stays."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {"side": self.side, "window": self.window, "heads": self.heads, "shift": self.shift}
        return super().get_config() | own | {"qkv_bias": self.qkv_bias}


def offsets_in(window: int) -> np.ndarray:
    """int32 [T, T]: for each two places of a window, row by row, which offset lies between them."""
    places = np.stack(np.meshgrid(np.arange(window), np.arange(window), indexing="ij")).reshape(2, -1)
    rows, columns = places[:, :, None] - places[:, None, :] + window - 1
    return (rows * (2 * window - 1) + columns).astype(np.int32)


def mask_of(side: int, window: int, shift: int) -> np.ndarray:
    """float32 [windows, T, T]: 0 where two places of a shifted window are neighbours in the picture, else -100."""
    edges = np.repeat([0, 1, 2], [side - window, window - shift, shift])
    parts = 3 * edges[:, None] + edges[None, :]
    across = side // window
    windows = parts.reshape(across, window, across, window).transpose(0, 2, 1, 3).reshape(-1, window**2)
    return np.where(windows[:, :, None] == windows[:, None, :], 0.0, -100.0).astype(np.float32)
