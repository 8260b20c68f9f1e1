"""ONNX Runtime without what it would tell others. What it answers is tested with all formats, in test_exporting.py."""

import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from regraft.exports.exporting import _silence
from regraft.exports.onnx import _know_erfc

SCRIPT = """
import sys, time
from pathlib import Path
import onnx
from regraft.exports.export import Export
from regraft.exports.onnx import _open
node = onnx.helper.make_node("Identity", ["images"], ["logits"])
kind = onnx.TensorProto.FLOAT
inputs, outputs = (onnx.helper.make_tensor_value_info(name, kind, [1, 2]) for name in ("images", "logits"))
graph = onnx.helper.make_graph([node], "small", [inputs], [outputs])
model = onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 13)])
onnx.save(model, sys.argv[1])
_open(Path(sys.argv[1]), None, 1)
time.sleep(1)
"""


def test_opening_a_network_leaves_no_identifier_in_the_home_folder(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "home").mkdir()
    environment = os.environ | {"HOME": str(tmp_path / "home"), "CI": "", "TF_BUILD": ""}
    for name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / "a.onnx"], check=True, env=environment)
    assert list((tmp_path / "home").rglob("*")) == []


def test_an_exact_gelu_becomes_an_onnx_file(tmp_path: Path):
    """TensorFlow computes it by erfc, which tf2onnx does not know by itself."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    inputs = keras.Input((5,), name="images")
    model = keras.Model(inputs, keras.layers.Activation("gelu")(inputs))
    x = np.linspace(-3, 3, 10, dtype=np.float32).reshape(2, 5)
    model(x)  # Keras exports no model that was never called
    _know_erfc()
    with _silence():
        model.export(str(tmp_path / "model.onnx"), format="onnx", verbose=False)
    (answer,) = runtime.InferenceSession(str(tmp_path / "model.onnx")).run(None, {"images": x})
    expected = [[value / 2 * (1 + math.erf(value / math.sqrt(2))) for value in row] for row in x.tolist()]
    np.testing.assert_allclose(answer, expected, atol=1e-6)
