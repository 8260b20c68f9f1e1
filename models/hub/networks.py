"""The backbones of KerasHub: which of its presets, the plan of each network, and what is checked before anything loads.

The table needs neither Keras nor KerasHub. Plans are those of the presets, so that a network with fresh weights needs
no file; a test compares the number of their weights with the one that KerasHub publishes.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from regraft.models.errors import WeightsError, option

SCHEMES = ("hf://", "kaggle://")
"""How the weights of somebody else's model begin; KerasHub gets them from Hugging Face or Kaggle."""

INSTALL = 'pip install "regraft[hub]"'


@dataclass(frozen=True)
class Consent:
    """A licence that asks more of its user than to keep its notice, so that it has to be accepted by name."""

    license: str
    url: str

    def check(self, name: str, *, accepted: bool) -> None:
        """Raises WeightsError where the licence of the weights of the backbone `name` has not been accepted."""
        if not accepted:
            key = "model.accept_license"
            confirm = option("set", f"{key}=true", python=f'{{"{key}": True}}')
            raise WeightsError(
                f"The weights of {name} come under the {self.license}, which asks for more than most: read {self.url}, "
                f"and say that you accept it with {confirm}."
            )


@dataclass(frozen=True)
class HubModel:
    """A network of KerasHub.

    Attributes:
        preset: KerasHub's name of its weights.
        kind: the class in `keras_hub.models` whose presets it takes.
        plan: the arguments of that class, but for the image size; of SigLIP, of its vision encoder.
        presets: other presets of that class that it takes too.
        consent: the licence that has to be accepted before its weights are used.
    """

    preset: str
    kind: str
    plan: Mapping[str, Any] = field(repr=False, hash=False)
    presets: tuple[str, ...] = ()
    consent: Consent | None = None

    def find(self, name: str, weights: str) -> Path | None:
        """The preset's folder, if `weights` is one; None for what KerasHub has or downloads.

        Raises:
            WeightsError: KerasHub is not installed, or `weights` is nothing that the backbone `name` takes.
        """
        check_installed(name)
        known = (self.preset, *self.presets)
        if weights in known or weights.startswith(SCHEMES):
            return None
        folder = Path(os.path.expanduser(weights))  # noqa: PTH111  # Path raises for no such user
        if folder.is_dir():
            self._check_folder(name, folder)
            return folder
        near = difflib.get_close_matches(weights, known, n=1)
        hint = f' Did you mean "{near[0]}"?' if near else f" {name} has {', '.join(known)}."
        raise WeightsError(
            f"{option('weights')} must be none, a preset's name, its folder, or hf://... or kaggle://...; received "
            f'"{weights}".{hint}'
        )

    @property
    def is_downloaded(self) -> bool:
        """Whether the weights are where Kaggle's library keeps what it has downloaded."""
        home = os.environ.get("KAGGLEHUB_CACHE") or os.path.expanduser("~/.cache/kagglehub")  # noqa: PTH111
        return any(Path(home).glob(f"models/keras/*/keras/{self.preset}/*/model.weights.h5"))

    def _check_folder(self, name: str, folder: Path) -> None:
        """Refuses the preset of another network by what its config.json says, before KerasHub is imported."""
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise WeightsError(f"{folder} is no preset: it has no config.json that can be read.") from None
        kind = str(config.get("class_name", self.kind)) if isinstance(config, dict) else "nothing known"
        check_kind(name, str(folder), kind)


def is_installed() -> bool:
    """Whether KerasHub is; it is not imported."""
    return find_spec("keras_hub") is not None


def check_installed(name: str) -> None:
    """Raises WeightsError where KerasHub is not installed."""
    if not is_installed():
        raise WeightsError(f"{name} is a network of KerasHub, which is not installed: {INSTALL}")


def check_kind(name: str, weights: str, kind: str) -> None:
    """Raises WeightsError where a preset of this kind is none of the backbone `name`; names one that takes it."""
    wanted = HUB[name].kind
    if kind == wanted:
        return
    able = [other for other, model in HUB.items() if model.kind == kind]
    hint = f" {option('backbone', able[0])} takes it." if able else ""
    raise WeightsError(f"{weights} is a preset of {kind}, and {name} takes one of {wanted}.{hint}")


def _dinov2(width: int, heads: int) -> dict[str, Any]:
    return {
        "patch_size": 14, "num_layers": 12, "hidden_dim": width, "num_heads": heads, "intermediate_dim": 4 * width,
        "num_register_tokens": 4, "antialias_in_interpolation": True,
    }  # fmt: skip


_DINOV3 = Consent("DINOv3 License", "https://ai.meta.com/resources/models-and-libraries/dinov3-license/")

_EFFICIENTNET_V2_RW_S = {
    "stackwise_width_coefficients": [1.0] * 6,
    "stackwise_depth_coefficients": [1.0] * 6,
    "stackwise_kernel_sizes": [3] * 6,
    "stackwise_num_repeats": [2, 4, 4, 6, 9, 15],
    "stackwise_input_filters": [24, 24, 48, 64, 128, 160],
    "stackwise_output_filters": [24, 48, 64, 128, 160, 272],
    "stackwise_expansion_ratios": [1, 4, 4, 4, 6, 6],
    "stackwise_squeeze_and_excite_ratios": [0, 0, 0, 0.25, 0.25, 0.25],
    "stackwise_strides": [1, 2, 2, 2, 1, 2],
    "stackwise_block_types": ["fused"] * 3 + ["unfused"] * 3,
    "stackwise_force_input_filters": [0] * 6,
    "stackwise_nores_option": [False] * 6,
    "activation": "silu",
    "num_features": 1792,
    "min_depth": None,
    "use_depth_divisor_as_min_depth": True,
    "cap_round_filter_decrease": True,
}

