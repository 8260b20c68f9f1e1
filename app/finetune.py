"""Training the network itself: Adam, warm-up, cosine decay, a checkpoint after every epoch.

The weights after the last epoch are a function of the recipe and the images alone. Order and augmentation of the
images follow from (seed, epoch, position), so a run that was killed goes on from its last checkpoint to the weights
it would have had.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from regraft.atomic import atomic_file, write_text
from regraft.augment import AugmentPolicy, make_train_view
from regraft.devices import Device
from regraft.errors import RunError, UsageError
from regraft.parallel import cores
from regraft.progress import Progress, Silent, Ticker
from regraft.recipe import FineTuneChoices

HISTORY_COLUMNS = (
    "phase",
    "epoch",
    "learning_rate",
    "loss",
    "accuracy",
    "select_loss",
    "select_accuracy",
    "seconds",
    "images_per_second",
)


@dataclass(frozen=True)
class TrainingImages:
    """What is trained on.

    Attributes:
        paths: files TensorFlow decodes.
        labels: int [N].
        heights, widths: int [N], pixels of the upright images.
        plain_jpeg: bool [N], JPEGs of EXIF orientation 1, which can be cropped while decoding.
    """

    paths: Sequence[str]
    labels: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    plain_jpeg: np.ndarray


def training_batches(
    images: TrainingImages,
    *,
    class_count: int,
    policy: AugmentPolicy,
    image_size: int,
    batch_size: int,
    seed: int,
    first_epoch: int,
    epochs: int,
) -> tf.data.Dataset:
    """Batches (float32 [B, S, S, 3] in [0, 255], float32 one-hot [B, classes]) of epochs first_epoch .. epochs - 1.

    Each epoch sees every image once, in its own order; the last batch is filled up from the epoch's beginning, so
    every batch is full. Parallelism is fixed and autotuning off: deleting an autotuned iterator can block for tens
    of seconds in TensorFlow 2.21.
    """
    count = len(images.paths)
    positions = tf.range(steps_per_epoch(count, batch_size) * batch_size)
    view = make_train_view(policy, image_size)
    columns = [tf.constant([os.fsencode(path) for path in images.paths]), tf.constant(images.labels, tf.int32)]
    columns += [tf.constant(images.heights, tf.int32), tf.constant(images.widths, tf.int32)]
    columns += [tf.constant(images.plain_jpeg, tf.bool)]

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        epoch_seed = tf.stack([seed, tf.cast(epoch, tf.int32)])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=epoch_seed)
        chosen = tf.gather(order, positions % count)
        seeds = tf.tile(epoch_seed[None, :], [tf.size(positions), 1])
        return tf.data.Dataset.from_tensor_slices((chosen, seeds, positions))

    def load(chosen: tf.Tensor, epoch_seed: tf.Tensor, position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        path, label, height, width, plain_jpeg = (tf.gather(column, chosen) for column in columns)
        image = view(tf.io.read_file(path), height, width, plain_jpeg, tf.random.fold_in(epoch_seed, position))
        return image, tf.one_hot(label, class_count)

    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    epochs_left = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    mapped = epochs_left.map(load, num_parallel_calls=cores(), deterministic=True)
    return mapped.batch(batch_size, drop_remainder=True).prefetch(2).with_options(options)


def steps_per_epoch(image_count: int, batch_size: int) -> int:
    """How many batches show every image once."""
    return math.ceil(image_count / batch_size)


def make_optimizer(choices: FineTuneChoices, steps: int) -> keras.optimizers.Optimizer:
    """Adam whose learning rate rises linearly over `warmup_epochs` and then falls to 0 on half a cosine.

    Sources: Kingma & Ba 2015; decoupled weight decay: Loshchilov & Hutter 2019; schedule: Loshchilov & Hutter 2017
    without restarts, after the warm-up of Goyal et al. 2017.
    """
    warmup = max(1, round(choices.warmup_epochs * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=choices.learning_rate / (warmup + 1),
        decay_steps=max(1, choices.epochs * steps - warmup),
        warmup_target=choices.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.Adam(rate, weight_decay=choices.weight_decay or None)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def fine_tune(
    model: keras.Model,
    images: TrainingImages,
    choices: FineTuneChoices,
    policy: AugmentPolicy,
    *,
    seed: int,
    device: Device,
    checkpoints: Path,
    history_file: Path,
    select: Callable[[], tuple[float, float]] | None = None,
    phase: str = "fine-tune",
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Trains `model` in place and returns one history row an epoch; continues from `checkpoints` if there is one.

    Args:
        model: logits for float32 [N, S, S, 3] in [0, 255], with its `trainable` flags set, built under
            `device.strategy`.
        images, policy: what is trained on, and how it may vary.
        choices: epochs, batch size, learning rate, ...
        seed: of order and augmentation.
        device: where; the batch is the global one, shared among all devices.
        checkpoints: an existing folder for the state after each epoch.
        history_file: CSV that is rewritten after each epoch.
        select: (loss, accuracy) on the images that decide between the stages, called after each epoch.
        phase: goes into the history.
        progress: who is told.

    Raises:
        UsageError: the loss stops being a number.
    """
    steps = steps_per_epoch(len(images.paths), choices.batch_size)
    with device.strategy.scope():
        trainer = _make_trainer(model, choices, steps, device)
    state = _TrainingState(model, trainer.optimizer, checkpoints)
    history = state.restore()
    if history:
        write_history(history_file, history)
    first_epoch = len(history)
    if first_epoch >= choices.epochs:
        return history
    batches = training_batches(
        images,
        class_count=model.output_shape[-1],
        policy=policy,
        image_size=model.input_shape[1],
        batch_size=choices.batch_size,
        seed=seed,
        first_epoch=first_epoch,
        epochs=choices.epochs,
    )
    total = (choices.epochs - first_epoch) * len(images.paths)
    with (progress or Silent()).work(phase, total, "images") as ticker:
        bookkeeping = _Bookkeeping(
            state=state, history=history, history_file=history_file, phase=phase, ticker=ticker,
            image_count=len(images.paths), batch_size=choices.batch_size, select=select, epochs=choices.epochs,
        )  # fmt: skip
        trainer.fit(
            batches,
            initial_epoch=first_epoch,
            epochs=choices.epochs,
            steps_per_epoch=steps,
            callbacks=[bookkeeping],
            verbose=0,
            shuffle=False,
        )
    return history


