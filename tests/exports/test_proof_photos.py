"""On which photos an export is proven: all of a few, of many a sample in which every class has its share."""

import csv
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder
from trained_runs import FAST, TrainedRun

import regraft
from regraft.data.records import Record
from regraft.errors import ExportError, UsageError
from regraft.exports import exporting, proof_photos
from regraft.exports.export import Export, ProofResult, read_export
from regraft.exports.proof_photos import ProofPhotos, ProveOn, check_prove, choose_proof_photos, share_out, words_for
from regraft.exports.saved_model import Expected
from regraft.training import finish


def records_of(*counts: int) -> list[Record]:
    """As many of each class as `counts` says, classes in turn, each photo with content of its own."""
    rng = np.random.default_rng(0)
    classes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return [
        Record(Path(f"{number}.jpg"), int(index), "", "JPEG", 8, 8, 1, rng.bytes(16).hex(), b"")
        for number, index in enumerate(classes)
    ]


def drawn(records: list[Record], *, prove: str = "sample", seed: int = 0) -> set[str]:
    """What the photos contain that an export is proven on."""
    return {record.fingerprint for record in choose_proof_photos(records, prove=prove, seed=seed).of(records)}


@pytest.mark.parametrize(
    ("counts", "size", "shares"),
    [
        ([900, 100], 500, [450, 50]),  # 1 + 498 * 899 / 998 = 449.6; 1 + 498 * 99 / 998 = 50.4
        ([10, 10, 10], 10, [4, 3, 3]),  # 1 + 7 * 9 / 27 = 3 1/3 each: the first gets what is left
        ([1, 999, 1], 500, [1, 498, 1]),  # the rare ones are there
        ([0, 600, 0, 600], 500, [0, 250, 0, 250]),  # no photo, none in the sample
        ([2, 1, 3], 3, [1, 1, 1]),
        ([2, 1, 3], 6, [2, 1, 3]),
        ([5, 3, 1], 6, [3, 2, 1]),  # 1 + 3 * 4 / 6 = 3, 1 + 3 * 2 / 6 = 2, 1
    ],
)
def test_every_class_has_a_photo_and_its_share_of_the_others(counts: list[int], size: int, shares: list[int]):
    assert share_out(np.array(counts), size).tolist() == shares


def test_no_class_is_asked_for_more_than_it_has_and_the_sample_is_full():
    rng = np.random.default_rng(0)
    for _ in range(200):
        counts = rng.integers(0, rng.choice([3, 50, 2000]), rng.integers(1, 40))
        classes = int((counts > 0).sum())
        size = int(rng.integers(classes, counts.sum() + 1))
        shares = share_out(counts, size)
        assert shares.sum() == size
        assert (shares <= counts).all()
        assert ((shares > 0) == (counts > 0)).all()
        exact = np.minimum(counts, 1) + np.maximum(counts - 1, 0) * (size - classes) / max(1, counts.sum() - classes)
        assert (np.abs(shares - exact) < 1).all()


def test_up_to_500_photos_all_are_looked_at_and_of_more_500():
    few = choose_proof_photos(records_of(300, 200), prove="sample", seed=3)
    assert few.places.tolist() == list(range(500))
    assert (few.reported, few.seed) == (500, None)
    many = choose_proof_photos(records_of(300, 201), prove="sample", seed=3)
    assert (len(many.places), many.reported, many.seed) == (500, 501, 3)
    assert (np.diff(many.places) > 0).all()


def test_a_sample_holds_each_class_as_its_share():
    records = records_of(900, 120, 0, 2, 1)
    chosen = choose_proof_photos(records, prove="sample", seed=0).of(records)
    counts = np.bincount([record.class_index for record in chosen], minlength=5)
    # of 496 beside the first of each class: 899, 119, 1 and 0 of 1,019 are 437.6, 57.9, 0.5 and 0
    assert counts.tolist() == [1 + 438, 1 + 58, 0, 1, 1]


def test_where_there_are_more_than_500_classes_each_has_one_photo():
    records = records_of(*[2] * 600)
    chosen = choose_proof_photos(records, prove="sample", seed=0).of(records)
    assert sorted(record.class_index for record in chosen) == list(range(600))


