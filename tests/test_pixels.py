"""One file has one set of pixels: in training, in prediction, and in the SavedModel that is served."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from command_line import run_regraft
from drawn_photos import STORED, draw_photo
from PIL import Image, ImageDraw
from trained_runs import FAST

from regraft.data.photo_view import read_view
from regraft.data.rendering import AS_EARLIER, Rendering
from regraft.inference.views import ViewReader
from regraft.runs.run import Run, open_run

SIZE = 32


def odd_files() -> dict[str, bytes]:
    """A file of each kind that decoders could see differently."""
    scene = draw_photo(1, seed=3, size=(64, 48))
    alpha = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    rgba = Image.fromarray(np.dstack([np.asarray(scene), alpha]))
    turned = Image.fromarray(np.ascontiguousarray(STORED[6](np.asarray(scene))))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.asarray(scene.convert("L")).astype(np.uint16) * 16
    return {
        "rgba.png": encode(rgba, "PNG"),
        "grey_alpha.png": encode(rgba.convert("LA"), "PNG"),
        "palette.png": encode(scene.quantize(16), "PNG", transparency=bytes(range(0, 240, 15))),
        "rgba.webp": encode(rgba, "WEBP", lossless=True),
        "turned.png": encode(turned, "PNG", exif=exif),
        "turned.webp": encode(turned, "WEBP", exif=exif, lossless=True),
        "turned.jpg": encode(turned, "JPEG", exif=exif),
        "no_end.jpg": encode(scene, "JPEG")[:-2],
        "rgba.tif": encode(rgba, "TIFF"),
        "alpha.gif": encode(rgba.quantize(16), "GIF", transparency=3),
        "deep.png": encode(Image.fromarray(deep), "PNG"),
        "int32.tif": encode(Image.fromarray(deep.astype(np.int32)), "TIFF"),
        "float.tif": encode(Image.fromarray(deep.astype(np.float32)), "TIFF"),
    }


SERVED = (
    "rgba.png",
    "grey_alpha.png",
    "palette.png",
    "rgba.webp",
    "turned.png",
    "turned.webp",
    "turned.jpg",
    "no_end.jpg",
    "deep.png",
)
"""What the SavedModel decodes itself."""


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("rendering", [Rendering(), Rendering("#204060", (0.0, 4095.0)), AS_EARLIER])
def test_training_and_prediction_see_the_same_view_of_every_kind_of_file(rendering):
    reader = ViewReader(SIZE, 1.0, background=rendering.background, range=rendering.range)
    for name, data in odd_files().items():
        seen = read_view(data, SIZE, 1.0, rendering=rendering)
        np.testing.assert_allclose(reader.read_data(data), seen, atol=2e-2, err_msg=name)


@pytest.fixture(scope="module")
def icons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Circles and squares that are drawn in the alpha channel alone: without it, all of them are black."""
    root, random = tmp_path_factory.mktemp("icons") / "icons", np.random.default_rng(1)
    for name in ("circle", "square"):
        (root / name).mkdir(parents=True)
        for number in range(30):
            image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
            left, top, side = (int(value) for value in random.integers((4, 4, 20), (20, 20, 36)))
            draw = ImageDraw.Draw(image)
            shape = draw.ellipse if name == "circle" else draw.rectangle
            shape((left, top, left + side, top + side), fill=(0, 0, 0, 255))
            image.save(root / name / f"{number:02}.png")
    return root


