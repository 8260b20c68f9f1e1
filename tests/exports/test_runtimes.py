"""What is said where a runtime or format does not exist, is not installed, or cannot read its file."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import run_regraft

from regraft.errors import UsageError
from regraft.exports.runtimes import check_format, check_runtime


def test_a_damaged_network_is_said_to_be_damaged(litert: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(litert, copy)
    (copy / "model.tflite").write_bytes(b"TFL3 not")
    answer = run_regraft("predict", copy, "x.jpg")
    assert answer.code == 2
    assert answer.stderr.startswith(f"regraft: {copy}/model.tflite is damaged (")


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
        UsageError, match=r'format="litert" needs its runtime to be proven: pip install "regraft\[litert'
    ):
        check_format("litert", "float32")


def test_a_converter_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tf2onnx" else find_spec(name))
    complaint = r'needs tf2onnx, which is not installed: pip install "regraft\[openvino,onnx\]".'
    with pytest.raises(UsageError, match=complaint):
        check_format("openvino", "int8")
    check_format("openvino", "float16")


def test_words_that_do_not_exist_are_refused():
    with pytest.raises(UsageError, match=r'runtime must be one of auto, tensorflow, .*; received "torch"'):
        check_runtime("torch")
    with pytest.raises(UsageError, match=r'format must be one of saved_model, .*; received "coreml"'):
        check_format("coreml", "float32")
    with pytest.raises(UsageError, match=r'precision of onnx must be one of float32, int8; received "float16"'):
        check_format("onnx", "float16")
