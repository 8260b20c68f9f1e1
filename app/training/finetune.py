"""Training the network itself: an optimizer, a schedule, a checkpoint after every epoch.

The weights after the last epoch are a function of the recipe and the images alone. Order and augmentation of the
images follow from (seed, epoch, position), and rules that look at the losses so far are asked again from the history,
so a run that was killed goes on from its last checkpoint to the weights it would have had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from regraft.augment.policy import AugmentPolicy
from regraft.errors import UsageError
from regraft.machine.devices import Device
from regraft.models import optimizers
from regraft.models.classifier import backbone_of
from regraft.models.l2_sp import L2SPModel
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.models.schedules import lower_rate, make_schedule
from regraft.progress import Progress, Silent, Ticker
from regraft.recipes.recipe import Recipe
from regraft.runs.checkpoints import Checkpoints
from regraft.runs.history import write_history
from regraft.runs.run import Run
from regraft.training.patience import EarlyStopping, PlateauDecay
from regraft.training.pipeline import TrainingImages, steps_per_epoch, training_batches

if TYPE_CHECKING:
    import tensorflow as tf


class DivergedError(UsageError):
    """The training loss is no longer a number."""


PHASE = "fine-tune"
"""What the history and the bar call it."""


def schedule_of(recipe: Recipe, steps: int) -> LearningRateSchedule:
    """The schedule that a resolved recipe asks for, for epochs of `steps` batches."""
    return make_schedule(
        recipe.schedule.name,
        learning_rate=recipe.optimizer.learning_rate or OPTIMIZERS[recipe.optimizer.name].learning_rate,
        steps_per_epoch=steps,
        epochs=recipe.finetune.epochs,
        **recipe.schedule.model_dump(exclude={"name", "patience"}),
    )


def make_optimizer(recipe: Recipe, model: keras.Model, rate: LearningRateSchedule) -> keras.optimizers.Optimizer:
    """The optimizer that a resolved recipe asks for, at the learning rates of a schedule."""
    choices = recipe.optimizer
    decay = choices.layer_decay
    scales = optimizers.layer_rate_scales(model, backbone_of(model), decay) if decay < 1 else None
    return optimizers.make_optimizer(
        choices.name,
        rate,
        **choices.model_dump(exclude={"name", "learning_rate", "layer_decay"}),
        rate_scales=scales,
    )


def fine_tune(
    model: keras.Model,
    images: TrainingImages,
    recipe: Recipe,
    *,
    device: Device,
    run: Run,
    select: Callable[[], tuple[float, float]] | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Trains `model` in place and returns one history row per epoch; continues from the run's checkpoint.

    At the end the model holds the averaged weights where `optimizer.ema` asks for them, and the weights of the best
    epoch where `finetune.patience` does.

    Args:
        model: logits for float32 [N, S, S, 3] in [0, 255], with its `trainable` flags set, built under
            `device.strategy`.
        images: what is trained on.
        recipe: resolved; its seed is that of order and augmentation.
        device: where; the batch is the global one, shared among all devices.
        run: where checkpoints, history and the snapshots that the recipe asks for go; its checkpoints folder exists.
        select: (loss, accuracy) on the selection photos, called after each epoch.
        progress: who is told.

    Raises:
        DivergedError: the loss stops being a number.
    """
    choices, steps = recipe.finetune, steps_per_epoch(len(images.paths), recipe.finetune.batch_size)
    with device.strategy.scope():
        trainer = make_trainer(model, recipe, schedule_of(recipe, steps), device)
    state = Checkpoints(model, trainer.optimizer, run.checkpoints)
    history = state.restore()
    if history:
        write_history(run.history_file, history)
    rules = _Rules(recipe, trainer.optimizer)
    for row in history:
        rules.observe(row)
    first_epoch = len(history)
    if first_epoch < choices.epochs and not rules.stopped:
        with (progress or Silent()).work(PHASE, (choices.epochs - first_epoch) * len(images.paths), "images") as ticker:
            bookkeeping = _Bookkeeping(
                state=state, rules=rules, history=history, run=run, ticker=ticker, image_count=len(images.paths),
                batch_size=choices.batch_size, epochs=choices.epochs, snapshot_epochs=recipe.snapshot_epochs,
                select=select,
            )  # fmt: skip
            trainer.fit(
                batches_of(recipe, images, model, first_epoch=first_epoch, epochs=choices.epochs),
                initial_epoch=first_epoch,
                epochs=choices.epochs,
                steps_per_epoch=steps,
                callbacks=[bookkeeping],
                verbose=0,
                shuffle=False,
            )
    if rules.stopping:
        state.restore_best()
    else:
        trainer.optimizer.finalize_variable_values(model.trainable_variables)  # a resumed run may not have come to it
    return history


