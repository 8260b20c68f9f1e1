"""ONNX: one .onnx file, read by ONNX Runtime and by much else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.exports.export import Export
from regraft.exports.format import FLOAT32, INT8, Format, Needs, Network, Views, as_answer

if TYPE_CHECKING:
    import keras

CONVERTERS = ("tf2onnx", "onnx", "onnxruntime")
"""The modules that writing and quantizing an ONNX file takes; the extra "onnx" installs them."""

_PRECISIONS = {"float32": FLOAT32, "int8": INT8}
_SNIPPET = """import os

os.environ["ORT_DISABLE_TELEMETRY"] = os.environ["ORT_TELEMETRY_DISABLED"] = "1"  # else it reports to a host

import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
names = [output.name for output in session.get_outputs()]
answer = dict(zip(names, session.run(names, {"images": view[None]})))"""


def _report_nothing() -> None:
    """Tells ONNX Runtime, before it is first imported, to ask no host of its makers' and to keep no identifier."""
    for name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):  # what newer and older versions look at
        os.environ.setdefault(name, "1")


def _know_erfc() -> None:
    """Teaches tf2onnx the operation of an exact GELU, which TensorFlow computes by erfc x = 1 - erf x; ONNX has erf."""
    from tf2onnx.handler import tf_op
    from tf2onnx.utils import make_name, map_onnx_to_numpy_type

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
            shapes, dtypes = node.output_shapes, node.output_dtypes
            (x,), outputs = node.input, node.output
            one = ctx.make_const(make_name("one"), np.ones((), map_onnx_to_numpy_type(dtypes[0]))).output[0]
            ctx.remove_node(node.name)
            erf = ctx.make_node("Erf", [x], shapes=shapes, dtypes=dtypes).output[0]
            ctx.make_node("Sub", [one, erf], outputs=outputs, name=node.name, shapes=shapes, dtypes=dtypes)


def _convert(model: keras.Model, network: Path) -> None:
    _report_nothing()
    _know_erfc()
    model.export(str(network), format="onnx", verbose=False)


def _write(model: keras.Model, network: Path, export: Export, views: Views) -> None:
    if export.precision == "int8":
        write_quantized(model, network, views)
    else:
        _convert(model, network)
    describe_network(network, export)


def write_quantized(model: keras.Model, network: Path, views: Views) -> None:
    """Static quantization with ranges from `views`; weights per channel, in seven bits: CPUs without VNNI overflow."""
    _report_nothing()
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(views())

        def get_next(self) -> dict[str, np.ndarray] | None:
            view = next(self.rest, None)
            return None if view is None else {"images": view[None]}

    whole, prepared = network.with_name("float32.onnx"), network.with_name("prepared.onnx")
    _convert(model, whole)
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared), str(network), Reader(), per_channel=True, reduce_range=True,
        quant_format=quantization.QuantFormat.QDQ,
    )  # fmt: skip
    prepared.unlink()
    whole.unlink()


def describe_network(network: Path, export: Export) -> None:
    """Labels and view in the file's own metadata, where a viewer shows them; probabilities first among the outputs."""
    import onnx

    model = onnx.load(str(network))
    model.graph.output.sort(key=lambda output: output.name != "probabilities")
    facts = {"labels": "\n".join(export.labels), "image_size": export.image_size}
    facts |= {"crop_fraction": export.crop_fraction, "fit": export.fit}
    onnx.helper.set_model_props(model, {name: str(value) for name, value in facts.items()})
    onnx.save(model, str(network))


def _open(network: Path, export: Export, batch_size: int) -> Network:
    _report_nothing()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda images: as_answer(dict(zip(names, session.run(names, {"images": images}), strict=True)))


FORMAT = Format(
    "onnx",
    package="onnxruntime",
    module="onnxruntime",
    file="model.onnx",
    precisions=_PRECISIONS,
    write=_write,
    open=_open,
    start_seconds=0.15,
    needs={precision: Needs(CONVERTERS, "onnx") for precision in _PRECISIONS},
    shared=True,
    snippet=_SNIPPET,
)
