"""DropConnect: single weights are left out while training, where dropout leaves out whole units.

Source: Wan, Zeiler, Zhang, LeCun & Fergus 2013, "Regularization of neural networks using DropConnect", ICML. (Not to be
confused with what EfficientNet calls drop_connect: that is stochastic depth.)
"""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from regraft.models.errors import BackboneError
from regraft.models.surgery import rebuild

Inference = Literal["mean", "gaussian"]
_NODES, _WEIGHTS = np.polynomial.hermite.hermgauss(32)
_OVER_UNITS = ("softmax", "log_softmax")  # activations of all units together, for which one dimension is not enough


class _DropConnect:
    """What a layer with a kernel under DropConnect has, whatever it does with the kernel.

    While training, u = (M * W) v / (1 - rate) + b with M_ij ~ Bernoulli(1 - rate). Dividing by the kept part, which the
    paper does not do, makes W v + b the mean, so that pretrained kernels stay right and "mean" inference is the
    plain layer. The paper masks the bias as well; here it is kept, as it is no connection between units.

    "gaussian" inference takes u as normal with the mean W v + b and the variance rate / (1 - rate) * (W * W)(v * v), as
    the paper does (its section on inference), and returns E[f(u)]. The paper averages samples. For a function f of
    one unit the expectation is an integral over one dimension, taken here by Gauss-Hermite quadrature: exact enough and
    the same each time. For softmax it is the mean over `samples` draws that are the same for every call and backend.
    """

    rate: float
    per_example: bool
    inference: Inference
    samples: int
    seed: int | None

    def _keep_arguments(self, rate: float, per_example: bool, inference: Inference, samples: int, seed: Any) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be in [0, 1); received {rate:g}.")
        if inference not in ("mean", "gaussian"):
            raise ValueError(f'inference must be "mean" or "gaussian"; received "{inference}".')
        self.rate, self.per_example, self.inference = rate, per_example, inference
        self.samples, self.seed = samples, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _arguments(self) -> dict[str, Any]:
        names = ("rate", "per_example", "inference", "samples", "seed")
        return {name: getattr(self, name) for name in names}

    def _masks(self, shape: tuple[Any, ...], dtype: str) -> Any:
        """Zeros with probability `rate`, else 1 / (1 - rate)."""
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        return ops.cast(ops.where(draws < self.rate, 0.0, 1.0 / (1.0 - self.rate)), dtype)

    def _expected(self, activation: Any, mean: Any, square: Any) -> Any:
        """E[activation(u)] for u of this mean, `square` being (W * W)(v * v)."""
        wide = ops.cast(mean, "float32")
        deviation = ops.sqrt(self.rate / (1.0 - self.rate) * ops.maximum(ops.cast(square, "float32"), 0.0))
        if activation.__name__ in _OVER_UNITS:
            units = mean.shape[-1]
            draws = np.random.default_rng(self.seed or 0).normal(
                size=(self.samples, *(1,) * (len(mean.shape) - 2), units)
            )
            answers = activation(wide[:, None] + deviation[:, None] * draws.astype(np.float32)[None])
            return ops.cast(ops.mean(answers, axis=1), mean.dtype)
        total = ops.zeros_like(wide)
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            total = total + weight / np.sqrt(np.pi) * activation(wide + float(np.sqrt(2.0) * node) * deviation)
        return ops.cast(total, mean.dtype)


@keras.saving.register_keras_serializable(package="regraft")
class DropConnectDense(_DropConnect, layers.Dense):
    """A dense layer whose weights are dropped: float [N, C] -> float [N, units]. Its weights are those of `Dense`.

    See the module for the equations.

    Args:
        units, and all other arguments of `keras.layers.Dense`.
        rate: the part of the weights that is left out, in [0, 1).
        per_example: a mask for each example, as in the paper, which takes N times the memory of the kernel; otherwise
            one mask for each step.
        inference: "mean" or "gaussian".
        samples: draws for the expectation of a softmax.
        logits: the outputs go into a softmax elsewhere. With Gaussian inference they are then log E[softmax(u)]: logits
            whose softmax is the expected probability.
        seed: of the masks.

    Raises:
        ValueError: an argument does not fit, or the inputs have more than two dimensions.
    """

    def __init__(
        self,
        units: int,
        *,
        rate: float,
        per_example: bool = False,
        inference: Inference = "mean",
        samples: int = 256,
        logits: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, **kwargs)
        self._keep_arguments(rate, per_example, inference, samples, seed)
        self.logits = logits

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes kernel and bias."""
        if len(input_shape) != 2:
            raise ValueError(f"DropConnectDense takes inputs [N, C]; received {tuple(input_shape)}.")
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The layer's output; see the class."""
        if training and self.rate:
            return self.activation(self._with_bias(self._product_with_masks(inputs)))
        mean = self._with_bias(ops.matmul(inputs, self.kernel))
        if self.inference == "mean" or not self.rate:
            return self.activation(mean)
        square = ops.matmul(ops.square(inputs), ops.square(self.kernel))
        if self.logits:
            expected = self._expected(keras.activations.softmax, mean, square)
            return ops.log(ops.maximum(expected, keras.config.epsilon() ** 2))
        return self._expected(self.activation, mean, square)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return super().get_config() | self._arguments() | {"logits": self.logits}

    def _product_with_masks(self, inputs: Any) -> Any:
        kernel = ops.cast(self.kernel, inputs.dtype)
        if not self.per_example:
            return ops.matmul(inputs, kernel * self._masks(kernel.shape, inputs.dtype))
        masks = self._masks((ops.shape(inputs)[0], *kernel.shape), inputs.dtype)
        return ops.einsum("nc,ncu->nu", inputs, kernel[None] * masks)

    def _with_bias(self, outputs: Any) -> Any:
        return outputs + ops.cast(self.bias, outputs.dtype) if self.use_bias else outputs


