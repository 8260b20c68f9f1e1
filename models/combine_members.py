"""Many classifiers as one model: one input, one answer, and a backbone that several share run once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from regraft.models.classifier import HEAD, backbone_of, cool_head
from regraft.models.digest import GraphDigest, network_digest
from regraft.models.surgery import inputs_of, producer

Rule = Literal["probabilities", "logits"]
RULES = ("probabilities", "logits")
MEMBERS = "members"
COMBINED = "combined"


@keras.saving.register_keras_serializable(package="regraft")
class CombineMembers(layers.Layer):
    """The logits of an ensemble from those of its members: float [N, M, C] -> float32 [N, C].

    The rule "probabilities" gives the log of the mean of the members' probabilities, so that its softmax is that mean;
    "logits" the mean of their logits, so that its softmax is their normalized geometric mean. Shares and temperature
    are weights of the layer that no training touches.

    Args:
        rule: "probabilities" or "logits".

    Raises:
        ValueError: there is no such rule.
    """

    def __init__(self, rule: Rule = "probabilities", **kwargs: Any) -> None:
        if rule not in RULES:
            raise ValueError(f'rule must be one of {", ".join(RULES)}; received "{rule}".')
        super().__init__(**kwargs)
        self.rule = rule

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the shares, float32 [M] that sum to 1, and the temperature."""
        count = int(input_shape[1] or 0)
        equal = keras.initializers.Constant(1.0 / count)
        self.shares = self.add_weight(name="shares", shape=(count,), initializer=equal, trainable=False)
        self.temperature = self.add_weight(name="temperature", shape=(), initializer="ones", trainable=False)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The combined logits."""
        shares = self.shares[None, :, None]
        if self.rule == "logits":
            combined = ops.sum(shares * inputs, axis=1)
        else:
            combined = ops.logsumexp(ops.log_softmax(inputs, axis=-1) + ops.log(shares), axis=1)
        return combined / self.temperature

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[N, C]."""
        return input_shape[0], input_shape[2]

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "rule": self.rule}


def combine(
    members: Sequence[keras.Model], *, shares: Sequence[float] | None = None, rule: Rule = "probabilities"
) -> keras.Model:
    """One model that answers as its members do together: float32 [N, S, S, 3] in [0, 255] -> logits float32 [N, C].

    What is equal in the members' networks, weights included, is in the graph once: all of it up to the head, or the
    first layers of their backbones, such as those that fine-tuning had frozen.

    Args:
        members: classifiers as `build_classifier` gives them, of the same image size and classes. Those that keep their
            own network become a part of the ensemble, not copies.
        shares: of each member, above 0; they are divided by their sum. Left out, all have the same.
        rule: see `CombineMembers`.

    Raises:
        ValueError: there are fewer than two members, their shapes differ, or a share is not above 0.
    """
    _check_members(members, shares)
    inputs = keras.Input(members[0].input_shape[1:], name="images")
    logits = _member_logits(members, inputs)
    rows = [layers.Reshape((1, -1), dtype="float32", name=f"row_{place}")(each) for place, each in enumerate(logits)]
    stacked = layers.Concatenate(axis=1, dtype="float32", name=MEMBERS)(rows)
    combiner = CombineMembers(rule, dtype="float32", name=COMBINED)
    model = keras.Model(inputs, combiner(stacked), name="ensemble")
    if shares is not None:
        combiner.shares.assign(np.asarray(shares, np.float32) / np.float32(np.sum(shares)))
    return model


def is_ensemble(model: keras.Model) -> bool:
    """Whether `combine` made this model."""
    return any(isinstance(layer, CombineMembers) for layer in model.layers)


def with_members(model: keras.Model) -> keras.Model:
    """A model that gives the logits of an ensemble and then those of its members: [N, 1 + M, C]. Shares weights."""
    whole = layers.Reshape((1, -1), dtype="float32")(model.output)
    rows = layers.Concatenate(axis=1, dtype="float32")([whole, model.get_layer(MEMBERS).output])
    return keras.Model(model.input, rows, name=f"{model.name}_and_members")


def cool(model: keras.Model, temperature: float) -> None:
    """Divides the logits of a classifier or an ensemble by `temperature` for good."""
    if is_ensemble(model):
        variable = model.get_layer(COMBINED).temperature
        variable.assign(variable * temperature)
    else:
        cool_head(model, temperature)


