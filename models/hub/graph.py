"""KerasHub's networks as plain graphs: a layer for each block, from images to maps, as the rest of Regraft knows them.

KerasHub keeps all blocks of a transformer in one layer, whose inside no tap, no stochastic depth and no share of layers
to unfreeze can reach. Here its blocks are called one after the other, with the very weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from regraft.models.hub.convolutions import hgnet_graph, mobilenet_graph
from regraft.models.hub.swin import swin_graph
from regraft.models.surgery import producer, rebuild
from regraft.models.token_maps import PatchTokens, RotaryPlaces, TokenMaps, resize_places

BLOCK = r"(stage\d+_)?block\d+"
"""What the blocks of these networks are called."""

Scaling = tuple[Any, Any]
"""What a network's input is multiplied by, and what is then added: numbers, or one for each channel."""


def as_graph(network: Any, kind: str, *, name: str, image_size: int, scaling: Scaling | None = None) -> keras.Model:
    """The functional model float [N, S, S, 3] -> float [N, h, w, C] with the layers and weights of `network`.

    Args:
        network: an instance of `kind`, of `keras_hub.models`; of SigLIP, its vision encoder.
        kind: a key of `GRAPHS`.
        name: of the model.
        image_size: pixels a side; where it is not that of `network`, embeddings of places are interpolated. Of a kind
            that has none, `network` must have this size.
        scaling: of the input, where the network wants it otherwise than it comes.
    """
    graph = keras.Model(*GRAPHS[kind](network, image_size), name=name)
    return rebuild(graph, call=_scaled_by(scaling) if scaling else _called)


