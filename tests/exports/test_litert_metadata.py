"""What a .tflite says of itself, read as MediaPipe reads it: field by field, at the places the schema gives them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from flatbuffers import encode, packer
from flatbuffers.number_types import Float32Flags, UOffsetTFlags
from flatbuffers.table import Table
from tensorflow.lite.python import schema_py_generated as schema

from regraft.augment.fits import Fit
from regraft.exports.export import Export, read_export
from regraft.exports.litert_metadata import packed_metadata


@pytest.fixture(scope="module")
def network(litert: Path) -> bytes:
    return (litert / "model.tflite").read_bytes()


def metadata_in(network: bytes) -> bytes:
    model = schema.Model.GetRootAs(network, 0)
    named = {model.Metadata(place).Name(): model.Metadata(place) for place in range(model.MetadataLength())}
    return model.Buffers(named[b"TFLITE_METADATA"].Buffer()).DataAsNumpy().tobytes()


def root(metadata: bytes) -> Table:
    return Table(metadata, encode.Get(packer.uoffset, metadata, 0))


def place_of(table: Table, slot: int) -> int:
    offset = table.Offset(4 + 2 * slot)
    assert offset, f"slot {slot} is empty"
    return table.Pos + offset


def text(table: Table, slot: int) -> str:
    return table.String(place_of(table, slot)).decode()


def number(table: Table, slot: int) -> int:
    return table.Bytes[place_of(table, slot)]


def child(table: Table, slot: int) -> Table:
    place = place_of(table, slot)
    return Table(table.Bytes, place + table.Get(UOffsetTFlags, place))


def children(table: Table, slot: int) -> list[Table]:
    offset = table.Offset(4 + 2 * slot)
    first, count = table.Vector(offset), table.VectorLen(offset)
    return [Table(table.Bytes, table.Indirect(first + 4 * place)) for place in range(count)]


def floats(table: Table, slot: int) -> list[float]:
    return table.GetVectorAsNumpy(Float32Flags, table.Offset(4 + 2 * slot)).tolist()


# Places in metadata_schema.fbs: ModelMetadata.subgraph_metadata 3; SubGraphMetadata.input_tensor_metadata 2 and
# .output_tensor_metadata 3; TensorMetadata.name 0, .content 3, .process_units 4, .associated_files 6;
# Content.content_properties_type 0, .content_properties 1; ImageProperties.color_space 0; ProcessUnit.options_type 0,
# .options 1; NormalizationOptions.mean 0, .std 1; ScoreThresholdingOptions.global_score_threshold 0;
# AssociatedFile.name 0, .type 2. ImageProperties is type 2 of its union, NormalizationOptions 1,
# ScoreThresholdingOptions 3; RGB is 1, TENSOR_AXIS_LABELS 2.


def test_the_input_is_rgb_from_0_to_255_as_it_is(network: bytes):
    metadata = metadata_in(network)
    assert metadata[4:8] == b"M001"
    (graph,) = children(root(metadata), 3)
    (image,) = children(graph, 2)
    assert text(image, 0) == "images"
    assert number(child(image, 3), 0) == 2
    assert number(child(child(image, 3), 1), 0) == 1
    (unit,) = children(image, 4)
    assert number(unit, 0) == 1
    assert (floats(child(unit, 1), 0), floats(child(unit, 1), 1)) == ([0.0], [1.0])


def test_the_first_output_is_the_probabilities_and_names_its_classes(network: bytes):
    (graph,) = children(root(metadata_in(network)), 3)
    probabilities, embedding = children(graph, 3)
    assert (text(probabilities, 0), text(embedding, 0)) == ("probabilities", "embedding")
    (labels,) = children(probabilities, 6)
    assert (text(labels, 0), number(labels, 2)) == ("labels.txt", 2)
    with zipfile.ZipFile(io.BytesIO(network)) as archive:
        assert archive.read("labels.txt") == b"bee\ncat\ndog\n"


def test_no_number_of_the_embedding_passes_for_a_class(network: bytes):
    (graph,) = children(root(metadata_in(network)), 3)
    (unit,) = children(children(graph, 3)[1], 4)
    assert number(unit, 0) == 3
    options = child(unit, 1)
    bar = np.frombuffer(options.Bytes, "<f4", 1, place_of(options, 0))[0]
    assert bar == np.finfo(np.float32).max


def test_outputs_stand_in_the_order_that_the_metadata_gives(litert: Path):
    from ai_edge_litert.interpreter import Interpreter

    outputs = Interpreter(str(litert / "model.tflite")).get_output_details()
    assert [output["shape"].tolist() for output in outputs] == [[1, 3], [1, read_export(litert).embedding]]


def test_weights_begin_where_runtimes_read_them_without_copying(network: bytes):
    model = schema.Model.GetRootAs(network, 0)
    buffers = [model.Buffers(place) for place in range(model.BuffersLength())]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(starts) > 10
    assert {start % 16 for start in starts} == {0}


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        ("crop", "Takes the centre square of an upright photo."),
        ("stretch", "Takes an upright photo, stretched to a square."),
        ("pad", "Takes an upright photo in a square with margins of the colour 124, 116, 104."),
    ],
)
def test_the_description_says_how_a_photo_is_fitted(fit: Fit, words: str):
    export = Export(Path("export"), "litert", "float32", ("ant", "bee"), 32, 1.0, 0, "", fit=fit)
    assert text(root(packed_metadata(export, outputs=1)), 1) == f"Tells 2 classes apart. {words}"


def test_a_network_without_embedding_has_one_output_described():
    export = Export(Path("export"), "litert", "float32", ("ant", "bee"), 32, 1.0, 0, "")
    (graph,) = children(root(packed_metadata(export, outputs=1)), 3)
    assert [text(output, 0) for output in children(graph, 3)] == ["probabilities"]
