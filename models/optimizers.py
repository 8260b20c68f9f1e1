"""Keras's optimizers with decoupled weight decay, clipping, accumulation, averaged weights and a rate per layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from regraft.models.optimizer_table import OPTIMIZERS

LAYER_GROUPS = 12
_NOT_DECAYED = ["bias", "gamma", "beta"]


class _RateOfEachVariable:
    """What makes any Keras optimizer take smaller steps for some variables: both of the step and of its weight decay.

    The learning rate is scaled, not the gradient: Adam and its like would take the same steps for any scale of that.
    """

    rate_scales: Mapping[str, float]

    def build(self, variables: Any) -> None:
        """Keras's, and the scale and the decay of each variable, which steps see without its path."""
        super().build(variables)  # type: ignore[misc]
        self._scales = [self.rate_scales.get(variable.path, 1.0) for variable in variables]
        decay = self.weight_decay or 0.0  # type: ignore[attr-defined]
        self._decays = [decay * self._use_weight_decay(variable) for variable in variables]  # type: ignore[attr-defined]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Keras's step at this variable's rate."""
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        rate = ops.cast(learning_rate, variable.dtype) * self._scales[index]
        if self._decays[index]:
            self.assign_sub(variable, variable * (rate * self._decays[index]))  # type: ignore[attr-defined]
        super().update_step(gradient, variable, rate)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: Any) -> None:
        """Nothing: `update_step` does it, as the rate differs."""


def make_optimizer(
    name: str,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    *,
    momentum: float | None = None,
    nesterov: bool | None = None,
    beta_1: float | None = None,
    beta_2: float | None = None,
    weight_decay: float | None = None,
    clip_norm: float = 0.0,
    clip_value: float = 0.0,
    accumulate: int = 1,
    ema: float = 0.0,
    rate_scales: Mapping[str, float] | None = None,
) -> keras.optimizers.Optimizer:
    """The optimizer of this name in `OPTIMIZERS`.

    Args:
        name: a key of the table.
        learning_rate: a number above 0 or a schedule over batches (Keras asks it for the batch also where
            `accumulate` batches make one step).
        momentum, nesterov, beta_1, beta_2: as in Keras; None is the optimizer's own. One that an optimizer does not
            have is refused.
        weight_decay: decoupled (Loshchilov & Hutter 2019), of kernels only; None is the optimizer's own, 0.004 for
            AdamW.
        clip_norm: bound of the norm of all gradients together; 0 is none.
        clip_value: bound of each gradient's size; 0 is none.
        accumulate: batches whose mean gradient makes one step.
        ema: momentum of the average over the weights (Polyak & Juditsky 1992), moved after each batch; 0 is none. See
            `averaged_weights`.
        rate_scales: factors of the learning rate by `variable.path`; others have 1. See `layer_rate_scales`.

    Raises:
        ValueError: the optimizer does not exist, lacks an option, or both clips are asked for.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f'optimizer must be one of {", ".join(OPTIMIZERS)}; received "{name}".')
    if clip_norm and clip_value:
        raise ValueError(f"clip_norm and clip_value exclude each other; received {clip_norm:g} and {clip_value:g}.")
    row = OPTIMIZERS[name]
    options = {
        "momentum": momentum,
        "nesterov": nesterov,
        "beta_1": beta_1,
        "beta_2": beta_2,
        "weight_decay": weight_decay,
    }
    options = {**row.options, **{key: value for key, value in options.items() if value is not None}}
    base = getattr(keras.optimizers, row.constructor)
    kind = type(row.constructor, (_RateOfEachVariable, base), {"rate_scales": rate_scales}) if rate_scales else base
    try:
        optimizer = kind(
            learning_rate,
            **options,
            global_clipnorm=clip_norm or None,
            clipvalue=clip_value or None,
            gradient_accumulation_steps=accumulate if accumulate > 1 else None,
            use_ema=ema > 0,
            ema_momentum=ema,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} does not take these options ({error}); leave out those it does not have.") from error
    optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer


def layer_rate_scales(classifier: keras.Model, backbone: keras.Model, decay: float) -> dict[str, float]:
    """Factors of the learning rate that fall from the head to the input, by `variable.path`.

    The backbone's layers with weights, in order, make `LAYER_GROUPS` groups of equal size, so that a decay means the
    same for every backbone (and what it means for the 12 blocks of a ViT-B); the group next to the head has the factor
    `decay`, the one before it `decay` squared, and so on. Sources: Howard & Ruder 2018, "discriminative fine-tuning",
    arXiv:1801.06146; Bao et al. 2021, arXiv:2106.08254.

    Args:
        classifier: what is trained; variables outside the backbone have the factor 1.
        backbone: the model inside it.
        decay: in (0, 1].
    """
    layers = [layer for layer in backbone.layers if layer.weights]
    scales = {variable.path: 1.0 for variable in classifier.variables}
    for position, layer in enumerate(layers, start=1):
        group = math.ceil(LAYER_GROUPS * position / len(layers))
        scales |= {variable.path: decay ** (LAYER_GROUPS - group + 1) for variable in layer.variables}
    return scales


@contextmanager
def averaged_weights(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Within, `model` holds the averages of its weights that an optimizer with `ema` keeps; else nothing changes."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not optimizer.use_ema:
        yield
        return
    before = [ops.copy(variable.value) for variable in model.trainable_variables]
    optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, before, strict=True):
            variable.assign(value)
