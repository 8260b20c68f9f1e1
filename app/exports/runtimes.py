"""What computes a network: TensorFlow, LiteRT, ONNX Runtime or OpenVINO, behind one interface.

A runtime gives a `Network`: probabilities and embeddings for a batch of views. The light ones answer one photo at a
time, on one thread each, and as many at once as there are cores: nothing waits for the slowest thread of a batch, a
row depends on no other, and it is the fastest way on a CPU (docs/benchmarks.md, "Prediction").
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from regraft.errors import RunError, UsageError
from regraft.exports.export import FORMATS, Export
from regraft.machine.quiet import swallowed

_ONNX = ("tf2onnx", "onnx", "onnxruntime")

Network = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""float32 [N, S, S, 3] in [0, 255] -> probabilities float32 [N, C], embeddings float32 [N, E] or None."""


@dataclass(frozen=True)
class Runtime:
    """One row of the table of runtimes.

    Attributes:
        package: what has to be installed.
        module: what is imported.
        batch_size: how many views a network takes at a time.
        shared: whether one network may be called by many threads at once, or each thread needs its own.
        open: a network of an export.
    """

    package: str
    module: str
    batch_size: int
    shared: bool
    open: Callable[[Export], Network]


def is_installed(name: str) -> bool:
    """Whether the runtime could be imported; does not import it."""
    return importlib.util.find_spec(RUNTIMES[name].module) is not None


def check_runtime(name: str) -> None:
    """Raises UsageError where there is no such runtime, or it is not installed."""
    if name not in RUNTIMES:
        raise UsageError(f'--runtime must be one of auto, {", ".join(RUNTIMES)}; received "{name}".')
    if not is_installed(name):
        raise UsageError(
            f"--runtime {name} needs {RUNTIMES[name].package}, which is not installed: "
            f'pip install "regraft[{name}]", or choose another --runtime.'
        )


def check_format(name: str, precision: str) -> None:
    """Raises UsageError where there is no such format or precision, or what it takes is not installed."""
    if name not in FORMATS:
        raise UsageError(f'--format must be one of {", ".join(FORMATS)}; received "{name}".')
    if precision not in FORMATS[name].precisions:
        known = ", ".join(FORMATS[name].precisions)
        raise UsageError(f'--precision of {name} must be one of {known}; received "{precision}".')
    through_onnx = name == "onnx" or (name, precision) == ("openvino", "int8")
    if missing := [package for package in _ONNX if through_onnx and importlib.util.find_spec(package) is None]:
        extras = "onnx" if name == "onnx" else f"{name},onnx"
        raise UsageError(
            f"--format {name} --precision {precision} needs {', '.join(missing)}, which is not installed: "
            f'pip install "regraft[{extras}]".'
        )
    if not is_installed(FORMATS[name].runtime):
        raise UsageError(f'--format {name} needs its runtime to be proven: pip install "regraft[{name}]".')


def open_network(export: Export) -> Network:
    """The network of `export`, ready to answer.

    Raises:
        UsageError: its runtime is not installed.
        RunError: its file is damaged.
    """
    check_runtime(export.runtime)
    try:
        return RUNTIMES[export.runtime].open(export)
    except Exception as error:  # each runtime has its own types for a damaged file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(f"{export.network} is damaged ({reason}); export the run again.") from error


def _open_tensorflow(export: Export) -> Network:
    from regraft.machine.devices import start_tensorflow

    start_tensorflow()
    import tensorflow as tf

    served = tf.saved_model.load(str(export.network))
    views = served.signatures["serving_views"]

    def network(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        answer = views(views=tf.constant(images))
        return answer["scores"].numpy(), answer["embedding"].numpy() if "embedding" in answer else None

    network.keeps = served  # type: ignore[attr-defined]  # its variables die with it
    return network


def _open_litert(export: Export) -> Network:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("ai_edge_litert").setLevel(logging.ERROR)
    with swallowed():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(export.network), num_threads=1)
        runner = interpreter.get_signature_runner("serving_default")
        runner(images=np.zeros((1, export.image_size, export.image_size, 3), np.float32))

    def network(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return _named(runner(images=images))

    return network


def _open_onnx(export: Export) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(export.network), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda images: _named(dict(zip(names, session.run(names, {"images": images}), strict=True)))


def _open_openvino(export: Export) -> Network:
    import openvino

    core = openvino.Core()
    model = core.read_model(str(export.network))
    model.reshape([1, export.image_size, export.image_size, 3])
    hints = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if export.precision == "bfloat16" else "f32",
    }
    request = core.compile_model(model, "CPU", hints).create_infer_request()

    def network(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        answer = request.infer([images])
        return _named({output.any_name: value.copy() for output, value in answer.items()})

    return network


def _named(answer: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    return answer["probabilities"], answer.get("embedding")


RUNTIMES = {
    "tensorflow": Runtime("tensorflow", "tensorflow", 32, True, _open_tensorflow),
    "litert": Runtime("ai-edge-litert", "ai_edge_litert", 1, False, _open_litert),
    "onnx": Runtime("onnxruntime", "onnxruntime", 1, True, _open_onnx),
    "openvino": Runtime("openvino", "openvino", 1, False, _open_openvino),
}
