"""Training the network: which pixels it sees, at which rate, and that the weights follow from the recipe alone."""

import csv
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import draw_photo
from keras import layers
from PIL import Image

from regraft.augment import AugmentPolicy
from regraft.devices import open_device
from regraft.errors import UsageError
from regraft.finetune import (
    HISTORY_COLUMNS,
    TrainingImages,
    fine_tune,
    make_optimizer,
    read_history,
    steps_per_epoch,
    training_batches,
    write_history,
)
from regraft.models.classifier import HEAD, backbone_of, build_classifier, set_trainable
from regraft.progress import Silent
from regraft.recipe import FineTuneChoices

SIZE, CLASSES, COUNT = 16, 2, 10
CHOICES = FineTuneChoices(epochs=3, batch_size=4, learning_rate=0.01)


def write_photos(folder: Path) -> TrainingImages:
    """Ten photos of two classes: eight JPEGs, one of them turned, and two PNGs."""
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = [folder / f"{number}.{'png' if number > 7 else 'jpg'}" for number in range(COUNT)]
    for number, path in enumerate(paths):
        options = {"exif": exif} if number == 7 else {}
        draw_photo(number % CLASSES, seed=number, size=(24, 20), classes=CLASSES).save(path, **options)
    turned, png = np.arange(COUNT) == 7, np.arange(COUNT) > 7
    heights, widths = np.where(turned, 24, 20), np.where(turned, 20, 24)
    return TrainingImages([str(path) for path in paths], np.arange(COUNT) % CLASSES, heights, widths, ~(turned | png))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> TrainingImages:
    return write_photos(tmp_path_factory.mktemp("photos"))


