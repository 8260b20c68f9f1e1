"""The names of formats, runtimes and precisions. It imports nothing, so that `--help` can list them at once."""

from __future__ import annotations

FORMATS = {
    "saved_model": "tensorflow",
    "litert": "litert",
    "onnx": "onnx",
    "openvino": "openvino",
}
"""Every export format, and the runtime that reads it. All else is in `regraft/exports/<format>.py`."""

RUNTIMES = tuple(dict.fromkeys(FORMATS.values()))
"""What can compute an export. Each but TensorFlow, which is always there, is installed by the extra of its name."""

PRECISIONS = ("float32", "float16", "bfloat16", "int8")
"""From the most to the least exact. What an export in each is held to, its format says."""
