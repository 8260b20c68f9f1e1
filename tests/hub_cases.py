"""A network of each kind in KerasHub that is small enough to be built, trained and exported in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from regraft.models.hub.graph import as_graph
from regraft.models.hub.networks import HUB

_TRANSFORMER = {"patch_size": 16, "num_layers": 2, "hidden_dim": 16, "num_heads": 2}
_EFFICIENTNET = dict(HUB["efficientnet_v2_rw_s"].plan) | {
    "stackwise_width_coefficients": [1.0] * 2,
    "stackwise_depth_coefficients": [1.0] * 2,
    "stackwise_kernel_sizes": [3] * 2,
    "stackwise_num_repeats": [2] * 2,
    "stackwise_input_filters": [8] * 2,
    "stackwise_output_filters": [8, 16],
    "stackwise_expansion_ratios": [1, 4],
    "stackwise_squeeze_and_excite_ratios": [0, 0.25],
    "stackwise_strides": [1, 2],
    "stackwise_block_types": ["fused", "unfused"],
    "stackwise_force_input_filters": [0] * 2,
    "stackwise_nores_option": [False] * 2,
}
_HGNET = dict(HUB["hgnet_v2_b4"].plan) | {
    "stem_channels": [3, 8, 8],
    "stackwise_stage_filters": [[8, 8, 16, 1, 2, 3], [16, 8, 32, 2, 2, 3]],
    "apply_downsample": [False, True],
    "use_lightweight_conv_block": [False, True],
    "embedding_size": 8,
    "hidden_sizes": [16, 32],
    "depths": [1, 2],
}
_MOBILENET = dict(HUB["mobilenet_v3_large_21k"].plan) | {
    "stackwise_num_blocks": [2, 2],
    "stackwise_expansion": [[16, 24], [24, 32]],
    "stackwise_num_filters": [[8, 8], [16, 16]],
    "stackwise_kernel_size": [[3, 3], [5, 5]],
    "stackwise_num_strides": [[2, 1], [2, 1]],
    "stackwise_se_ratio": [[None, None], [0.25, 0.25]],
    "stackwise_activation": [["relu"] * 2, ["hard_swish"] * 2],
    "stackwise_padding": [[1, 1], [2, 2]],
    "input_num_filters": 8,
    "depthwise_filters": 8,
    "last_layer_filter": 24,
}

PLANS: dict[str, tuple[int, dict[str, Any]]] = {
    "dinov2_small": (
        28, {"patch_size": 14, "num_layers": 2, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32,
             "num_register_tokens": 4, "antialias_in_interpolation": True, "position_embedding_shape": (42, 42, 3)},
    ),
    "dinov3_small": (32, _TRANSFORMER | {"intermediate_dim": 32, "use_key_bias": False}),
    "efficientnet_v2_rw_s": (32, _EFFICIENTNET),
    "hgnet_v2_b4": (32, _HGNET),
    "mobilenet_v3_large_21k": (32, _MOBILENET),
    "siglip2_base": (32, _TRANSFORMER | {"intermediate_dim": 32}),
    "swin_tiny": (64, {"embed_dim": 8, "depths": (2, 2), "num_heads": (2, 2), "window_size": 4}),
    "vit_base": (32, _TRANSFORMER | {"mlp_dim": 32}),
}  # fmt: skip
"""Pixels a side and plan, by the name of the backbone that is of this kind."""


def build_network(name: str, seed: int = 1, **changes: Any) -> Any:
    """The small network of this kind, as KerasHub has it, its plan changed; of SigLIP, its vision encoder."""
    from regraft.models.hub.loading import _of_plan

    keras.utils.set_random_seed(seed)
    size, plan = PLANS[name]
    return _of_plan(HUB[name].kind, plan | changes, (size, size, 3))


def build_backbone(name: str, seed: int = 1) -> keras.Model:
    """The same as a graph."""
    return as_graph(build_network(name, seed), HUB[name].kind, name=name, image_size=PLANS[name][0])


def write_preset(name: str, folder: Path, *, scale: Any = None, offset: Any = None) -> Any:
    """Writes the network as a preset, with what it wants done to its pixels; returns the network."""
    import keras_hub

    network = build_network(name)
    whole = network
    if HUB[name].kind == "SigLIPBackbone":
        text = keras_hub.models.SigLIPTextEncoder(
            vocabulary_size=20, embedding_dim=16, hidden_dim=16, num_layers=1, num_heads=2, intermediate_dim=16,
            projection_dim=16, max_sequence_length=8,
        )  # fmt: skip
        whole = keras_hub.models.SigLIPBackbone(network, text)
    whole.save_to_preset(str(folder))
    if scale is not None:
        converter = getattr(keras_hub.layers, HUB[name].kind.replace("Backbone", "ImageConverter"))
        converter(scale=scale, offset=offset).save_to_preset(str(folder))
    return network