def _make_trainer(model: keras.Model, choices: FineTuneChoices, steps: int, device: Device) -> keras.Model:
    """`model` in a shell of its own that is compiled, so that `model` is saved without an optimizer."""
    trainer = keras.Model(model.input, model.output)
    trainer.compile(
        make_optimizer(choices, steps),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=choices.label_smoothing),
        metrics=["accuracy"],
        jit_compile=device.jit,
    )
    trainer.optimizer.build(model.trainable_variables)  # `compile` may have wrapped it in a LossScaleOptimizer
    return trainer


def write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """One CSV row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HISTORY_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of `write_history`, numbers as floats; empty where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: _number_or_text(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


@dataclass
class _TrainingState:
    """Everything that changes while training: weights, moments, step count, random states, history."""

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    folder: Path

    def save(self, history: list[dict[str, Any]]) -> None:
        arrays: dict[str, Any] = {
            f"variable_{index}": np.asarray(value) for index, value in enumerate(self._variables())
        }
        path = self.folder / f"epoch_{len(history):05d}.npz"
        with atomic_file(path) as temporary:
            np.savez(temporary, history=np.array(json.dumps(history)), **arrays)
        for older in self._saved()[:-1]:
            older.unlink()

    def restore(self) -> list[dict[str, Any]]:
        saved = self._saved()
        if not saved:
            return []
        try:
            with np.load(saved[-1]) as arrays:
                for index, variable in enumerate(self._variables()):
                    variable.assign(arrays[f"variable_{index}"])
                return json.loads(str(arrays["history"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise RunError(f"{saved[-1]} is damaged; delete it to train again from the beginning.") from error

    def _saved(self) -> list[Path]:
        return sorted(self.folder.glob("epoch_*.npz"))

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]


@dataclass
class _Bookkeeping(keras.callbacks.Callback):
    """After each epoch: the history row, then the checkpoint that makes it count."""

    state: _TrainingState
    history: list[dict[str, Any]]
    history_file: Path
    phase: str
    ticker: Ticker
    image_count: int
    batch_size: int
    epochs: int
    select: Callable[[], tuple[float, float]] | None
    started: float = field(default=0.0)

    def __post_init__(self) -> None:
        super().__init__()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise UsageError("The training loss is no longer a number; lower finetune.learning_rate.")
        shown = min(self.batch_size, self.image_count - batch * self.batch_size)
        self.ticker.advance(shown, f"epoch {len(self.history) + 1}/{self.epochs}  loss {loss:.3f}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        seconds = time.perf_counter() - self.started
        row = {
            "phase": self.phase,
            "epoch": epoch + 1,
            "learning_rate": float(keras.ops.convert_to_numpy(self.state.optimizer.learning_rate)),
            "loss": float((logs or {})["loss"]),
            "accuracy": float((logs or {})["accuracy"]),
            "seconds": round(seconds, 3),
            "images_per_second": round(self.image_count / seconds, 1),
        }
        if self.select:
            row["select_loss"], row["select_accuracy"] = self.select()
        self.history.append(row)
        self.state.save(self.history)
        write_history(self.history_file, self.history)
