"""What every judgement of a classifier leaves on disk."""

from pathlib import Path

import numpy as np

from regraft.data.records import Record
from regraft.evidence.metrics import measure
from regraft.evidence.report import ReportData, write_judgement

TRUTH = np.array([0, 1, 1])
PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])


def test_a_judgement_is_two_tables_a_picture_and_a_page(tmp_path: Path):
    data = ReportData(
        title="pets",
        metrics=measure(TRUTH, PROBABILITIES, ["ant", "bee"]),
        probabilities=PROBABILITIES,
        truth=TRUTH,
        records=[Record(Path(f"{number}.jpg"), 0, "", "JPEG", 8, 8, 1, str(number), b"") for number in range(3)],
        class_names=["ant", "bee"],
    )
    write_judgement(tmp_path, data)
    assert {path.name for path in tmp_path.iterdir()} == {
        "predictions.csv", "confusion_matrix.csv", "confusion_matrix.png", "report.html",
    }  # fmt: skip
    assert (tmp_path / "confusion_matrix.csv").read_text().splitlines()[1:] == ["ant,1,0", "bee,1,1"]
