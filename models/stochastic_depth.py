"""Stochastic depth: whole residual branches are left out while training, deeper ones more often."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from regraft.models.errors import BackboneError
from regraft.models.surgery import ancestors, inputs_of, rebuild

_BLOCKS = (*("DINOV2Layer", "DINOV3Layer", "SigLIPEncoderLayer", "FusedMBConvBlock", "MBConvBlock", "CBABlock"),)
_SUMS_IN_ONE_LAYER = "CustomScaleLayer"  # of Inception-ResNet: inputs[0] + scale * inputs[1]


@keras.saving.register_keras_serializable(package="regraft")
class StochasticDepth(layers.Layer):
    """Drops its input, the residual branch of a block, for whole images.

    While training, x becomes b / p * x with b ~ Bernoulli(p) drawn for each image, so that a block H = x + f(x) is the
    identity with probability 1 - p. At inference x stays as it is. Source: Huang et al. 2016, "Deep networks with
    stochastic depth", arXiv:1603.09382, eq. 2. The paper multiplies by p at test time (eq. 5) and draws once for the
    batch; dividing by p while training has the same mean and leaves pretrained weights right at inference, and one
    draw for each image makes the gradient less noisy.

    Args:
        survival: p, the probability in (0, 1] that the branch stays.
        seed: of the draws.

    Shapes: any [N, ...], kept.

    Raises:
        ValueError: survival is not in (0, 1].
    """

    def __init__(self, survival: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _check_survival(survival)
        self.survival = survival
        self.seed = seed
        self.supports_masking = True
        if survival < 1:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """`inputs`, while training with whole images at 0 and the rest scaled up."""
        if not training or self.survival == 1:
            return inputs
        shape = (ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        factor = ops.where(draws < self.survival, 1.0 / self.survival, 0.0)
        return inputs * ops.cast(factor, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape stays."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return super().get_config() | {"survival": self.survival, "seed": self.seed}


@keras.saving.register_keras_serializable(package="regraft")
class BlockStochasticDepth(StochasticDepth):
    """The same for a block that is one layer, y = x + f(x): called on [x, y], it gives x + b / p * (y - x).

    At inference it gives y itself. See `StochasticDepth`.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """`inputs[1]`; while training, `inputs[0]` for some images, and the branch scaled up for the rest."""
        before, after = inputs
        if not training or self.survival == 1:
            return after
        return before + super().call(after - before, training=True)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """That of both."""
        return tuple(input_shape[1])


def survival_probabilities(count: int, first: float, last: float) -> list[float]:
    """The survival of each of `count` residual blocks, from the input to the output.

    It falls linearly: p_l = first - l / L * (first - last) for l = 1 ... L, so that block L has `last` (Huang et al.
    2016, eq. 4, where first is 1).

    Raises:
        ValueError: a probability is not in (0, 1], or they grow.
    """
    _check_survival(first)
    _check_survival(last)
    if last > first:
        raise ValueError(f"survival probabilities may not grow with depth; received {first:g} and then {last:g}.")
    return [first - block / count * (first - last) for block in range(1, count + 1)]


