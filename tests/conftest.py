"""Fixtures for every test: small folders of generated photos, and the real ones where they are at hand."""

from __future__ import annotations

import colorsys
import io
import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np
import pytest
from PIL import Image

PhotoFolder = Callable[..., Path]

TRAINING = (
    *("--backbone", "tiny", "--seed", 3, "--epochs", 3),
    *("--set", "finetune.batch_size=8", "--set", "optimizer.learning_rate=0.003"),
    *("--set", "data.select_fraction=0.2", "--set", "head.l2=[1e6]"),
)
"""The options of the run that most tests share. So strong an L2 spoils the head: the fine-tuned stage is kept."""

FAST = ("--backbone", "tiny", "--recipe", "quick", "--set", "head.l2=[0.1]")
"""The options of a run that takes no longer than it must."""

# What a camera stores so that turning it by the EXIF orientation shows the scene upright.
STORED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
    8: lambda x: np.rot90(x, -1),
}


@dataclass(frozen=True)
class Answer:
    """What the command line answered: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def values(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        return json.loads(self.stdout)


@dataclass(frozen=True)
class TrainedRun:
    """A finished run that tests only read: its folder, the photos it was trained on and what `train` answered."""

    folder: Path
    photos: Path
    answer: Answer

    @property
    def metrics(self) -> dict[str, Any]:
        """What its metrics.json holds."""
        return json.loads((self.folder / "metrics.json").read_text("utf-8"))


def run_regraft(*words: object, stdin: str = "") -> Answer:
    """Runs `regraft` with these words in this process, as the console script would."""
    from regraft.cli.main import main

    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors, newline="", write_through=True)
        for errors in ("strict", "backslashreplace")  # as Python opens them
    )
    argv = ["regraft", *map(str, words)]
    with patch("sys.argv", argv), patch("sys.stdin", io.StringIO(stdin)), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    stdout, stderr = (stream.buffer.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err))
    return Answer(code, stdout, stderr)


def draw_photo(class_index: int, *, seed: int, size: tuple[int, int] = (64, 48), classes: int = 8) -> Image.Image:
    """An RGB image of `size` (width, height): its hue and the direction of its stripes tell its class.

    `seed` varies the phase, the brightness and a random pattern, so no two seeds look alike.
    """
    rng = np.random.default_rng([class_index, seed])
    width, height = size
    turn = np.pi * class_index / classes
    y, x = np.mgrid[:height, :width] / 8
    stripes = np.sin(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / 2 + rng.uniform(0, 2 * np.pi))
    blobs = Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    light = rng.uniform(0.5, 0.7) + 0.12 * stripes + 0.3 * (np.asarray(blobs) / 255 - 0.5)
    color = np.array(colorsys.hsv_to_rgb(class_index / classes, 0.7, 1.0))
    return Image.fromarray(np.rint(255 * np.clip(light[..., None] * color, 0, 1)).astype(np.uint8))


def parse_command(line: str) -> click.Context:
    """Parses a command line such as `regraft check photos/` without running it. Raises click.UsageError."""
    from regraft.cli.main import regraft

    program, *words = shlex.split(line, comments=True)
    assert program == "regraft"
    if words[0] not in regraft.commands:
        return regraft.make_context("regraft", words)
    return regraft.commands[words[0]].make_context(words[0], words[1:])


@pytest.fixture
def photo_folder(tmp_path: Path) -> PhotoFolder:
    """A function that writes a class-per-folder tree of JPEGs and returns its root.

    `photo_folder({"cat": 3, "dog": 3})`, or with splits `photo_folder({"train/cat": 3, "val/cat": 1, ...})`.
    The same arguments give the same bytes; all images of one call differ.
    """

    def write(counts: Mapping[str, int], *, name: str = "photos", size=(64, 48), seed: int = 0) -> Path:
        root = tmp_path / name
        class_names = sorted({Path(folder).name for folder in counts})
        for place, (folder, count) in enumerate(sorted(counts.items())):
            (root / folder).mkdir(parents=True)
            for number in range(count):
                photo = draw_photo(
                    class_names.index(Path(folder).name),
                    seed=10_000 * seed + 1_000 * place + number,
                    size=size,
                    classes=max(len(class_names), 2),
                )
                photo.save(root / folder / f"{number:03}.jpg", quality=90)
        return root

    return write


@pytest.fixture
def without_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the SavedModel and its proof, a process of its own that takes seconds, out of trainings."""
    for module in ("session", "train"):
        monkeypatch.setattr(f"regraft.{module}.Proof", lambda **_: nullcontext())
    found = {"images": 0, "largest_difference": 0.0}
    monkeypatch.setattr("regraft.training.train.export_proven", lambda *_, **__: (Path("nowhere"), found))


