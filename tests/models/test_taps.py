"""The layers that a head can read beside the last, as they lie in networks whose blocks are known."""

import keras
import pytest
from keras import layers

from regraft.models.backbones import BACKBONES, build_backbone
from regraft.models.errors import BackboneError
from regraft.models.taps import MOST_FEATURES, choose_taps, find_taps


def inverted_residuals() -> keras.Model:
    """8 -> 24 -> 8 with a shortcut, then 8 -> 24 -> 12 at half the size with a gate, then 32."""
    picture = keras.Input((16, 16, 3))
    x = stem = layers.Conv2D(8, 3, padding="same", name="stem")(picture)
    x = layers.Conv2D(24, 1, name="expand_1")(x)
    x = layers.ReLU(name="wide_1")(x)
    x = layers.Add(name="sum_1")([stem, layers.Conv2D(8, 1, name="narrow_1")(x)])
    x = layers.Conv2D(24, 1, name="expand_2")(x)
    x = layers.ZeroPadding2D(1, name="margin_2")(x)
    x = layers.DepthwiseConv2D(3, strides=2, name="wide_2")(x)
    gate = layers.Conv2D(24, 1, name="gate_2")(layers.GlobalAveragePooling2D(keepdims=True, name="squeeze_2")(x))
    x = layers.Multiply(name="gated_2")([x, gate])
    x = layers.Conv2D(12, 1, name="narrow_2")(x)
    return keras.Model(picture, layers.Conv2D(32, 1, name="top")(x), name="residuals")


def test_blocks_that_widen_are_tapped_where_they_are_widest():
    assert find_taps(inverted_residuals()) == ["wide_1", "gated_2"]


def test_a_plain_chain_is_tapped_at_the_end_of_each_resolution():
    x = picture = keras.Input((16, 16, 3))
    for number, (width, stride) in enumerate([(4, 1), (4, 1), (8, 2), (16, 2)]):
        x = layers.Conv2D(width, 3, strides=stride, padding="same", name=f"conv_{number}")(x)
    assert find_taps(keras.Model(picture, x)) == ["conv_1", "conv_2"]


def test_the_last_so_many_are_chosen_or_those_of_these_names_in_the_order_of_the_network():
    network = inverted_residuals()
    assert choose_taps(network, 0) == choose_taps(network, ()) == []
    assert choose_taps(network, 1) == ["gated_2"]
    assert choose_taps(network, 2) == choose_taps(network, ["gated_2", "wide_1"]) == ["wide_1", "gated_2"]
    assert choose_taps(network, "auto") == ["wide_1", "gated_2"]


def test_auto_takes_no_more_than_so_many_features(monkeypatch):
    monkeypatch.setattr("regraft.models.taps.MOST_FEATURES", 32 + 24)
    assert choose_taps(inverted_residuals(), "auto") == ["gated_2"]
    monkeypatch.setattr("regraft.models.taps.MOST_FEATURES", 32 + 23)
    assert choose_taps(inverted_residuals(), "auto") == []


def test_what_is_not_there_names_what_is():
    with pytest.raises(BackboneError, match=r"^head.taps: residuals has 2 taps; received 3.$"):
        choose_taps(inverted_residuals(), 3)
    with pytest.raises(BackboneError) as caught:
        choose_taps(inverted_residuals(), ["gated"])
    assert str(caught.value) == (
        'head.taps: residuals has no tap "gated" (there are wide_1, gated_2). Did you mean "gated_2"?'
    )


@pytest.mark.parametrize(
    ("name", "count", "last", "width"),
    [
        ("tiny", 3, "stage2_residual_add", 96),
        ("mobilenet_v2", 17, "block_16_depthwise_relu", 960),
        ("efficientnet_lite0", 16, "block15_depthwise_relu", 1152),
        ("mobilenet", 4, "conv_pw_11_relu", 512),
    ],
)
def test_the_blocks_of_known_networks_are_found(name, count, last, width):
    network = build_backbone(name, image_size=64)
    taps = find_taps(network)
    assert (len(taps), taps[-1], network.get_layer(last).output.shape[-1]) == (count, last, width)


FAMILIES = ["vgg16", "resnet50", "resnet50_v2", "densenet121", "efficientnet_b0", "efficientnet_v2_b0", "convnext_tiny"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAMILIES, "mobilenet_v3_small", "nasnet_mobile", "inception_v3", "xception"])
def test_every_family_of_the_table_has_taps(name):
    row = BACKBONES[name]
    network = build_backbone(name, image_size=max(row.min_image_size, 64))
    taps = choose_taps(network, "auto")
    assert taps
    assert sum(network.get_layer(tap).output.shape[-1] for tap in taps) + network.output.shape[-1] <= MOST_FEATURES
