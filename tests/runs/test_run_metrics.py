"""metrics.json as a typed value: everything it says, what older files lack, and what newer ones have."""

import json
import math
from dataclasses import FrozenInstanceError, asdict, fields

import numpy as np
import pytest
from trained_runs import TrainedRun

from regraft.evidence.metrics import measure
from regraft.runs.run import Run
from regraft.runs.run_metrics import RunMetrics, StageFigures


def test_every_key_of_a_training_is_an_attribute_with_its_value(trained: TrainedRun):
    written = json.loads((trained.folder / "metrics.json").read_text("utf-8"))
    metrics = Run(trained.folder).metrics
    assert set(written) <= {each.name for each in fields(RunMetrics)}
    typed = ("stages", "per_class", "confusion")
    plain = {key: getattr(metrics, key) for key in written if key not in typed}
    assert plain == {key: value for key, value in written.items() if key not in typed}
    assert [stage.stage for stage in metrics.stages] == ["head", "fine-tuned"]
    for stage, row in zip(metrics.stages, written["stages"], strict=True):
        assert {key: getattr(stage, key) for key in row} == row


def test_classes_and_confusion_are_of_the_types_that_evaluate_gives(trained: TrainedRun):
    written = json.loads((trained.folder / "metrics.json").read_text("utf-8"))
    metrics, judged = Run(trained.folder).metrics, measure(np.array([0, 1]), np.eye(2), ["bee", "cat"])
    assert {type(entry) for entry in metrics.per_class} == {type(entry) for entry in judged.per_class}
    assert [asdict(entry) for entry in metrics.per_class] == written["per_class"]
    assert (type(metrics.confusion), metrics.confusion.dtype) == (type(judged.confusion), judged.confusion.dtype)
    assert metrics.confusion.tolist() == written["confusion"]


def test_a_metric_is_found_by_its_key_also_one_that_is_no_attribute():
    metrics = RunMetrics.from_dict({"log_loss": 0.25, "brier_score": 0.125, "top_k_accuracy": None})
    assert (metrics.value("log_loss"), metrics.value("brier_score")) == (0.25, 0.125)
    assert (metrics.value("top_k_accuracy"), metrics.value("of_a_later_version")) == (None, None)
    assert metrics.value("macro_f1") is None


def test_metrics_of_the_same_file_are_equal():
    values = {"accuracy": 0.5, "confusion": [[1, 1], [0, 2]]}
    assert RunMetrics.from_dict(values) == RunMetrics.from_dict(values)
    assert RunMetrics.from_dict(values) != RunMetrics.from_dict(values | {"confusion": [[2, 0], [0, 2]]})


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
    assert (metrics.per_class, metrics.confusion.shape) == ((), (0, 0))


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