def _called(original: Any, copy: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return copy(*args, **kwargs)


def _scaled_by(scaling: Scaling) -> Callable[..., Any]:
    scale, offset = scaling
    layer = keras.layers.Rescaling(scale, offset=offset, name="preset_scaling")

    def call(original: Any, copy: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(args[0], keras.KerasTensor) and isinstance(producer(args[0]), keras.layers.InputLayer):
            args = (layer(args[0]), *args[1:])
        return copy(*args, **kwargs)

    return call


def _images(image_size: int) -> Any:
    return keras.Input((image_size, image_size, 3), name="images")


def _tokens(images: Any, convolution: Any, own: dict[str, Any], *, antialias: bool = True) -> Any:
    """The first tokens of a transformer, by KerasHub's convolution and its `own` tokens and embeddings of places."""
    convolution.name = "patches"
    patches = convolution(images)
    token, registers, places = (own.get(key) for key in ("token", "registers", "places"))
    layer = PatchTokens(
        token is not None, 0 if registers is None else registers.shape[1], places is not None, name="tokens"
    )
    tokens = layer(patches)
    if places is not None:
        places = keras.ops.convert_to_numpy(places).reshape(-1, patches.shape[-1])
        places = resize_places(places, layer.embedding.shape[0], antialias=antialias)
    layer.set_weights([value for value in (token, registers, places) if value is not None])
    return tokens


def _blocks(x: Any, blocks: list[Any], stage: str = "") -> Any:
    """`x` after all `blocks`, which get names of their own: KerasHub numbers those of each stage from 0."""
    for number, block in enumerate(blocks):
        block.name = f"{stage}block{number}"
        x = block(x)
    return x


def _flat(network: Any, image_size: int) -> tuple[Any, Any]:
    """Of networks whose graph is one of blocks already."""
    return network.inputs[0], network.outputs[0]


def _dinov2(network: Any, image_size: int) -> tuple[Any, Any]:
    """Class and register tokens, patches; both the class token and the mean of the patches, see `TokenMaps`."""
    images, embeddings = _images(image_size), network.embeddings
    own = {"token": embeddings.cls_token, "places": embeddings.position_embeddings}
    if network.num_register_tokens:
        own["registers"] = embeddings.register_tokens
    convolution, antialias = embeddings.patch_embeddings.projection, network.antialias_in_interpolation
    x = _blocks(_tokens(images, convolution, own, antialias=antialias), network.encoder.layers)
    return images, _dino_maps(network, x, image_size)


def _dinov3(network: Any, image_size: int) -> tuple[Any, Any]:
    """As DINOv2; each block is told where its tokens are."""
    images, embeddings = _images(image_size), network.embeddings
    own = {"token": embeddings.cls_token, "registers": embeddings.register_tokens}
    x = _tokens(images, embeddings.patch_embeddings.projection, own)
    pictures = np.zeros((1, image_size, image_size, 3), np.float32)
    turned = [keras.ops.convert_to_numpy(part) for part in network.rope_embedding(pictures)]
    rotary = RotaryPlaces(*turned[0].shape, name="rotary_places")
    rotary.set_weights(turned)
    places = rotary(images)
    for number, block in enumerate(network.encoder.layers):
        block.name = f"block{number}"
        x = block(x, position_embeddings=places, num_prefix_tokens=1 + network.num_register_tokens)
    return images, _dino_maps(network, x, image_size)


def _dino_maps(network: Any, x: Any, image_size: int) -> Any:
    side, prefix = image_size // network.patch_size, 1 + network.num_register_tokens
    return TokenMaps(side, prefix, picture_token=True, name="maps")(network.layernorm(x))


def _vit(network: Any, image_size: int) -> tuple[Any, Any]:
    """The class token, which the paper classifies by (Dosovitskiy et al. 2020, section 3.1), and the patches."""
    images = _images(image_size)
    embedding, encoder = (network.get_layer(name) for name in ("vit_patching_and_embedding", "vit_encoder"))
    own = {"places": embedding.position_embedding.embeddings}
    if network.use_class_token:
        own["token"] = embedding.class_token
    x = _tokens(images, embedding.patch_embedding, own)
    for number, block in enumerate(encoder.encoder_layers):
        x = _vit_block(x, block, f"block{number}")
    patch = network.patch_size if isinstance(network.patch_size, int) else network.patch_size[0]
    side, prefix = image_size // patch, int(network.use_class_token)
    return images, TokenMaps(side, prefix, picture_token=network.use_class_token, name="maps")(encoder.layer_norm(x))


def _vit_block(x: Any, block: Any, name: str) -> Any:
    """The block in Keras's own layers: KerasHub's cannot be made from its configuration, so not saved either."""
    names = {
        "norm1": block.layer_norm_1, "attention": block.mha, "norm2": block.layer_norm_2,
        "dense1": block.mlp.dense_1, "dense2": block.mlp.dense_2,
    }  # fmt: skip
    for part, layer in names.items():
        layer.name = f"{name}_{part}"
    normed = block.layer_norm_1(x)
    attended = _dropped(block.mha(normed, normed), block.dropout_rate, f"{name}_dropout1")
    x = keras.layers.Add(name=f"{name}_add")([x, attended])
    y = _dropped(block.mlp.dense_1(block.layer_norm_2(x)), block.dropout_rate, f"{name}_dropout2")
    y = _dropped(block.mlp.dense_2(y), block.dropout_rate, f"{name}_dropout3")
    return keras.layers.Add(name=name)([x, y])


def _dropped(x: Any, rate: float, name: str) -> Any:
    return keras.layers.Dropout(rate, name=name)(x) if rate else x


def _siglip(network: Any, image_size: int) -> tuple[Any, Any]:
    """What its own head pools by attention (Zhai et al. 2023; Tschannen et al. 2025), and the patches."""
    images, embedding = _images(image_size), network.embedding
    x = _tokens(images, embedding.patch_embedding, {"places": embedding.position_embedding.embeddings})
    x = network.post_layer_norm(_blocks(x, network.encoder_layers))
    return images, TokenMaps(image_size // network.patch_size, name="maps")([x, network.head(x)])


GRAPHS: dict[str, Callable[[Any, int], tuple[Any, Any]]] = {
    "DINOV2Backbone": _dinov2,
    "DINOV3Backbone": _dinov3,
    "EfficientNetBackbone": _flat,
    "HGNetV2Backbone": lambda network, _: hgnet_graph(network),
    "MobileNetBackbone": lambda network, _: mobilenet_graph(network),
    "SigLIPBackbone": _siglip,
    "SwinTransformerBackbone": lambda network, _: swin_graph(network),
    "ViTBackbone": _vit,
}
"""Input and output of the graph, by the class in `keras_hub.models`."""
