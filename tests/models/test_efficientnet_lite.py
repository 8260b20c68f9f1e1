"""EfficientNet-Lite against figures of the reference network in PyTorch, and its weights against their names."""

import re

import numpy as np
import pytest

from regraft.models.backbones import BACKBONES, build_backbone, find_weights
from regraft.models.efficientnet_lite import HEAD_WIDTH, rounded, set_torch_weights
from regraft.models.errors import WeightsError
from regraft.models.preprocessing import preprocess
from regraft.models.torch_stream import read_torch_stream
from regraft.models.weights import load_backbone

# Of the image below at the native size: mean and standard deviation of the pooled features, and with the top on the
# class and logit of the first; and how many weights there are without the top.
GOLDEN = {
    0: (0.080351, 0.369787, 818, 4.50653, 3_413_024),
    1: (0.075183, 0.354977, 818, 4.07731, 4_189_344),
    2: (0.090843, 0.339846, 149, 4.68897, 4_869_168),
}
SLOW = pytest.mark.slow


def ramps(side_px: int) -> np.ndarray:
    """float32 [1, side, side, 3]: red rises along the columns, green along the rows, blue is 127."""
    rising = np.tile(np.linspace(0, 255, side_px, dtype=np.float32), (side_px, 1))
    return np.stack([rising, rising.T, np.full_like(rising, 127)], axis=-1)[None]


@pytest.mark.parametrize("size", [0, pytest.param(1, marks=SLOW), pytest.param(2, marks=SLOW)])
def test_the_features_and_logits_are_those_of_the_published_network(size: int):
    name = f"efficientnet_lite{size}"
    mean, deviation, class_index, logit, weights = GOLDEN[size]
    backbone = load_backbone(name, "imagenet", image_size=BACKBONES[name].image_size)
    images = ramps(BACKBONES[name].image_size)
    features = np.asarray(backbone(preprocess(images, BACKBONES[name].preprocessing))).mean(axis=(1, 2))[0]
    assert backbone.count_params() == weights
    np.testing.assert_allclose([features.mean(), features.std()], [mean, deviation], atol=1e-5)
    top = read_torch_stream(find_weights(name, "imagenet"))
    logits = top["_fc.weight"] @ features + top["_fc.bias"]
    assert (int(logits.argmax()), round(float(logits.max()), 4)) == (class_index, round(logit, 4))


def tensors_of(size: int) -> dict[str, np.ndarray]:
    return dict(read_torch_stream(find_weights(f"efficientnet_lite{size}", "imagenet")))


def test_weights_of_another_size_are_refused_and_named():
    backbone = build_backbone("efficientnet_lite0", image_size=32)
    expected = "its _blocks.3._depthwise_conv.weight has the shape (3, 3, 144, 1), not (5, 5, 144, 1)"
    with pytest.raises(WeightsError, match=f"^{re.escape(expected)}, so it is of another network$"):
        set_torch_weights(backbone, tensors_of(1))
    with pytest.raises(WeightsError, match=r"^it lacks _conv_stem.weight, so it is of another network$"):
        set_torch_weights(backbone, {})


class Asked(dict[str, np.ndarray]):
    """A dictionary that remembers what it was asked for."""

    def __init__(self, content: dict[str, np.ndarray]) -> None:
        super().__init__(content)
        self.names: list[str] = []

    def __getitem__(self, name: str) -> np.ndarray:
        self.names.append(name)
        return super().__getitem__(name)


def test_each_tensor_but_the_top_is_used_once_at_any_image_size():
    backbone = build_backbone("efficientnet_lite0", image_size=100)
    assert backbone.output_shape == (None, 4, 4, HEAD_WIDTH)
    tensors = Asked(tensors_of(0))
    set_torch_weights(backbone, tensors)
    left_out = {"_fc.weight", "_fc.bias", *(name for name in tensors if name.endswith("num_batches_tracked"))}
    assert sorted(tensors.names) == sorted(set(tensors) - left_out)


@pytest.mark.parametrize(
    ("width", "expected"), [(16, 16), (17.6, 16), (26.4, 24), (44, 48), (88, 88), (123.2, 120), (211.2, 208), (3, 8)]
)
def test_widths_are_multiples_of_eight_and_never_under_nine_tenths(width, expected):
    assert rounded(width) == expected
