"""What systems and Regraft leave among photos is neither photo nor class."""

from pathlib import Path

import pytest
from command_line import run_regraft
from trained_runs import TrainedRun

from regraft.data.passed_over import is_left_by_system, what_of_ours


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@__thumb", "$RECYCLE.BIN", "System Volume Information"),
        *("lost+found", "LOST.DIR", "found.000", "FOUND.017", "__MACOSX", "Network Trash Folder", "Icon\r"),
        *("RECYCLER", "@Transcode", "Network Recycle Bin", "TheVolumeSettingsFolder"),
        *("Thumbs.db", "THUMBS.DB", "ehthumbs.db", "desktop.ini", ".DS_Store", "._001.jpg", ".thumbnails", ".git"),
        *(".Trash-1000", ".Trashes", ".Spotlight-V100", ".fseventsd", ".ipynb_checkpoints", ".picasa.ini"),
    ],
)
def test_what_systems_leave_is_known_by_name_in_any_case(name):
    assert is_left_by_system(name)


@pytest.mark.parametrize("name", ["cat", "recycle", "lost", "found", "found.1", "thumbs", "trash", "snapshot", "$1"])
def test_classes_that_sound_alike_are_classes(name):
    assert not is_left_by_system(name)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["recipe.toml", "environment.json", "labels.txt", "images.csv"], "a run"),
        (["environment.json", "labels.txt", "checkpoints"], "a run that was killed when it began"),
        (["export.json", "labels.txt", "model.tflite", "README.md"], "an export"),
        (["saved_model.pb", "variables", "assets.extra"], "an exported SavedModel"),
        (["plan.json", "runs", "accuracies.png"], "a comparison"),
        (["plan.json", "inputs.jsonl"], "an unfinished prediction"),
        (["plan.json", "inputs-0123456789abcdef.jsonl", "part-000000.csv"], "an unfinished prediction"),
        (["asked.json", "inputs-0123456789abcdef.jsonl"], "a prediction that was begun"),
        (["plan.json", "inputs-of-mine.jsonl"], ""),
        (["manifest.json", "part-000000.parquet", "part-000001.parquet"], "a prediction"),
        (["labels.txt", "a.jpg"], ""),
        (["part-000000.jpg", "plan.json"], ""),
        ([], ""),
    ],
)
def test_what_regraft_wrote_is_known_by_its_files(names, what):
    assert what_of_ours(names) == what


def test_real_results_of_ours_are_known(trained: TrainedRun, litert: Path):
    run = trained.folder
    found = {folder: what_of_ours([path.name for path in folder.iterdir()]) for folder in (run, litert, trained.photos)}
    assert found == {run: "a run", litert: "an export", trained.photos: ""}
    assert what_of_ours([path.name for path in (run / "saved_model/1").iterdir()]) == "an exported SavedModel"


def test_a_second_training_does_not_learn_the_first_ones_results(trained: TrainedRun, photo_folder, tmp_path: Path):
    root = photo_folder({"cat": 2, "dog": 2})
    for place in ("saved_models/photos-1", "cat/results", "others/deep/er/photos-2"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).symlink_to(trained.folder, target_is_directory=True)
    answer = run_regraft("check", root, "--json")
    assert answer.code == 0
    assert list(answer.values["counts"]) == ["cat", "dog"]
    assert answer.values["ours"] == dict.fromkeys(
        ["cat/results", "others/deep/er/photos-2", "saved_models/photos-1"], "a run of Regraft"
    )
    assert answer.values["images"] == 4


def test_a_class_may_be_called_saved_models(photo_folder):
    answer = run_regraft("check", photo_folder({"cat": 2, "saved_models": 2}), "--json")
    assert answer.values["counts"] == {"cat": {"all": 2}, "saved_models": {"all": 2}}
