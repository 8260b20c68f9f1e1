"""metrics.json as a typed value: everything it says, what older files lack, and what newer ones have."""

import json
import math
from dataclasses import FrozenInstanceError, fields

import pytest
from trained_runs import TrainedRun

from regraft.runs.run import Run
from regraft.runs.run_metrics import RunMetrics, StageFigures


def test_every_key_of_a_training_is_an_attribute_with_its_value(trained: TrainedRun):
    written = json.loads((trained.folder / "metrics.json").read_text("utf-8"))
    metrics = Run(trained.folder).metrics
    assert set(written) <= {each.name for each in fields(RunMetrics)}
    plain = {key: getattr(metrics, key) for key in written if key != "stages"}
    assert plain == {key: value for key, value in written.items() if key != "stages"}
    assert [stage.stage for stage in metrics.stages] == ["head", "fine-tuned"]
    for stage, row in zip(metrics.stages, written["stages"], strict=True):
        assert {key: getattr(stage, key) for key in row} == row


def test_the_json_object_comes_back_as_it_was_with_keys_that_are_not_known():
    written = {"stage": "head", "novel": {"a": [1, 2]}, "accuracy": 0.5, "stages": [{"stage": "head", "odd": 1}]}
    metrics = RunMetrics.from_dict(written)
    assert metrics.as_dict() == written
    assert list(metrics.as_dict()) == list(written)
    assert metrics.stages == (StageFigures(stage="head"),)


def test_what_an_older_file_lacks_is_empty():
    metrics = RunMetrics.from_dict({"accuracy": 0.75})
    assert metrics.accuracy == 0.75
    assert math.isnan(metrics.log_loss)
    assert (metrics.seconds, StageFigures().seconds, StageFigures().objective) == (None, None, None)
    assert (metrics.stage, metrics.notes, metrics.stages, metrics.export, metrics.k) == ("", (), (), None, None)


@pytest.mark.parametrize(
    ("written", "learned"),
    [
        ({"stage": "head"}, True),
        ({"stage": "fine-tuned"}, False),
        ({"stage": "head", "learned_from_select": False}, False),
    ],
)
def test_a_head_of_an_older_file_has_learned_from_the_selection_photos(written, learned):
    assert RunMetrics.from_dict(written).learned_from_select is learned


def test_metrics_are_not_changed_by_accident():
    with pytest.raises(FrozenInstanceError):
        RunMetrics().accuracy = 1.0  # type: ignore[misc]
