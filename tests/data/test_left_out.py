"""Every verb says how many files of its folder it does not use, and why."""

from pathlib import Path

import pytest
from command_line import run_regraft
from drawn_photos import draw_photo

from regraft.data.left_out import account_for
from regraft.data.records import ImageFolder, SetAside
from regraft.data.scan import scan_folder


def test_a_folder_of_photos_alone_needs_no_line(photo_folder):
    assert account_for(scan_folder(photo_folder({"cat": 2, "dog": 2}))) == ""


def test_each_kind_is_counted_with_its_reason_in_one_line(photo_folder):
    root = photo_folder({"cat": 2, "dog": 1, "@eaDir": 1})
    photo = (root / "cat/000.jpg").read_bytes()
    for number in range(60):
        (root / "cat" / f"MVI_{number:02}.MOV").write_bytes(b"\0\0\0\x14ftypqt  ")
    (root / "dog/photo.txt").write_bytes(photo)
    (root / "dog/notes").write_text("notes")
    (root / "dog/broken.jpg").write_bytes(b"")
    (root / "dog/raw.NEF").write_bytes(b"II*\0" + bytes(100))
    (root / "dog/again").symlink_to(root / "dog", target_is_directory=True)
    draw_photo(0, seed=9).save(root / "cover.png")
    assert account_for(scan_folder(root)) == (
        f"4 photos in {root}; left out: 1 file that cannot be read (dog/broken.jpg: empty file), "
        "1 image outside the class folders (cover.png), 61 files in a format that is not read "
        "(cat/MVI_00.MOV and 59 more: a video; dog/raw.NEF: a raw photo of a camera (NEF)), "
        "1 file without a picture in it (dog/notes), 1 entry hidden or left by a system (@eaDir), "
        "1 link in a circle, or to a folder that is read anyway (dog/again). All by name: regraft check --json."
    )


def test_many_reasons_are_cut_and_counted():
    asides = tuple(SetAside(Path("photos", f"{number}.jpg"), f"reason {number}") for number in range(9))
    line = account_for(ImageFolder(Path("photos"), ("cat", "dog"), (), unreadable=asides))
    assert "9 files that cannot be read (0.jpg: reason 0; 1.jpg: reason 1;" in line
    assert line.count(": reason") == 6
    assert "; 3 more reasons)" in line


@pytest.mark.slow
def test_the_preview_accounts_for_its_folder_and_check_names_every_file(photo_folder, tmp_path):
    root = photo_folder({"cat": 2, "dog": 2})
    for number in range(5):
        (root / "cat" / f"{number}.xmp").write_text("<x:xmpmeta/>")
    shown = run_regraft("augment-preview", root, "--out", tmp_path / "sheet.png", "--image-size", "32")
    assert f"4 photos in {root}; left out: 5 files without a picture in it (cat/0.xmp," in shown.stderr
    report = run_regraft("check", root, "--json")
    assert list(report.values["not_images"]) == [f"cat/{number}.xmp" for number in range(5)]
    assert report.stderr == ""
