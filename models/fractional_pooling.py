"""Fractional max pooling: maps shrink by less than half, by regions that are drawn anew for each step.

Source: Graham 2014, "Fractional max-pooling", arXiv:1412.6071, section 2.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from regraft.models.errors import BackboneError
from regraft.models.surgery import inputs_of, producer, rebuild

Regions = Literal["random", "pseudorandom"]


@keras.saving.register_keras_serializable(package="regraft")
class FractionalMaxPooling2D(layers.Layer):
    """The maximum of each of h x w regions of one or two pixels a side, or of two or three where regions overlap.

    Each side, of H pixels, is divided by a sequence 0 = a_0 < ... < a_h = H with steps of 1 and 2. Region i holds the
    pixels a_(i-1) ... a_i - 1, and a_i as well where regions overlap, unless it is beyond the border. This is the
    counting of `tf.nn.fractional_max_pool`, which has no kernel for GPUs and XLA. (The paper counts from 1 and ends
    at H, so that its disjoint regions leave out the last pixel.)

    "random" sequences are the needed ones and twos in random order. "pseudorandom" ones are, in the paper,
    a_i = ceil(alpha (i + u)) with a random u, alpha being H / h. Of all u, only alpha u in (0, 1] gives sequences that
    fit at both ends; these are the h sequences floor((H i + r) / h), r = 0 ... h - 1, one of which is drawn. While
    training, one pair of sequences is drawn for each call and serves the whole batch, as in the paper.

    At inference the sequences are always the same ones, a function of the seed, so that answers repeat. The paper
    averages the answers over several draws instead: `regraft.models.monte_carlo` does.

    Args:
        ratio: H / h for both sides, or (for rows, for columns); each in (1, 2).
        regions: "pseudorandom", which distorts less, or "random", which the paper found too strong together with
            dropout or augmentation.
        overlapping: whether neighbouring regions share a row and a column, which the paper found better.
        seed: of the sequences; at inference None is 0.

    Shapes: float [N, H, W, C], H and W known, to [N, h, w, C] with h = floor(H / ratio), but at least H / 2, since
    there are no steps of 3.

    Raises:
        ValueError: an argument does not fit, a side is not known, or it is too short to be pooled.
    """

    def __init__(
        self,
        ratio: float | tuple[float, float],
        *,
        regions: Regions = "pseudorandom",
        overlapping: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.ratio = tuple(ratio) if isinstance(ratio, tuple | list) else (ratio, ratio)
        if len(self.ratio) != 2 or not all(1 < each < 2 for each in self.ratio):
            raise ValueError(f"ratio must be in (1, 2), or a pair of such numbers; received {ratio}.")
        if regions not in ("random", "pseudorandom"):
            raise ValueError(f'regions must be "random" or "pseudorandom"; received "{regions}".')
        self.regions, self.overlapping, self.seed = regions, overlapping, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Refuses maps that cannot be pooled."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The pooled maps."""
        shape = tuple(inputs.shape)
        sides: Any = list(zip(shape[1:3], self.compute_output_shape(shape)[1:3], strict=True))
        if training:
            rows, columns = (_draw_sequence(length, size, self.regions, self.seed_generator) for length, size in sides)
        else:
            # Of NumPy's generators the one whose numbers will never change, so that a saved model's do not either.
            random = np.random.RandomState(self.seed or 0)
            rows, columns = (_fixed_sequence(length, size, self.regions, random) for length, size in sides)
        return pool_regions(inputs, rows, columns, overlapping=self.overlapping)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[N, h, w, C]."""
        if len(input_shape) != 4 or None in tuple(input_shape[1:3]):
            raise ValueError(
                f"fractional pooling takes maps [N, H, W, C] of known sides; received {tuple(input_shape)}."
            )
        sides = [pooled_size(side or 0, ratio) for side, ratio in zip(input_shape[1:3], self.ratio, strict=True)]
        return (input_shape[0], *sides, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {"ratio": self.ratio, "regions": self.regions, "overlapping": self.overlapping, "seed": self.seed}
        return super().get_config() | own


def pooled_size(length: int, ratio: float) -> int:
    """How many regions `length` pixels are divided into: floor(length / ratio), but enough for steps of at most 2.

    Raises:
        ValueError: there are no two pixels to pool.
    """
    if length < 2:
        raise ValueError(f"fractional pooling needs maps of at least 2 pixels a side; received {length}.")
    return max(math.floor(length / ratio), math.ceil(length / 2))


def pool_regions(x: Any, rows: Any, columns: Any, *, overlapping: bool) -> Any:
    """Float [N, h, w, C]: the maxima of `x` over the regions between two sequences.

    Args:
        x: float [N, H, W, C], H and W known.
        rows: int32 [h + 1], from 0 to H in steps of 1 or 2.
        columns: int32 [w + 1], from 0 to W in steps of 1 or 2.
        overlapping: whether the first row and column of the next region belong to a region too.
    """
    return _pool_axis(_pool_axis(x, rows, 1, overlapping), columns, 2, overlapping)


def replace_max_pools(
    backbone: keras.Model, *, ratio: float, regions: Regions, overlapping: bool, seed: int | None = None
) -> keras.Model:
    """A copy of `backbone` whose max pools are fractional ones; weights and names are kept.

    Maps behind them become larger than those behind pools of stride 2, and the layers on them slower: with ratio 1.41
    twice as many pixels behind each pool.

    Replaced are max pools on the only path from input to output. Those beside a strided layer (Xception, NASNet, the
    later ones of Inception) have to match its maps and stay, as do pools of one pixel or of stride 1. A padding that is
    there for the replaced pool alone (ResNet, DenseNet) becomes an identity: the regions reach the border without it,
    and a region within it would see only zeros.

    Args:
        backbone: a functional model.
        ratio, regions, overlapping: see `FractionalMaxPooling2D`.
        seed: of the sequences; pool k draws from seed + k.

    Raises:
        BackboneError: there is no max pool that can be replaced.
        ValueError: an argument does not fit, or maps are too small.
    """
    pools = [layer for layer in backbone.layers if _shrinks_by_maximum(layer)]
    replaced = [pool for pool in pools if _is_on_every_path(backbone, pool)]
    if not replaced:
        reason = "only max pools beside strided layers, whose maps they must match" if pools else "no max pool"
        raise BackboneError(f"{backbone.name} has {reason}; use regularize.fractional_head_pooling instead.")
    paddings = [id(padding) for pool in replaced if _serves_only(padding := producer(inputs_of(pool)[0]), pool)]
    seeds = {id(pool): None if seed is None else seed + number for number, pool in enumerate(replaced, start=1)}

    def layer_for(layer: keras.Layer) -> keras.Layer | None:
        same = {"name": layer.name, "dtype": layer.dtype_policy}
        if id(layer) in paddings:
            return layers.Identity(**same)
        if id(layer) not in seeds:
            return None
        own = seeds[id(layer)]
        return FractionalMaxPooling2D(ratio, regions=regions, overlapping=overlapping, seed=own, **same)

    return rebuild(backbone, layer_for=layer_for)


def make_fractional_head_pooling(
    *, ratio: float, regions: Regions, overlapping: bool, seed: int
) -> FractionalMaxPooling2D:
    """Fractional max pooling of the last maps of a backbone, before they are pooled globally."""
    return FractionalMaxPooling2D(
        ratio, regions=regions, overlapping=overlapping, seed=seed, name="fractional_head_pooling"
    )


def _pool_axis(x: Any, sequence: Any, axis: int, overlapping: bool) -> Any:
    sequence = ops.convert_to_tensor(sequence, "int32")
    begins, ends = sequence[:-1], sequence[1:]
    pooled = ops.maximum(ops.take(x, begins, axis=axis), ops.take(x, ends - 1, axis=axis))
    if overlapping:
        pooled = ops.maximum(pooled, ops.take(x, ops.minimum(ends, x.shape[axis] - 1), axis=axis))
    return pooled


def _draw_sequence(length: int, size: int, regions: Regions, seed: Any) -> Any:
    """int32 [size + 1], drawn in the graph."""
    if regions == "pseudorandom":
        phase = keras.random.randint((), 0, size, seed=seed)
        return (ops.arange(size + 1, dtype="int32") * length + phase) // size
    steps = keras.random.shuffle(ops.convert_to_tensor(_steps(length, size)), seed=seed)
    return ops.concatenate([ops.zeros([1], "int32"), ops.cumsum(steps)])


def _fixed_sequence(length: int, size: int, regions: Regions, random: np.random.RandomState) -> np.ndarray:
    if regions == "pseudorandom":
        return ((np.arange(size + 1) * length + random.randint(size)) // size).astype(np.int32)
    return np.concatenate([[0], np.cumsum(random.permutation(_steps(length, size)))]).astype(np.int32)


def _steps(length: int, size: int) -> np.ndarray:
    """The twos and ones whose sum is `length`."""
    twos = length - size
    return np.repeat(np.array([2, 1], np.int32), [twos, size - twos])


def _shrinks_by_maximum(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.MaxPooling2D) and min(*layer.pool_size, *layer.strides) > 1


def _is_on_every_path(model: keras.Model, layer: keras.Layer) -> bool:
    """Whether no path leads from the input of `model` to its output around `layer`."""
    seen, waiting = {id(layer)}, [producer(tensor) for tensor in model.outputs]
    while waiting:
        operation = waiting.pop()
        if isinstance(operation, layers.InputLayer):
            return False
        if id(operation) not in seen:
            seen.add(id(operation))
            waiting += [producer(tensor) for tensor in inputs_of(operation)]
    return True


def _serves_only(operation: Any, pool: keras.Layer) -> bool:
    consumers = {id(node.operation) for node in operation._outbound_nodes}
    return isinstance(operation, layers.ZeroPadding2D) and consumers == {id(pool)}
