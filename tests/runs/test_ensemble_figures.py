"""What metrics.json says of an ensemble, as a typed value."""

import json

from regraft.runs.ensemble_figures import AnswerFigures, EnsembleFigures, Gain, MemberFigures
from regraft.runs.run_metrics import RunMetrics

ANSWERS = {"accuracy": 0.75, "log_loss": 0.5, "calibration_error": 0.125}
WRITTEN = {
    "kind": "heads", "members": 2, "combine": "mean", "soup": "greedy", "verdict": "It is worth it.",
    "ensemble": ANSWERS, "best_member": {"number": 1, **ANSWERS}, "same_budget": None,
    "gains": {"best member": {"mean": 0.25, "low": 0.0, "high": 0.5, "words": "better"}},
    "member_rows": [
        {"name": "head 1", "share": 0.5, "seconds": 1.5, **ANSWERS},
        {"name": "two", "share": 0.5, **ANSWERS},
    ],
    "something": "of one kind",
}  # fmt: skip


def test_an_ensemble_s_figures_are_attributes():
    found = EnsembleFigures.from_dict(WRITTEN)
    assert (found.kind, found.members, found.combine, found.soup) == ("heads", 2, "mean", "greedy")
    assert (found.verdict, found.figures, found.same_budget) == ("It is worth it.", AnswerFigures(**ANSWERS), None)
    assert found.member_rows == (
        MemberFigures(**ANSWERS, name="head 1", share=0.5, seconds=1.5),
        MemberFigures(**ANSWERS, name="two", share=0.5, seconds=None),
    )
    assert found.gains == {"best member": Gain(0.25, 0.0, 0.5, "better")}


def test_a_single_model_of_the_same_budget_has_figures_too():
    written = {**WRITTEN, "same_budget": {**ANSWERS, "novel": 1}}
    assert EnsembleFigures.from_dict(written).same_budget == AnswerFigures(**ANSWERS)


def test_the_json_object_comes_back_as_it_was():
    metrics = RunMetrics.from_dict({"stage": "ensemble", "ensemble": WRITTEN})
    assert metrics.ensemble.as_dict() == WRITTEN
    assert json.dumps(metrics.as_dict()["ensemble"]) == json.dumps(WRITTEN)
    assert RunMetrics.from_dict({"stage": "head"}).ensemble is None
