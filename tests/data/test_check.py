"""The report on a folder: numbers, problems in order of gravity, a verdict."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from drawn_photos import draw_photo
from PIL import Image
from rich.console import Console

from regraft.data.check import build_report, render
from regraft.data.photos import NO_END_MARK
from regraft.data.scan import scan_folder


def report_on(root):
    return build_report(scan_folder(root))


def draw(report, *, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(report))
    return console.file.getvalue()


def copy(source, destination):
    destination.parent.mkdir(exist_ok=True)
    destination.write_bytes(source.read_bytes())


def test_a_good_folder_is_ready(photo_folder):
    report = report_on(photo_folder({"cat": 4, "dog": 2}))
    assert report.verdict == "ready"
    assert report.problems == ()
    assert report.images == 6
    assert report.counts == {"cat": {"all": 4}, "dog": {"all": 2}}
    assert report.imbalance == 2
    assert report.formats == {"JPEG": 6}
    assert report.orientations == {"1": 6}


def test_counts_are_by_class_and_split(photo_folder):
    report = report_on(photo_folder({"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 0}))
    assert report.counts == {"cat": {"train": 3, "val": 1}, "dog": {"train": 2, "val": 0}}
    assert report.empty_folders == ("val/dog",)


def test_sizes_are_those_of_upright_images(photo_folder):
    root = photo_folder({"cat": 2, "dog": 2}, size=(64, 48))
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_photo(0, seed=99, size=(100, 80)).save(root / "cat" / "turned.jpg", exif=exif)
    report = report_on(root)
    assert (report.width.min, report.width.median, report.width.max) == (64, 64, 80)
    assert (report.height.min, report.height.median, report.height.max) == (48, 48, 100)
    assert report.orientations == {"1": 4, "6": 1}
    assert any("1 photo stored lying" in problem.text for problem in report.problems)


def test_duplicates_are_found_wherever_they_lie(photo_folder):
    root = photo_folder({"train/cat": 3, "train/dog": 3, "val/cat": 2, "val/dog": 2}, size=(320, 240))
    copy(root / "train/cat/000.jpg", root / "train/cat/spare.jpg")
    copy(root / "train/cat/001.jpg", root / "train/dog/wrong.jpg")
    with Image.open(root / "train/dog/002.jpg") as photo:
        photo.save(root / "val/dog/smaller.jpg", quality=60)
    report = report_on(root)
    assert report.exact_duplicates == (
        ("train/cat/000.jpg", "train/cat/spare.jpg"),
        ("train/cat/001.jpg", "train/dog/wrong.jpg"),
    )
    assert report.near_duplicates == (("train/dog/002.jpg", "val/dog/smaller.jpg"),)
    assert report.across_classes == (("train/cat/001.jpg", "train/dog/wrong.jpg"),)
    assert report.across_splits == report.near_duplicates
    assert [(problem.gravity, problem.text.split(" (")[0]) for problem in report.problems] == [
        ("warning", "1 photo in more than one class"),
        ("warning", "1 photo in more than one split"),
        ("note", "1 photo with exact copies"),
        ("note", "1 group of near-duplicates"),
    ]
    assert report.verdict == "ready, with warnings"


def test_files_that_are_not_used_are_named(photo_folder):
    root = photo_folder({"cat": 2, "dog": 2})
    (root / "cat" / "bad.jpg").write_bytes(b"")
    (root / "cat" / "notes.txt").write_text("x")
    (root / "cat" / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (root / "cat" / ".hidden").write_text("x")
    copy(root / "dog" / "000.jpg", root / "dog" / "photo")
    draw_photo(0, seed=99).save(root / "cover.png")
    report = report_on(root)
    assert report.unreadable == {"cat/bad.jpg": "empty file"}
    assert report.not_images == {
        "cat/notes.txt": "not an image (text?)",
        "cat/clip.mp4": "not an image that is read: a video",
    }
    assert report.misnamed == ("dog/photo",)
    assert report.loose == ("cover.png",)
    assert report.hidden == ("cat/.hidden",)
    texts = " ".join(problem.text for problem in report.problems if problem.gravity == "warning")
    for advice in (
        "1 file that cannot be read (cat/bad.jpg: empty file): repair",
        "1 image outside the class folders (cover.png): move",
        "1 file in a format that is not read (cat/clip.mp4: a video): save",
    ):
        assert advice in texts


def test_one_class_is_a_problem_and_not_a_crash(photo_folder):
    report = report_on(photo_folder({"cat": 3}))
    assert report.verdict == "not trainable"
    assert report.problems[0].gravity == "error"
    assert "two or more classes" in report.problems[0].text
    assert "not trainable" in draw(report)


def test_no_readable_image_is_a_problem_and_not_a_crash(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"x")
    report = report_on(tmp_path)
    assert (report.verdict, report.images, report.width) == ("not trainable", 0, None)
    assert "not trainable" in draw(report)


def test_errors_come_before_warnings_before_notes(photo_folder):
    root = photo_folder({"cat": 30, "dog": 1, "fox": 0})
    (root / ".hidden").write_text("x")
    gravities = [problem.gravity for problem in report_on(root).problems]
    assert gravities == ["error", "warning", "warning", "note", "note"]


def test_the_json_form_holds_plain_types_under_the_documented_keys(photo_folder):
    root = photo_folder({"cat": 2, "dog": 2})
    (root / "cat" / "bad.jpg").write_bytes(b"")
    report = report_on(root)
    answer = json.loads(json.dumps(report.as_dict()))
    assert list(answer) == [
        *("root", "verdict", "problems", "images", "counts", "imbalance", "formats", "orientations"),
        *("width", "height", "unreadable", "exact_duplicates", "near_duplicates", "across_splits"),
        *("across_classes", "empty_folders", "hidden", "not_images", "misnamed", "loose"),
        *("ours", "links", "alike", "noted"),
    ]
    assert answer["problems"][0]["gravity"] == "warning"
    assert answer["width"] == {"min": 64, "median": 64, "max": 64}
    assert answer["unreadable"] == {"cat/bad.jpg": "empty file"}


def test_the_table_shows_classes_totals_problems_and_verdict(photo_folder):
    root = photo_folder({"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    copy(root / "train/cat/000.jpg", root / "val/cat/leak.jpg")
    table = draw(report_on(root))
    lines = [line.split() for line in table.splitlines()]
    assert ["class", "train", "val"] in lines
    assert ["cat", "3", "2"] in lines
    assert ["2", "classes", "5", "3"] in lines
    assert "train/cat/000.jpg = val/cat/leak.jpg" in table
    assert "warning" in table
    assert "ready, with warnings" in " ".join(table.split())  # which a long path may push to the next line


def test_names_with_markup_are_shown_as_they_are(photo_folder):
    root = photo_folder({"[red]cat": 1, "dog": 2})
    (root / "dog" / "[bold].jpg").write_bytes(b"")
    table = draw(report_on(root))
    assert "[red]cat" in table
    assert "dog/[bold].jpg: empty file" in table


def test_a_long_list_is_cut_in_the_table_and_whole_in_the_report(photo_folder):
    root = photo_folder({"cat": 2, "dog": 2})
    for number in range(30):
        (root / "cat" / f"bad{number:02}.jpg").write_bytes(b"")
    report = report_on(root)
    table = draw(report)
    assert len(report.unreadable) == 30
    assert "bad19.jpg" in table
    assert "bad20.jpg" not in table
    assert "and 10 more" in table


def test_a_check_changes_no_file(photo_folder):
    root = photo_folder({"cat": 2, "dog": 2})

    def state():
        return [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(root.rglob("*"))]

    before = state()
    draw(report_on(root))
    assert state() == before


def test_checking_imports_neither_tensorflow_nor_rich():
    code = "import sys, regraft.data.check; print({'tensorflow', 'keras', 'rich'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


@pytest.mark.shared
def test_three_real_photos_lie_in_two_classes(shared):
    report = report_on(shared / "data" / "trashnet6")
    assert report.across_classes == (
        ("glass/glass115.jpg", "metal/metal91.jpg"),
        ("glass/glass176.jpg", "plastic/plastic152.jpg"),
        ("glass/glass389.jpg", "plastic/plastic332.jpg"),
    )
    assert report.verdict == "ready, with warnings"
    assert np.isclose(report.imbalance, 594 / 137, atol=0.01)


@pytest.mark.shared
def test_the_real_broken_files_are_named(shared):
    report = report_on(shared / "data" / "dirty")
    assert len(report.unreadable) == 7
    assert report.noted == {"broken/truncated_jpeg.jpg": NO_END_MARK}  # its last byte is missing
    assert report.images == 20
    assert all(path.startswith("broken/") for path in report.unreadable)
