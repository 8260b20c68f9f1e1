"""Exports on disk, the runtimes that read them, and what is said where one of both does not fit."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from trained_runs import TrainedRun

from regraft.errors import RunError, UsageError
from regraft.exports.export import FORMATS, PRECISIONS, Export, find_exports, read_export
from regraft.exports.runtimes import RUNTIMES, check_format, check_runtime, open_network


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
    assert export.network.stat().st_size < export.bytes < export.network.stat().st_size + 2000
    probabilities, embedding = open_network(export)(np.zeros((1, export.image_size, export.image_size, 3), np.float32))
    assert (probabilities.shape, probabilities.dtype) == ((1, 3), np.float32)
    assert embedding is not None
    assert embedding.shape == (1, export.embedding)
    assert export.calibration_file.read_bytes() == (trained.folder / "calibration.npz").read_bytes()


def test_an_export_of_a_newer_version_is_refused(copy: Path):
    edit(copy, format_version=2, something="new")
    answer = run_regraft("predict", copy, "x.jpg")
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr == (
        f"regraft: {copy} was exported by a newer Regraft (format 2; this one reads up to 1): "
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


def test_a_damaged_network_is_said_to_be_damaged(copy: Path):
    (copy / "model.tflite").write_bytes(b"TFL3 not")
    answer = run_regraft("predict", copy, "x.jpg")
    assert answer.code == 2
    assert answer.stderr.startswith(f"regraft: {copy}/model.tflite is damaged (")


def test_no_run_and_no_export_is_no_source(tmp_path: Path):
    answer = run_regraft("predict", tmp_path, "x.jpg")
    assert answer.code == 2
    assert len(answer.stderr.splitlines()) == 1


def test_a_runtime_that_is_not_installed_names_its_extra(litert: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ai_edge_litert" else find_spec(name))
    answer = run_regraft("predict", litert, "x.jpg", "--runtime", "litert")
    assert (answer.code, answer.stderr) == (
        2,
        "regraft: --runtime litert needs ai-edge-litert, which is not installed: "
        'pip install "regraft[litert]", or choose another --runtime.\n',
    )
    assert run_regraft("predict", litert, "x.jpg").code == 2
    with pytest.raises(
        UsageError, match=r'--format litert needs its runtime to be proven: pip install "regraft\[litert'
    ):
        check_format("litert", "float32")


def test_a_converter_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tf2onnx" else find_spec(name))
    complaint = r'needs tf2onnx, which is not installed: pip install "regraft\[openvino,onnx\]".'
    with pytest.raises(UsageError, match=complaint):
        check_format("openvino", "int8")
    check_format("openvino", "float16")


def test_every_extra_of_a_runtime_exists():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(RUNTIMES) - {"tensorflow"} <= set(project["optional-dependencies"])
    assert {row.runtime for row in FORMATS.values()} == set(RUNTIMES)
    assert {name for row in FORMATS.values() for name in row.precisions} == set(PRECISIONS)


def test_words_that_do_not_exist_are_refused():
    with pytest.raises(UsageError, match=r'--runtime must be one of auto, tensorflow, .*; received "torch"'):
        check_runtime("torch")
    with pytest.raises(UsageError, match=r'--format must be one of saved_model, .*; received "coreml"'):
        check_format("coreml", "float32")
    with pytest.raises(UsageError, match=r'--precision of onnx must be one of float32, int8; received "float16"'):
        check_format("onnx", "float16")


def test_a_description_comes_back(tmp_path: Path):
    export = Export(tmp_path, "onnx", "int8", ("a", "é"), 32, 0.875, 0, "digest", {"images": 3})
    export.write()
    assert read_export(tmp_path) == export