def small_classifier(*, dropout: float = 0.0, batch_norm: str = "live") -> keras.Model:
    """Two convolutions with batch norm: what makes `tiny` train, in a tenth of the time."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((SIZE, SIZE, 3))
    for width in (6, 8):
        x = layers.Conv2D(width, 3, strides=2, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    backbone = keras.Model(inputs, x)
    model = build_classifier(backbone, preprocessing="tf", class_count=CLASSES, dropout=dropout, seed=3)
    set_trainable(model, unfreeze=1.0, batch_norm=batch_norm)
    return model


def train(model: keras.Model, images: TrainingImages, folder: Path, choices=CHOICES, **options) -> list[dict[str, Any]]:
    (folder / "checkpoints").mkdir(exist_ok=True)
    return fine_tune(
        model,
        images,
        choices,
        AugmentPolicy(),
        seed=5,
        device=options.pop("device", None) or open_device("cpu"),
        checkpoints=folder / "checkpoints",
        history_file=folder / "history.csv",
        **options,
    )


def are_equal(first: keras.Model, second: keras.Model) -> bool:
    """Whether every weight and every random state is, bit for bit."""
    pairs = zip(first.variables, second.variables, strict=True)
    return all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in pairs)


def losses_of(history: list[dict[str, Any]]) -> list[float]:
    return [row["loss"] for row in history]


def batches_of(images: TrainingImages, *, first_epoch: int = 0, epochs: int = 2, batch_size: int = 4, seed: int = 5):
    """Batches whose labels are the positions of the images."""
    numbered = TrainingImages(
        images.paths, np.arange(len(images.paths)), images.heights, images.widths, images.plain_jpeg
    )
    return training_batches(
        numbered,
        class_count=len(images.paths),
        policy=AugmentPolicy(),
        image_size=SIZE,
        batch_size=batch_size,
        seed=seed,
        first_epoch=first_epoch,
        epochs=epochs,
    )


def orders_of(batches: tf.data.Dataset, steps: int) -> list[list[int]]:
    """The positions of the images, an epoch a list."""
    shown = [np.argmax(labels, axis=1).tolist() for _, labels in batches]
    return [list(chain.from_iterable(shown[start : start + steps])) for start in range(0, len(shown), steps)]


def test_each_epoch_shows_each_image_once_and_fills_the_last_batch_from_its_beginning(images):
    orders = orders_of(batches_of(images, epochs=3), steps=3)
    assert [len(order) for order in orders] == [12, 12, 12]
    for order in orders:
        assert sorted(order[:COUNT]) == list(range(COUNT))
        assert order[COUNT:] == order[:2]
    assert len({tuple(order) for order in orders}) == 3


def test_a_batch_larger_than_the_folder_repeats_it(images):
    (order,) = orders_of(batches_of(images, epochs=1, batch_size=24), steps=1)
    assert order[:COUNT] == order[COUNT : 2 * COUNT]
    assert len(order) == 24


def test_batches_are_float32_images_and_one_hot_labels(images):
    pixels, labels = next(iter(batches_of(images)))
    assert (pixels.shape, pixels.dtype) == ((4, SIZE, SIZE, 3), tf.float32)
    assert (labels.shape, labels.dtype) == ((4, COUNT), tf.float32)
    assert 0 <= pixels.numpy().min() < pixels.numpy().max() <= 255
    np.testing.assert_array_equal(np.sort(labels, axis=1), [[0.0] * 9 + [1.0]] * 4)


def test_batches_from_a_later_epoch_are_the_tail_of_those_from_the_first(images):
    whole, tail = list(batches_of(images, epochs=3)), list(batches_of(images, first_epoch=1, epochs=3))
    assert (len(whole), len(tail)) == (9, 6)
    for (pixels, labels), (later_pixels, later_labels) in zip(whole[3:], tail, strict=True):
        np.testing.assert_array_equal(pixels, later_pixels)
        np.testing.assert_array_equal(labels, later_labels)


def test_the_same_image_looks_different_in_every_epoch_and_with_every_seed(images):
    seen = []
    for seed in (5, 6):
        for pixels, labels in batches_of(images, seed=seed):
            seen += [image.tobytes() for image, label in zip(pixels.numpy(), labels.numpy(), strict=True) if label[0]]
    assert len(set(seen)) == len(seen) >= 4


def test_autotuning_is_off_which_would_block_for_seconds(images):
    options = batches_of(images).options()
    assert options.autotune.enabled is False
    assert options.deterministic is True


@pytest.mark.parametrize(("count", "batch_size", "steps"), [(10, 4, 3), (8, 4, 2), (1, 32, 1)])
def test_steps_per_epoch_show_every_image(count, batch_size, steps):
    assert steps_per_epoch(count, batch_size) == steps


def rates_of(choices: FineTuneChoices, steps: int) -> np.ndarray:
    """The learning rate of each step, and the one behind the last."""
    optimizer = make_optimizer(choices, steps)
    rates = []
    for step in range(choices.epochs * steps + 1):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    return np.array(rates)


def test_the_learning_rate_rises_linearly_and_falls_to_zero_on_half_a_cosine():
    rates = rates_of(FineTuneChoices(epochs=4, learning_rate=0.1, warmup_epochs=1.0), steps=5)
    rising = 0.1 * np.arange(1, 6) / 6
    falling = 0.1 * 0.5 * (1 + np.cos(np.pi * np.arange(16) / 15))
    np.testing.assert_allclose(rates, [*rising, *falling], rtol=1e-4, atol=1e-8)
    assert rates[-1] == pytest.approx(0.0, abs=1e-8)


def test_without_warmup_the_first_step_alone_is_slower():
    rates = rates_of(FineTuneChoices(epochs=1, learning_rate=0.1, warmup_epochs=0.0), steps=3)
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.05, 0.0], rtol=1e-4, atol=1e-8)


def test_training_of_a_single_step_has_a_rate_above_zero():
    assert rates_of(FineTuneChoices(epochs=1, learning_rate=0.1, warmup_epochs=0.9), steps=1)[0] == pytest.approx(0.05)


def test_weight_decay_shrinks_kernels_and_leaves_biases_and_scales():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, bias_initializer="ones"), layers.BatchNormalization()])
    optimizer = make_optimizer(FineTuneChoices(epochs=2, learning_rate=0.1, warmup_epochs=0.0, weight_decay=0.5), 5)
    optimizer.build(model.trainable_variables)
    kernel, *others = (np.asarray(variable) for variable in model.trainable_variables)
    optimizer.apply([keras.ops.zeros_like(variable) for variable in model.trainable_variables])
    decayed, *unchanged = (np.asarray(variable) for variable in model.trainable_variables)
    np.testing.assert_allclose(decayed, kernel * (1 - 0.05 * 0.5), rtol=1e-5)  # half the rate in the first step
    assert all(np.array_equal(*pair) for pair in zip(others, unchanged, strict=True))


@pytest.fixture(scope="module")
def uninterrupted(images, tmp_path_factory):
    """(history, model, folder) of a run with dropout and live batch norm: all that could be random."""
    folder, model = tmp_path_factory.mktemp("uninterrupted"), small_classifier(dropout=0.3)
    history = train(model, images, folder, select=lambda: (0.5, 0.75))
    return history, model, folder


def test_the_same_seed_gives_the_same_weights_bit_for_bit(images, uninterrupted, tmp_path: Path):
    model = small_classifier(dropout=0.3)
    history = train(model, images, tmp_path)
    assert losses_of(history) == losses_of(uninterrupted[0])
    assert are_equal(model, uninterrupted[1])


def test_an_interrupted_run_goes_on_to_the_weights_it_would_have_had(images, uninterrupted, tmp_path: Path):
    calls = []

    def stop_in_the_second_epoch() -> tuple[float, float]:
        calls.append(len(calls))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return 0.5, 0.75

    with pytest.raises(KeyboardInterrupt):
        train(small_classifier(dropout=0.3), images, tmp_path, select=stop_in_the_second_epoch)
    assert [row["epoch"] for row in read_history(tmp_path / "history.csv")] == [1]
    model = small_classifier(dropout=0.3)
    history = train(model, images, tmp_path, select=lambda: (0.5, 0.75))
    assert losses_of(history) == losses_of(uninterrupted[0])
    assert are_equal(model, uninterrupted[1])


def test_a_run_that_is_through_is_not_trained_again(images, uninterrupted):
    history, trained, folder = uninterrupted
    model = small_classifier(dropout=0.3)
    again = train(model, images, folder, select=lambda: pytest.fail("trained"))
    assert again == history
    assert are_equal(model, trained)


def test_only_the_last_checkpoint_is_kept(uninterrupted):
    assert [path.name for path in (uninterrupted[2] / "checkpoints").iterdir()] == ["epoch_00003.npz"]


def test_the_history_has_one_row_an_epoch_and_is_on_disk(uninterrupted):
    history, _, folder = uninterrupted
    assert [tuple(sorted(row)) for row in history] == [tuple(sorted(HISTORY_COLUMNS))] * 3
    assert [(row["phase"], row["epoch"]) for row in history] == [("fine-tune", epoch) for epoch in (1, 2, 3)]
    assert [(row["select_loss"], row["select_accuracy"]) for row in history] == [(0.5, 0.75)] * 3
    assert all(row["images_per_second"] > 0 for row in history)
    assert history[-1]["learning_rate"] == pytest.approx(0.0, abs=1e-8)
    assert history[-1]["loss"] < history[0]["loss"]
    assert read_history(folder / "history.csv") == history


def test_history_without_selection_has_empty_cells(tmp_path: Path):
    row = {"phase": "fine-tune", "epoch": 1, "loss": 0.25}
    write_history(tmp_path / "history.csv", [row])
    with (tmp_path / "history.csv").open(newline="") as file:
        (read,) = csv.DictReader(file)
    assert tuple(read) == HISTORY_COLUMNS
    assert (read["loss"], read["select_loss"]) == ("0.25", "")
    assert read_history(tmp_path / "history.csv") == [row]


def test_history_of_no_training_is_empty(tmp_path: Path):
    assert read_history(tmp_path / "history.csv") == []


def norm_arrays(model: keras.Model) -> list[np.ndarray]:
    norms = (layer for layer in backbone_of(model).layers if isinstance(layer, layers.BatchNormalization))
    return [np.asarray(weight) for layer in norms for weight in layer.weights]


def other_arrays(model: keras.Model) -> list[np.ndarray]:
    kernels = (layer.kernel for layer in backbone_of(model).layers if isinstance(layer, layers.Conv2D))
    return [np.asarray(weight) for weight in (*kernels, *model.get_layer(HEAD).weights)]


def test_frozen_batch_norm_does_not_move_while_all_else_does(images, tmp_path: Path):
    model = small_classifier(batch_norm="frozen")
    norms, others = norm_arrays(model), other_arrays(model)
    train(model, images, tmp_path, CHOICES.model_copy(update={"epochs": 1}))
    assert all(np.array_equal(*pair) for pair in zip(norms, norm_arrays(model), strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(others, other_arrays(model), strict=True))


def test_live_batch_norm_moves(uninterrupted):
    fresh, trained = norm_arrays(small_classifier()), norm_arrays(uninterrupted[1])
    assert not any(np.array_equal(*pair) for pair in zip(fresh, trained, strict=True))


def test_the_model_is_saved_without_traces_of_training(uninterrupted, tmp_path: Path):
    model = uninterrupted[1]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    assert [weight.shape for weight in loaded.weights] == [weight.shape for weight in model.weights]


class Recorder(Silent):
    """Counts the images of one piece of work."""

    def __init__(self) -> None:
        self.given: tuple[str, int, str] = ("", 0, "")
        self.done, self.notes = 0, []

    @contextmanager
    def work(self, name: str, total: int, unit: str):
        self.given = (name, total, unit)
        yield self

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        self.notes.append(note)


def test_progress_counts_every_image_once_an_epoch(images, tmp_path: Path):
    progress = Recorder()
    choices = CHOICES.model_copy(update={"epochs": 2})
    train(small_classifier(), images, tmp_path, choices, progress=progress, phase="pretrain")
    assert progress.given == ("pretrain", 2 * COUNT, "images")
    assert progress.done == 2 * COUNT
    assert progress.notes[0].startswith("epoch 1/2  loss ")
    assert progress.notes[-1].startswith("epoch 2/2  loss ")


def test_a_loss_that_is_no_number_ends_training_in_one_line(images, tmp_path: Path):
    model = small_classifier()
    kernel, bias = model.get_layer(HEAD).get_weights()
    model.get_layer(HEAD).set_weights([kernel * np.float32(1e38), bias])
    with pytest.raises(UsageError) as caught:
        train(model, images, tmp_path)
    assert str(caught.value) == "The training loss is no longer a number; lower finetune.learning_rate."
    assert list((tmp_path / "checkpoints").iterdir()) == []
    assert not (tmp_path / "history.csv").exists()


def print_losses(device_name: str, folder: str) -> None:
    """Runs in a process of its own, as virtual devices have to be made before TensorFlow does anything."""
    device = open_device(device_name)
    with device.strategy.scope():
        model = small_classifier(batch_norm="frozen")
    place = Path(folder) / device_name.replace(":", "_")
    place.mkdir()
    history = train(model, write_photos(place), place, CHOICES.model_copy(update={"epochs": 2}), device=device)
    print(json.dumps({"device": device.name, "losses": losses_of(history)}))


def test_two_devices_give_the_losses_of_one_for_the_same_global_batch(tmp_path: Path):
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    running = []
    for name in ("cpu", "cpu:2"):
        code = f"import test_finetune; test_finetune.print_losses({name!r}, {str(tmp_path)!r})"
        environment = os.environ | {"PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", code]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True))
    one, two = (json.loads(process.communicate()[0].splitlines()[-1]) for process in running)
    assert (one["device"], two["device"]) == ("cpu", "2 x cpu")
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-4)
    assert one["losses"][1] != one["losses"][0]