def average_weights(members: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """The mean of each weight over the members (Wortsman et al. 2022, "Model soups", arXiv:2203.05482).

    Integers, such as the states of random generators, are those of the first member.

    Raises:
        ValueError: the members are not of the same architecture.
    """
    shapes = [[array.shape for array in member] for member in members]
    if any(each != shapes[0] for each in shapes):
        raise ValueError("weights can only be averaged over members of the same architecture.")
    return [_mean(arrays) for arrays in zip(*members, strict=True)]


def _mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    first = np.asarray(arrays[0])
    if first.dtype.kind in "iu":
        return first
    return np.mean([np.asarray(array, np.float64) for array in arrays], axis=0).astype(first.dtype)


def _check_members(members: Sequence[keras.Model], shares: Sequence[float] | None) -> None:
    if len(members) < 2:
        raise ValueError(f"an ensemble has at least two members; received {len(members)}.")
    for name, shapes in (
        ("inputs", {member.input_shape for member in members}),
        ("outputs", {member.output_shape for member in members}),
    ):
        if len(shapes) > 1:
            raise ValueError(f"members must have the same {name}; received {sorted(map(str, shapes))}.")
    if shares is not None and (len(shares) != len(members) or min(shares) <= 0):
        raise ValueError(f"shares must be {len(members)} numbers above 0; received {list(shares)}.")


def _member_logits(members: Sequence[keras.Model], inputs: keras.KerasTensor) -> list[Any]:
    """The logits of each member, in order; what is equal in their networks is called once."""
    groups: dict[str, list[int]] = {}
    for place, member in enumerate(members):
        groups.setdefault(network_digest(_trunk(member, place)), []).append(place)
    distinct = [members[places[0]] for places in groups.values()]
    shared = _SharedStem.of(distinct, inputs)
    logits: dict[int, Any] = {}
    for number, places in enumerate(groups.values()):
        features = shared.features(distinct[number], number) if shared else _trunk(distinct[number], number)(inputs)
        for place in places:
            logits[place] = _copy_head(members[place], place)(features)
    return [logits[place] for place in range(len(members))]


def _trunk(member: keras.Model, number: int) -> keras.Model:
    """All of a member but its head."""
    return keras.Model(member.input, member.get_layer(HEAD).input, name=f"trunk_{number}")


class _SharedStem:
    """The first layers of the members' backbones, where they are equal: frozen ones, as a rule, run once for all.

    Args:
        members: of the ensemble; their backbones are equal up to the layer at which the stem ends.
        depth: how many layers of a backbone the stem has.
        inputs: of the ensemble.
    """

    def __init__(self, members: Sequence[keras.Model], depth: int, inputs: keras.KerasTensor) -> None:
        self.depth = depth
        backbone = backbone_of(members[0])
        read = {place for member in members for place in _places_read(backbone_of(member)) if place < depth}
        before = keras.Model(members[0].input, inputs_of(backbone)[0], name="before_stem")
        places = sorted({*read, depth - 1})
        stem = keras.Model(backbone.inputs, [backbone.layers[place].output for place in places], name="stem")
        self.maps = dict(zip(places, keras.tree.flatten(stem(before(inputs))), strict=True))

    @classmethod
    def of(cls, members: Sequence[keras.Model], inputs: keras.KerasTensor) -> _SharedStem | None:
        """The longest stem that all of these members have in common; None where there is none worth it."""
        if len(members) < 2:
            return None
        backbones = [backbone_of(member) for member in members]
        common = _count_equal([_layer_digests(member) for member in members])
        cuts = set.intersection(*(_cuts(backbone) for backbone in backbones))
        depth = max((cut for cut in cuts if cut <= common), default=0)
        return cls(members, depth, inputs) if depth > 1 else None

    def features(self, member: keras.Model, number: int) -> Any:
        """The features of a member, from where the stem ends."""
        backbone = backbone_of(member)
        places = _places_read(backbone)
        later = [backbone.layers[place].output for place in places if place >= self.depth]
        rest = keras.Model(backbone.layers[self.depth - 1].output, later, name=f"rest_{number}")
        given = iter(keras.tree.flatten(rest(self.maps[self.depth - 1])))
        maps = [self.maps[place] if place < self.depth else next(given) for place in places]
        tail = keras.Model(_outputs_in(member, backbone), member.get_layer(HEAD).input, name=f"tail_{number}")
        return tail(maps if len(maps) > 1 else maps[0])


def _places_read(backbone: keras.Model) -> list[int]:
    """Which of its layers give the outputs of `backbone`: its taps, and the last."""
    position = {id(layer): place for place, layer in enumerate(backbone.layers)}
    return [position[id(producer(output))] for output in backbone.outputs]


def _outputs_in(member: keras.Model, backbone: keras.Model) -> list[Any]:
    """The outputs of `backbone` inside `member`, in order."""
    found = {
        tensor._keras_history.tensor_index: tensor
        for layer in member.layers
        for tensor in inputs_of(layer)
        if producer(tensor) is backbone
    }
    return [found[place] for place in sorted(found)]


def _cuts(backbone: keras.Model) -> set[int]:
    """After how many layers all that follows depends on the output of the last of them alone."""
    position = {id(layer): place for place, layer in enumerate(backbone.layers)}
    reaches = [
        min((position.get(id(producer(tensor)), -1) for tensor in inputs_of(layer)), default=place)
        for place, layer in enumerate(backbone.layers)
    ]
    last = len(backbone.layers) - 1
    return {cut for cut in range(1, last + 1) if min(reaches[cut:]) >= cut - 1}


def _count_equal(lists: Sequence[Sequence[str]]) -> int:
    """How many of the first entries are the same in all lists."""
    for place, entries in enumerate(zip(*lists, strict=False)):
        if len(set(entries)) > 1:
            return place
    return min(map(len, lists))


def _copy_head(member: keras.Model, place: int) -> keras.Layer:
    original = member.get_layer(HEAD)
    head = type(original).from_config({**original.get_config(), "name": f"{HEAD}_{place}"})
    head.build(original.input.shape)
    head.set_weights(original.get_weights())
    return head


def _layer_digests(member: keras.Model) -> list[str]:
    """For each layer of a member's backbone, the digest of what it gives and of all before it."""
    backbone = backbone_of(member)
    given = GraphDigest(member)
    inner = GraphDigest(backbone, [given.of(tensor) for tensor in inputs_of(backbone)])
    return [inner.of(layer.output) for layer in backbone.layers]
