"""Changing the graph of a pretrained network without touching its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

LayerFor = Callable[[keras.Layer], keras.Layer | None]
Call = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]


def rebuild(
    model: keras.Model,
    *,
    inputs: Any = None,
    name_for: Callable[[str], str] = lambda name: name,
    layer_for: LayerFor = lambda layer: None,
    call: Call = lambda original, copy, args, kwargs: copy(*args, **kwargs),
) -> keras.Model:
    """A copy of the functional `model` with the same weights and names, and with changes; `model` stays as it is.

    Args:
        model: its inner models, if it has any, are copied as they are.
        inputs: what the copy is called on, of the structure of the model's; by default inputs of the same shapes.
        name_for: the name of an equal copy, from that of the original.
        layer_for: the layer that takes another's place, or None for an equal copy. It gets the weights of the layer
            whose place it takes.
        call: calls the copy of an original layer or operation in the new graph with `args` and `kwargs`, and returns
            its output. Here other layers can be put before and after it.

    Raises:
        ValueError: a layer's weights do not fit the one that takes its place.
    """
    pairs: dict[int, tuple[Any, Any]] = {}

    def clone(original: Any) -> Any:
        copy = layer_for(original) if isinstance(original, keras.Layer) else None
        if copy is None:
            name = name_for(original.name)
            copy = original.__class__.from_config(original.get_config() | {"name": name})
            copy.name = name  # some layers add to it
        pairs[id(copy)] = (original, copy)
        return copy

    def call_copy(copy: Any, *args: Any, **kwargs: Any) -> Any:
        return call(pairs[id(copy)][0], copy, args, kwargs)

    inputs = keras.tree.map_structure(_like, model.input) if inputs is None else inputs
    changed = keras.models.clone_model(model, inputs, clone_function=clone, call_function=call_copy)
    for original, copy in pairs.values():
        if isinstance(original, keras.Layer) and original.weights:
            copy.set_weights(original.get_weights())
            copy.trainable = original.trainable
    return changed


def _like(tensor: Any) -> Any:
    """An input of the same shape, dtype and name (Keras would name it after the tensor)."""
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=producer(tensor).name)


def inputs_of(operation: Any) -> Sequence[Any]:
    """The tensors that a layer or operation is called on, the first time if there are several."""
    return operation._inbound_nodes[0].input_tensors


def producer(tensor: Any) -> Any:
    """The layer or operation that gives `tensor`."""
    return tensor._keras_history.operation


def ancestors(tensor: Any) -> dict[int, Any]:
    """Every layer and operation that `tensor` depends on, its producer included, by `id`."""
    found: dict[int, Any] = {}
    waiting = [producer(tensor)]
    while waiting:
        operation = waiting.pop()
        if id(operation) not in found:
            found[id(operation)] = operation
            waiting += [producer(source) for source in inputs_of(operation)]
    return found
