"""Training the network: that the weights follow from the recipe alone, and what optimizer and schedule do to them."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from test_pipeline import CLASSES, COUNT, SIZE, write_photos

from regraft.augment.fits import MARGIN
from regraft.errors import UsageError
from regraft.machine.devices import open_device
from regraft.models.classifier import HEAD, backbone_of, build_classifier, set_trainable
from regraft.models.schedules import Constant
from regraft.progress import Silent
from regraft.recipes.recipe import Recipe, load_recipe
from regraft.runs.history import HISTORY_COLUMNS, read_history
from regraft.runs.run import Run
from regraft.training.finetune import batches_of, fine_tune, make_loss, make_optimizer, make_trainer, schedule_of
from regraft.training.pipeline import TrainingImages

EDITS = {"seed": 5, "finetune.epochs": 3, "finetune.batch_size": 4, "optimizer.learning_rate": 0.01}


def recipe_with(**edits: Any) -> Recipe:
    """The recipe of these tests, with edits such as optimizer__ema=0.9."""
    return load_recipe("balanced", EDITS | {key.replace("__", "."): value for key, value in edits.items()})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> TrainingImages:
    return write_photos(tmp_path_factory.mktemp("photos"))


def small_classifier(*, dropout: float = 0.0, batch_norm: str = "adaptive") -> keras.Model:
    """Two convolutions with batch norm: what makes `tiny` train, in a tenth of the time."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((SIZE, SIZE, 3))
    for width in (6, 8):
        x = layers.Conv2D(width, 3, strides=2, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    backbone = keras.Model(inputs, x)
    model = build_classifier(backbone, preprocessing="tf", class_count=CLASSES, regularize={"dropout": dropout}, seed=3)
    set_trainable(model, unfreeze=1.0, batch_norm=batch_norm)
    return model


def test_training_shows_photos_in_the_margins_that_prediction_shows(images: TrainingImages):
    """Of photos of 24 x 20, all of the area, with their colours as they are."""
    plain = {f"augment__{name}": 0 for name in ("brightness", "contrast", "saturation", "hue")}
    recipe = recipe_with(**plain, augment__flip=False, augment__crop_area_min=1.0, data__fit="pad")
    size = SimpleNamespace(output_shape=(None, CLASSES), input_shape=(None, 24, 24, 3))
    (batch,) = batches_of(recipe, images, size, first_epoch=0, epochs=1).take(1)
    upright = [image if (image[0] == MARGIN).all() else image.transpose(1, 0, 2) for image in batch[0].numpy()]
    for image in upright:
        np.testing.assert_array_equal(image[[0, 1, -2, -1]], np.broadcast_to(np.float32(MARGIN), (4, 24, 3)))
        assert not (image[2:-2] == MARGIN).all(axis=(1, 2)).any()


def train(
    model: keras.Model, images: TrainingImages, folder: Path, recipe: Recipe | None = None, **options
) -> list[dict[str, Any]]:
    (folder / "checkpoints").mkdir(exist_ok=True)
    return fine_tune(
        model,
        images,
        recipe or recipe_with(),
        device=options.pop("device", None) or open_device("cpu"),
        run=Run(folder),
        **options,
    )


def are_equal(first: keras.Model, second: keras.Model) -> bool:
    """Whether every weight and every random state is, bit for bit."""
    pairs = zip(first.variables, second.variables, strict=True)
    return all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in pairs)


def losses_of(history: list[dict[str, Any]]) -> list[float]:
    return [row["loss"] for row in history]


def test_the_recipe_decides_optimizer_and_rates():
    recipe = recipe_with(optimizer__name="nesterov", schedule__name="constant", optimizer__clip_norm=1.0)
    optimizer = make_optimizer(recipe, small_classifier(), schedule_of(recipe, steps=5))
    assert (type(optimizer).__name__, optimizer.momentum, optimizer.nesterov) == ("SGD", 0.9, True)
    assert optimizer.global_clipnorm == 1.0
    optimizer.iterations.assign(10)  # behind the warm-up of half an epoch
    assert float(optimizer.learning_rate) == pytest.approx(0.01)


@pytest.fixture(scope="module")
def uninterrupted(images, tmp_path_factory):
    """(history, model, folder) of a run with dropout and adaptive batch norm: all that could be random."""
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


EVERYTHING = {
    "optimizer__ema": 0.5,
    "optimizer__layer_decay": 0.8,
    "optimizer__accumulate": 2,
    "optimizer__weight_decay": 0.01,
    "schedule__name": "plateau",
    "schedule__patience": 1,
    "finetune__l2_sp": 0.1,
    "finetune__epochs": 5,
    "finetune__patience": 2,
    "augment__mixup": 0.4,
}
SELECT_LOSSES = [0.9, 0.8, 0.85, 0.84, 0.1]  # the second epoch is the best before patience ends


