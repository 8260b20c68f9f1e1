"""The contact sheet of an augmentation policy."""

from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder
from PIL import Image

from regraft.data.sources import scan_remembered
from regraft.experiments.preview import choose_photos, describe
from regraft.progress import Silent
from regraft.recipes.recipe import load_recipe


def test_photos_are_chosen_in_turn_from_the_classes(mixed_photos: Path):
    folder = scan_remembered(mixed_photos, Silent())
    chosen = choose_photos(folder, 5, seed=1)
    assert sorted(record.class_index for record in chosen) == [0, 0, 1, 1, 2]
    assert chosen == choose_photos(folder, 5, seed=1)
    assert chosen != choose_photos(folder, 5, seed=2)
    assert len(choose_photos(folder, 100_000, seed=1)) == len(folder.records)


def test_the_policy_is_told_by_what_is_on():
    off = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "flip": False, "crop": "center"}
    values = load_recipe("balanced", {f"augment.{key}": value for key, value in off.items()}).augment.values
    assert "flip" not in describe(values)
    assert describe(values | {"rotate": 15.0, "flip_vertical": True}).endswith("flip_vertical, rotate 15.0")


def test_the_sheet_has_a_row_a_photo_and_a_column_a_draw(mixed_photos: Path, tmp_path: Path):
    out = tmp_path / "sheet.png"
    small = ("--image-size", 16, "--photos", 2, "--draws", 3)
    answer = run_regraft("augment-preview", mixed_photos, *small, "--out", out, "--json")
    assert answer.code == 0, answer.stderr
    assert len(answer.values["photos"]) == 2
    assert len(answer.values["set_aside"]) == 6  # the broken files are named
    with Image.open(out) as sheet:
        first, second = sheet.size
        pixels = np.asarray(sheet)
    mixed = ("--set", "augment.mixup=1.0", "--set", "data.fit=auto", "--set", "model.backbone=auto")
    more = run_regraft("augment-preview", mixed_photos, *small, "--out", tmp_path / "mixed.jpg", *mixed)
    assert more.code == 0, more.stderr
    assert "data.fit is auto: training finds out which; here photos are shown as by crop." in more.stderr
    assert "model.backbone is auto: training finds out which; here photos have the size of" in more.stderr
    with Image.open(tmp_path / "mixed.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert sheet.size[0] == first
        assert sheet.size[1] > second  # one row for what is mixed
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


@pytest.mark.slow
def test_the_same_seed_draws_the_same_sheet(mixed_photos: Path, tmp_path: Path):
    sheets = []
    for number, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{number}.png"
        options = ("--image-size", 16, "--photos", 1, "--draws", 2, "--seed", seed)
        assert run_regraft("augment-preview", mixed_photos, *options, "--out", out).code == 0
        sheets.append(out.read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "exists.png"), "exists.png exists already; choose another --out or add --force."),
        (("--out", "sheet.gif"), "--out must end in .png or .jpg; received sheet.gif."),
        (("--set", "augment.rotat=3"), 'A recipe has no key "augment.rotat". Did you mean "augment.rotate"?'),
        (("--set", "augment.erase=2"), 'augment.erase: must be in [0, 1]; received "2".'),
    ],
)
def test_what_does_not_fit_is_one_line(options, message, photo_folder: PhotoFolder, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("exists.png").touch()
    answer = run_regraft("augment-preview", photo_folder({"cat": 8, "dog": 8}), *options)
    assert (answer.code, answer.stderr) == (2, f"regraft: {message}\n")
