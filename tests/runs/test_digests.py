"""files.json: damage to what decides an answer is noticed, and named."""

from pathlib import Path

import pytest

from regraft.errors import RunError
from regraft.runs.digests import check_digests, check_weights, write_digests
from regraft.runs.photos_now import rows_of
from regraft.runs.run import Run

FILES = ("model.keras", "labels.txt", "recipe.toml", "calibration.npz", "images.csv", "backbone.weights.h5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode() * 10)
    write_digests(tmp_path)
    return tmp_path


def test_files_that_are_as_they_were_pass(folder: Path):
    check_digests(folder, *FILES, "history.csv")


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_noticed_and_its_file_named(folder: Path, name: str):
    damaged = bytearray((folder / name).read_bytes())
    damaged[7] ^= 1
    (folder / name).write_bytes(damaged)
    with pytest.raises(RunError) as caught:
        check_digests(folder, *FILES)
    complaint = "is not what the run was finished with, so it is damaged or edited; put it back or train again."
    assert str(caught.value) == f"{folder / name} {complaint}"


def test_only_what_is_asked_for_is_read(folder: Path):
    (folder / "model.keras").write_bytes(b"damaged")
    (folder / "calibration.npz").unlink()
    check_digests(folder, "labels.txt", "calibration.npz")


def test_a_run_of_an_earlier_version_has_nothing_to_compare_with(folder: Path):
    (folder / "files.json").unlink()
    (folder / "labels.txt").unlink()
    check_digests(folder, *FILES)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"blake2b": 3}', "\x00"])
def test_digests_that_are_damaged_are_said_to_be(folder: Path, text: str):
    (folder / "files.json").write_text(text)
    with pytest.raises(RunError, match=r"files\.json is damaged; train again\.$"):
        check_digests(folder, *FILES)


def test_which_photos_were_trained_on_is_not_edited_without_a_word(folder: Path):
    (folder / "images.csv").write_text("path,class,role,fingerprint\n/a.jpg,cat,report,00\n")
    with pytest.raises(RunError, match=r"images\.csv is not what the run was finished with"):
        rows_of(Run(folder), "report")


def test_the_weights_of_a_run_are_checked_where_another_begins_with_them(folder: Path):
    weights = folder / "backbone.weights.h5"
    check_weights(weights)
    weights.write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"backbone\.weights\.h5 is not what the run was finished with"):
        check_weights(weights)
    (folder / "recipe.toml").unlink()
    check_weights(weights)  # some file of that name
