"""The table of augmentations: what a row promises, and that a row and a file are all that adding one takes."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import regraft.augment
from regraft.augment.policy import AugmentPolicy, make_batch_op, make_train_view
from regraft.augment.table import AUGMENTATIONS, Augmentation, Option, active, defaults

INVERT = '''
import tensorflow as tf


def make_inversion(*, invert):
    """A function of (image, seed) that inverts a share of the images."""
    return lambda image, seed: tf.where(tf.random.stateless_uniform([], seed) < invert, 255.0 - image, image)
'''


def maker_of(row: Augmentation) -> object:
    module, _, function = row.make.partition(":")
    return getattr(importlib.import_module(f"regraft.augment.{module}"), function)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_rows_maker_takes_the_rows_options_and_nothing_else(name):
    row = AUGMENTATIONS[name]
    more = ["fit"] if row.stage == "crop" else []
    assert list(inspect.signature(maker_of(row)).parameters) == [*row.options, *more]


def test_no_two_rows_draw_from_the_same_part_of_the_seed():
    numbers = [row.number for row in AUGMENTATIONS.values()]
    assert len(set(numbers)) == len(numbers)


def test_no_option_belongs_to_two_rows():
    assert len(defaults()) == sum(len(row.options) for row in AUGMENTATIONS.values())


def test_the_switches_of_a_row_are_among_its_options():
    assert all(set(row.switches) <= set(row.options) for row in AUGMENTATIONS.values())


def test_by_default_photos_are_cropped_flipped_and_their_colors_varied():
    on = [name for name, row in AUGMENTATIONS.items() if row.is_on(defaults())]
    assert on == ["crop", "flip", "color"]


def test_the_defaults_are_those_of_the_recipe():
    expected = {"flip": True, "crop": "resized", "crop_area_min": 0.35, "hue": 0.02, "randaugment_ops": 2, "mixup": 0.0}
    assert {key: defaults()[key] for key in expected} == expected
    assert [defaults()[key] for key in ("brightness", "contrast", "saturation")] == [0.2] * 3


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ({"flip_vertical": True}, "flip_vertical"),
        ({"zoom": 0.1}, "affine"),
        ({"randaugment": 9.0}, "randaugment"),
        ({"trivial_augment": True}, "trivial_augment"),
        ({"pca": 0.1}, "pca"),
        ({"erase": 0.5}, "erase"),
    ],
)
def test_one_option_turns_its_row_on(change, row):
    off = defaults()
    added = [entry for entry in active({**off, **change}, "image") if entry not in active(off, "image")]
    assert added == [AUGMENTATIONS[row]]


def test_an_option_that_is_no_switch_turns_nothing_on():
    assert active({**defaults(), "randaugment_ops": 5}, "image") == active(defaults(), "image")


def test_the_table_needs_no_tensorflow():
    code = "import sys, regraft.augment.table; print(*({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.fixture
def inversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a contributor adds: one file and one row."""
    (tmp_path / "invert.py").write_text(INVERT, "utf-8")
    monkeypatch.setattr(regraft.augment, "__path__", [*regraft.augment.__path__, str(tmp_path)])
    row = Augmentation({"invert": Option(0.0, "[0, 1]")}, make="invert:make_inversion", stage="image", number=100)
    monkeypatch.setitem(AUGMENTATIONS, "invert", row)
    yield
    sys.modules.pop("regraft.augment.invert", None)


def seen(policy: AugmentPolicy, seed: int = 0) -> np.ndarray:
    """The training view of one grey photo with a bright left half."""
    import tensorflow as tf

    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :15] = 200
    encoded = tf.io.encode_png(pixels)
    return make_train_view(policy, 8)(encoded, 20, 30, tf.constant(False), tf.constant([seed, 1])).numpy()


@pytest.mark.usefixtures("inversion")
def test_an_augmentation_is_added_by_one_row_and_one_file():
    np.testing.assert_allclose(seen(AugmentPolicy(invert=1.0)), 255 - seen(AugmentPolicy()), atol=1e-3)


@pytest.mark.usefixtures("inversion")
def test_an_added_row_leaves_the_draws_of_the_others_alone():
    for seed in range(5):
        faint = seen(AugmentPolicy(invert=1e-9, erase=1.0), seed)
        np.testing.assert_array_equal(faint, seen(AugmentPolicy(erase=1.0), seed))


def test_without_mixing_there_is_no_op_on_batches():
    assert make_batch_op(AugmentPolicy()) is None
