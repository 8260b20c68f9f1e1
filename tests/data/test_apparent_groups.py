"""Groups that names and bursts show are told where they would be trained on and judged; ordinary names are not."""

from dataclasses import replace
from pathlib import Path

import pytest
from drawn_photos import draw_photo
from drawn_records import record
from PIL import ExifTags, Image

import regraft
from regraft.data.apparent_groups import find_apparent_groups
from regraft.data.groups import with_groups
from regraft.data.readiness import assess
from regraft.data.records import ImageFolder


def folder_of(*names: str, each: int = 1) -> ImageFolder:
    """Photos of two classes by turns, so many of each at a time."""
    records = tuple(record(name, number // each % 2) for number, name in enumerate(names))
    return ImageFolder(Path("photos"), ("cat", "dog"), records)


PATIENTS = [f"P{patient:03}_{eye}_{take}.jpg" for patient in range(8) for eye in ("left", "right") for take in (1, 2)]


@pytest.mark.parametrize(
    ("names", "pattern", "first"),
    [
        (PATIENTS, "([^/_]+)_[^/]*$", "P000"),
        ([f"IMG_{number}_{crop}.jpg" for number in range(6) for crop in "ab"], "([^/_]+_[^/_]+)_[^/]*$", "IMG_0"),
        ([f"dog {dog}.{take}.png" for dog in range(9) for take in (1, 2)], r"([^/.]+)\.[^/]*$", "dog 0"),
        ([f"video{video}-{frame}.jpg" for video in range(5) for frame in range(4)], "([^/-]+)-[^/]*$", "video0"),
    ],
)
def test_names_that_begin_alike_are_groups_with_a_pattern_that_captures_them(names, pattern, first):
    folder = folder_of(*names, each=2)
    found = find_apparent_groups(folder)
    assert found is not None
    assert pattern in found.remedy
    captured = with_groups(folder, pattern)
    assert {one.path: one.group for one in captured.records} == found.by_path
    assert captured.records[0].group == first


@pytest.mark.parametrize(
    "names",
    [
        [f"{number:07}.jpg" for number in range(30)],
        [f"{number}_{number * 7919:x}.jpg" for number in range(30)],  # numbers of their own, as of an archive
        [f"{name}.{number}.jpg" for name in ("cat", "dog") for number in range(15)],  # the classes
        [f"n0{number % 2}_{number}.jpg" for number in range(30)],  # classes by number
        [f"frame_{number}.jpg" for number in range(30)],
        [f"p{number // 15}_{number}.jpg" for number in range(30)],  # two groups, each half of the photos
        [f"{number // 2:03}_{'ab'[number % 2]}.jpg" for number in range(30)],  # numbers that begin anew in each class
    ],
)
def test_ordinary_names_are_no_groups(names):
    assert find_apparent_groups(folder_of(*names)) is None


def test_groups_on_both_sides_are_warned_about_once_and_not_where_groups_are_named():
    folder = folder_of(*PATIENTS)
    [warning] = [text for text in assess(folder).warnings if "apparent" in text]
    assert "of photos (names that begin alike, such as P0" in warning
    assert "keeps each on one side" in warning
    grouped = with_groups(folder, "^([^_]+)_")
    assert not any("apparent" in text for text in assess(grouped).warnings)


def test_bursts_of_a_camera_are_groups():
    times = [10.0, 11.5, 13.0, 50.0, 51.0, 90.0, 91.0, 200.0]
    records = [
        replace(record(f"{number:07}.jpg", number % 2), camera="A", taken=taken) for number, taken in enumerate(times)
    ]
    other = replace(record("x.jpg"), camera="B", taken=10.5)
    found = find_apparent_groups(ImageFolder(Path("photos"), ("cat", "dog"), (*records, other)))
    assert found is not None
    keys = [found.by_path.get(one.path) for one in records]
    assert keys == ["A 1"] * 3 + ["A 2"] * 2 + ["A 3"] * 2 + [None]
    assert other.path not in found.by_path
    fewer = ImageFolder(Path("photos"), ("cat", "dog"), tuple(records[:5]))
    assert find_apparent_groups(fewer) is None


def test_check_reads_them_from_files(tmp_path: Path):
    exif = Image.Exif()
    for number in range(24):
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = (
            f"2020:01:01 10:{number // 3:02}:{number % 3:02}"
        )
        folder = tmp_path / ("cat" if number // 3 % 2 else "dog")
        folder.mkdir(exist_ok=True)
        draw_photo(number // 3 % 2, seed=number).save(folder / f"{number * 7919:06}.jpg", exif=exif)
    [warning] = [one.text for one in regraft.check(tmp_path, progress=False).problems if "apparent" in one.text]
    assert "taken by one camera within 2 seconds" in warning
    assert warning.endswith("give each burst a name of its own in the column group of a table.")
