"""OpenVINO without what it would tell others. What it answers is tested with all formats, in test_exporting.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
asked = []
sys.addaudithook(lambda event, arguments: asked.append(event) if event.startswith("socket.") else None)
import {module}
from regraft.exports.openvino import _import_openvino

openvino = _import_openvino()
import openvino_telemetry
devices = openvino.Core().available_devices
print(json.dumps({{"asked": asked, "telemetry": openvino_telemetry.__name__, "devices": devices}}))
"""


@pytest.mark.parametrize("module", ["os", "openvino_telemetry"])
def test_importing_openvino_asks_no_host_and_leaves_the_home_folder_empty(tmp_path: Path, module: str):
    pytest.importorskip("openvino_telemetry")
    words = [sys.executable, "-c", SCRIPT.format(module=module)]
    environment = os.environ | {"HOME": str(tmp_path), "CI": "", "TF_BUILD": ""}
    environment.pop("JENKINS_URL", None)
    found = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    answer = json.loads(found.stdout)
    assert (answer["asked"], answer["telemetry"]) == ([], "openvino_telemetry")  # which others may still import
    assert "CPU" in answer["devices"]
    assert list(tmp_path.iterdir()) == []