def test_all_are_looked_at_where_that_is_asked_for():
    records = records_of(600, 420)
    everything = choose_proof_photos(records, prove="all", seed=0)
    assert everything.places.tolist() == list(range(1020))
    assert (everything.reported, everything.seed) == (1020, None)


def test_the_same_photos_are_drawn_wherever_they_lie_and_others_with_another_seed():
    records = records_of(600, 420)
    elsewhere = [replace(record, path=Path("moved") / record.path) for record in reversed(records)]
    assert drawn(records) == drawn(elsewhere)
    shared = len(drawn(records) & drawn(records, seed=1))
    assert 150 < shared < 350  # two halves drawn apart share a quarter of all: 245 of 1,020


def test_a_class_that_grows_changes_nothing_in_what_is_drawn_of_another_but_how_many():
    records = records_of(600, 420)
    first = next(record for record in records if record.class_index == 0)
    grown = [*records, replace(first, path=Path("more.jpg"), fingerprint="0" * 32)]
    others = {record.fingerprint for record in records if record.class_index == 1}
    before, after = drawn(records) & others, drawn(grown) & others
    assert len(before) in (205, 206)  # 1 + 498 * 419 / 1,018 = 205.97
    assert len(before ^ after) <= 1
    assert len((drawn(records) ^ drawn(grown)) - others) > 100


def test_what_was_looked_at_is_said():
    assert words_for(500, 1020, 0) == "500 of 1,020 reported photos, drawn by class, seed 0"
    assert words_for(1505, 1505, None) == "all 1,505 reported photos"
    assert words_for(1, 1, None) == "the only reported photo"
    assert words_for(12, None, None) == "12 photos"  # an export of an earlier version
    sample = ProofPhotos(np.arange(500), 1020, 4)
    assert sample.announcement == (
        "The export is to be proven on 500 of 1,020 reported photos, drawn by class, seed 4."
    )
    found = ProofResult(
        images=500, largest_difference=0.0, same_label=500, tolerance=1e-5, reported=1020, sample_seed=4
    )
    assert found.proven_on == sample.words
    assert {"reported": 1020, "sample_seed": 4}.items() <= found.as_dict().items()


@pytest.mark.parametrize("wrong", ["", "none", "All", "500"])
def test_another_word_is_refused(wrong: str):
    with pytest.raises(UsageError, match=rf'^prove must be sample or all; received "{wrong}"\.$'):
        ProveOn(which=wrong)
    check_prove("all")


def test_choosing_words_starts_nothing_heavy():
    script = "import sys, regraft.exports.proof_photos; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.fixture
def at_most_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_photos, "MOST_PHOTOS", 7)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[list[Path]]:
    """The photos of each proof of an export whose network and answers are stood in for."""
    seen: list[list[Path]] = []

    def answers(paths: Sequence[Path]) -> np.ndarray:
        seen.append(list(paths))
        return np.full((len(paths), 3), 1 / 3, np.float32)

    monkeypatch.setattr(exporting, "write_network", lambda form, model, export, views: None)
    monkeypatch.setattr(exporting, "answers_of", lambda export, paths: answers(paths))
    monkeypatch.setattr(
        exporting, "answers_of_trained", lambda trained, records, progress: answers([each.path for each in records])
    )
    return seen


@pytest.mark.usefixtures("at_most_seven")
def test_export_proves_on_a_sample_and_says_so_everywhere(
    trained: TrainedRun, tmp_path: Path, looked_at: list[list[Path]]
):
    answer = run_regraft("export", trained.folder, "--format", "litert", "--out", tmp_path / "export")
    words = "7 of 12 reported photos, drawn by class, seed 3"
    assert answer.code == 0, answer.stderr
    assert f"\nProven on {words}.\n" in answer.stdout
    assert f"The export is to be proven on {words}.\n" in answer.stderr
    proof = read_export(tmp_path / "export").proof
    assert (proof.images, proof.reported, proof.sample_seed, proof.proven_on) == (7, 12, 3, words)
    assert f"| proven on | {words}: 7 keep" in (tmp_path / "export/README.md").read_text("utf-8")
    asked, served = looked_at
    assert asked == served
    assert len(set(asked)) == 7


