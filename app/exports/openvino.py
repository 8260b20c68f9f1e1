"""OpenVINO: an .xml file with its .bin beside it, often the fastest on Intel's and AMD's CPUs."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.exports.export import Export
from regraft.exports.format import BFLOAT16, FLOAT16, FLOAT32, INT8, Format, Needs, Network, Views, as_answer
from regraft.exports.onnx import CONVERTERS, write_quantized

if TYPE_CHECKING:
    import keras

_SNIPPET = """import sys
sys.modules["openvino_telemetry"] = None  # else openvino asks a telemetry host when it is imported
import openvino

precision = "bf16" if export["precision"] == "bfloat16" else "f32"  # else openvino takes bf16 where the CPU can
model = openvino.Core().compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": precision})
answer = {output.any_name: value for output, value in model(view[None]).items()}"""


_importing = threading.Lock()  # two threads would undo what the other hides


def _import_openvino() -> Any:
    """The module, which would ask a host of its makers' and leave a client id in the home folder at every import.

    Where `openvino_telemetry` cannot be imported, OpenVINO goes without; others may import it afterwards.
    """
    with _importing:
        telemetry = "openvino_telemetry"
        before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == telemetry}
        sys.modules[telemetry] = None  # type: ignore[assignment]  # so does Python mark what is not to be found
        try:
            import openvino
        finally:
            del sys.modules[telemetry]
            sys.modules.update(before)
    return openvino


def _write(model: keras.Model, network: Path, export: Export, views: Views) -> None:
    """float16 keeps weights at half size and computes in float32; bfloat16 asks the CPU to compute in it."""
    openvino = _import_openvino()
    if export.precision == "int8":
        draft = network.with_name("int8.onnx")
        write_quantized(model, draft, views)
        converted = openvino.convert_model(str(draft))
        leftovers = [draft]
    else:
        draft = network.with_name("draft.xml")
        model.export(str(draft), format="openvino", verbose=False)
        converted = openvino.Core().read_model(str(draft))
        leftovers = [draft, draft.with_suffix(".bin")]
    converted.set_rt_info(list(export.labels), ["model_info", "labels"])
    openvino.save_model(converted, str(network), compress_to_fp16=export.precision == "float16")
    del converted  # it maps the draft's file
    for leftover in leftovers:
        leftover.unlink()


def _open(network: Path, export: Export, batch_size: int) -> Network:
    openvino = _import_openvino()
    core = openvino.Core()
    model = core.read_model(str(network))
    model.reshape([batch_size, export.image_size, export.image_size, 3])
    hints = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if export.precision == "bfloat16" else "f32",
    }
    request = core.compile_model(model, "CPU", hints).create_infer_request()

    def answer(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        outputs = request.infer([images])
        return as_answer({output.any_name: value.copy() for output, value in outputs.items()})

    return answer


FORMAT = Format(
    "openvino",
    package="openvino",
    module="openvino",
    file="model.xml",
    more_files=("model.bin",),
    precisions={"float32": FLOAT32, "float16": FLOAT16, "bfloat16": BFLOAT16, "int8": INT8},
    write=_write,
    open=_open,
    many=8,  # int8 takes a sixth less time for each than one at a time, float32 as long
    start_seconds=0.3,
    needs={"int8": Needs(CONVERTERS, "openvino,onnx")},
    snippet=_SNIPPET,
)
