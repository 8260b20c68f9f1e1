"""KerasHub's networks as graphs of blocks give what KerasHub itself gives."""

import re
import warnings

import keras
import numpy as np
import pytest
from refusals import message_of

pytest.importorskip("keras_hub")

from hub_cases import PLANS, build_network

from regraft.models.errors import WeightsError
from regraft.models.hub.convolutions import _convolve
from regraft.models.hub.graph import BLOCK, as_graph
from regraft.models.hub.loading import _of_plan
from regraft.models.hub.networks import HUB
from regraft.models.hub.swin import swin_graph


def own_answer(name: str, network: object, x: np.ndarray) -> np.ndarray:
    """Tokens [N, T, C], maps [N, h, w, C] or what attention pooled [N, C], by KerasHub's own call."""
    given = {"dinov2_small": {"images": x}, "siglip2_base": {"images": x}, "dinov3_small": {"pixel_values": x}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Swin's, see models/hub/loading.py
        answer = network(given.get(name, x))
    return np.asarray(answer[network.stage_names[-1]] if isinstance(answer, dict) else answer)


def features_of(name: str, answer: np.ndarray) -> np.ndarray:
    """What the mean over the graph's maps must end with."""
    if answer.ndim == 2:
        return answer
    if answer.ndim == 4:
        return answer.mean(axis=(1, 2))
    prefix = {"dinov2_small": 5, "dinov3_small": 5, "vit_base": 1}.get(name, 0)
    patches = answer[:, prefix:].mean(axis=1)
    return np.concatenate([patches, answer[:, 0]], axis=1) if prefix else patches


@pytest.mark.parametrize("name", PLANS)
def test_the_graph_gives_what_the_network_gives(name: str):
    network, size = build_network(name), PLANS[name][0]
    x = np.random.default_rng(2).normal(size=(2, size, size, 3)).astype(np.float32)
    expected = features_of(name, own_answer(name, network, x))
    graph = as_graph(network, HUB[name].kind, name=name, image_size=size)
    features = np.asarray(graph(x)).mean(axis=(1, 2))
    np.testing.assert_allclose(features[:, -expected.shape[1] :], expected, atol=1e-5)


def test_blocks_have_names_of_their_own():
    graph = as_graph(build_network("swin_tiny"), "SwinTransformerBackbone", name="swin_tiny", image_size=64)
    assert [layer.name for layer in graph.layers if re.fullmatch(BLOCK, layer.name)] == [
        "stage0_block0", "stage0_block1", "stage1_block0", "stage1_block1",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["hgnet_v2_b4", "mobilenet_v3_large_21k"])
def test_no_convolution_is_one_of_groups_which_keras_compiles_by_xla(name: str):
    graph = as_graph(build_network(name), HUB[name].kind, name=name, image_size=32)
    convolutions = [layer for layer in graph.layers if type(layer) is keras.layers.Conv2D]
    assert convolutions
    assert {layer.groups for layer in convolutions} == {1}
    assert any(isinstance(layer, keras.layers.DepthwiseConv2D) for layer in graph.layers)


def test_groups_that_are_no_single_channels_are_refused():
    convolution = keras.layers.Conv2D(4, 1, groups=2)
    with pytest.raises(ValueError, match="has 2 groups of 4 channels"):
        _convolve(keras.Input((2, 2, 4)), convolution)


@pytest.mark.parametrize("name", ["vit_base", "swin_tiny", "hgnet_v2_b4", "mobilenet_v3_large_21k"])
def test_what_kerashub_cannot_save_or_export_is_in_other_layers(name: str):
    graph = as_graph(build_network(name), HUB[name].kind, name=name, image_size=PLANS[name][0])
    assert [type(layer).__name__ for layer in graph.layers if type(layer).__module__.startswith("keras_hub")] == []


def test_a_size_that_windows_do_not_divide_is_refused():
    network = _of_plan("SwinTransformerBackbone", PLANS["swin_tiny"][1], (96, 96, 3))
    network.stages[0].blocks[0].input_resolution = (18, 18)
    assert message_of(WeightsError, swin_graph, network) == (
        "Windows 4 tokens wide do not divide the 18 of a stage of this Swin transformer; take the data.image_size that "
        "its weights were trained with."
    )
