"""Fixtures for every test: small folders of generated photos, and the real ones where they are at hand."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder, draw_photo, write_broken_photos, write_odd_photos
from trained_runs import TRAINING, TrainedRun

from regraft.exports.export import Export, ProofResult

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a shell's background job ignores it, and so would all children


LONG = ("test_mutants", "test_many_runs", "test_network", "test_readme", "test_killed_runs", "test_shared", "test_api")
"""The files that take longest. They come first, so that no process ends with one alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; else the order stays."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


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
    for module in ("session", "finish"):
        monkeypatch.setattr(f"regraft.training.{module}.Proof", lambda **_: nullcontext())
    found = ProofResult(images=0, largest_difference=0.0, same_label=0, tolerance=None)
    export = Export(Path("nowhere"), "saved_model", "float32", (), 0, 1.0, 0, "", found)
    monkeypatch.setattr("regraft.training.finish.export_proven", lambda *_, **__: export)


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
