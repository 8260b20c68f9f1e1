"""Which members can be averaged."""

import keras
import pytest

from regraft.ensembles.members import Member
from regraft.ensembles.soup import _check_same_architecture
from regraft.errors import UsageError


def member(name: str, activation: str, units: int = 4) -> Member:
    inputs = keras.Input((8,))
    return Member(name, keras.Model(inputs, keras.layers.Dense(units, activation=activation)(inputs)), None, 1.0)


def test_members_of_one_architecture_may_differ_in_their_weights():
    _check_same_architecture([member("one", "relu"), member("other", "relu")])


def test_weights_that_fit_are_not_yet_one_architecture():
    with pytest.raises(UsageError) as caught:
        _check_same_architecture([member("one", "relu"), member("other", "tanh")])
    assert str(caught.value) == (
        "A soup needs members of one architecture; of Dense relu layers one has 1, other 0. "
        'Use kind="independent", which combines answers.'
    )


def test_weights_of_other_shapes_are_counted():
    with pytest.raises(UsageError, match="one has 2 arrays of 36 weights, other 2 of 45"):
        _check_same_architecture([member("one", "relu"), member("other", "relu", 5)])
