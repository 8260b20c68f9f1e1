"""LiteRT, ONNX and OpenVINO files in every precision: what they answer, what is refused, what lies beside them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from trained_runs import TrainedRun

from regraft.errors import ExportError
from regraft.exports.export import FORMATS, Export, read_export
from regraft.exports.portable import answers_of, check_proof, export_portable
from regraft.progress import Silent

EXPORTS = [  # every path of the code; the fixture is litert, float32
    *(("litert", "float16"), ("litert", "int8"), ("onnx", "float32"), ("onnx", "int8")),
    *(("openvino", "bfloat16"), ("openvino", "int8")),
]
TRUTH = np.array([0, 1, 1])
TRAINED = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)


def an_export(precision: str) -> Export:
    return Export(Path("nowhere"), "litert", precision, ("a", "b"), 32, 1.0, 0, "")


def test_a_proof_counts_differences_labels_and_accuracy():
    served = TRAINED + np.array([[0, 0], [0, 0], [-0.04, 0.04]], np.float32)
    found = check_proof(TRAINED, served, TRUTH, an_export("float16"))
    assert found["largest_difference"] == pytest.approx(0.04)
    assert found["mean_difference"] == pytest.approx(0.08 / 6)
    assert (found["images"], found["same_label"]) == (3, 3)
    assert (found["accuracy"], found["accuracy_trained"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


@pytest.mark.parametrize(("precision", "step"), [("float32", 2e-4), ("float16", 0.06), ("float32", float("nan"))])
def test_a_network_that_is_too_far_off_is_refused(precision: str, step: float):
    with pytest.raises(ExportError, match=rf"differ .* by up to .* \(allowed in {precision}: .*\); it was removed"):
        check_proof(TRAINED, TRAINED + np.float32(step), TRUTH, an_export(precision))


def test_integers_are_held_to_their_labels():
    flipped = TRAINED.copy()
    flipped[2] = [0.4, 0.6]
    with pytest.raises(
        ExportError, match=r"In int8 only 2 of 3 photos keep their label \(needed: 90%\); it was removed"
    ):
        check_proof(TRAINED, flipped, TRUTH, an_export("int8"))


def test_the_export_is_proven_on_the_photos_the_run_reports_on(litert: Path, trained: TrainedRun):
    proof = read_export(litert).proof
    assert proof["images"] == proof["same_label"] == trained.metrics["images"]
    assert proof["largest_difference"] < 1e-4
    assert proof["accuracy"] == pytest.approx(trained.metrics["accuracy"])


def test_the_card_says_how_good_and_its_example_runs(litert: Path, trained: TrainedRun, tmp_path: Path):
    card = (litert / "README.md").read_text("utf-8")
    assert f"{100 * trained.metrics['accuracy']:.1f} %" in card
    code = card.split("```python\n")[1].split("```")[0]
    side = read_export(litert).image_size
    before = f"import numpy as np\nview = np.zeros(({side}, {side}, 3), np.float32)\n"
    script = tmp_path / "example.py"
    script.write_text(f"{before}{code}\nprint(label)\n")
    done = subprocess.run([sys.executable, script], cwd=litert, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("bee", "cat", "dog")


def test_an_export_that_exists_is_not_overwritten(litert: Path, trained: TrainedRun):
    answer = run_regraft("export", trained.folder, "--format", "litert", "--out", litert)
    assert (answer.code, answer.stderr) == (
        2,
        f"regraft: {litert} exists already; choose another --out or add --force.\n",
    )


def test_nothing_is_left_of_an_export_that_answers_otherwise(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def wrong(export: Export, paths: list[Path]) -> np.ndarray:
        return np.full((len(paths), 3), 1 / 3, np.float32)

    monkeypatch.setattr("regraft.exports.portable.answers_of", wrong)
    monkeypatch.setattr("regraft.exports.portable.write_network", lambda *_: None)
    with pytest.raises(ExportError, match="it was removed"):
        export_portable(trained.folder, "litert", "float32", Silent(), out=tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_in_its_process_says_why(litert: Path, tmp_path: Path):
    broken = replace(read_export(litert), folder=tmp_path)
    with pytest.raises(ExportError, match="The export does not answer in a fresh process: regraft: "):
        answers_of(broken, [litert])


def test_answering_without_tensorflow_does_not_import_it(litert: Path, trained: TrainedRun, tmp_path: Path):
    photo = next(trained.photos.rglob("*.png"))
    sys_argv = ["regraft", "predict", str(litert), str(photo), "--out", str(tmp_path / "out.csv")]
    code = (
        f"import sys; sys.argv = {sys_argv}; from regraft.cli.main import main; main(); "
        "assert not {'tensorflow', 'keras', 'scipy', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (tmp_path / "out.csv").read_text().count("\n") == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("form", "precision"), EXPORTS)
def test_formats_and_precisions_are_proven_and_predict(form: str, precision: str, trained: TrainedRun, tmp_path: Path):
    words = ("--format", form, "--precision", precision, "--out", tmp_path / "export", "--json")
    answer = run_regraft("export", trained.folder, *words)
    assert answer.code == 0, answer.stderr
    assert answer.values["same_label"] >= 0.9 * answer.values["images"]
    names = {path.name for path in (tmp_path / "export").iterdir()}
    extra = {"model.bin"} if form == "openvino" else set()
    assert names == {FORMATS[form].file, "export.json", "labels.txt", "README.md", "calibration.npz"} | extra
    (tmp_path / "export").rename(tmp_path / "moved")
    predicted = run_regraft("predict", tmp_path / "moved", trained.photos, "--format", "jsonl", "--embeddings")
    rows = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert sum(row["status"] == "ok" for row in rows) == 60
    right = sum(row["label"] == Path(row["path"]).parent.name for row in rows)
    assert right >= 45