_HGNET_V2_B4 = {
    "stem_channels": [3, 32, 48],
    "stackwise_stage_filters": [
        [48, 48, 128, 1, 6, 3],
        [128, 96, 512, 1, 6, 3],
        [512, 192, 1024, 3, 6, 5],
        [1024, 384, 2048, 1, 6, 5],
    ],
    "apply_downsample": [False, True, True, True],
    "use_lightweight_conv_block": [False, False, True, True],
    "embedding_size": 48,
    "hidden_sizes": [128, 512, 1024, 2048],
    "depths": [1, 1, 3, 1],
    "hidden_act": "relu",
    "use_learnable_affine_block": False,
}

_MOBILENET_V3_LARGE = {
    "stackwise_num_blocks": [2, 3, 4, 2, 3],
    "stackwise_expansion": [[64, 72], [72, 120, 120], [240, 200, 184, 184], [480, 672], [672, 960, 960]],
    "stackwise_num_filters": [[24] * 2, [40] * 3, [80] * 4, [112] * 2, [160] * 3],
    "stackwise_kernel_size": [[3] * 2, [5] * 3, [3] * 4, [3] * 2, [5] * 3],
    "stackwise_num_strides": [[2, 1], [2, 1, 1], [2, 1, 1, 1], [1, 1], [2, 1, 1]],
    "stackwise_se_ratio": [[None] * 2, [0.25] * 3, [None] * 4, [0.25] * 2, [0.25] * 3],
    "stackwise_activation": [["relu"] * 2, ["relu"] * 3, ["hard_swish"] * 4, ["hard_swish"] * 2, ["hard_swish"] * 3],
    "stackwise_padding": [[1] * 2, [2] * 3, [1] * 4, [1] * 2, [2] * 3],
    "output_num_filters": 1024,
    "input_num_filters": 16,
    "depthwise_filters": 16,
    "depthwise_stride": 1,
    "depthwise_residual": True,
    "squeeze_and_excite": None,
    "last_layer_filter": 960,
}

HUB: dict[str, HubModel] = {
    "dinov2_small": HubModel(
        "dinov2_with_registers_small", "DINOV2Backbone", _dinov2(384, 6), presets=("dinov2_small",)
    ),
    "dinov2_base": HubModel("dinov2_with_registers_base", "DINOV2Backbone", _dinov2(768, 12), presets=("dinov2_base",)),
    "dinov3_small": HubModel(
        "dinov3_vit_small_lvd1689m",
        "DINOV3Backbone",
        {
            "patch_size": 16,
            "num_layers": 12,
            "hidden_dim": 384,
            "num_heads": 6,
            "intermediate_dim": 1536,
            "num_register_tokens": 4,
            "use_key_bias": False,
        },
        consent=_DINOV3,
    ),
    "efficientnet_v2_rw_s": HubModel(
        "efficientnet2_rw_s_ra2_imagenet",
        "EfficientNetBackbone",
        _EFFICIENTNET_V2_RW_S,
        presets=("efficientnet2_rw_t_ra2_imagenet", "efficientnet2_rw_m_agc_imagenet"),
    ),
    "hgnet_v2_b4": HubModel(
        "hgnetv2_b4_ssld_stage2_ft_in1k",
        "HGNetV2Backbone",
        _HGNET_V2_B4,
        presets=(
            "hgnetv2_b5_ssld_stage1_in22k_in1k",
            "hgnetv2_b5_ssld_stage2_ft_in1k",
            "hgnetv2_b6_ssld_stage1_in22k_in1k",
            "hgnetv2_b6_ssld_stage2_ft_in1k",
        ),
    ),
    "mobilenet_v3_large_21k": HubModel(
        "mobilenet_v3_large_100_imagenet_21k",
        "MobileNetBackbone",
        _MOBILENET_V3_LARGE,
        presets=("mobilenet_v3_large_100_imagenet", "mobilenet_v3_small_100_imagenet"),
    ),
    "siglip2_base": HubModel(
        "siglip2_base_patch16_224",
        "SigLIPBackbone",
        {"patch_size": 16, "num_layers": 12, "hidden_dim": 768, "num_heads": 12, "intermediate_dim": 3072},
        presets=("siglip2_base_patch16_256", "siglip2_base_patch16_384", "siglip_base_patch16_224"),
    ),
    "swin_tiny": HubModel(
        "swin_tiny_patch4_window7_224",
        "SwinTransformerBackbone",
        {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24), "window_size": 7},
        presets=("swin_small_patch4_window7_224", "swin_base_patch4_window7_224"),
    ),
    "vit_base": HubModel(
        "vit_base_patch16_224_imagenet21k",
        "ViTBackbone",
        {"patch_size": 16, "num_layers": 12, "num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072},
        presets=("vit_base_patch16_224_imagenet", "vit_base_patch16_384_imagenet"),
    ),
}
"""By the name of the backbone."""
