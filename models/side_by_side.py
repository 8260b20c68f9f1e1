"""Several backbones in one graph, which look at the same picture: their last maps side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from regraft.models.backbones import JOIN, Preprocessing
from regraft.models.preprocessing import preprocess
from regraft.models.surgery import inputs_of, producer, rebuild

SIDE_BY_SIDE = "side_by_side"
"""The layer that puts the maps of all parts side by side."""

BETWEEN = "__"
"""Between the name of a part and that of one of its layers."""


@dataclass(frozen=True)
class Part:
    """A backbone, its name, and what it wants to be done to pixels in [0, 255] first."""

    name: str
    backbone: keras.Model
    preprocessing: Preprocessing


def side_by_side(parts: Sequence[Part]) -> keras.Model:
    """One network from float32 [N, S, S, 3], RGB in [0, 255], to the maps of all parts, [N, h, w, sum of C].

    Each part does its own preprocessing. Where their maps differ in size, each is averaged over the picture first: then
    they are [N, 1, 1, sum of C]. Layers are named PART__LAYER; the parts themselves stay as they are.
    """
    images = keras.Input(parts[0].backbone.input_shape[1:], name="images")
    maps = [_branch(part, images) for part in parts]
    if len({each.shape[1:3] for each in maps}) > 1:
        maps = [
            layers.GlobalAveragePooling2D(keepdims=True, name=f"{part.name}{BETWEEN}average")(each)
            for part, each in zip(parts, maps, strict=True)
        ]
    joined = layers.Concatenate(name=SIDE_BY_SIDE)(maps)
    return keras.Model(images, joined, name=JOIN.join(part.name for part in parts).replace(JOIN, "_and_"))


def layers_of_parts(backbone: keras.Model) -> list[list[keras.Layer]]:
    """The layers of each part, in order; all of them in one list where nothing stands side by side."""
    if producer(keras.tree.flatten(backbone.output)[-1]).name != SIDE_BY_SIDE:
        return [list(backbone.layers)]
    parts: dict[str, list[keras.Layer]] = {}
    for layer in backbone.layers:
        if BETWEEN in layer.name:
            parts.setdefault(layer.name.partition(BETWEEN)[0], []).append(layer)
    return list(parts.values())


def differ_in_size(backbone: keras.Model) -> bool:
    """Whether the maps of what stands side by side in it were averaged, as they differ in size."""
    last = producer(keras.tree.flatten(backbone.output)[-1])
    averaged = layers.GlobalAveragePooling2D
    return last.name == SIDE_BY_SIDE and any(isinstance(producer(end), averaged) for end in inputs_of(last))


def _branch(part: Part, images: Any) -> Any:
    """The maps of a copy of `part`, called on `images`."""
    picture = keras.Input(images.shape[1:], name="picture")
    prepared = preprocess(picture, part.preprocessing)
    seen = images if prepared is picture else _copied(keras.Model(picture, prepared), part.name, images)
    return _copied(part.backbone, part.name, seen)


def _copied(model: keras.Model, prefix: str, inputs: Any) -> Any:
    """What a copy of `model` answers to `inputs`, in their graph."""
    answers: dict[int, Any] = {}

    def call(original: Any, copy: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        answers[id(original)] = answer = copy(*args, **kwargs)
        return answer

    rebuild(model, inputs=inputs, name_for=lambda name: f"{prefix}{BETWEEN}{name}", call=call)
    return answers[id(producer(model.output))]