@keras.saving.register_keras_serializable(package="regraft")
class DropConnectConv2D(_DropConnect, layers.Conv2D):
    """A convolution whose kernel's weights are dropped. Its weights, inputs and outputs are those of `Conv2D`.

    See the module for the equations; a dropped weight is missing at every place of the image.

    Args:
        filters, kernel_size, and all other arguments of `keras.layers.Conv2D`.
        rate: the part of the weights that is left out, in [0, 1).
        per_example: a mask for each example, by a product of patches and kernels, for which `groups` must be 1 and the
            channels last; otherwise one mask for each step.
        inference: "mean" or "gaussian".
        samples: draws for the expectation of a softmax over the channels.
        seed: of the masks.

    Raises:
        ValueError: an argument does not fit.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *,
        rate: float,
        per_example: bool = False,
        inference: Inference = "mean",
        samples: int = 256,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        self._keep_arguments(rate, per_example, inference, samples, seed)
        if per_example and (self.groups != 1 or self.data_format != "channels_last"):
            raise ValueError(
                "per_example needs groups = 1 and data_format = channels_last; received "
                f"{self.groups} and {self.data_format}."
            )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The layer's output; see the class."""
        if training and self.rate:
            return self.activation(self._with_bias(self._convolution_with_masks(inputs)))
        mean = self._with_bias(self.convolution_op(inputs, self.kernel))
        if self.inference == "mean" or not self.rate:
            return self.activation(mean)
        return self._expected(self.activation, mean, self.convolution_op(ops.square(inputs), ops.square(self.kernel)))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return super().get_config() | self._arguments()

    def _convolution_with_masks(self, inputs: Any) -> Any:
        kernel = ops.cast(self.kernel, inputs.dtype)
        if not self.per_example:
            return self.convolution_op(inputs, kernel * self._masks(kernel.shape, inputs.dtype))
        patches = ops.image.extract_patches(
            inputs, self.kernel_size, strides=self.strides, dilation_rate=self.dilation_rate, padding=self.padding
        )
        flat = ops.reshape(kernel, (-1, self.filters))
        masks = self._masks((ops.shape(inputs)[0], *flat.shape), inputs.dtype)
        return ops.einsum("nhwk,nkf->nhwf", patches, flat[None] * masks)

    def _with_bias(self, outputs: Any) -> Any:
        if not self.use_bias:
            return outputs
        shape = (1, -1, 1, 1) if self.data_format == "channels_first" else (1, 1, 1, -1)
        return outputs + ops.cast(ops.reshape(self.bias, shape), outputs.dtype)


def make_dropconnect_head(
    units: int, *, rate: float, per_example: bool, inference: Inference, seed: int, **dense_options: Any
) -> DropConnectDense:
    """The dense head of a classifier under DropConnect: float [N, C] -> logits [N, units]."""
    return DropConnectDense(
        units, rate=rate, per_example=per_example, inference=inference, logits=True, seed=seed, **dense_options
    )


def add_conv_dropconnect(backbone: keras.Model, *, rate: float, seed: int | None = None) -> keras.Model:
    """A copy of `backbone` whose convolution kernels are under DropConnect; weights and names are kept.

    Depthwise kernels, of which a few weights see each channel, are left alone.

    Raises:
        BackboneError: it has no plain convolution.
    """
    count = 0

    def layer_for(layer: keras.Layer) -> keras.Layer | None:
        nonlocal count
        if type(layer) is not layers.Conv2D:
            return None
        count += 1
        return DropConnectConv2D(**layer.get_config(), rate=rate, seed=None if seed is None else seed + count)

    changed = rebuild(backbone, layer_for=layer_for)
    if not count:
        raise BackboneError(
            f"{backbone.name} has no convolution for DropConnect; leave regularize.conv_dropconnect out."
        )
    return changed
