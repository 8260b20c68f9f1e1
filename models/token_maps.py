"""The tokens of a transformer as maps of the picture, so that whatever reads maps reads them too."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="regraft")
class TokenMaps(layers.Layer):
    """Tokens [N, T, C] -> maps [N, side, side, C]; with a token for the whole picture, [N, side, side, 2 C].

    The tokens of the patches, row by row, become their places in the maps. Where the network has one token for the
    whole picture (a class token, or what attention pooled), it stands behind each of them: the mean over the maps is
    then [mean of the patch tokens, token of the picture], the features that DINOv2 is evaluated by (Oquab et al. 2023,
    arXiv:2304.07193, section 7: both, concatenated), and each place keeps its own numbers for what explains an answer.

    Args:
        side: of the maps.
        prefix: how many tokens come before those of the patches: class and register tokens.
        picture_token: whether the first of them is the class token, and becomes a part of the maps.

    Called on [tokens, picture], the second float [N, C] is the token of the picture.
    """

    def __init__(self, side: int, prefix: int = 0, picture_token: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.side = side
        self.prefix = prefix
        self.picture_token = picture_token
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Maps of the tokens."""
        tokens, picture = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        width = tokens.shape[-1]
        patches = tokens[:, self.prefix : self.prefix + self.side**2]
        maps = ops.reshape(patches, (-1, self.side, self.side, width))
        if self.picture_token:
            picture = tokens[:, 0]
        if picture is None:
            return maps
        everywhere = ops.zeros_like(maps) + ops.reshape(picture, (-1, 1, 1, width))  # OpenVINO mistakes a tile
        return ops.concatenate([maps, everywhere], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """[N, side, side, C or 2 C]."""
        has_two = isinstance(input_shape[0], list | tuple)
        tokens = input_shape[0] if has_two else input_shape
        return (tokens[0], self.side, self.side, tokens[-1] * (2 if has_two or self.picture_token else 1))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {"side": self.side, "prefix": self.prefix, "picture_token": self.picture_token}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="regraft")
class PatchTokens(layers.Layer):
    """Maps of patches [N, h, w, C] -> tokens [N, T, C]: a class token, registers, then the patches row by row.

    The embedding of its place is added to each token but the registers (Dosovitskiy et al. 2020, arXiv:2010.11929,
    eq. 1; Darcet et al. 2024, arXiv:2309.16588). KerasHub's own layers do this too; that of ViT cannot be made from its
    configuration, and that of DINOv2 saves other embeddings than those it was trained to.

    Args:
        class_token: whether there is one.
        registers: how many.
        places: whether places have embeddings; others tell their blocks where a token is.
    """

    def __init__(self, class_token: bool = True, registers: int = 0, places: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.class_token = class_token
        self.registers = registers
        self.places = places

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Class token [1, 1, C], registers [1, R, C] and embeddings [T - R, C], as far as there are any."""
        _, height, width, channels = input_shape
        initial = keras.initializers.RandomNormal(stddev=0.02)
        if self.class_token:
            self.token = self.add_weight(shape=(1, 1, channels), initializer=initial, name="class_token")
        if self.registers:
            self.register = self.add_weight(shape=(1, self.registers, channels), initializer=initial, name="registers")
        if self.places:
            count = (height or 0) * (width or 0) + int(self.class_token)
            self.embedding = self.add_weight(shape=(count, channels), initializer=initial, name="position_embedding")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Tokens."""
        tokens = ops.reshape(inputs, (-1, inputs.shape[1] * inputs.shape[2], inputs.shape[3]))
        first = int(self.class_token)
        if self.class_token:
            tokens = ops.concatenate([self._of_each(self.token, tokens), tokens], axis=1)
        if self.places:
            tokens = tokens + ops.cast(self.embedding, tokens.dtype)
        if self.registers:
            registers = self._of_each(self.register, tokens)
            tokens = ops.concatenate([tokens[:, :first], registers, tokens[:, first:]], axis=1)
        return tokens

    @staticmethod
    def _of_each(weight: Any, tokens: Any) -> Any:
        """[1, K, C] -> [N, K, C]."""
        return ops.tile(ops.cast(weight, tokens.dtype), (ops.shape(tokens)[0], 1, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[N, T, C]."""
        count, height, width, channels = input_shape
        return (count, (height or 0) * (width or 0) + int(self.class_token) + self.registers, channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {"class_token": self.class_token, "registers": self.registers, "places": self.places}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="regraft")
class RotaryPlaces(layers.Layer):
    """What the blocks of DINOv3 turn queries and keys by: cosines and sines [T, C / heads] for the places of patches.

    They follow from the image size alone and are kept as weights that are not trained: KerasHub's layer computes them
    by a constant that ONNX cannot hold. Called on the images, which decide where in the graph it stands, and no more.

    Args:
        count: T, of patches.
        width: C / heads.
    """

    def __init__(self, count: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count
        self.width = width
        options = {"shape": (count, width), "initializer": "zeros", "trainable": False}
        self.cosines = self.add_weight(name="cosines", **options)
        self.sines = self.add_weight(name="sines", **options)
        self.built = True

    def call(self, inputs: Any) -> tuple[Any, Any]:
        """Cosines and sines."""
        return ops.cast(self.cosines, self.compute_dtype), ops.cast(self.sines, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[tuple[int, int], tuple[int, int]]:
        """[T, C / heads] twice."""
        return (self.count, self.width), (self.count, self.width)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return super().get_config() | {"count": self.count, "width": self.width}


def resize_places(embeddings: np.ndarray, count: int, *, antialias: bool = True) -> np.ndarray:
    """float32 [count, C]: the embeddings [T, C] of the places of a square picture for a finer or coarser one, bicubic.

    A class token's, the one over a square number, comes first and stays (Dosovitskiy et al. 2020, section 3.2).

    Args:
        embeddings: as a network was trained with.
        count: how many there are to be.
        antialias: whether a coarser grid averages over what it stands for.
    """
    old, new = math.isqrt(len(embeddings)), math.isqrt(count)
    if old == new:
        return embeddings
    prefix = len(embeddings) - old**2
    grid = embeddings[prefix:].reshape(1, old, old, -1)
    resized = ops.image.resize(grid, (new, new), interpolation="bicubic", antialias=antialias)
    return np.concatenate([embeddings[:prefix], ops.convert_to_numpy(resized).reshape(new * new, -1)])


def maps_of_tokens(tokens: Any, like: TokenMaps, name: str) -> Any:
    """The patch tokens [N, T, C] of an earlier block as maps, in a network whose last are made into maps by `like`."""
    side = math.isqrt(tokens.shape[1] - like.prefix)
    return TokenMaps(side, like.prefix, name=name)(tokens)
