"""What a user sees of an answer."""

import dataclasses

import pytest

from regraft.data.records import Prediction

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")
ANSWER = Prediction("a.jpg", "ok", scores=(0.05, 0.3, 0.1, 0.3, 0.05, 0.2), class_names=NAMES)
BROKEN = Prediction("b.jpg", "missing", "no such file", class_names=NAMES)


def test_an_answer_names_its_five_best_the_first_of_equals_first():
    assert (ANSWER.label, ANSWER.score) == ("bee", 0.3)
    assert ANSWER.top == (("bee", 0.3), ("dog", 0.3), ("fox", 0.2), ("cat", 0.1), ("ant", 0.05))
    two = Prediction("a.jpg", "ok", scores=(0.25, 0.75), class_names=("no", "yes"))
    assert two.top == (("yes", 0.75), ("no", 0.25))


def test_where_there_is_no_answer_nothing_is_none():
    assert (BROKEN.label, BROKEN.score, BROKEN.top, BROKEN.scores) == ("", 0.0, (), ())


def test_a_prediction_reads_well():
    assert repr(ANSWER) == "Prediction(path='a.jpg', status='ok', label='bee', score=0.3)"
    assert repr(BROKEN) == "Prediction(path='b.jpg', status='missing', reason='no such file')"


def test_as_json_values():
    small = Prediction("a", "ok", scores=(0.25, 0.75), members=((0.5, 0.5),), embedding=(1.5,), class_names=("n", "y"))
    assert small.as_dict() == {
        **{"path": "a", "status": "ok", "reason": "", "label": "y", "score": 0.75},
        "top": [{"label": "y", "score": 0.75}, {"label": "n", "score": 0.25}],
        **{"scores": [0.25, 0.75], "members": [[0.5, 0.5]], "embedding": [1.5]},
    }


def test_a_prediction_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ANSWER.status = "missing"  # type: ignore[misc]
