"""LiteRT: one .tflite file, the lightest to start."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.exports.export import Export
from regraft.exports.format import FLOAT16, FLOAT32, INT8, Format, Network, Views, as_answer
from regraft.machine.quiet import swallowed

if TYPE_CHECKING:
    import keras

_SNIPPET = """from ai_edge_litert.interpreter import Interpreter

network = Interpreter("model.tflite").get_signature_runner("serving_default")
answer = network(images=view[None])"""


def _write(model: keras.Model, network: Path, export: Export, views: Views) -> None:
    """float16 keeps weights at half size; int8 computes in it, between float32 inputs and outputs."""
    import tensorflow as tf

    from regraft.exports.litert_metadata import describe_network

    options: dict[str, Any] = {}
    if export.precision != "float32":
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if export.precision == "float16":
        options["target_spec"] = {"supported_types": [tf.float16]}
    if export.precision == "int8":
        options["representative_dataset"] = lambda: ([view[None]] for view in views())
    model.export(str(network), format="litert", verbose=False, **options)
    describe_network(network, export)


def _open(network: Path, export: Export, batch_size: int) -> Network:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("ai_edge_litert").setLevel(logging.ERROR)
    with swallowed():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(network), num_threads=1)
        runner = interpreter.get_signature_runner("serving_default")
        runner(images=np.zeros((batch_size, export.image_size, export.image_size, 3), np.float32))
    return lambda images: as_answer(runner(images=images))


FORMAT = Format(
    "litert",
    package="ai-edge-litert",
    module="ai_edge_litert",
    file="model.tflite",
    precisions={"float32": FLOAT32, "float16": FLOAT16, "int8": INT8},
    write=_write,
    open=_open,
    start_seconds=0.09,
    snippet=_SNIPPET,
)
