"""A backbone with a new dense head, and the rules of what may be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers

from regraft.models.backbones import Preprocessing
from regraft.models.batch_norm import batch_norms
from regraft.models.errors import BackboneError
from regraft.models.preprocessing import preprocess
from regraft.models.regularizers import Regularizer, active, regularize_backbone
from regraft.models.side_by_side import differ_in_size, layers_of_parts
from regraft.models.stochastic_depth import StochasticDepth
from regraft.models.surgery import producer
from regraft.models.token_maps import TokenMaps, maps_of_tokens

Pooling = Literal["avg", "max"]
POOLED = "pool"
HEAD = "head"


def build_classifier(
    backbone: keras.Model,
    *,
    preprocessing: Preprocessing,
    class_count: int,
    pooling: Pooling = "avg",
    taps: Sequence[str] = (),
    regularize: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> keras.Model:
    """A model from RGB images to logits: float32 [N, S, S, 3] in [0, 255] -> float32 [N, class_count].

    preprocessing -> backbone -> regularizers of the maps -> global pooling -> regularizers of the features -> dense.
    With taps, their maps are pooled too and come before the last ones: the features are [N, C of each tap ..., C].
    The head computes in float32 also under a mixed-precision policy, as softmax and loss need the range.

    Args:
        backbone: as `build_backbone` gives it; it becomes a part of the model, not a copy, unless a regularizer
            rebuilds it.
        preprocessing: what the backbone wants to be done to [0, 255] first.
        class_count: at least 2.
        pooling: how [N, h, w, C] becomes [N, C].
        taps: layers of the backbone that the head reads beside the last, as `regraft.models.taps` names them.
        regularize: values of the keys in `regraft.models.regularizers`; what is left out has its default, off.
        seed: of the initial head and of all noise.

    Raises:
        BackboneError: the backbone has nothing that a regularizer, or this pooling, could act on.
    """
    choices = regularize or {}
    if pooling == "max" and differ_in_size(backbone):
        raise BackboneError("model.pooling: maps of different sizes side by side are averaged; max is not for them.")
    backbone = _tapped(regularize_backbone(backbone, choices, seed=seed), taps)
    inputs = keras.Input(backbone.inputs[0].shape[1:], name="images")
    *earlier, x = keras.tree.flatten(backbone(preprocess(inputs, preprocessing)))
    for row in active(choices, "maps"):
        x = _apply_to_maps(row, x, choices, seed)
    pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
    pooled = [pool(name=f"{POOLED}_{tap}")(maps) for tap, maps in zip(taps, earlier, strict=True)]
    x = pool(name=POOLED)(x)
    if pooled:
        x = layers.Concatenate(name="features")([*pooled, x])
    for row in active(choices, "features"):
        x = row.build(choices=choices, seed=seed)(x)
    logits = _make_head(class_count, choices, seed)(x)
    return keras.Model(inputs, logits, name=f"{backbone.name}_classifier")


def _tapped(backbone: keras.Model, taps: Sequence[str]) -> keras.Model:
    """`backbone` with the outputs of its layers `taps` before its own; the same layers."""
    if not taps:
        return backbone
    last = producer(backbone.output)
    outputs = [backbone.get_layer(tap).output for tap in taps]
    if isinstance(last, TokenMaps):
        outputs = [maps_of_tokens(tokens, last, f"{tap}_maps") for tap, tokens in zip(taps, outputs, strict=True)]
    outputs.append(backbone.output)
    return keras.Model(backbone.inputs, outputs, name=backbone.name)


def _apply_to_maps(row: Regularizer, maps: Any, choices: Mapping[str, Any], seed: int) -> Any:
    try:
        return row.build(choices=choices, seed=seed)(maps)
    except ValueError as error:  # such as maps of one pixel, which cannot be pooled
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise BackboneError(f"regularize.{row.switch}: {reason}; use a larger data.image_size.") from None


def _make_head(class_count: int, choices: Mapping[str, Any], seed: int) -> keras.Layer:
    initial = keras.initializers.GlorotUniform(seed=seed)
    options = {"dtype": "float32", "kernel_initializer": initial, "name": HEAD}
    rows = active(choices, "head")
    return (
        rows[0].build(class_count, choices=choices, seed=seed, **options)
        if rows
        else layers.Dense(class_count, **options)
    )


def feature_extractor(classifier: keras.Model) -> keras.Model:
    """The part of `classifier` up to its head: float32 [N, S, S, 3] -> float [N, C]. Shares weights."""
    return keras.Model(classifier.input, classifier.get_layer(HEAD).input, name="features")


def feature_widths(classifier: keras.Model) -> list[int]:
    """How many features of `classifier` come from each tap, in order, and from the last maps."""
    pooled = [layer.output.shape[-1] for layer in classifier.layers if layer.name.startswith(f"{POOLED}_")]
    return [*pooled, classifier.get_layer(POOLED).output.shape[-1]]


def set_head(classifier: keras.Model, kernel: np.ndarray, bias: np.ndarray) -> None:
    """Puts a solved head (kernel float [C, classes], bias float [classes]) into `classifier`."""
    classifier.get_layer(HEAD).set_weights([kernel, bias])


def cool_head(classifier: keras.Model, temperature: float) -> None:
    """Divides the logits by `temperature` for good, by dividing the head's kernel and bias."""
    if temperature != 1.0:
        head = classifier.get_layer(HEAD)
        head.set_weights([array / np.float32(temperature) for array in head.get_weights()])


