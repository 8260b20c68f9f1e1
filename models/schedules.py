"""Learning-rate schedules over batches: Keras's own where it has them."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules

from regraft.models.schedule_table import check_schedule

_RISE = 0.3  # the part of one_cycle that rises, and where it starts and ends, as in Smith & Topin 2018
_START, _END = 1 / 25, 1e-4


@keras.saving.register_keras_serializable(package="regraft")
class WarmUp(schedules.LearningRateSchedule):
    """Another schedule after a linear rise: (t + 1) / (warmup_steps + 1) of its first rate in step t.

    Source: Goyal et al. 2017, "Accurate, large minibatch SGD", arXiv:1706.02677, section 2.2. The first step is not of
    length 0, which it would waste.

    Args:
        schedule: what follows, its steps counted from the end of the rise.
        warmup_steps: length of the rise in batches, at least 1.
    """

    def __init__(self, schedule: schedules.LearningRateSchedule, warmup_steps: int) -> None:
        self.schedule, self.warmup_steps = schedule, warmup_steps

    def __call__(self, step: Any) -> Any:
        """The learning rate of batch number `step`."""
        step = ops.cast(step, "float32")
        rising = ops.minimum((step + 1.0) / (self.warmup_steps + 1.0), 1.0)
        return rising * self.schedule(ops.maximum(step - self.warmup_steps, 0.0))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "warmup_steps": self.warmup_steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        """The schedule of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["warmup_steps"])


@keras.saving.register_keras_serializable(package="regraft")
class Constant(schedules.LearningRateSchedule):
    """Always the same rate, which can be lowered from outside: `rate` is a variable."""

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.rate = keras.Variable(learning_rate, trainable=False, dtype="float32", name="learning_rate")

    def __call__(self, step: Any) -> Any:
        """The learning rate."""
        return self.rate.value

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"learning_rate": self.learning_rate}


@keras.saving.register_keras_serializable(package="regraft")
class OneCycle(schedules.LearningRateSchedule):
    """Up from 1/25 of the peak over 0.3 of the steps, then down to 1/10,000 of it, both on half a cosine.

    Source: Smith & Topin 2018, "Super-convergence", arXiv:1708.07120; on cosines instead of straight lines, as is usual
    by now. The momentum stays.

    Args:
        peak: the highest rate.
        steps: length in batches.
    """

    def __init__(self, peak: float, steps: int) -> None:
        self.peak, self.steps = peak, steps

    def __call__(self, step: Any) -> Any:
        """The learning rate of batch number `step`."""
        part = ops.cast(step, "float32") / max(self.steps - 1, 1)
        rising = _between(_START, 1.0, part / _RISE)
        falling = _between(1.0, _END, (part - _RISE) / (1.0 - _RISE))
        return self.peak * ops.where(part < _RISE, rising, falling)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"peak": self.peak, "steps": self.steps}


def make_schedule(
    name: str,
    *,
    learning_rate: float,
    steps_per_epoch: int,
    epochs: int,
    warmup_epochs: float = 0.5,
    cycles: int = 1,
    step_epochs: float = 2.0,
    decay: float = 0.5,
) -> schedules.LearningRateSchedule:
    """The schedule of this name in `SCHEDULES`, as a function of the number of the batch.

    Args:
        name: a key of the table.
        learning_rate: the highest rate.
        steps_per_epoch: batches in an epoch.
        epochs: length of the training.
        warmup_epochs: length of the linear rise; at least one batch. one_cycle and cyclic have none.
        cycles: of cyclic: Huang et al. 2017, "Snapshot ensembles", arXiv:1704.00109, eq. 2.
        step_epochs, decay: of step and exponential; decay in (0, 1).

    Raises:
        ValueError: it does not exist or does not fit the epochs.
    """
    check_schedule(name, epochs=epochs, warmup_epochs=warmup_epochs, cycles=cycles)
    total = epochs * steps_per_epoch
    warmup = max(1, round(warmup_epochs * steps_per_epoch))
    left = max(1, total - warmup)
    if name == "cosine":
        return schedules.CosineDecay(
            learning_rate / (warmup + 1), left, warmup_target=learning_rate, warmup_steps=warmup
        )
    if name == "one_cycle":
        return OneCycle(learning_rate, total)
    if name == "cyclic":
        return schedules.CosineDecayRestarts(learning_rate, total // cycles, t_mul=1.0, m_mul=1.0)
    if name in ("step", "exponential"):
        steps = max(1, round(step_epochs * steps_per_epoch))
        return WarmUp(schedules.ExponentialDecay(learning_rate, steps, decay, staircase=name == "step"), warmup)
    return WarmUp(Constant(learning_rate), warmup)


def lower_rate(schedule: schedules.LearningRateSchedule, factor: float) -> None:
    """Multiplies the rate of a constant schedule by `factor` from now on."""
    constant = schedule.schedule if isinstance(schedule, WarmUp) else schedule
    constant.rate.assign(constant.rate * factor)


def _between(start: float, end: float, part: Any) -> Any:
    """From start to end on half a cosine as part goes from 0 to 1."""
    return end + (start - end) * 0.5 * (1.0 + ops.cos(math.pi * ops.clip(part, 0.0, 1.0)))
