"""Exports on disk: what lies there, how it is read back, and what is said of what is damaged."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from listening import Listening
from trained_runs import TrainedRun

from regraft.errors import RunError
from regraft.evidence.decision import LeastCost, OperatingPoint, write_decision
from regraft.exports.description import digest_values
from regraft.exports.export import Export, ProofResult, check_files, find_exports, read_export
from regraft.exports.format import find_format
from regraft.exports.runtimes import open_network
from regraft.runs.run import Run


@pytest.fixture
def copy(litert: Path, tmp_path: Path) -> Path:
    shutil.copytree(litert, tmp_path / "copy")
    return tmp_path / "copy"


def edit(folder: Path, **changes) -> None:
    file = folder / "export.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def as_of_version_1(folder: Path) -> Path:
    """The same export as it was written before exports had digests."""
    file = folder / "export.json"
    values = json.loads(file.read_text())
    for name in ("files", "digest"):
        del values[name]
    file.write_text(json.dumps({**values, "format_version": 1}))
    return folder


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is no JSON object with a format_version"),
        ("{", "it is no JSON object with a format_version"),
        ("[]", "it is no JSON object with a format_version"),
        ("{}", "it is no JSON object with a format_version"),
        ("[" * 100_000, "it is no JSON object with a format_version"),
        ('{"format_version": 1, "labels": []}', "format is missing"),
        ('{"format_version": "1"}', "format_version must be a number of a version"),
        ('{"format_version": 1000000}', "format_version must be a number of a version"),
    ],
)
def test_a_damaged_description_is_said_to_be_damaged(copy: Path, text: str, reason: str):
    (copy / "export.json").write_text(text)
    with pytest.raises(RunError) as caught:
        read_export(copy)
    assert str(caught.value) == f"{copy}/export.json is damaged ({reason}); export the run again."


# --- what an answer depends on ---


def swap_labels(copy: Path) -> None:
    (copy / "labels.txt").write_text("cat\nbee\ndog\n")
    edit(copy, labels=["cat", "bee", "dog"])


def add_a_label(copy: Path) -> None:
    (copy / "labels.txt").write_text("bee\ncat\ndog\nelk\n")
    edit(copy, labels=["bee", "cat", "dog", "elk"])


def flip_a_bit(copy: Path) -> None:
    network = bytearray((copy / "model.tflite").read_bytes())
    network[len(network) // 2] ^= 0x40
    (copy / "model.tflite").write_bytes(network)


def lose_the_calibration(copy: Path) -> None:
    (copy / "calibration.npz").unlink()


DAMAGES = {
    "labels swapped in one file": (
        lambda copy: (copy / "labels.txt").write_text("cat\nbee\ndog\n"),
        "{copy} has mixed label sets: its labels.txt and export.json differ; export the run again.",
    ),
    "labels swapped in both": (
        swap_labels,
        "{copy}/export.json is damaged (it changed since it was written); export the run again.",
    ),
    "a label too many": (
        add_a_label,
        "{copy}/export.json is damaged (it changed since it was written); export the run again.",
    ),
    "another size": (
        lambda copy: edit(copy, image_size=33),
        "{copy}/export.json is damaged (it changed since it was written); export the run again.",
    ),
    "a flipped bit": (
        flip_a_bit,
        "{copy}/model.tflite is damaged (it changed since it was written); export the run again.",
    ),
    "a lost file": (lose_the_calibration, "{copy}/calibration.npz is missing; export the run again."),
}


@pytest.mark.parametrize(("damage", "complaint"), DAMAGES.values(), ids=DAMAGES)
def test_whatever_decides_an_answer_is_as_it_was_written_or_refused(copy: Path, damage, complaint: str):
    damage(copy)
    answer = run_regraft("predict", copy, "x.jpg")
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr == f"regraft: {complaint.format(copy=copy)}\n"


def test_the_card_and_what_was_measured_decide_no_answer(copy: Path):
    (copy / "README.md").write_text("My own words.")
    (copy / "runtimes.json").write_text("{")
    check_files(read_export(copy))


def test_an_export_from_before_there_were_digests_opens_and_must_only_not_be_empty(copy: Path):
    export = read_export(as_of_version_1(copy))
    assert export.files is None
    assert open_network(export)
    (copy / "model.tflite").write_bytes(b"")
    with pytest.raises(RunError, match=r"model\.tflite is damaged \(it is empty\); export the run again"):
        open_network(export)


def test_labels_that_are_not_as_many_as_the_answers_are_refused_without_digests_too(copy: Path):
    add_a_label(as_of_version_1(copy))
    answer = run_regraft("predict", copy, "x.jpg", "--format", "jsonl")
    assert answer.code == 3  # there is no such photo
    network = open_network(read_export(copy))
    with pytest.raises(RunError, match=r"model\.tflite gives \[3\] scores, and .* has 4 labels; export the run again"):
        network(np.zeros((1, 32, 32, 3), np.float32))


# --- versions ---


def write_version(folder: Path, name: str) -> Path:
    """An export of a few bytes that nothing can open but everything reads."""
    version = folder / name
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(name.encode())
    Export(version, "onnx", "float32", ("a", "b"), 32, 1.0, 0, "").write()
    return version


def test_a_newer_version_that_is_empty_or_damaged_does_not_hide_an_older_one(tmp_path: Path):
    write_version(tmp_path, "1")
    write_version(tmp_path, "2")
    assert read_export(tmp_path).folder == tmp_path / "2"
    (tmp_path / "2/model.onnx").write_bytes(b"other")
    listening = Listening()
    assert read_export(tmp_path, listening).folder == tmp_path / "1"
    (tmp_path / "3").mkdir()
    assert read_export(tmp_path).folder == tmp_path / "1"
    assert listening.said == [
        f"{tmp_path}/1 answers, the newest version that can: {tmp_path}/2/model.onnx is damaged (it changed since it "
        "was written); export the run again."
    ]


def test_where_no_version_is_whole_the_newest_says_why(tmp_path: Path):
    for name in ("1", "2"):
        (write_version(tmp_path, name) / "model.onnx").unlink()
    with pytest.raises(RunError, match=r"2/model\.onnx is missing"):
        read_export(tmp_path)


# --- the exports of a run ---


@pytest.fixture
def run(trained: TrainedRun, litert: Path, tmp_path: Path) -> Run:
    """A run with an export, `a`."""
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder, ignore=shutil.ignore_patterns("saved_model"))
    shutil.copytree(litert, folder / "exports/a")
    return Run(folder)


def test_an_export_of_another_model_is_passed_over(run: Run):
    export = read_export(run.exports / "a")
    for name, changes in {"b": {"model": "0" * 32}, "c": {"labels": ("bee", "dog")}, "d": {"model": ""}}.items():
        shutil.copytree(export.folder, run.exports / name)
        Export(**{**vars(export), "folder": run.exports / name, **changes}).write()
    (run.exports / "e").mkdir()
    (run.exports / "e/export.json").write_text("damaged")
    listening = Listening()
    assert [each.folder.name for each in find_exports(run, listening)] == ["a", "d"]
    assert listening.said == [
        f"Passed over: {run.exports}/b was made of another model than {run.model_file}; export the run again.",
        f"Passed over: {run.exports}/c has mixed label sets: it answers bee, dog, the run bee, cat, dog; "
        "export the run again or remove it.",
        f"Passed over: {run.exports}/e/export.json is damaged (it is no JSON object with a format_version); "
        "export the run again.",
    ]


def test_an_export_that_decides_otherwise_than_the_run_does_by_now_is_passed_over(run: Run):
    export = read_export(run.exports / "a")
    point = OperatingPoint(1, 0.25)
    shutil.copytree(export.folder, run.exports / "b")
    Export(**{**vars(export), "folder": run.exports / "b", "decision": point}).write()
    for decision, kept, other in ((None, "a", "b"), (point, "b", "a")):
        if decision:
            write_decision(run, decision)
        listening = Listening()
        assert [each.folder.name for each in find_exports(run, listening)] == [kept]
        passed_over = f"Passed over: {run.exports}/{other} decides otherwise than the run does by now; "
        assert listening.said == [f"{passed_over}export the run again."]


@pytest.mark.parametrize("decision", [OperatingPoint(1, 0.25), LeastCost(((0.0, 1.0), (7.5, 0.0)))])
def test_a_description_comes_back_with_its_decision(tmp_path: Path, decision):
    export = Export(tmp_path, "onnx", "int8", ("a", "é"), 32, 0.875, 0, "digest", decision=decision)
    export.write()
    assert read_export(tmp_path) == export


def test_no_run_and_no_export_is_no_source(tmp_path: Path):
    answer = run_regraft("predict", tmp_path, "x.jpg")
    assert answer.code == 2
    assert len(answer.stderr.splitlines()) == 1


def test_a_description_comes_back(tmp_path: Path):
    export = Export(tmp_path, "onnx", "int8", ("a", "é"), 32, 0.875, 0, "digest")
    export.write()
    assert read_export(tmp_path) == export
    values = json.loads((tmp_path / "export.json").read_text())
    assert values["proof"] == {}
    # printf 'a\né\n' | b2sum --length 128
    assert values["files"] == {"labels.txt": "e93ede5e1bdef00bb01d2bf586e8a196"}
    assert values["digest"] == digest_values(values)


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
