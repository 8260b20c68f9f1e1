"""Both conventions of dropout."""

import numpy as np
import pytest
from keras import layers

from regraft.models.dropout import ScaledDropout, make_dropout, make_scaled_dropout, make_spatial_dropout

ONES = np.ones((200, 50), np.float32)


def test_training_drops_at_the_rate_and_scales_nothing():
    dropped = np.asarray(ScaledDropout(0.3, seed=1)(ONES, training=True))
    assert set(np.unique(dropped)) == {0.0, 1.0}
    assert abs(dropped.mean() - 0.7) < 4 * np.sqrt(0.3 * 0.7 / ONES.size)


def test_inference_is_the_mean_of_training():
    layer = ScaledDropout(0.3, seed=1)
    np.testing.assert_allclose(layer(ONES, training=False), 0.7 * ONES, rtol=1e-6)
    mean = np.mean([np.asarray(layer(ONES[:1], training=True)) for _ in range(400)], axis=0)
    np.testing.assert_allclose(mean, 0.7, atol=4.5 * np.sqrt(0.3 * 0.7 / 400))


def test_inverted_dropout_scales_in_training_instead():
    layer = make_dropout(rate=0.3, seed=1)
    np.testing.assert_array_equal(layer(ONES, training=False), ONES)
    np.testing.assert_allclose(np.unique(layer(ONES, training=True)), [0.0, 1 / 0.7], rtol=1e-6)


def test_spatial_dropout_drops_whole_maps():
    maps = np.ones((50, 3, 4, 8), np.float32)
    dropped = np.asarray(make_spatial_dropout(rate=0.5, seed=1)(maps, training=True))
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:, :1, :1], dropped.shape))
    assert abs((dropped[:, 0, 0] == 0).mean() - 0.5) < 4 * np.sqrt(0.25 / 400)


def test_the_makers_name_their_layers():
    made = [make(rate=0.5, seed=1) for make in (make_dropout, make_scaled_dropout, make_spatial_dropout)]
    assert [layer.name for layer in made] == ["dropout", "scaled_dropout", "spatial_dropout"]
    assert [type(layer) for layer in made] == [layers.Dropout, ScaledDropout, layers.SpatialDropout2D]


def test_a_rate_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"^rate must be in \[0, 1\); received 1\.$"):
        ScaledDropout(1.0)
