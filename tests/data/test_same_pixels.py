"""One picture in two files of different bytes, where it is too plain for its looks to tell."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

import regraft.data.opened
import regraft.data.same_pixels
from regraft.data.check import build_report
from regraft.data.duplicates import are_detailed, group_together
from regraft.data.readiness import assess
from regraft.data.roles import plan_roles
from regraft.data.scan import scan_folder

COMMENT = b"\xff\xfe\x00\x0ehello world."


def part_on_paper(seed: int, side: int = 128) -> bytes:
    """A JPEG of a shape on plain paper."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (side, side), (240, 240, 238))
    x, y, size = (int(value) for value in random.integers((20, 20, 20), (60, 60, 45)))
    color = tuple(int(value) for value in random.integers(20, 200, 3))
    draw = ImageDraw.Draw(image)
    (draw.ellipse if seed % 2 else draw.rectangle)((x, y, x + size, y + size), fill=color)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=92)
    return data.getvalue()


def with_comment(jpeg: bytes) -> bytes:
    """The same pixels in other bytes."""
    return jpeg[:2] + COMMENT + jpeg[2:]


@pytest.fixture
def parts(tmp_path):
    """Ten bolts and ten nuts in train, each again in val with a comment in its file."""
    for number in range(20):
        jpeg = part_on_paper(number)
        for split, data in (("train", jpeg), ("val", with_comment(jpeg))):
            place = tmp_path / "parts" / split / ("nut" if number % 2 else "bolt") / f"{number:02}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    return tmp_path / "parts"


def test_all_twenty_copies_on_plain_paper_are_found_across_splits(parts):
    folder = scan_folder(parts)
    assert not are_detailed(folder.records).any()
    report = build_report(folder)
    assert len(report.across_splits) == 20
    assert report.exact_duplicates == ()
    assert (report.verdict, report.is_trainable) == ("not trainable", False)
    assert "none that is not also" in assess(folder).obstacles[0]


def test_no_copy_of_a_reported_photo_is_trained_on(parts):
    for number in (20, 21):
        (parts / "train" / ("nut" if number % 2 else "bolt") / "new.jpg").write_bytes(part_on_paper(number))
    folder = scan_folder(parts)
    roles = plan_roles(folder, val_fraction=0.2, select_fraction=0.1, needs_selection=False, seed=0)
    assert [record.path.name for record in roles.fit] == ["new.jpg", "new.jpg"]
    assert any(note.startswith("Left out of training: 20 images") for note in roles.notes)


def test_two_plain_pictures_with_one_look_are_two_pictures(tmp_path):
    for name, color in (("cat", (250, 250, 250)), ("dog", (180, 90, 20))):  # no cell is lighter than its neighbour
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 30), color).save(tmp_path / name / "a.png")
    records = scan_folder(tmp_path).records
    assert records[0].appearance == records[1].appearance
    np.testing.assert_array_equal(group_together(records), [0, 1])


def test_the_same_upright_picture_stored_lying_is_the_same(tmp_path):
    with Image.open(io.BytesIO(part_on_paper(1))) as opened:
        picture = opened.convert("RGB").crop((0, 0, 128, 90))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    picture.save(tmp_path / "cat/a.png")
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "dog/a.png", exif=exif)
    np.testing.assert_array_equal(group_together(scan_folder(tmp_path).records), [0, 0])


def test_a_photo_that_is_large_by_default_and_allowed_here_is_compared_too(tmp_path, monkeypatch):
    monkeypatch.setattr(regraft.data.opened, "MAX_PIXELS", 100)
    for name, data in (("cat", part_on_paper(1)), ("dog", with_comment(part_on_paper(1)))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(data)
    np.testing.assert_array_equal(group_together(scan_folder(tmp_path, max_pixels=20_000).records), [0, 0])


def test_photos_that_differ_are_not_read_again(photo_folder, monkeypatch):
    def refuse(path, **options):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(regraft.data.same_pixels, "read_upright_rgb", refuse)
    assert {record.pixels for record in scan_folder(photo_folder({"cat": 5, "dog": 5})).records} == {""}