def shift_head(classifier: keras.Model, shift: np.ndarray) -> None:
    """Adds `shift` float [classes] to the logits for good, by adding it to the head's bias."""
    head = classifier.get_layer(HEAD)
    kernel, bias = head.get_weights()
    head.set_weights([kernel, (bias + shift).astype(bias.dtype)])


def set_trainable(
    classifier: keras.Model, *, unfreeze: float, batch_norm: Literal["frozen", "adaptive"]
) -> Sequence[keras.Layer]:
    """Decides what fine-tuning may change, and returns the layers of the backbone that it may.

    Args:
        classifier: as `build_classifier` gives it.
        unfreeze: the last part of the backbone's layers that is trained, in [0, 1], of each where several stand side
            by side; what stochastic depth and taps put between them does not count, so that they move no border.
        batch_norm: "frozen" keeps every batch norm in inference mode, its statistics and scales untouched
            (a frozen layer runs in inference mode under `fit`, where `training=False` at call time does not
            survive); "adaptive" trains those of the unfrozen part.
    """
    backbone = backbone_of(classifier)
    backbone.trainable = True
    for part in layers_of_parts(backbone):
        counted = [layer for layer in part if not isinstance(layer, StochasticDepth | TokenMaps)]
        first = round(len(counted) * (1.0 - unfreeze))
        for position, layer in enumerate(counted):
            layer.trainable = position >= first
    if batch_norm == "frozen":
        for norm in batch_norms(backbone):  # inside of blocks too
            norm.trainable = False
    return [layer for layer in backbone.layers if layer.trainable]


def backbone_of(classifier: keras.Model) -> keras.Model:
    """The backbone inside `classifier`, sharing its weights."""
    return next(layer for layer in classifier.layers if isinstance(layer, keras.Model))


def embedding_size(classifier: keras.Model) -> int:
    """How many features the head of `classifier` answers by; 0 where there is not one head, as in an ensemble."""
    return next((layer.input.shape[-1] for layer in classifier.layers if layer.name == HEAD), 0)


def answering_model(classifier: keras.Model) -> keras.Model:
    """What exports hold: float32 [N, S, S, 3], RGB in [0, 255] -> a dict of float32 arrays. Shares weights.

    "probabilities" [N, C], and of a classifier with one head "embedding" [N, F], the features its head answers by.
    """
    images = keras.Input(classifier.input_shape[1:], name="images")
    heads = [layer for layer in classifier.layers if layer.name == HEAD]
    wanted = [classifier.output, *(head.input for head in heads)]
    logits, *features = keras.Model(classifier.input, wanted, name="classifier")(images)
    answers = {"probabilities": layers.Softmax(dtype="float32", name="probabilities")(logits)}
    if features:
        answers["embedding"] = layers.Identity(dtype="float32", name="embedding")(features[0])
    return keras.Model(images, answers, name="answers")
