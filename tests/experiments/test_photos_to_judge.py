"""Photos that no run has learned from: those that all report on, or those of another folder that none has seen."""

import shutil
from pathlib import Path

import pytest
from drawn_photos import PhotoFolder
from refusals import message_of

from regraft.data.records import Record
from regraft.data.roles import Roles
from regraft.data.scan import scan_folder
from regraft.errors import FolderError, RunError, UsageError
from regraft.experiments.photos_to_judge import photos_to_judge
from regraft.progress import Silent
from regraft.recipes.recipe import load_recipe
from regraft.runs.roster import write_roster
from regraft.runs.run import Run

ROLES = ("fit", "select", "report")


def make_run(folder: Path, root: Path, roles: dict[str, str]) -> Run:
    """A run on the photos in `root`, which has given each of them, by its file name, this role."""
    photos = scan_folder(root)
    parts = [tuple(each for each in photos.records if roles.get(each.path.stem) == role) for role in ROLES]
    run = Run(folder)
    run.start(load_recipe("quick"), photos.class_names, {"root": str(root)})
    write_roster(run.roster_file, Roles(*parts, "val", ()), photos.class_names)
    return run


def names(records: tuple[Record, ...]) -> list[str]:
    return [f"{record.path.parent.name}/{record.path.stem}" for record in records]


@pytest.fixture
def photos(photo_folder: PhotoFolder) -> Path:
    return photo_folder({"cat": 4, "dog": 4})


@pytest.fixture
def runs(photos: Path, tmp_path: Path) -> list[Run]:
    """000 is reported on by both; 001 by the first, the second has learned from it; 002 the other way round."""
    first = {"000": "report", "001": "report", "002": "select", "003": "fit"}
    second = {"000": "report", "001": "fit", "002": "report"}
    return [make_run(tmp_path / name, photos, roles) for name, roles in (("a", first), ("b", second))]


def test_without_a_folder_they_are_those_that_both_report_on(runs: list[Run], photos: Path):
    folder, records, which = photos_to_judge(runs, None, Silent())
    assert (folder.root, names(records), which) == (photos, ["cat/000", "dog/000"], "both runs report on")
    _, records, which = photos_to_judge(runs[:1], None, Silent())
    assert (names(records)[:2], which) == (["cat/000", "cat/001"], "the run reports on")


def test_what_is_gone_of_them_is_counted(runs: list[Run], photos: Path):
    (photos / "cat/000.jpg").unlink()
    _, records, which = photos_to_judge(runs, None, Silent())
    assert (names(records), which) == (["dog/000"], "both runs report on, without 1 gone or changed since")


def test_copies_of_them_elsewhere_in_the_folder_do_not_count(runs: list[Run], photos: Path):
    shutil.copy(photos / "cat/000.jpg", photos / "cat/copy.jpg")
    shutil.copy(photos / "dog/000.jpg", photos / "cat/misplaced.jpg")
    _, records, _ = photos_to_judge(runs, None, Silent())
    assert names(records) == ["cat/000", "dog/000"]


def test_of_a_folder_they_are_those_that_neither_was_trained_on_or_chosen_by(runs: list[Run], photos: Path):
    _, records, which = photos_to_judge(runs, photos, Silent())
    assert names(records) == ["cat/000", "dog/000"]
    assert which == "of photos, without 6 that one of the runs was trained on"
    _, records, which = photos_to_judge(runs[1:], photos, Silent())
    assert names(records) == [f"{name}/{number}" for name in ("cat", "dog") for number in ("000", "002", "003")]
    assert which == "of photos, without 2 that the run was trained on"


def test_they_keep_the_numbers_of_the_first_run(runs: list[Run], photo_folder: PhotoFolder):
    others = photo_folder({"dog": 1}, name="others", seed=1)
    _, records, which = photos_to_judge(runs, others, Silent())
    assert ([record.class_index for record in records], which) == ([1], "of others")


def test_runs_that_share_no_reported_photo_need_another_folder(photos: Path, tmp_path: Path):
    runs = [make_run(tmp_path / name, photos, {number: "report"}) for name, number in (("a", "000"), ("b", "001"))]
    assert message_of(UsageError, photos_to_judge, runs, None, Silent()) == (
        f"{tmp_path}/a and {tmp_path}/b report on no photo in common; name a folder of other photos after them, or "
        "train both with one data.split_seed."
    )


def test_where_nothing_is_left_is_one_line(photos: Path, tmp_path: Path):
    roles = {"000": "fit", "001": "fit", "002": "select", "003": "fit"}
    runs = [make_run(tmp_path / name, photos, roles) for name in ("a", "b")]
    told = message_of(FolderError, photos_to_judge, runs, photos, Silent())
    assert told == f"{photos} has no image to judge both runs on that neither was trained on."
    told = message_of(FolderError, photos_to_judge, runs[:1], photos, Silent())
    assert told == f"{photos} has no image to judge the run on that it was not trained on."


def test_photos_that_moved_have_to_be_named_after_both(runs: list[Run], photos: Path):
    photos.rename(photos.with_name("moved"))
    told = message_of(RunError, photos_to_judge, runs, None, Silent())
    assert told == f"The photos of {runs[0].folder} are no longer in {photos}; name their folder after both runs."
