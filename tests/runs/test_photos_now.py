"""Where a run's photos are now: where they were, where the user says, or nowhere."""

from pathlib import Path

import pytest
from drawn_photos import PhotoFolder
from trained_runs import TrainedRun

from regraft.data.records import ImageFolder, Record
from regraft.data.scan import scan_folder
from regraft.errors import FolderError, RunError, as_options
from regraft.machine.files import write_csv, write_json
from regraft.progress import Silent
from regraft.recipes.recipe import load_recipe
from regraft.runs.photos_now import fingerprints_of, records_of, renumber, rows_of, scan_photos
from regraft.runs.run import Run


def test_photos_are_found_where_the_run_remembers_them_with_its_numbering(trained: TrainedRun):
    folder = scan_photos(Run(trained.folder), None, Silent())
    assert folder.root == trained.photos
    assert folder.class_names == Run(trained.folder).class_names


def test_photos_that_moved_are_found_by_what_they_contain(trained: TrainedRun, tmp_path: Path):
    moved = tmp_path / "elsewhere"
    moved.symlink_to(trained.photos)
    run = Run(trained.folder)
    records = records_of(run, scan_photos(run, moved, Silent()), "report")
    assert {record.fingerprint for record in records} == fingerprints_of(run, "report") != set()


@pytest.mark.parametrize("root", ["/photos", "/moved"])
def test_copies_that_training_left_out_have_no_role(tmp_path: Path, root: str):
    """A test photo, its copies of another and of its own class, its twin in the test, and one that was relabelled."""
    run = Run(tmp_path / "run")
    run.start(load_recipe("quick"), ("ant", "bee"), {"root": "/photos"})
    write_csv(
        run.roster_file,
        ("path", "class", "role", "fingerprint"),
        [(f"/photos/{name}", "ant", "report", name[0]) for name in ("a1", "b1", "b2", "c1")],
    )
    lies = {"a0": "Bee", "a1": "Ant", "a2": "Ant", "b1": "Ant", "b2": "Ant", "b3": "Ant", "c1": "Bee", "d1": "owl"}
    names = ("Ant", "Bee", "owl")
    folder = ImageFolder(Path(root), names, tuple(
        Record(Path(root, name), names.index(label), "", "JPEG", 8, 8, 1, name[0], bytes(32))
        for name, label in lies.items()
    ))  # fmt: skip
    found = [record.path.name for record in records_of(run, folder, "report")]
    assert found == ["a1", "b1", "b2", *(["c1"] if root == "/photos" else [])]


def test_rows_and_fingerprints_are_of_the_asked_roles(trained: TrainedRun):
    run = Run(trained.folder)
    counts = {role: len(rows_of(run, role)) for role in ("fit", "select", "report")}
    assert counts["report"] == trained.metrics["images"]
    assert len(rows_of(run, "fit", "report")) == counts["fit"] + counts["report"]
    assert not fingerprints_of(run, "fit") & fingerprints_of(run, "select", "report")


def test_photos_that_are_gone_are_one_line_with_advice(tmp_path: Path):
    write_json(tmp_path / "environment.json", {"root": str(tmp_path / "gone")})
    with pytest.raises(RunError) as caught:
        scan_photos(Run(tmp_path), None, Silent())
    assert as_options(caught.value.text).endswith(
        "are no longer in " + f"{tmp_path}/gone; name their folder with --photos."
    )


def test_a_part_of_the_classes_keeps_their_numbers(photo_folder: PhotoFolder):
    folder = renumber(scan_folder(photo_folder({"cat": 1, "dog": 1})), ("bee", "cat", "cow", "dog"))
    assert [record.class_index for record in folder.records] == [1, 3]
    assert folder.class_names == ("bee", "cat", "cow", "dog")


def test_classes_in_another_writing_are_those_of_the_run(photo_folder: PhotoFolder):
    folder = scan_folder(photo_folder({"Cat": 1, "cafe\u0301": 1, "dog ": 1}))
    numbered = renumber(folder, ("caf\u00e9", "cat", "dog"))
    assert {record.path.parent.name: record.class_index for record in numbered.records} == {
        "cafe\u0301": 0,
        "Cat": 1,
        "dog ": 2,
    }
    assert renumber(folder, ("Cat", "cafe\u0301", "cat", "dog ")).records[0].class_index == 0  # its own writing first


def test_a_class_that_the_run_does_not_know_is_named_with_the_nearest(photo_folder: PhotoFolder):
    with pytest.raises(FolderError, match=r'has a class "cats" that the run does not know. Did you mean "cat"\?'):
        renumber(scan_folder(photo_folder({"cats": 1, "dog": 1})), ("cat", "dog"))
