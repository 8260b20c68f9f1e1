"""Arrays in .npz files, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest

from regraft.machine.arrays import read_arrays


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "arrays.npz", a=np.arange(300.0), b=np.array(["x", "y"]))
    return tmp_path / "arrays.npz"


def test_every_array_comes_back_by_its_name(file: Path):
    arrays = read_arrays(file)
    assert sorted(arrays) == ["a", "b"]
    np.testing.assert_array_equal(arrays["a"], np.arange(300.0))


def test_a_missing_file_an_empty_one_and_objects_are_no_arrays(tmp_path: Path):
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))  # a pickle, which could run anything
    for name in ("none.npz", "empty.npz", "objects.npz"):
        with pytest.raises(ValueError, match=f"{name} is missing or damaged"):
            read_arrays(tmp_path / name)


def test_whatever_is_damaged_is_said_to_be_damaged_or_makes_no_difference(file: Path, tmp_path: Path):
    whole, random = file.read_bytes(), np.random.default_rng(0)
    for place in range(0, len(whole), 7):
        cut = bytearray(whole[:place] if place % 2 else whole)
        cut[place : place + 3] = random.bytes(3)
        file.write_bytes(cut)
        try:
            assert isinstance(read_arrays(file), dict)
        except ValueError as error:
            assert str(error) == f"{file} is missing or damaged"