@pytest.mark.slow
def test_icons_are_learned_and_every_way_to_serve_them_agrees(icons: Path, tmp_path: Path):
    run = tmp_path / "run"
    answer = run_regraft("train", icons, *FAST, "--image-size", SIZE, "--out", run)
    assert answer.code == 0, answer.stderr
    assert "60 photos with transparency (circle/00.png, circle/01.png and 58 more): white is seen" in answer.stderr
    assert open_run(run).metrics.accuracy > 0.8  # it is 0.5 where all icons are black
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, data in odd_files().items():
        (folder / name).write_bytes(data)
    first = sorted(icons.glob("*/00.png"))
    for path in first:  # the same icon without transparency
        flat = Image.new("RGB", (64, 64), "white")
        flat.paste(Image.open(path), mask=Image.open(path))
        flat.save(folder / f"flat_{path.parent.name}.png")
    rows = answers_of(run, [*first, *sorted(folder.iterdir())], tmp_path / "keras.csv", "tensorflow")
    for path in first:
        assert rows[f"flat_{path.parent.name}.png"] == rows[f"00.png of {path.parent.name}"]
    served = tf.saved_model.load(str(run / "saved_model/1")).signatures["serving_default"]
    for name in SERVED:
        scores = served(image_bytes=tf.constant([odd_files()[name]]))["scores"].numpy()[0]
        np.testing.assert_allclose(scores, rows[name], atol=1e-4, err_msg=name)
    assert run_regraft("export", run, "--format", "litert").code == 0
    litert = answers_of(run, [*first, *sorted(folder.iterdir())], tmp_path / "litert.csv", "litert")
    for name, scores in rows.items():
        np.testing.assert_allclose(litert[name], scores, atol=1e-4, err_msg=name)


def answers_of(run: Path, paths: list[Path], out: Path, runtime: str) -> dict[str, list[float]]:
    """Both scores of each file, by its name; icons by their class too."""
    words = ("--out", out, "--all-probabilities", "--runtime", runtime, "--no-shrink")
    answer = run_regraft("predict", run, *paths, *words)
    assert answer.code == 0, answer.stderr
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok"] * len(paths)
    names = [f"{path.name} of {path.parent.name}" if path.name == "00.png" else path.name for path in paths]
    return {name: [float(row["p_circle"]), float(row["p_square"])] for name, row in zip(names, rows, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.uint16])  # np.int32 goes the same way, see tests/data/test_rendering.py
def test_scans_of_12_bits_are_learned_and_answered_by_the_range_of_their_set(tmp_path: Path, dtype):
    root = tmp_path / "scans"
    for class_index, name in enumerate(("circle", "square")):
        (root / name).mkdir(parents=True)
        for number in range(30):
            grey = np.asarray(draw_photo(class_index * 4, seed=number, size=(48, 48)).convert("L"))
            Image.fromarray((grey.astype(np.float64) * 8).astype(dtype)).save(root / name / f"{number:02}.tif")
    run = tmp_path / "run"
    answer = run_regraft("train", root, *FAST, "--image-size", SIZE, "--out", run)
    assert answer.code == 0, answer.stderr
    assert "0 is black, 4,095 white (data.range)" in answer.stderr
    finished = open_run(run)
    assert finished.recipe.data.range == (0.0, 4095.0)
    assert finished.metrics.accuracy > 0.8
    paths = sorted(root.glob("*/*.tif"))[:4]
    rows = answers_of(run, paths, tmp_path / "answers.csv", "tensorflow")
    dark = tmp_path / "dark.tif"  # of the same set, its own values would hold in 8 bits
    Image.fromarray(np.full((48, 48), 200, dtype)).save(dark)
    black = tmp_path / "black.png"
    Image.new("L", (48, 48), round(200 * 255 / 4095)).save(black)
    both = answers_of(run, [dark, black], tmp_path / "dark.csv", "tensorflow")
    np.testing.assert_allclose(both["dark.tif"], both["black.png"], atol=1e-6)
    assert len(rows) == 4


def test_a_run_that_does_not_say_how_it_renders_answers_as_it_did(tmp_path: Path):
    (tmp_path / "recipe.toml").write_text('[data]\nimage_size = 32\n[model]\nbackbone = "tiny"\n')
    data = Run(tmp_path).recipe.data
    assert (data.background, data.range, data.image_size, data.fit) == ("none", "type", 32, "crop")
