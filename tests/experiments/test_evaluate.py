"""How good a finished run is: the same numbers on its own photos, honest ones on others."""

import json
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder, draw_photo
from trained_runs import TrainedRun

from regraft.errors import FolderError, RunError
from regraft.experiments.evaluate import evaluate
from regraft.progress import Silent
from regraft.runs.digests import write_digests
from regraft.runs.roster import read_roster
from regraft.runs.run import Run

MEASURED = (
    "images", "accuracy", "accuracy_low", "accuracy_high", "top_k_accuracy", "k", "balanced_accuracy", "macro_f1",
    "confusion",
)  # fmt: skip


def write_class(root: Path, name: str, class_index: int, count: int) -> None:
    (root / name).mkdir(parents=True)
    for number in range(count):
        photo = draw_photo(class_index, seed=900 + number, size=(44, 36), classes=3)
        photo.save(root / name / f"{number}.png")


def test_the_runs_own_photos_give_the_numbers_of_its_training_again(trained: TrainedRun, tmp_path: Path):
    out = tmp_path / "evaluation"
    answer = run_regraft("evaluate", trained.folder, "--out", out, "--json")
    assert answer.code == 0
    assert answer.stderr.startswith(f"60 photos in {trained.photos}; left out: 6 files that cannot be read (")
    assert answer.stderr.count("\n") == 1
    assert {key: answer.values[key] for key in MEASURED} == {key: trained.metrics[key] for key in MEASURED}
    assert answer.values["log_loss"] == pytest.approx(trained.metrics["log_loss"], rel=1e-5)
    assert answer.values["which_images"] == "the run reports on"
    assert answer.values == json.loads((out / "metrics.json").read_text("utf-8"))
    assert {path.name for path in out.iterdir()} == {
        "metrics.json", "predictions.csv", "confusion_matrix.csv", "confusion_matrix.png", "report.html",
    }  # fmt: skip


def test_photos_that_are_gone_or_changed_are_counted(trained: TrainedRun, tmp_path: Path):
    photos, run = tmp_path / "photos", tmp_path / "run"
    shutil.copytree(trained.photos, photos)
    shutil.copytree(trained.folder, run, ignore=shutil.ignore_patterns("saved_model"))
    for file in ("environment.json", "images.csv"):
        (run / file).write_text((run / file).read_text("utf-8").replace(str(trained.photos), str(photos)), "utf-8")
    write_digests(run)
    gone, changed, *_ = [row.path for row in read_roster(run / "images.csv") if row.role == "report"]
    gone.unlink()
    draw_photo(1, seed=1_000).save(changed, format="JPEG")
    found = evaluate(run, None, Silent())
    assert (found.metrics.images, found.which_images) == (10, "the run reports on, without 2 gone or changed since")
    assert list((run / "evaluations").iterdir()) == [found.folder]


def test_another_folder_is_judged_without_the_images_the_run_was_trained_on(trained: TrainedRun, tmp_path: Path):
    others = tmp_path / "others"
    write_class(others, "bee", 0, 2)
    write_class(others, "dog", 2, 3)
    learned = [row.path for row in read_roster(trained.folder / "images.csv") if row.role != "report"]
    reported = [row.path for row in read_roster(trained.folder / "images.csv") if row.role == "report"]
    for path in [learned[0], learned[-1], reported[0]]:
        shutil.copy(path, others / path.parent.name)
    found = evaluate(trained.folder, others, Silent(), out=tmp_path / "evaluation")
    assert (found.metrics.images, found.photos, found.run) == (6, others, trained.folder)
    assert found.which_images == "of others, without 2 that the run was trained on"


def test_a_part_of_the_classes_keeps_the_numbering_of_the_run(trained: TrainedRun, tmp_path: Path):
    write_class(tmp_path / "others", "dog", 2, 5)
    found = evaluate(trained.folder, tmp_path / "others", Silent(), out=tmp_path / "evaluation")
    assert [entry.images for entry in found.metrics.per_class] == [0, 0, 5]
    assert found.metrics.confusion[:2].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert found.metrics.accuracy == found.metrics.confusion[2, 2] / 5 >= 0.8
    assert found.which_images == "of others"


