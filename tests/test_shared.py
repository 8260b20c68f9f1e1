"""Promises on real photos and real weights; skipped where REGRAFT_SHARED does not name the folder that has them."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from PIL import Image, ImageOps
from trained_runs import TrainedRun

pytestmark = pytest.mark.shared

MOBILENET_V2 = "weights/mobilenet_v2_1.0_224_imagenet_int8_notop.weights.h5"
KERAS_FILE = "weights/mobilenet_2_5_224_tf_no_top.h5"
BROKEN = [
    "broken.png",
    "broken_data_stream.png",
    "decompression_bomb.gif",
    "empty.jpg",
    "text.jpg",
    "truncated_image.png",
    "zero_width.gif",
]
_TURNED_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def insects(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Ants and bees, the quick recipe, MobileNetV2 with ImageNet weights."""
    folder, photos = tmp_path_factory.mktemp("insects") / "run", shared / "data/hymenoptera"
    words = ("--backbone", "mobilenet_v2", "--weights", shared / MOBILENET_V2, "--recipe", "quick", "--out", folder)
    answer = run_regraft("train", photos, *words, "--json")
    assert answer.code == 0, answer.stderr
    return TrainedRun(folder, photos, answer)


def predict(run: TrainedRun, folder: Path) -> list[dict[str, str]]:
    answer = run_regraft("predict", run.folder, folder)
    assert answer.code == 0, answer.stderr
    return list(csv.DictReader(io.StringIO(answer.stdout, newline="")))


def score_of(row: dict[str, str], label: str) -> float:
    places = [key for key in row if key.startswith("label") and row[key] == label]
    return float(row[places[0].replace("label", "score")])


def test_every_dirty_file_gets_a_row_and_seven_say_why_they_cannot_be_read(trained: TrainedRun, shared: Path):
    rows = predict(trained, shared / "data/dirty")
    assert len(rows) == 27
    refused = [row for row in rows if row["status"] != "ok"]
    assert [Path(row["path"]).name for row in refused] == BROKEN
    assert {row["status"] for row in refused} <= {"unreadable", "truncated", "too_large"}
    assert all(row["reason"] and not row["label"] for row in refused)
    assert all(row["label"] in ("bee", "cat", "dog") and not row["reason"] for row in rows if row["status"] == "ok")


def copy_with_one_scene(source: Path, target: Path) -> None:
    """The eight orientations of one landscape, all with the same pixels.

    Each photo has the number of its orientation painted in its middle, so that of the first is copied into all.
    """
    painted = (slice(480, 690), slice(820, 980))
    digit = np.asarray(ImageOps.exif_transpose(Image.open(source / "Landscape_1.jpg")))[painted]
    target.mkdir()
    for orientation in range(1, 9):
        pixels = np.array(ImageOps.exif_transpose(Image.open(source / f"Landscape_{orientation}.jpg")))
        pixels[painted] = digit
        stored = Image.fromarray(pixels)
        if orientation in _TURNED_BACK:
            stored = stored.transpose(_TURNED_BACK[orientation])
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored.save(target / f"{orientation}.jpg", exif=exif, quality=95)


@pytest.mark.slow
def test_a_landscape_in_eight_orientations_has_one_label_and_the_same_scores(
    insects: TrainedRun, shared: Path, tmp_path: Path
):
    as_they_are = predict(insects, shared / "data/dirty/exif")
    assert len({row["label"] for row in as_they_are}) == 1
    copy_with_one_scene(shared / "data/dirty/exif", tmp_path / "one_scene")
    rows = predict(insects, tmp_path / "one_scene")
    assert len(rows) == 8
    assert len({row["label"] for row in rows}) == 1
    scores = [score_of(row, "ants") for row in rows]
    assert max(scores) - min(scores) <= 0.02


@pytest.mark.slow
def test_ants_and_bees_are_told_apart_by_the_quick_recipe(insects: TrainedRun):
    metrics = insects.metrics
    assert metrics["images"] == 153
    assert metrics["accuracy"] >= 0.97
    assert metrics["export"]["images"] == metrics["export"]["same_label"] == 153
    assert metrics["export"]["largest_difference"] < 1e-5


@pytest.mark.slow
def test_the_file_that_keras_itself_downloads_loads_and_trains(shared: Path, tmp_path: Path):
    weights = ("--backbone", "mobilenet", "--set", "model.alpha=0.25", "--weights", shared / KERAS_FILE)
    out = tmp_path / "run"
    answer = run_regraft("train", shared / "data/hymenoptera", *weights, "--recipe", "quick", "--out", out, "--json")
    assert answer.code == 0, answer.stderr
    assert answer.values["accuracy"] >= 0.88
