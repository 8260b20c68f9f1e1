"""KerasHub's MobileNet and HGNetV2 in Keras's own layers, each convolution of single channels as what it is.

KerasHub writes a depthwise convolution as one of as many groups as channels. On a CPU, Keras compiles that by XLA: it
is many times slower, and ONNX cannot hold it; as `DepthwiseConv2D` it is neither. Apart from that, the layers are
KerasHub's, with their names and weights.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


def mobilenet_graph(network: Any) -> tuple[Any, Any]:
    """Input and output of a chain of blocks."""
    own = {
        "DepthwiseConvBlock": _depthwise_block,
        "InvertedResidualBlock": _inverted_block,
        "ConvBnActBlock": _last_block,
    }
    images = x = network.inputs[0]
    for layer in network.layers[1:]:
        make = own.get(type(layer).__name__)
        x = make(x, layer) if make else layer(x)
    return images, x


def _depthwise_block(x: Any, block: Any) -> Any:
    before, name = x, block.name
    x = _convolve(block.pad(x), block.conv1)
    x = _named(block.activation1, f"{name}_activation")(block.batch_normalization1(x))
    if block.squeeze_excite_ratio:
        x = _squeeze_and_excite(x, block.se_layer)
    x = block.batch_normalization2(block.conv2(x))
    return layers.Add(name=f"{name}_add")([before, x]) if block.residual else x


def _inverted_block(x: Any, block: Any) -> Any:
    before, name = x, block.name
    x = _named(block.activation1, f"{name}_activation1")(block.batch_normalization1(block.conv1(x)))
    x = block.batch_normalization2(_convolve(block.pad(x), block.conv2))
    x = _named(block.activation2, f"{name}_activation2")(x)
    if block.squeeze_excite is not None:
        x = _squeeze_and_excite(x, block.squeeze_excite)
    x = block.batch_normalization3(block.conv3(x))
    has_shortcut = block.stride == 1 and block.infilters == block.filters
    return layers.Add(name=f"{name}_add")([before, x]) if has_shortcut else x


def _last_block(x: Any, block: Any) -> Any:
    x = block.batch_normalization(block.conv(x))
    return _named(block.activation_layer, f"{block.name}_activation")(x)


def _squeeze_and_excite(x: Any, block: Any) -> Any:
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{block.name}_pool")(x)
    gate = block.gate(block.conv_expand(block.activation1(block.conv_reduce(gate))))
    return layers.Multiply(name=f"{block.name}_multiply")([x, gate])


def hgnet_graph(network: Any) -> tuple[Any, Any]:
    """Input and output: the stem, and stages of blocks."""
    images, stem = network.inputs[0], network.embedder_layer
    x = stem.padding1(_convolution(images, stem.stem1_layer))
    narrow = stem.padding2(_convolution(x, stem.stem2a_layer))
    x = stem.concatenate_layer([stem.pool_layer(x), _convolution(narrow, stem.stem2b_layer)])
    x = _convolution(_convolution(x, stem.stem3_layer), stem.stem4_layer)
    for stage in network.encoder_layer.stages_list:
        if not isinstance(stage.downsample_layer, layers.Identity):
            x = _convolution(x, stage.downsample_layer)
        for block in stage.blocks_list:
            x = _hgnet_block(x, block)
    return images, x


def _hgnet_block(x: Any, block: Any) -> Any:
    before, maps = x, [x]
    for layer in block.layer_list:
        is_light = hasattr(layer, "conv2_layer")
        x = _convolution(_convolution(x, layer.conv1_layer), layer.conv2_layer) if is_light else _convolution(x, layer)
        maps.append(x)
    x = _convolution(block.concatenate_layer(maps), block.aggregation_squeeze_conv)
    x = _convolution(x, block.aggregation_excitation_conv)
    return block.add_layer([x, before]) if block.residual else x


def _convolution(x: Any, layer: Any) -> Any:
    """Padding, convolution, batch norm, activation and a learned scale, as far as there are any."""
    x = layer.padding(x) if layer.kernel_size > 2 else x
    x = layer.normalization(_convolve(x, layer.convolution))
    for last in (layer.activation_layer, layer.lab):
        x = x if isinstance(last, layers.Identity) else last(x)
    return x


def _convolve(x: Any, convolution: Any) -> Any:
    """`convolution` itself, or the depthwise one that it is."""
    if convolution.groups == 1:
        return convolution(x)
    if not convolution.groups == convolution.filters == x.shape[-1]:
        raise ValueError(f"{convolution.name} has {convolution.groups} groups of {x.shape[-1]} channels")
    kernel = ops.convert_to_numpy(convolution.kernel)  # [h, w, 1, C]
    depthwise = layers.DepthwiseConv2D(
        convolution.kernel_size, convolution.strides, padding=convolution.padding, use_bias=False, name=convolution.name
    )
    x = depthwise(x)
    depthwise.set_weights([kernel.transpose(0, 1, 3, 2)])
    return x


def _named(layer: keras.Layer, name: str) -> keras.Layer:
    """`layer`, which KerasHub left to Keras to name."""
    layer.name = name
    return layer
