"""KerasHub's Swin transformer in layers that can be saved and exported, with its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from regraft.models.errors import WeightsError
from regraft.models.token_maps import TokenMaps
from regraft.models.window_attention import WindowAttention


def swin_graph(network: Any) -> tuple[Any, Any]:
    """Input and output: maps of the last tokens, by whose mean the paper classifies (Liu et al. 2021, section 3.1)."""
    images, embedding = network.inputs[0], network.patch_embedding
    embedding.norm.name = "patch_norm"
    x = embedding.proj(images)
    x = embedding.norm(layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]), name="tokens")(x))
    for number, stage in enumerate(network.stages):
        for place, block in enumerate(stage.blocks):
            x = _block(x, block, f"stage{number}_block{place}")
        if stage.downsample is not None:
            x = _merge(x, stage.downsample, stage.input_resolution[0], f"stage{number}_merge")
    side, _ = network.stages[-1].input_resolution
    return images, TokenMaps(side, name="maps")(network.norm(x))


def _block(x: Any, block: Any, name: str) -> Any:
    own, (side, _), mlp = block.attn, block.input_resolution, block.mlp
    if side % own.win_h:
        raise WeightsError(
            f"Windows {own.win_h} tokens wide do not divide the {side} of a stage of this Swin transformer; take the "
            "data.image_size that its weights were trained with."
        )
    for part, layer in {"norm1": block.norm1, "norm2": block.norm2, "dense1": mlp.fc1, "dense2": mlp.fc2}.items():
        layer.name = f"{name}_{part}"
    attention = WindowAttention(
        side, own.win_h, own.num_heads, block.shift_size, own.qkv_bias, name=f"{name}_attention"
    )
    seen = attention(block.norm1(x))
    attention.qkv.set_weights(own.qkv.get_weights())
    attention.projection.set_weights(own.proj.get_weights())
    attention.table.assign(own.relative_position_bias_table)
    x = layers.Add(name=f"{name}_add")([x, seen])
    y = layers.Activation(mlp.act_layer, name=f"{name}_activation")(mlp.fc1(block.norm2(x)))
    return layers.Add(name=name)([x, mlp.fc2(y)])


def _merge(x: Any, merging: Any, side: int, name: str) -> Any:
    """Each four neighbours become one token; KerasHub takes them column by column, and their weights with them."""
    width, half = x.shape[-1], side // 2
    x = layers.Reshape((half, 2, half, 2 * width), name=f"{name}_rows")(x)
    x = layers.Permute((1, 3, 2, 4), name=f"{name}_pairs")(x)
    x = layers.Reshape((half * half, 4 * width), name=f"{name}_tokens")(x)
    norm = layers.LayerNormalization(epsilon=merging.norm.epsilon, name=f"{name}_norm")
    reduction = layers.Dense(2 * width, use_bias=False, name=f"{name}_reduction")
    x = reduction(norm(x))
    order = np.arange(4 * width).reshape(2, 2, width).transpose(1, 0, 2).reshape(-1)
    norm.set_weights([weight[order] for weight in merging.norm.get_weights()])
    reduction.set_weights([merging.reduction.get_weights()[0][order]])
    return x
