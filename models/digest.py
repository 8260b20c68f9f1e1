"""What a network is, in 32 hexadecimal digits: computed from its graph, its configuration and its weights.

Features are kept on disk, and ensembles run what their members have in common once. Both must know when two networks
give the same answers. Nothing here lists what decides that: whatever a layer's configuration holds counts, seeds
included, since some layers draw at inference too. So a new layer, or a new option of one, is noticed by itself.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

_NO_KIND = keras.layers.Layer.__mro__
_DECIDE_NOTHING = ("name", "trainable")  # at inference, of any layer


def network_digest(model: keras.Model) -> str:
    """32 hexadecimal digits that change with anything that decides what the functional `model` answers at inference."""
    graph = GraphDigest(model)
    return _hash(*(graph.of(tensor) for tensor in model.outputs))


class GraphDigest:
    """Digests of the tensors in the graph of a functional model: each of its operation and of what that is given.

    Names of layers do not matter, nor whether layers are wrapped in a model inside the model, nor layers that hand
    their input through at inference, as dropout does. Inference is a call with `training=False`, or without: what the
    graph itself calls with `training=True` hands nothing through.

    Args:
        model: whose graph it is.
        inputs: digests of the model's inputs; left out, their shapes and dtypes are.
        training: whether the model is called with `training=True` by the graph that it is in.
    """

    def __init__(self, model: keras.Model, inputs: Sequence[str] | None = None, *, training: bool = False) -> None:
        self._training = training
        if inputs is None:
            inputs = [f"{place} {tensor.shape[1:]} {tensor.dtype}" for place, tensor in enumerate(model.inputs)]
        self._known = {_key(tensor): digest for tensor, digest in zip(model.inputs, inputs, strict=True)}

    def of(self, tensor: Any) -> str:
        """The digest of a `KerasTensor` of the graph."""
        waiting = [tensor]  # a stack: deep networks nearly reach Python's limit of nested calls
        while waiting:
            node = _node(waiting[-1])
            if _key(waiting[-1]) in self._known:
                waiting.pop()
            elif unknown := [each for each in node.input_tensors if _key(each) not in self._known]:
                waiting += unknown
            else:
                self._visit(node)
        return self._known[_key(tensor)]

    def _visit(self, node: Any) -> None:
        inputs = [self._known[_key(tensor)] for tensor in node.input_tensors]
        for tensor, digest in zip(node.outputs, _outputs(node, inputs, self._training), strict=True):
            self._known[_key(tensor)] = digest


def kinds_of(model: keras.Model) -> Counter[str]:
    """How often each kind of operation stands in the functional `model`, such as {"Conv2D linear": 13, "ReLU": 12}.

    Models inside it are opened. Noise does not count, as of the digest: what hands its input through at inference is
    left out, and a layer made from one of Keras's, such as a convolution with DropConnect, counts as that.
    """
    kinds: Counter[str] = Counter()
    for operation in model.operations:
        if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
            kinds += kinds_of(operation)
        elif not isinstance(operation, keras.layers.InputLayer) and not _hands_through(
            operation, operation._inbound_nodes[0]
        ):
            kinds[_kind(operation)] += 1
    return kinds


def _kind(operation: Any) -> str:
    made_from = (each for each in type(operation).__mro__ if each.__module__.startswith("keras."))
    base = next(made_from)  # every operation is one of Keras's at its root
    kind = type(operation) if base in _NO_KIND else base
    activation = getattr(operation, "activation", None)
    return f"{kind.__name__} {getattr(activation, '__name__', '')}".strip()


def _outputs(node: Any, inputs: list[str], training: bool) -> list[str]:
    """The digests of what one call of an operation gives."""
    operation = node.operation
    training = training or node.arguments.kwargs.get("training") is True
    if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
        inner = GraphDigest(operation, inputs, training=training)
        return [inner.of(tensor) for tensor in operation.outputs]
    if not training and _hands_through(operation, node):
        return inputs
    call = _describe_arguments(node) + (" in training" if training and _takes_training(operation) else "")
    own = _hash(_describe(operation), call, *map(_bytes_of, _weights(operation)), *inputs)
    return [f"{own}.{place}" for place in range(len(node.outputs))]


def _hands_through(operation: Any, node: Any) -> bool:
    """Whether the layer returns its very input at inference: it is asked."""
    if not isinstance(operation, keras.Layer) or len(node.input_tensors) != 1 or len(node.outputs) != 1:
        return False
    given = node.input_tensors[0]
    if keras.backend.standardize_dtype(given.dtype) != operation.compute_dtype or not _takes_training(operation):
        return False
    try:
        with keras.StatelessScope():
            return operation.call(given, training=False) is given
    except Exception:  # a layer that cannot be asked is one that counts
        return False


def _takes_training(operation: Any) -> bool:
    return bool(getattr(operation, "_call_has_training_arg", False))


def _describe(operation: Any) -> str:
    kind = type(operation)
    config = {key: value for key, value in operation.get_config().items() if key not in _DECIDE_NOTHING}
    return f"{kind.__module__}.{kind.__qualname__} {_as_text(_without_names(config))}"


def _without_names(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the layers in it numbered in the place of their names."""
    plain = json.loads(_as_text(config))
    numbered = _Numbered().of(plain)
    return config if numbered == plain else numbered