def batches_of(
    recipe: Recipe, images: TrainingImages, model: keras.Model, *, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """What `model` is shown in these epochs of a resolved recipe, see `training_batches`."""
    return training_batches(
        images,
        class_count=model.output_shape[-1],
        policy=AugmentPolicy(recipe.data.known_fit, **recipe.augment.values),
        image_size=model.input_shape[1],
        batch_size=recipe.finetune.batch_size,
        seed=recipe.seed,
        first_epoch=first_epoch,
        epochs=epochs,
    )


def make_trainer(model: keras.Model, recipe: Recipe, rate: LearningRateSchedule, device: Device) -> keras.Model:
    """`model` in a shell of its own that is compiled, so that `model` is saved without an optimizer."""
    strength = recipe.finetune.l2_sp
    if strength:
        pulled = backbone_of(model).trainable_variables
        trainer = L2SPModel(model.input, model.output, strength=strength, pulled=pulled)
    else:
        trainer = keras.Model(model.input, model.output)
    trainer.compile(
        make_optimizer(recipe, model, rate),
        loss=make_loss(recipe),
        metrics=["accuracy"],
        jit_compile=device.jit,
    )
    trainer.optimizer.build(model.trainable_variables)  # `compile` may have wrapped it in a LossScaleOptimizer
    return trainer


def make_loss(recipe: Recipe) -> keras.losses.Loss:
    """The loss of logits that the recipe asks for; "focal" is that of Lin et al. 2017, "Focal loss for dense object
    detection", eq. 4, for several classes, without its weights, which are `class_weights`.
    """
    choices = recipe.finetune
    smoothing = choices.label_smoothing
    if choices.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=choices.focal_gamma, from_logits=True, label_smoothing=smoothing
        )
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)


class _Rules:
    """What the losses so far decide: when to stop, which epoch was best, when to lower the learning rate."""

    def __init__(self, recipe: Recipe, optimizer: keras.optimizers.Optimizer) -> None:
        patience, schedule = recipe.finetune.patience, recipe.schedule
        self.stopping = EarlyStopping(patience) if patience else None
        self.plateau = PlateauDecay(schedule.patience) if schedule.name == "plateau" else None
        self._decay = schedule.decay
        self._rate = getattr(optimizer, "inner_optimizer", optimizer)._learning_rate

    @property
    def stopped(self) -> bool:
        """Whether training is over before its last epoch."""
        return self.stopping is not None and self.stopping.stopped

    def observe(self, row: dict[str, Any]) -> bool:
        """Takes in one row of the history, lowers the learning rate if it is time, and says if the row is the best."""
        loss = row.get("select_loss", row["loss"])
        if self.plateau and self.plateau.observe(loss):
            lower_rate(self._rate, self._decay)
        return self.stopping is not None and self.stopping.observe(loss)


@dataclass
class _Bookkeeping(keras.callbacks.Callback):
    """After each epoch: the history row, what it decides, then the checkpoint that makes it count."""

    state: Checkpoints
    rules: _Rules
    history: list[dict[str, Any]]
    run: Run
    ticker: Ticker
    image_count: int
    batch_size: int
    epochs: int
    snapshot_epochs: Sequence[int]
    select: Callable[[], tuple[float, float]] | None
    started: float = field(default=0.0)

    def __post_init__(self) -> None:
        super().__init__()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise DivergedError("The training loss is no longer a number; lower optimizer.learning_rate.")
        shown = min(self.batch_size, self.image_count - batch * self.batch_size)
        self.ticker.advance(shown, f"epoch {len(self.history) + 1}/{self.epochs}  loss {loss:.3f}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        row = self._row(epoch, logs or {})
        with optimizers.averaged_weights(self.state.model, self.state.optimizer):
            if self.select:
                row["select_loss"], row["select_accuracy"] = self.select()
            if self.rules.observe(row):
                self.state.save_best()
            if epoch + 1 in self.snapshot_epochs:
                self.state.save_snapshot(self.run.snapshots / f"epoch_{epoch + 1:05d}.npz")
        self.history.append(row)
        self.state.save(self.history)
        write_history(self.run.history_file, self.history)
        self.model.stop_training = self.rules.stopped

    def _row(self, epoch: int, logs: dict[str, float]) -> dict[str, Any]:
        seconds = time.perf_counter() - self.started
        return {
            "phase": PHASE,
            "epoch": epoch + 1,
            "learning_rate": float(keras.ops.convert_to_numpy(self.state.optimizer.learning_rate)),
            "loss": float(logs["loss"]),
            "accuracy": float(logs["accuracy"]),
            "seconds": round(seconds, 3),
            "images_per_second": round(self.image_count / seconds, 1),
        }