def test_the_test_split_is_judged_where_there_is_one(trained: TrainedRun, tmp_path: Path):
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        for class_index, name in enumerate(("bee", "cat")):
            write_class(tmp_path / "others" / split, name, class_index, count)
    found = evaluate(trained.folder, tmp_path / "others", Silent(), out=tmp_path / "evaluation")
    assert (found.metrics.images, found.which_images) == (2, "of others/test")


def refusal(run: Path, photos: Path | None, out: Path) -> str:
    with pytest.raises((FolderError, RunError)) as caught:
        evaluate(run, photos, Silent(), out=out)
    return str(caught.value)


def test_a_class_the_run_does_not_know_is_refused_with_the_nearest(
    trained: TrainedRun, photo_folder: PhotoFolder, tmp_path: Path
):
    photos = photo_folder({"bee": 1, "dogs": 1})
    expected = f'{photos} has a class "dogs" that the run does not know. Did you mean "dog"?'
    assert refusal(trained.folder, photos, tmp_path / "out") == expected
    assert not (tmp_path / "out").exists()


def test_a_folder_of_trained_images_alone_is_refused(trained: TrainedRun, tmp_path: Path):
    learned = next(row.path for row in read_roster(trained.folder / "images.csv") if row.role == "fit")
    (tmp_path / "others/bee").mkdir(parents=True)
    shutil.copy(learned, tmp_path / "others/bee")
    expected = f"{tmp_path}/others has no image to judge the run on that it was not trained on."
    assert refusal(trained.folder, tmp_path / "others", tmp_path / "out") == expected
    assert not (tmp_path / "out").exists()


def test_an_evaluation_is_not_written_over(trained: TrainedRun, tmp_path: Path):
    (tmp_path / "out").mkdir()
    assert refusal(trained.folder, None, tmp_path / "out") == f"{tmp_path}/out exists already; choose another out."
    (tmp_path / "file").touch()
    expected = f"{tmp_path}/file/out cannot be made: {tmp_path}/file is a file."
    assert refusal(trained.folder, None, tmp_path / "file/out") == expected


def test_photos_that_moved_have_to_be_named(trained: TrainedRun, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(trained.folder, run, ignore=shutil.ignore_patterns("saved_model"))
    environment = Run(run).environment | {"root": "/nowhere/photos"}
    (run / "environment.json").write_text(json.dumps(environment))
    expected = f"The photos of {run} are no longer in /nowhere/photos; name their folder after the run."
    assert refusal(run, None, tmp_path / "out") == expected


def test_bounds_that_are_not_met_are_a_line_each_and_exit_code_1(trained: TrainedRun, tmp_path: Path):
    """The run has an accuracy over 0.5 on its 12 reported photos."""
    asked = ("--require", "accuracy>=0.5", "--require", "images.dog > 4", "--require", "images<=3")
    answer = run_regraft("evaluate", trained.folder, *asked, "--out", tmp_path / "out", "--json")
    assert answer.code == 1
    assert answer.stderr.splitlines()[-2:] == [
        "images.dog is 4, not above the 4 asked for.",
        "images is 12, above the 3 asked for.",
    ]
    assert [row["met"] for row in answer.values["required"]] == [True, False, False]
    assert answer.values == json.loads((tmp_path / "out/metrics.json").read_text("utf-8"))
    assert (tmp_path / "out/report.html").is_file()


def test_a_bound_on_what_does_not_exist_is_refused_before_anything_is_computed(trained: TrainedRun, tmp_path: Path):
    with patch("regraft.machine.devices.start_tensorflow", side_effect=AssertionError):
        asked = ("--require", "images>=1", "--require", "recall.dgo>=0.9")
        answer = run_regraft("evaluate", trained.folder, *asked, "--out", tmp_path / "out")
    assert (answer.code, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert answer.stderr.startswith(
        'regraft: --require names no figure of the run: "recall.dgo". Did you mean "recall.dog"? There are images, '
    )
    assert not (tmp_path / "out").exists()


def test_the_table_for_a_person_names_the_page(trained: TrainedRun, tmp_path: Path):
    answer = run_regraft("evaluate", trained.folder, "--out", tmp_path / "out")
    assert answer.code == 0
    assert f"Look at   {tmp_path}/out/report.html" in answer.stdout