class _Numbered:
    """Layers' configurations with numbers, in order of appearance, for the names that Keras or anyone gave them.

    Only there, and where models refer to them: a dtype policy or an initializer has a name that means something.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.of(each) for each in value]
        if not isinstance(value, dict):
            return value
        found = {key: self.of(each) for key, each in value.items()}
        if value.get("class_name") == "__keras_tensor__":
            found["config"]["keras_history"] = self._reference(found["config"]["keras_history"])
        for key in ("input_layers", "output_layers") if "layers" in value else ():
            if key in value:
                found[key] = self._reference(found[key])
        if _is_layer(value):
            found["config"] = self._renamed({key: each for key, each in found["config"].items() if key != "trainable"})
            return self._renamed(found)
        return found

    def _renamed(self, config: dict[str, Any]) -> dict[str, Any]:
        return {key: self._number(each) if key == "name" else each for key, each in config.items()}

    def _reference(self, value: Any) -> Any:
        """A layer's name, the number of its call and of that call's output; or a structure of such."""
        if isinstance(value, dict):
            return {key: self._reference(each) for key, each in value.items()}
        if not isinstance(value, list):
            return value
        if value and isinstance(value[0], str):
            return [self._number(value[0]), *value[1:]]
        return [self._reference(each) for each in value]

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))


def _is_layer(serialized: dict[str, Any]) -> bool:
    """Whether this is what Keras's serialization makes of a layer."""
    name, module = serialized.get("class_name"), serialized.get("module")
    if not isinstance(name, str) or not isinstance(serialized.get("config"), dict):
        return False
    registered = keras.saving.get_registered_object(serialized.get("registered_name") or name)
    kind = registered or getattr(sys.modules.get(module or ""), name, None)
    return isinstance(kind, type) and issubclass(kind, keras.Layer)


def _describe_arguments(node: Any) -> str:
    """What an operation is called with besides tensors, such as the number that it multiplies by."""
    tensors = {id(tensor): place for place, tensor in enumerate(node.input_tensors)}
    named = {key: value for key, value in node.arguments.kwargs.items() if key != "training"}

    def plain(value: Any) -> Any:
        return f"<input {tensors[id(value)]}>" if id(value) in tensors else value

    return _as_text(keras.tree.map_structure(plain, [list(node.arguments.args), named]))


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=_serialized)


def _serialized(value: Any) -> Any:
    if keras.ops.is_tensor(value) or isinstance(value, np.ndarray | np.generic):
        return _bytes_of(value).hex()
    return keras.saving.serialize_keras_object(value)


def _weights(operation: Any) -> Sequence[Any]:
    return operation.weights if isinstance(operation, keras.Layer) else ()


def _bytes_of(tensor: Any) -> bytes:
    array = np.ascontiguousarray(ops.convert_to_numpy(tensor))
    return f"{array.dtype} {array.shape} ".encode() + array.tobytes()


def _key(tensor: Any) -> tuple[int, int, int]:
    history = tensor._keras_history
    return id(history.operation), history.node_index, history.tensor_index


def _node(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _hash(*parts: str | bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()
