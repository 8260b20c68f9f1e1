"""Exports on disk: what lies there, how it is read back, and what is said of what is damaged."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from trained_runs import TrainedRun

from regraft.errors import RunError
from regraft.exports.export import Export, ProofResult, find_exports, read_export
from regraft.exports.format import find_format
from regraft.exports.runtimes import open_network


@pytest.fixture
def copy(litert: Path, tmp_path: Path) -> Path:
    shutil.copytree(litert, tmp_path / "copy")
    return tmp_path / "copy"


def edit(folder: Path, **changes) -> None:
    file = folder / "export.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_an_export_says_all_that_is_needed_to_use_it(litert: Path, trained: TrainedRun):
    export = read_export(litert)
    assert (export.name, export.runtime, export.labels) == ("litert-float32", "litert", ("bee", "cat", "dog"))
    network = find_format("litert").network(litert)
    assert network.stat().st_size < export.bytes < network.stat().st_size + 2000
    probabilities, embedding = open_network(export)(np.zeros((1, export.image_size, export.image_size, 3), np.float32))
    assert (probabilities.shape, probabilities.dtype) == ((1, 3), np.float32)
    assert embedding is not None
    assert embedding.shape == (1, export.embedding)
    assert export.calibration_file.read_bytes() == (trained.folder / "calibration.npz").read_bytes()


def test_an_export_of_a_newer_version_is_refused(copy: Path):
    edit(copy, format_version=3, something="new")
    answer = run_regraft("predict", copy, "x.jpg")
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr == (
        f"regraft: {copy} was exported by a newer Regraft (format 3; this one reads up to 2): "
        "upgrade Regraft, or export the run again with this one.\n"
    )


def test_labels_that_do_not_agree_are_mixed_label_sets(copy: Path, tmp_path: Path):
    with pytest.raises(RunError, match=r"mixed label sets: it answers bee, cat, dog, the run bee, dog; export"):
        find_exports(tmp_path, ("bee", "dog"))
    (copy / "labels.txt").write_text("cat\nbee\ndog\n")
    with pytest.raises(RunError, match=r"mixed label sets: its labels.txt and export.json differ"):
        read_export(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 1, "labels": []}'])
def test_a_damaged_description_is_said_to_be_damaged(copy: Path, text: str):
    (copy / "export.json").write_text(text)
    with pytest.raises(RunError, match=r"export.json is damaged; export the run again."):
        read_export(copy)


def test_no_run_and_no_export_is_no_source(tmp_path: Path):
    answer = run_regraft("predict", tmp_path, "x.jpg")
    assert answer.code == 2
    assert len(answer.stderr.splitlines()) == 1


def test_a_description_comes_back(tmp_path: Path):
    export = Export(tmp_path, "onnx", "int8", ("a", "é"), 32, 0.875, 0, "digest")
    export.write()
    assert read_export(tmp_path) == export
    assert json.loads((tmp_path / "export.json").read_text())["proof"] == {}


WHAT_SAVED_MODELS_MEASURE = {"images": 12, "largest_difference": 1e-7, "same_label": 12, "tolerance": 1e-5}
WHAT_ALL_OTHERS_MEASURE = {
    "images": 12,
    "largest_difference": 0.008,
    "mean_difference": 0.002,
    "same_label": 11,
    "tolerance": None,
    "accuracy": 0.75,
    "accuracy_trained": 0.8333333333333334,
    "bytes": 440186,
}


@pytest.mark.parametrize("measured", [WHAT_SAVED_MODELS_MEASURE, WHAT_ALL_OTHERS_MEASURE], ids=["few", "all"])
def test_a_proof_has_the_keys_that_its_format_measures(tmp_path: Path, measured: dict[str, float]):
    proof = ProofResult(**measured)
    assert json.dumps(proof.as_dict()) == json.dumps(measured)
    export = Export(tmp_path, "onnx", "int8", ("a", "b"), 32, 0.875, 0, "digest", proof)
    export.write()
    assert read_export(tmp_path) == export
    assert json.dumps(export.as_dict()) == json.dumps({"folder": str(tmp_path), "labels": ["a", "b"], **measured})
    assert (proof.accuracy is None) == ("accuracy" not in measured)
