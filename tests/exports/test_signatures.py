"""What the SavedModel makes of encoded photos."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from default_cases import few_by_default
from PIL import Image

from regraft.augment.decode import decode_upright
from regraft.data.photo_view import read_view
from regraft.data.photos import read_upright_rgb
from regraft.data.rendering import Rendering, background_rgb
from regraft.evidence.decision import LeastCost, OperatingPoint, decide
from regraft.exports.signatures import _Server, decide_in_graph, ends_for
from regraft.inference.views import ViewReader
from regraft.models.classifier import HEAD


@pytest.mark.parametrize(
    ("spread", "expected"),
    [
        ("auto", [0, 62, 128, 255]),  # 4,095 is white: 1000 * 255 / 4095 = 62.3, 2048 * 255 / 4095 = 127.5
        ("type", [0, 4, 8, 16]),
        ((1000.0, 2048.0), [0, 0, 255, 255]),
        ((-1000.0, 3000.0), [64, 128, 194, 255]),  # 63.75, 127.5 and 194.3
    ],
)
def test_deep_grey_is_served_by_the_range_of_the_run(spread, expected):
    grey = Image.fromarray(np.array([[0, 1000, 2048, 4095]], np.uint16))
    for background, options in (("white", {}), ("#204060", {"transparency": 1000}), ("none", {"transparency": 1000})):
        buffer = io.BytesIO()
        grey.save(buffer, "PNG", **options)
        served = decode_upright(tf.constant(buffer.getvalue()), background_rgb(background), ends_for(spread)).numpy()
        predicted = read_upright_rgb(buffer.getvalue(), rendering=Rendering(background, spread))
        np.testing.assert_array_equal(served, predicted)
        hidden = background == "#204060"
        np.testing.assert_array_equal(served[0, :, 0], [expected[0], 0x20 if hidden else expected[1], *expected[2:]])


def test_black_has_a_range_too():
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(buffer, "PNG")
    assert not decode_upright(tf.constant(buffer.getvalue()), None, ends_for("auto")).numpy().any()


@pytest.mark.parametrize("fit", few_by_default(["crop", "stretch", "pad"], "pad"))
def test_bytes_and_pixels_are_served_in_the_fit_of_the_reader(fit):
    """The model looks at the first row of the view, which is a margin where there are some."""
    views = keras.Input((8, 8, 3))
    top = keras.layers.Flatten()(keras.layers.Cropping2D(((0, 7), (0, 0)))(views))
    logits = keras.layers.Dense(3, kernel_initializer="orthogonal", name=HEAD)(top / 255)
    model = keras.Model(views, logits)
    server = _Server(model, ("a", "b", "c"), ViewReader(8, 0.9, fit=fit), OperatingPoint(2, 0.0))
    buffer = io.BytesIO()
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 37, 3), np.uint8))
    photo.save(buffer, "PNG")
    expected = keras.ops.softmax(model(read_view(buffer.getvalue(), 8, 0.9, fit=fit)[None]))
    of_bytes = server.serve_bytes(tf.constant([buffer.getvalue()]))["scores"]
    of_pixels = server.serve_images(tf.constant(np.asarray(photo)[None]))["scores"]
    np.testing.assert_allclose(of_bytes, expected, atol=1e-5)
    np.testing.assert_allclose(of_pixels, expected, atol=1e-5)
    decided = server.serve_bytes(tf.constant([buffer.getvalue()]))
    assert decided["label"].numpy().tolist() == [b"c"]
    np.testing.assert_allclose(decided["score"], [expected[0, 2]], atol=1e-5)


@pytest.mark.parametrize(
    "decision",
    [
        None,
        LeastCost(((0.0, 2.0, 2.0), (2.0, 0.0, 2.0), (2.0, 2.0, 0.0))),
        LeastCost(((0.0, 1.0, 1.0), (9.0, 0.0, 1.0), (0.3, 1.0, 0.0))),
        OperatingPoint(1, 0.125),
        OperatingPoint(0, 0.75),
    ],
)
def test_labels_are_decided_in_the_graph_as_elsewhere(decision):
    random = np.random.default_rng(0)
    scores = np.concatenate([random.dirichlet(np.ones(3), 200), [[0.75, 0.125, 0.125], [0.5, 0.25, 0.25]]])
    scores = scores.astype(np.float32)
    np.testing.assert_array_equal(decide_in_graph(tf.constant(scores), decision), decide(scores, decision))