@pytest.mark.usefixtures("at_most_seven")
def test_export_proves_on_all_where_that_is_asked_for(trained: TrainedRun, tmp_path: Path, looked_at: list[list[Path]]):
    export = regraft.export(trained.folder, "litert", prove="all", out=tmp_path / "export", progress=False)
    assert export.proof.proven_on == "all 12 reported photos"
    assert [len(paths) for paths in looked_at] == [12, 12]
    again = run_regraft(
        "export",
        trained.folder,
        "--format",
        "litert",
        "--out",
        tmp_path / "export",
        "--force",
        "--prove",
        "all",
        "--json",
    )
    assert (again.values["images"], again.values["reported"]) == (12, 12)
    assert "sample_seed" not in again.values
    assert "to be proven" not in again.stderr  # of all there is nothing to announce


@pytest.mark.slow
@pytest.mark.usefixtures("at_most_seven")
def test_a_saved_model_is_proven_on_a_sample(trained: TrainedRun, tmp_path: Path):
    answer = run_regraft("export", trained.folder, "--out", tmp_path / "export")
    assert "\nProven on 7 of 12 reported photos, drawn by class, seed 3.\n" in answer.stdout
    assert (read_export(tmp_path / "export").proof.images, answer.code) == (7, 0)


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch, without_export: None) -> list[Expected]:
    """What exports are held to, none of which is written."""
    seen: list[Expected] = []
    written = finish.export_proven

    def export_proven(*args: object, expected: Expected, **others: object) -> Export:
        seen.append(expected)
        return written(*args, **others)

    monkeypatch.setattr("regraft.training.finish.export_proven", export_proven)
    return seen


@pytest.mark.usefixtures("at_most_seven")
def test_training_proves_on_a_sample_with_the_answers_it_knows_and_its_page_says_so(
    photo_folder: PhotoFolder, tmp_path: Path, proofs: list[Expected]
):
    photos, run = photo_folder({"ant": 24, "bee": 24}), tmp_path / "run"
    answer = run_regraft("train", photos, *FAST, "--seed", 5, "--out", run, "--set", "data.val_fraction=0.25")
    announcement = "The export is to be proven on 7 of 12 reported photos, drawn by class, seed 5."
    assert answer.stderr.count(announcement) == 1
    assert announcement in (run / "report.html").read_text("utf-8")
    (expected,) = proofs
    with (run / "predictions.csv").open(newline="") as file:
        known = {row["path"]: float(row["score"]) for row in csv.DictReader(file)}
    scores = [known[path.relative_to(photos).as_posix()] for path in expected.paths]
    np.testing.assert_allclose(expected.probabilities.max(axis=1), scores, atol=1e-6)
    assert sorted(path.parent.name for path in expected.paths) in (["ant"] * 4 + ["bee"] * 3, ["ant"] * 3 + ["bee"] * 4)


@pytest.mark.usefixtures("at_most_seven")
def test_a_training_begun_with_all_goes_on_with_all(
    photo_folder: PhotoFolder, tmp_path: Path, proofs: list[Expected], monkeypatch: pytest.MonkeyPatch
):
    photos, run = photo_folder({"ant": 24, "bee": 24}), tmp_path / "run"
    with monkeypatch.context() as failing:
        failing.setattr("regraft.training.finish.export_proven", refuse)
        words = ("train", photos, *FAST, "--set", "data.val_fraction=0.25", "--prove", "all")
        assert run_regraft(*words, "--out", run).code == 1
    assert run_regraft("train", photos, "--resume", "--out", run).code == 0
    (expected,) = proofs
    assert (len(expected.paths), len(expected.probabilities)) == (12, 12)
    assert "The export is to be proven on all 12 reported photos." in (run / "report.html").read_text("utf-8")


def refuse(*_: object, **__: object) -> None:
    raise ExportError("The export differs.")


@pytest.mark.parametrize("verb", ["train", "export"])
def test_the_command_line_refuses_another_word(verb: str, trained: TrainedRun):
    where = trained.photos if verb == "train" else trained.folder
    answer = run_regraft(verb, where, "--prove", "some")
    assert (answer.code, answer.stderr) == (2, 'regraft: --prove must be sample or all; received "some".\n')
