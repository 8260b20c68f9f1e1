"""Learning rates, batch by batch, against the formulas."""

import keras
import numpy as np
import pytest

from regraft.models.schedule_table import SCHEDULES, check_schedule
from regraft.models.schedules import lower_rate, make_schedule


def rates_of(name: str, *, steps_per_epoch: int = 5, epochs: int = 4, **options) -> np.ndarray:
    """The learning rate of each batch and the one behind the last, for the highest rate 0.1."""
    schedule = make_schedule(name, learning_rate=0.1, steps_per_epoch=steps_per_epoch, epochs=epochs, **options)
    return np.array([float(schedule(batch)) for batch in range(steps_per_epoch * epochs + 1)])


def test_cosine_rises_linearly_and_falls_to_zero_on_half_a_cosine():
    rising = 0.1 * np.arange(1, 6) / 6
    falling = 0.1 * 0.5 * (1 + np.cos(np.pi * np.arange(16) / 15))
    np.testing.assert_allclose(rates_of("cosine", warmup_epochs=1.0), [*rising, *falling], rtol=1e-4, atol=1e-8)


def test_without_warmup_the_first_batch_alone_is_slower():
    rates = rates_of("cosine", steps_per_epoch=3, epochs=1, warmup_epochs=0.0)
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.05, 0.0], rtol=1e-4, atol=1e-8)


def test_training_of_a_single_batch_has_a_rate_above_zero():
    assert rates_of("cosine", steps_per_epoch=1, epochs=1, warmup_epochs=0.9)[0] == pytest.approx(0.05)


def test_constant_stays_behind_the_warmup():
    np.testing.assert_allclose(rates_of("constant", warmup_epochs=0.4)[:4], [0.1 / 3, 0.2 / 3, 0.1, 0.1], rtol=1e-5)
    np.testing.assert_allclose(rates_of("constant", warmup_epochs=0.4)[2:], 0.1, rtol=1e-6)


def test_step_falls_at_once_and_exponential_smoothly():
    options = {"warmup_epochs": 0.2, "step_epochs": 1.0, "decay": 0.5}
    since = np.arange(20)  # batches behind the one of the warm-up
    np.testing.assert_allclose(rates_of("step", **options)[1:], 0.1 * 0.5 ** (since // 5), rtol=1e-5)
    np.testing.assert_allclose(rates_of("exponential", **options)[1:], 0.1 * 0.5 ** (since / 5), rtol=1e-5)


def test_one_cycle_rises_for_three_tenths_and_falls_to_nearly_nothing():
    rates = rates_of("one_cycle", steps_per_epoch=101, epochs=1)[:-1]
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates.argmax() == 30
    assert rates[30] == pytest.approx(0.1, rel=1e-5)
    assert rates[15] == pytest.approx(0.1 * (1 + 1 / 25) / 2, rel=1e-4)  # the middle of half a cosine
    assert rates[-1] == pytest.approx(0.1 * 1e-4, rel=1e-2)
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()


@pytest.mark.parametrize(("steps_per_epoch", "cycles"), [(5, 4), (7, 2), (63, 3)])
def test_cyclic_is_equation_2_of_snapshot_ensembles(steps_per_epoch, cycles):
    """alpha(t) = alpha_0 / 2 (cos(pi mod(t - 1, ceil(T / M)) / ceil(T / M)) + 1), t = 1 ... T."""
    epochs = 12 if cycles == 3 else 4
    total = epochs * steps_per_epoch
    t, length = np.arange(1, total + 1), -(-total // cycles)
    expected = 0.1 / 2 * (np.cos(np.pi * np.mod(t - 1, length) / length) + 1)
    rates = rates_of("cyclic", steps_per_epoch=steps_per_epoch, epochs=epochs, cycles=cycles)[:-1]
    np.testing.assert_allclose(rates, expected, rtol=1e-4, atol=1e-9)
    starts = rates[::length]
    np.testing.assert_allclose(starts, 0.1, rtol=1e-6)
    np.testing.assert_allclose(rates[length - 1 :: length], 0.05 * (np.cos(np.pi * (1 - 1 / length)) + 1), rtol=1e-3)


def test_plateau_is_constant_until_it_is_lowered():
    schedule = make_schedule("plateau", learning_rate=0.1, steps_per_epoch=5, epochs=4, warmup_epochs=0.2)
    assert float(schedule(7)) == pytest.approx(0.1)
    lower_rate(schedule, 0.5)
    assert float(schedule(7)) == pytest.approx(0.05)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_comes_back_from_its_configuration(name):
    schedule = make_schedule(name, learning_rate=0.1, steps_per_epoch=5, epochs=4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(again(step)) for step in (0, 3, 19)] == [float(schedule(step)) for step in (0, 3, 19)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "linear"}, r'^schedule\.name must be one of constant, step, .*; received "linear"\.$'),
        ({"name": "cosine", "warmup_epochs": 4.0}, r"^schedule\.warmup_epochs must be less than the epochs \(4\); rec"),
        ({"name": "cyclic", "cycles": 3}, r"^schedule\.cycles must divide the epochs \(4\), so be one of 1, 2, 4; rec"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_schedule(**{"epochs": 4, "warmup_epochs": 0.5, "cycles": 1, **arguments})


def test_cycles_and_warmup_are_asked_of_those_that_have_them_alone():
    check_schedule("cosine", epochs=4, warmup_epochs=0.5, cycles=3)
    check_schedule("cyclic", epochs=4, warmup_epochs=9.0, cycles=2)
