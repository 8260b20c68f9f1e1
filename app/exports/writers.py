"""A trained network as LiteRT, ONNX or OpenVINO file, in full or reduced precision, by the makers' own converters."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regraft.exports.export import Export
from regraft.machine.quiet import STDERR, STDOUT, swallowed

Views = Callable[[], Iterable[np.ndarray]]
"""Views of training photos, float32 [S, S, 3] each, for finding the ranges of activations."""


def write_network(model: keras.Model, export: Export, views: Views) -> None:
    """Writes the network of `model` where `export` says.

    Args:
        model: as `regraft.models.classifier.answering_model` gives it.
        export: format, precision and place.
        views: training photos, looked at for int8 only.
    """
    with _silence():
        model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports what has been called
        _WRITERS[export.format](model, export, views)


def _write_litert(model: keras.Model, export: Export, views: Views) -> None:
    """float16 keeps weights at half size; int8 computes in it, between float32 inputs and outputs."""
    import tensorflow as tf

    options: dict[str, Any] = {}
    if export.precision != "float32":
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if export.precision == "float16":
        options["target_spec"] = {"supported_types": [tf.float16]}
    if export.precision == "int8":
        options["representative_dataset"] = lambda: ([view[None]] for view in views())
    model.export(str(export.network), format="litert", verbose=False, **options)


def _write_onnx(model: keras.Model, export: Export, views: Views) -> None:
    if export.precision == "float32":
        model.export(str(export.network), format="onnx", verbose=False)
    else:
        whole = export.folder / "float32.onnx"
        model.export(str(whole), format="onnx", verbose=False)
        _quantize_onnx(whole, export.network, views)
        whole.unlink()
    _label_onnx(export)


def _quantize_onnx(whole: Path, network: Path, views: Views) -> None:
    """Static quantization with ranges from `views`; weights per channel, in seven bits: CPUs without VNNI overflow."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(views())

        def get_next(self) -> dict[str, np.ndarray] | None:
            view = next(self.rest, None)
            return None if view is None else {"images": view[None]}

    prepared = whole.with_name("prepared.onnx")
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared), str(network), Reader(), per_channel=True, reduce_range=True,
        quant_format=quantization.QuantFormat.QDQ,
    )  # fmt: skip
    prepared.unlink()


def _label_onnx(export: Export) -> None:
    """Labels and view in the file's own metadata, where a viewer shows them."""
    import onnx

    model = onnx.load(str(export.network))
    facts = {"labels": "\n".join(export.labels), "image_size": export.image_size, "crop_fraction": export.crop_fraction}
    onnx.helper.set_model_props(model, {name: str(value) for name, value in facts.items()})
    onnx.save(model, str(export.network))


def _write_openvino(model: keras.Model, export: Export, views: Views) -> None:
    """float16 keeps weights at half size and computes in float32; bfloat16 asks the CPU to compute in it."""
    import openvino

    draft = export.folder / "draft.xml"
    if export.precision == "int8":
        whole, quantized = export.folder / "float32.onnx", export.folder / "int8.onnx"
        model.export(str(whole), format="onnx", verbose=False)
        _quantize_onnx(whole, quantized, views)
        network = openvino.convert_model(str(quantized))
        leftovers = [whole, quantized]
    else:
        model.export(str(draft), format="openvino", verbose=False)
        network = openvino.Core().read_model(str(draft))
        leftovers = [draft, draft.with_suffix(".bin")]
    network.set_rt_info(list(export.labels), ["model_info", "labels"])
    openvino.save_model(network, str(export.network), compress_to_fp16=export.precision == "float16")
    del network  # it maps the draft's file
    for leftover in leftovers:
        leftover.unlink()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Converters write pages to stdout and stderr, from Python and from C++."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            swallowed(STDOUT, STDERR),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


_WRITERS: dict[str, Callable[[keras.Model, Export, Views], None]] = {
    "litert": _write_litert,
    "onnx": _write_onnx,
    "openvino": _write_openvino,
}