def train_everything(images, folder: Path, *, killed_in: int | None = None, first: int = 0):
    """Trains with all that has a state of its own; the loss that decides follows `SELECT_LOSSES`."""
    epochs = iter(range(first, 100))

    def select() -> tuple[float, float]:
        epoch = next(epochs)
        if epoch == killed_in:
            raise KeyboardInterrupt
        return SELECT_LOSSES[epoch], 0.5

    model = small_classifier(dropout=0.3)
    return train(model, images, folder, recipe_with(**EVERYTHING), select=select), model


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """(history, model) of that run, uninterrupted."""
    return train_everything(images, tmp_path_factory.mktemp("everything"))


def test_early_stopping_ends_training_and_the_rate_is_lowered_on_a_plateau(whole):
    history, _ = whole
    assert [row["select_loss"] for row in history] == SELECT_LOSSES[:4]  # 0.85 and 0.84 are not below 0.8
    rates = [row["learning_rate"] for row in history]
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.01, 0.005], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "killed_in", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)]
)
def test_all_that_has_a_state_of_its_own_goes_on_as_if_nothing_had_been(images, whole, killed_in, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        train_everything(images, tmp_path, killed_in=killed_in)
    history, model = train_everything(images, tmp_path, first=killed_in)
    assert losses_of(history) == losses_of(whole[0])
    assert are_equal(model, whole[1])


@pytest.mark.slow
def test_the_weights_of_the_best_epoch_are_kept(images, whole, tmp_path: Path):
    """They are the averaged ones after the second epoch: those of a run that ends there."""
    _, shorter = train_everything_for(images, tmp_path, epochs=2)
    for one, other in zip(shorter.trainable_variables, whole[1].trainable_variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def train_everything_for(images, folder: Path, *, epochs: int):
    model, losses = small_classifier(dropout=0.3), iter(SELECT_LOSSES)
    recipe = recipe_with(**EVERYTHING | {"finetune__epochs": epochs, "finetune__patience": 0})
    return train(model, images, folder, recipe, select=lambda: (next(losses), 0.5)), model


@pytest.mark.slow
def test_averaged_weights_are_judged_and_kept(images, tmp_path: Path):
    model, seen = small_classifier(), []
    recipe = recipe_with(optimizer__ema=0.5, finetune__epochs=2)

    def select() -> tuple[float, float]:
        seen.append(np.asarray(model.get_layer(HEAD).kernel))
        return 0.5, 0.5

    train(model, images, tmp_path, recipe, select=select)
    np.testing.assert_array_equal(model.get_layer(HEAD).kernel, seen[-1])
    plain = small_classifier()
    (tmp_path / "plain").mkdir()
    train(plain, images, tmp_path / "plain", recipe_with(finetune__epochs=2))
    assert not np.array_equal(plain.get_layer(HEAD).kernel, seen[-1])


@pytest.mark.slow
def test_a_run_killed_after_its_last_epoch_ends_with_the_averaged_weights_too(images, tmp_path: Path):
    recipe, whole, resumed = recipe_with(optimizer__ema=0.9, finetune__epochs=1), small_classifier(), small_classifier()
    train(whole, images, tmp_path, recipe)
    train(resumed, images, tmp_path, recipe)
    assert are_equal(whole, resumed)


@pytest.mark.slow
def test_where_classes_are_made_even_a_run_goes_on_to_the_weights_it_would_have_had(images, tmp_path: Path):
    """By sampling and by weights at once, which no recipe asks for: one training less than for each."""
    plain, whole, resumed = small_classifier(), small_classifier(), small_classifier()
    for name in ("plain", "whole", "resumed"):
        (tmp_path / name).mkdir()
    even = replace(images, is_balanced=True, class_weights=np.linspace(0.2, 1.8, CLASSES))
    one = recipe_with(finetune__epochs=1, schedule__name="constant")
    two = recipe_with(finetune__epochs=2, schedule__name="constant")
    train(plain, images, tmp_path / "plain", two)
    train(whole, even, tmp_path / "whole", two)
    train(small_classifier(), even, tmp_path / "resumed", one)
    train(resumed, even, tmp_path / "resumed", two)
    assert are_equal(whole, resumed)
    assert not are_equal(whole, plain)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_labels_are_smoothed_as_the_recipe_says(smoothing: float):
    model = small_classifier()
    trainer = make_trainer(model, recipe_with(finetune__label_smoothing=smoothing), Constant(0.1), open_device("cpu"))
    logits = np.linspace(2, -1, CLASSES, dtype=np.float32)[None]
    target = np.full(CLASSES, smoothing / CLASSES)
    target[0] += 1 - smoothing
    expected = -(target * (logits[0] - np.log(np.exp(logits[0]).sum()))).sum()
    found = trainer.compute_loss(y=np.eye(CLASSES, dtype=np.float32)[:1], y_pred=logits)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_focal_loss_is_cross_entropy_times_a_power_of_what_is_missing(gamma: float):
    """By hand: of p = 0.7 for the truth, -(1 - 0.7) ** gamma * log 0.7; a photo's weight multiplies it."""
    recipe = recipe_with(finetune__loss="focal", finetune__focal_gamma=gamma, finetune__label_smoothing=0.0)
    logits = np.log(np.array([[0.7, 0.2, 0.1]], np.float32)) + 3
    found = make_loss(recipe)(np.eye(3, dtype=np.float32)[:1], logits, sample_weight=np.float32([2.0]))
    assert float(found) == pytest.approx(2 * 0.3**gamma * -np.log(0.7), rel=1e-5)


@pytest.mark.slow
def test_a_strong_pull_keeps_the_backbone_near_its_start(images, tmp_path: Path):
    moved = []
    for number, strength in enumerate((0.0, 30.0)):
        model = small_classifier(batch_norm="frozen")
        before = [np.asarray(weight) for weight in backbone_of(model).trainable_variables]
        (tmp_path / str(number)).mkdir()
        train(model, images, tmp_path / str(number), recipe_with(optimizer__name="sgd", finetune__l2_sp=strength))
        after = [np.asarray(weight) for weight in backbone_of(model).trainable_variables]
        moved.append(sum(float(np.square(b - a).sum()) for a, b in zip(before, after, strict=True)))
    assert moved[1] < 0.5 * moved[0]


def norm_arrays(model: keras.Model) -> list[np.ndarray]:
    norms = (layer for layer in backbone_of(model).layers if isinstance(layer, layers.BatchNormalization))
    return [np.asarray(weight) for layer in norms for weight in layer.weights]


def other_arrays(model: keras.Model) -> list[np.ndarray]:
    kernels = (layer.kernel for layer in backbone_of(model).layers if isinstance(layer, layers.Conv2D))
    return [np.asarray(weight) for weight in (*kernels, *model.get_layer(HEAD).weights)]


def test_frozen_batch_norm_does_not_move_while_all_else_does(images, tmp_path: Path):
    model = small_classifier(batch_norm="frozen")
    norms, others = norm_arrays(model), other_arrays(model)
    train(model, images, tmp_path, recipe_with(finetune__epochs=1))
    assert all(np.array_equal(*pair) for pair in zip(norms, norm_arrays(model), strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(others, other_arrays(model), strict=True))


def test_adaptive_batch_norm_moves(uninterrupted):
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


@pytest.mark.slow
def test_progress_counts_every_image_once_an_epoch(images, tmp_path: Path):
    progress = Recorder()
    recipe = recipe_with(finetune__epochs=2)
    train(small_classifier(), images, tmp_path, recipe, progress=progress)
    assert progress.given == ("fine-tune", 2 * COUNT, "images")
    assert progress.done == 2 * COUNT
    assert progress.notes[0].startswith("epoch 1/2  loss ")
    assert progress.notes[-1].startswith("epoch 2/2  loss ")


def test_a_loss_that_is_no_number_ends_training_in_one_line(images, tmp_path: Path):
    model = small_classifier()
    kernel, bias = model.get_layer(HEAD).get_weights()
    model.get_layer(HEAD).set_weights([kernel * np.float32(1e38), bias])
    with pytest.raises(UsageError) as caught:
        train(model, images, tmp_path)
    assert str(caught.value) == "The training loss is no longer a number; lower optimizer.learning_rate."
    assert list((tmp_path / "checkpoints").iterdir()) == []
    assert not (tmp_path / "history.csv").exists()


def print_losses(device_name: str, folder: str) -> None:
    """Runs in a process of its own, as virtual devices have to be made before TensorFlow does anything."""
    device = open_device(device_name)
    with device.strategy.scope():
        model = small_classifier(batch_norm="frozen")
    place = Path(folder) / device_name.replace(":", "_")
    place.mkdir()
    history = train(model, write_photos(place), place, recipe_with(finetune__epochs=2), device=device)
    print(json.dumps({"device": device.name, "losses": losses_of(history)}))


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one_for_the_same_global_batch(tmp_path: Path):
    tests = Path(__file__).parent
    paths = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
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
