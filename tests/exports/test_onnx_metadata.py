"""What an .onnx file says of itself."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from regraft.exports.export import Export
from regraft.exports.onnx import describe_network


def test_probabilities_come_first_and_the_labels_are_inside(tmp_path: Path):
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 2])
    names = ("embedding", "probabilities")
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in names]
    nodes = [helper.make_node("Identity", ["images"], [name]) for name in names]
    onnx.save(helper.make_model(helper.make_graph(nodes, "network", [images], outputs)), tmp_path / "model.onnx")
    export = Export(Path("export"), "onnx", "float32", ("ant", "e\u2028f"), 32, 0.9, 2, "", fit="pad")
    describe_network(tmp_path / "model.onnx", export)
    model = onnx.load(tmp_path / "model.onnx")
    assert [output.name for output in model.graph.output] == ["probabilities", "embedding"]
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts == {"labels": "ant\ne\u2028f", "image_size": "32", "crop_fraction": "0.9", "fit": "pad"}
