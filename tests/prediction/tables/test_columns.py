"""Predictions as rows."""

import pytest

from regraft.data.records import Prediction
from regraft.evidence.conformal import UnknownRule
from regraft.prediction.tables.columns import Columns

NAMES = tuple(f"class {letter}" for letter in "abcdefg")
SCORES = (0.01, 0.3, 0.02, 0.3, 0.25, 0.1, 0.02)


def rows_of(columns: Columns, *predictions: Prediction):
    return [columns.row(prediction) for prediction in predictions]


def test_the_five_best_are_written_and_no_score_where_there_is_no_answer():
    columns = Columns(NAMES)
    rows = rows_of(columns, Prediction("x.jpg", "ok", scores=SCORES), Prediction("y.jpg", "missing", "gone"))
    best = [f"{name}_{place}" for place in range(2, 6) for name in ("label", "score")]
    assert columns.names() == ["path", "status", "reason", "label", "score", *best]
    answers = ["class b", 0.3, "class d", 0.3, "class e", 0.25, "class f", 0.1, "class c", 0.02]
    assert rows == [["x.jpg", "ok", "", *answers], ["y.jpg", "missing", "gone", *[None] * 10]]


def test_what_is_asked_for_comes_after_the_best():
    columns = Columns(
        ("cat", "dog"), top=1, uncertainty=True, rule=UnknownRule(0.1, 0.25, 9), probabilities=True, embedding=True
    )
    answer = Prediction("x", "ok", scores=(0.25, 0.75), members=((0.5, 0.5), (0.0, 1.0)), embedding=(1.5, -2.0))
    row = dict(zip(columns.names(), columns.row(answer), strict=True))
    assert list(row) == [
        *("path", "status", "reason", "label", "score", "entropy", "disagreement", "mutual_information"),
        *("guess", "possible", "p_cat", "p_dog", "embedding"),
    ]
    assert (row["label"], row["guess"], row["possible"]) == ("unknown", "dog", "dog|cat")
    # Entropies by hand: of (1/4, 3/4), and the mean over members of ln 2 and 0.
    assert row["entropy"] == pytest.approx(0.562335)
    assert row["mutual_information"] == pytest.approx(0.562335 - 0.346574, abs=1e-5)
    assert row["disagreement"] == 0.5  # the first member's best is the first of two equals
    assert (row["p_cat"], row["p_dog"], row["embedding"]) == (0.25, 0.75, [1.5, -2.0])
    broken = columns.row(Prediction("y", "truncated", "cut"))
    assert broken == ["y", "truncated", "cut"] + [None] * 10


def test_what_was_decided_comes_first_with_its_own_score_and_then_the_best_of_the_others():
    answer = Prediction("x.jpg", "ok", scores=SCORES, class_names=NAMES, decided=2)
    row = Columns(NAMES, top=3, probabilities=True).row(answer)
    assert row == ["x.jpg", "ok", "", "class c", 0.02, "class b", 0.3, "class d", 0.3, *SCORES]
    assert (answer.label, answer.score) == ("class c", 0.02)
    assert answer.top[:2] == (("class c", 0.02), ("class b", 0.3))
    assert answer.as_dict()["scores"] == list(SCORES)