def write_odd_photos(folder: Path, photos: list[Image.Image]) -> None:
    """Writes each photo in another format that cameras, scanners and drawing programs make; all can be read."""
    exif = Image.Exif()
    exif[0x0112] = 6
    cycle: list[tuple[str, Callable[[Image.Image], Image.Image], dict[str, Any]]] = [
        ("tiff.tif", lambda photo: photo, {}),
        ("cmyk.jpg", lambda photo: photo.convert("CMYK"), {"quality": 95}),
        ("deep.png", _sixteen_bit, {}),
        ("grey_alpha.png", lambda photo: photo.convert("LA"), {}),
        ("palette.png", lambda photo: photo.quantize(64), {}),
        ("web.webp", lambda photo: photo, {"lossless": True}),
        ("bitmap.bmp", lambda photo: photo, {}),
        ("turned.jpg", lambda photo: photo.transpose(Image.Transpose.ROTATE_90), {"exif": exif, "quality": 95}),
        ("first.gif", lambda photo: photo.quantize(64), {}),
        ('a "b", c é.jpg', lambda photo: photo, {"quality": 95}),
    ]
    for number, photo in enumerate(photos):
        name, change, options = cycle[number % len(cycle)]
        change(photo).save(folder / f"{number:02}_{name}", **options)


def _sixteen_bit(photo: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(photo.convert("L"), np.uint16) * 257)


def write_broken_photos(folder: Path) -> list[Path]:
    """Six files that no one can read, one of each kind, in path order."""
    whole = draw_photo(0, seed=99)
    jpeg, png = io.BytesIO(), io.BytesIO()
    whole.save(jpeg, "JPEG")
    whole.save(png, "PNG")
    contents = {
        "bomb.gif": b"GIF89a" + b"\xff\xff" * 2 + b"\0\0\0;",
        "cut.jpg": jpeg.getvalue()[:-100],
        "cut.png": png.getvalue()[:-100],
        "empty.jpg": b"",
        "text.jpg": b"This is not a photo.\n",
        "zero_width.gif": b"GIF89a\0\0\x10\0\0\0\0;",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of their own, so that no test reads or leaves anything in the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with patch.dict(os.environ, REGRAFT_CACHE=str(folder)):
        yield folder


@pytest.fixture(scope="session")
def mixed_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 20 photos in ten formats, six broken files among them. To be read only."""
    root = tmp_path_factory.mktemp("mixed") / "photos"
    for class_index, name in enumerate(("bee", "cat", "dog")):
        (root / name).mkdir(parents=True)
        photos = [draw_photo(class_index, seed=number, size=(44, 36), classes=3) for number in range(20)]
        write_odd_photos(root / name, photos)
    write_broken_photos(root / "cat")
    return root


@pytest.fixture(scope="session")
def trained(mixed_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A finished run on `mixed_photos`, trained by `regraft train --json` with the options `TRAINING`.

    It has a cache of its own: features that a run with another split has left differ in their last bit.
    """
    folder = tmp_path_factory.mktemp("runs") / "mixed"
    with patch.dict(os.environ, REGRAFT_CACHE=str(tmp_path_factory.mktemp("own_cache"))):
        answer = run_regraft("train", mixed_photos, *TRAINING, "--out", folder, "--json")
    assert answer.code == 0, answer.stderr
    return TrainedRun(folder, mixed_photos, answer)


@pytest.fixture(scope="session")
def litert(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trained` as a proven LiteRT export. To be read only."""
    folder = tmp_path_factory.mktemp("exports") / "litert"
    answer = run_regraft("export", trained.folder, "--format", "litert", "--out", folder, "--json")
    assert answer.code == 0, answer.stderr
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photos and weights; skips the test where REGRAFT_SHARED does not name one."""
    folder = os.environ.get("REGRAFT_SHARED")
    if not folder or not Path(folder).is_dir():
        pytest.skip("REGRAFT_SHARED does not name a folder with the real photos and weights")
    return Path(folder)
