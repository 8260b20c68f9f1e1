"""What the SavedModel makes of encoded photos."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from regraft.augment.decode import decode_upright
from regraft.data.photos import read_upright_rgb
from regraft.data.rendering import Rendering, background_rgb
from regraft.exports.signatures import ends_for


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