def add_stochastic_depth(
    backbone: keras.Model, *, survival: tuple[float, float] | float, seed: int | None = None
) -> keras.Model:
    """A copy of `backbone` with `StochasticDepth` at the end of every residual branch; weights and names are kept.

    Where whole blocks are one layer, with two branches of a transformer inside, `BlockStochasticDepth` stands behind.

    Stochastic depth of the backbone's own (EfficientNet's dropouts of whole images) is taken out, so that it does not
    act twice.

    Args:
        backbone: a functional model.
        survival: (of the first block, of the last block), or the last one alone, the first being 1.
        seed: of the draws; block l draws from seed + l.

    Raises:
        BackboneError: the backbone has no residual branches.
        ValueError: see `survival_probabilities`.
    """
    first, last = survival if isinstance(survival, tuple | list) else (1.0, survival)
    if blocks := residual_blocks(backbone):
        return _behind_blocks(backbone, blocks, survival_probabilities(len(blocks), first, last), seed)
    branches = residual_branches(backbone)
    if len(branches) < 0.5 * sum(map(_is_sum, backbone.operations)) or not branches:  # of NASNet's sums, most are none
        raise BackboneError(
            f"{backbone.name} has no residual branches for stochastic depth; leave regularize.stochastic_depth out, or "
            "take a backbone that has them, such as mobilenet_v2 or resnet50."
        )
    probabilities = survival_probabilities(len(branches), first, last)
    inserted = {
        id(operation): (branch, StochasticDepth(p, _shifted(seed, block), name=f"{operation.name}_stochastic_depth"))
        for block, ((operation, branch), p) in enumerate(zip(branches, probabilities, strict=True), start=1)
    }

    def call(original: Any, copy: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(original) not in inserted:
            return copy(*args, **kwargs)
        branch, layer = inserted[id(original)]
        return copy(*_with_branch(args, branch, layer), **kwargs)

    return rebuild(backbone, layer_for=_without_own_depth, call=call)


def _behind_blocks(
    backbone: keras.Model, blocks: list[Any], probabilities: list[float], seed: int | None
) -> keras.Model:
    inserted = {
        id(block): BlockStochasticDepth(p, _shifted(seed, number), name=f"{block.name}_stochastic_depth")
        for number, (block, p) in enumerate(zip(blocks, probabilities, strict=True), start=1)
    }

    def call(original: Any, copy: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        after = copy(*args, **kwargs)
        return inserted[id(original)]([args[0], after]) if id(original) in inserted else after

    return rebuild(backbone, layer_for=_without_own_depth, call=call)


def residual_blocks(backbone: keras.Model) -> list[Any]:
    """Every layer that is a whole residual block, as KerasHub has them, from input to output."""
    return [layer for layer in backbone.operations if type(layer).__name__ in _BLOCKS and _adds_its_input(layer)]


def _adds_its_input(layer: Any) -> bool:
    is_straight = getattr(layer, "strides", 1) in (1, (1, 1)) and not getattr(layer, "nores", False)
    return is_straight and inputs_of(layer)[0].shape[-1] == layer.output.shape[-1]


def residual_branches(backbone: keras.Model) -> list[tuple[Any, int]]:
    """Every sum of a shortcut and a residual branch, from input to output, and which of its two inputs is the branch.

    Of two inputs, the shortcut is the one that passes no layer with weights, or no more than a projection (one
    convolution), since the paths parted; the branch passes more of them.
    """
    found = []
    for operation in backbone.operations:
        if _is_sum(operation) and (branch := _branch_of(operation)) is not None:
            found.append((operation, branch))
    return found


def _is_sum(operation: Any) -> bool:
    name = type(operation).__name__
    return name in ("Add", _SUMS_IN_ONE_LAYER) and len(inputs_of(operation)) == 2


def _branch_of(operation: Any) -> int | None:
    reached = [ancestors(tensor) for tensor in inputs_of(operation)]
    kernels = [_count_kernels(mine.keys() - other.keys(), mine) for mine, other in (reached, reached[::-1])]
    shortcut = min(kernels)
    return None if shortcut > 1 or kernels[0] == kernels[1] else kernels.index(max(kernels))


def _count_kernels(keys: set[int], operations: dict[int, Any]) -> int:
    """How many of these operations have a kernel: a weight of two dimensions or more."""
    weights = (getattr(operations[key], "weights", ()) for key in keys)
    return sum(any(len(weight.shape) > 1 for weight in own) for own in weights)


def _with_branch(args: tuple[Any, ...], branch: int, layer: keras.Layer) -> tuple[Any, ...]:
    """The arguments of a sum, with `layer` behind its input number `branch`: (a, b) or ([a, b],)."""
    tensors = list(args[0]) if isinstance(args[0], list | tuple) else list(args)
    tensors[branch] = layer(tensors[branch])
    return (tensors,) if isinstance(args[0], list | tuple) else tuple(tensors)


def _without_own_depth(layer: keras.Layer) -> keras.Layer | None:
    drops_images = isinstance(layer, layers.Dropout) and tuple(layer.noise_shape or ()) == (None, 1, 1, 1)
    drops_images |= type(layer).__name__ == "StochasticDepth" and not isinstance(layer, StochasticDepth)
    return layers.Identity(name=layer.name) if drops_images else None


def _check_survival(survival: float) -> None:
    if not 0 < survival <= 1:
        raise ValueError(f"survival must be in (0, 1]; received {survival:g}.")


def _shifted(seed: int | None, block: int) -> int | None:
    return None if seed is None else seed + block
