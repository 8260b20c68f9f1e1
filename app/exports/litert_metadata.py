"""What a .tflite file says of itself, so that programs that know nothing of this package can use it.

MediaPipe Tasks, ML Kit and Android Studio read TensorFlow Lite Metadata: what the input is and how it is normalized,
which output holds which classes. It is a FlatBuffer of its own inside the file, and a ZIP archive with the labels
behind it, where each of these programs looks for them.

Source: tensorflow/tflite-support, metadata_schema.fbs 1.1.0, of which `_FIELDS` is the part that is written here.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from regraft.augment.fits import MARGIN, Fit
from regraft.exports.export import Export

_LABELS = "labels.txt"
_ALIGNMENT = 16  # of weights, which the schema asks for and the generated code for Python forgets

_FIELDS = {
    "ModelMetadata": (
        *("name", "description", "version", "subgraph_metadata", "author", "license", "associated_files"),
        "min_parser_version",
    ),
    "SubGraphMetadata": ("name", "description", "input_tensor_metadata", "output_tensor_metadata"),
    "TensorMetadata": (
        *("name", "description", "dimension_names", "content", "process_units", "stats", "associated_files"),
    ),
    "Content": ("content_properties_type", "content_properties"),
    "FeatureProperties": (),
    "ImageProperties": ("color_space", "default_size"),
    "ImageSize": ("width", "height"),
    "ProcessUnit": ("options_type", "options"),
    "NormalizationOptions": ("mean", "std"),
    "ScoreThresholdingOptions": ("global_score_threshold",),
    "Stats": ("max", "min"),
    "AssociatedFile": ("name", "description", "type"),
}
"""The tables of the schema with their fields in order."""

_CONTENT = {"FeatureProperties": 1, "ImageProperties": 2}
_OPTIONS = {"NormalizationOptions": 1, "ScoreThresholdingOptions": 3}
_RGB = np.uint8(1)
_SEEN: dict[Fit, str] = {
    "crop": "the centre square of an upright photo",
    "stretch": "an upright photo, stretched to a square",
    "pad": f"an upright photo in a square with margins of the colour {', '.join(map(str, MARGIN))}",
}
_TENSOR_AXIS_LABELS = np.uint8(2)


def describe_network(network: Path, export: Export) -> None:
    """Puts the probabilities first among the outputs of a .tflite file, and writes into it what `export` says."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(network.read_bytes()))
    _put_probabilities_first(model)
    _embed(model, schema, packed_metadata(export, outputs=len(model.subgraphs[0].outputs)))
    builder = _AlignedBuilder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    network.write_bytes(builder.Output())
    with zipfile.ZipFile(network, "a") as archive:  # what is no archive gets one at its end
        archive.writestr(zipfile.ZipInfo(_LABELS), "".join(f"{label}\n" for label in export.labels))


def packed_metadata(export: Export, *, outputs: int) -> bytes:
    """The FlatBuffer that says what goes into the network of `export`, and what each of its outputs is."""
    answers = [_probabilities(), _embedding()][:outputs]
    graph = _table("SubGraphMetadata", input_tensor_metadata=[_image(export)], output_tensor_metadata=answers)
    model = _table(
        "ModelMetadata",
        name="Image classifier",
        description=f"Tells {len(export.labels)} classes apart. Takes {_SEEN[export.fit]}.",
        subgraph_metadata=[graph],
        min_parser_version="1.0.0",
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, model), b"M001")
    return bytes(builder.Output())


def _image(export: Export) -> Any:
    """RGB from 0 to 255, which the network normalizes itself."""
    size = _table("ImageSize", width=np.uint32(export.image_size), height=np.uint32(export.image_size))
    as_it_is = _table("NormalizationOptions", mean=np.zeros(1, np.float32), std=np.ones(1, np.float32))
    return _table(
        "TensorMetadata",
        name="images",
        description="RGB from 0 to 255, not normalized: that is inside.",
        content=_content(_table("ImageProperties", color_space=_RGB, default_size=size)),
        process_units=[_process_unit(as_it_is)],
        stats=_table("Stats", max=np.full(1, 255, np.float32), min=np.zeros(1, np.float32)),
    )


def _probabilities() -> Any:
    labels = _table("AssociatedFile", name=_LABELS, description="One class per line.", type=_TENSOR_AXIS_LABELS)
    return _table(
        "TensorMetadata",
        name="probabilities",
        description="The probability of each class.",
        content=_content(_table("FeatureProperties")),
        stats=_table("Stats", max=np.ones(1, np.float32), min=np.zeros(1, np.float32)),
        associated_files=[labels],
    )


def _embedding() -> Any:
    """No class: the bar that no number passes keeps classifiers from ranking its numbers as if they were."""
    nothing = _table("ScoreThresholdingOptions", global_score_threshold=np.finfo(np.float32).max)
    return _table(
        "TensorMetadata",
        name="embedding",
        description="The features that the probabilities are made of.",
        content=_content(_table("FeatureProperties")),
        process_units=[_process_unit(nothing)],
    )


def _content(properties: Any) -> Any:
    return _table("Content", content_properties_type=np.uint8(_CONTENT[properties[0]]), content_properties=properties)


def _process_unit(options: Any) -> Any:
    return _table("ProcessUnit", options_type=np.uint8(_OPTIONS[options[0]]), options=options)


def _table(table: str, /, **values: Any) -> tuple[str, dict[str, Any]]:
    """A table of the schema: text, NumPy numbers and vectors of float32, tables, and lists of tables."""
    return table, values


def _write(builder: flatbuffers.Builder, value: Any) -> int:
    """Writes text, a vector, a list or a table, and returns where."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, list):
        places = [_write(builder, item) for item in value]
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return builder.EndVector()
    name, values = value
    written = {field: item if isinstance(item, np.generic) else _write(builder, item) for field, item in values.items()}
    builder.StartObject(len(_FIELDS[name]))
    for field, item in written.items():
        _add_field(builder, _FIELDS[name].index(field), item)
    return builder.EndObject()


def _add_field(builder: flatbuffers.Builder, slot: int, item: Any) -> None:
    if isinstance(item, np.uint8):
        builder.PrependUint8Slot(slot, int(item), 0)
    elif isinstance(item, np.uint32):
        builder.PrependUint32Slot(slot, int(item), 0)
    elif isinstance(item, np.float32):
        builder.PrependFloat32Slot(slot, float(item), 0.0)
    else:
        builder.PrependUOffsetTRelativeSlot(slot, item, 0)


def _put_probabilities_first(model: Any) -> None:
    """The converter sorts outputs by name; by name they are found as before."""
    graph = model.subgraphs[0]
    first = next(each.tensorIndex for each in model.signatureDefs[0].outputs if each.name == b"probabilities")
    graph.outputs = [first, *(tensor for tensor in graph.outputs if tensor != first)]


def _embed(model: Any, schema: Any, metadata: bytes) -> None:
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(metadata, np.uint8)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]


class _AlignedBuilder(flatbuffers.Builder):
    """Begins every vector where runtimes may read weights without copying them."""

    def StartVector(self, elem_size: int, count: int, alignment: int) -> int:  # noqa: N802 - overrides
        return super().StartVector(elem_size, count, max(alignment, _ALIGNMENT))
