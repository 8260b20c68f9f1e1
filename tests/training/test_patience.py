"""Rules that wait: they decide as Keras's callbacks do, and again from the same losses."""

import keras
import pytest

from regraft.training.patience import EarlyStopping, PlateauDecay

LOSSES = [1.0, 0.8, 0.9, 0.8, 0.79995, 0.7, 0.71, 0.72, 0.73, 0.74, 0.6]


class Model:
    """As much of a model as the callbacks touch."""

    def __init__(self) -> None:
        self.stop_training = False
        self.optimizer = keras.optimizers.SGD(1.0)

    def get_weights(self) -> list:
        return []


@pytest.mark.parametrize("patience", [1, 2, 3, 4, 20])
def test_early_stopping_stops_where_keras_does(patience):
    callback, model = keras.callbacks.EarlyStopping("loss", patience=patience), Model()
    callback.set_model(model)
    callback.on_train_begin()
    rule = EarlyStopping(patience)
    for epoch, loss in enumerate(LOSSES):
        if model.stop_training:
            break
        callback.on_epoch_end(epoch, {"loss": loss})
        is_best = rule.observe(loss)
        assert rule.stopped == model.stop_training
        assert is_best == (loss == min(LOSSES[: epoch + 1]) and loss not in LOSSES[:epoch])


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_the_rate_is_lowered_where_keras_does(patience):
    callback, model = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=patience), Model()
    callback.set_model(model)
    callback.on_train_begin()
    rule, rate = PlateauDecay(patience), 1.0
    for epoch, loss in enumerate(LOSSES):
        callback.on_epoch_end(epoch, {"loss": loss})
        rate *= 0.5 if rule.observe(loss) else 1.0
        assert rate == float(model.optimizer.learning_rate)
    assert rate < 1.0
