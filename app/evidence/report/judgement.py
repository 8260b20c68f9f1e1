"""The files that a judged classifier leaves behind."""

from __future__ import annotations

from pathlib import Path

from regraft.evidence.report.contents import ReportData
from regraft.evidence.report.figures import write_confusion_png
from regraft.evidence.report.page import write_report
from regraft.evidence.report.result_tables import write_confusion_csv, write_predictions_csv


def write_judgement(folder: Path, data: ReportData) -> None:
    """predictions.csv, confusion_matrix.csv and .png, and report.html into `folder`."""
    write_predictions_csv(
        folder / "predictions.csv",
        data.records,
        data.truth,
        data.probabilities,
        data.class_names,
        answers=data.answers,
        root=data.root,
    )
    write_confusion_csv(folder / "confusion_matrix.csv", data.metrics.confusion, data.class_names)
    write_confusion_png(folder / "confusion_matrix.png", data.metrics.confusion, data.class_names)
    write_report(folder / "report.html", data)
