"""`find-lr`: a suggestion, a plot, and nothing that a later training could notice."""

import csv
from pathlib import Path

import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder

SMALL = ("--backbone", "tiny", "--set", "head.l2=[0.1]", "--set", "finetune.batch_size=8")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_leaves_a_plot_and_a_later_training_as_it_would_have_been(
    photo_folder: PhotoFolder, tmp_path: Path, without_export, monkeypatch: pytest.MonkeyPatch
):
    # Of its own: what a worker of another test adds between the trainings would differ in the last bit of a feature.
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    photos = photo_folder({"cat": 12, "dog": 12})

    def weights_of(name: str) -> str:
        answer = run_regraft("train", photos, *SMALL, "--epochs", 1, "--out", tmp_path / name)
        assert answer.code == 0, answer.stderr
        (row,) = csv.DictReader((tmp_path / name / "history.csv").read_text().splitlines())
        return (tmp_path / name / "predictions.csv").read_text() + row["loss"]

    before = weights_of("before")
    rates = ("--steps", 10, "--high", 0.001, "--out", tmp_path / "rates")
    answer = run_regraft("find-lr", photos, *SMALL, *rates, "--json")
    assert answer.code == 0, answer.stderr
    assert answer.values["steps"] == 10
    written = sorted(path.name for path in (tmp_path / "rates").iterdir())
    assert written == ["learning_rate_range.csv", "learning_rate_range.png"]
    assert weights_of("after") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--recipe", "quick"),
            "find-lr tries rates of fine-tuning, and this recipe has none; take balanced or thorough.",
        ),
        (("--out", "here"), "here exists already; choose another --out or add --force."),
        (("--out", "a.txt", "--force"), "a.txt is no folder; choose another --out."),
        (
            ("--out", "theirs", "--force"),
            "theirs holds a learning_rate_range.csv or learning_rate_range.png that find-lr did not write; move it "
            "away, or choose another --out.",
        ),
        (("--low", "1"), "--low and --high must be 0 < low < high; received 1 and 1."),
    ],
)
def test_what_does_not_fit_is_one_line(options, message, photo_folder: PhotoFolder, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("a.txt").touch()
    Path("theirs").mkdir()
    Path("theirs/learning_rate_range.csv").write_text("rate,loss\n")
    answer = run_regraft("find-lr", photo_folder({"cat": 8, "dog": 8}), "--backbone", "tiny", *options)
    assert (answer.code, answer.stderr.splitlines()[-1]) == (2, f"regraft: {message}")
