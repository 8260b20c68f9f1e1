"""A metric of the report is one row: its key in metrics.json, its fact on the page and its printed line follow."""

from pathlib import Path

import numpy as np
import pytest

from regraft.data.records import Record
from regraft.evidence.metric_table import REPORTED_METRICS, ReportedMetric, printed_rows
from regraft.evidence.metrics import measure
from regraft.evidence.report import ReportData
from regraft.evidence.report.page import write_report

TRUTH = np.array([0, 0, 1, 2])
SCORES = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.9, 0.0], [0.1, 0.2, 0.7]])
NAMES = ("ant", "bee", "wasp")


def page_of(folder: Path) -> str:
    records = [
        Record(folder / f"{i}.jpg", int(truth), "val", "JPEG", 8, 8, 1, "", b"") for i, truth in enumerate(TRUTH)
    ]
    data = ReportData("A run", measure(TRUTH, SCORES, NAMES), SCORES, TRUTH, records, NAMES)
    write_report(folder / "report.html", data)
    return (folder / "report.html").read_text("utf-8")


def test_a_row_becomes_a_key_a_fact_and_a_printed_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    row = ReportedMetric(
        "sureness <of {k}>", "mean score", lambda judged: judged.probabilities.max(axis=1).mean(), unit="bel"
    )
    monkeypatch.setitem(REPORTED_METRICS, "sureness", row)
    values = measure(TRUTH, SCORES, NAMES).as_dict()
    assert values["sureness"] == pytest.approx((0.8 + 0.5 + 0.9 + 0.7) / 4)
    assert list(values)[-4:] == ["calibration_error", "sureness", "per_class", "confusion"]
    fact = "<div><dt>Sureness &lt;of 2&gt;</dt><dd>0.725<small>bel; mean score</small></dd></div></dl>"
    assert fact in page_of(tmp_path)
    assert printed_rows(values)[-1] == ("sureness <of 2>", "0.725 bel")


def test_what_is_undefined_is_null_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(REPORTED_METRICS, "moon", ReportedMetric("moonshine", "of the night", lambda judged: None))
    values = measure(TRUTH, SCORES, NAMES).as_dict()
    assert values["moon"] is None
    assert "oonshine" not in page_of(tmp_path)
    assert "moonshine" not in dict(printed_rows(values))


def test_the_printed_lines_are_in_the_order_of_metrics_json():
    values = {
        "images": 4,
        "k": 2,
        "top_k_accuracy": 1.0,
        "log_loss": 0.25,
        "macro_f1": 0.5,
        "calibration_error": 0.0312,
    }
    assert printed_rows(values) == [("log loss", "0.250 nats"), ("macro F1", "0.500"), ("calibration error", "3.1 %")]


def test_every_row_is_measured(tmp_path: Path):
    assert measure(TRUTH, SCORES, NAMES).as_dict().keys() >= REPORTED_METRICS.keys()
    page = page_of(tmp_path)
    titles = ("Top-2 accuracy", "Balanced accuracy", "Macro F1", "Log loss", "Calibration error")
    places = [page.index(f"<dt>{title}</dt>") for title in titles]
    assert places == sorted(places)
