"""The fastest export within the tolerance, and nothing left of the others."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import run_regraft
from listening import Listening
from trained_runs import TrainedRun

from regraft.errors import ExportError, UsageError
from regraft.exports.export import Export, ProofResult, read_export
from regraft.exports.proof_photos import ProveOn
from regraft.prediction import best_export
from regraft.prediction.best_export import export_best
from regraft.prediction.model_choice import ModelChoice
from regraft.progress import Silent

RATES = {"litert-float32": 100.0, "litert-float16": 90.0, "litert-int8": 300.0, "onnx-float32": 120.0}
PROOFS = {"litert-float32": (1e-6, 2000), "litert-float16": (9e-4, 2000), "litert-int8": (0.3, 1999)}


@pytest.fixture
def run(litert: Path, trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of which LiteRT can be written in three precisions, ONNX in none, and OpenVINO is not installed."""

    def export_run(run: Path, format: str, *, precision: str, out: Path, **_: Any) -> Export:
        name = f"{format}-{precision}"
        if name not in PROOFS:
            raise ExportError("It differs by up to 0.7 (allowed: 0.1); it was removed.")
        shutil.copytree(litert, out)
        difference, same = PROOFS[name]
        proof = ProofResult(images=2000, largest_difference=difference, same_label=same, tolerance=None)
        export = replace(read_export(out), precision=precision, proof=proof)
        export.write()
        return export

    def check_format(format: str, precision: str) -> None:
        if format == "openvino":
            raise UsageError("not installed")

    def time_choices(choices: list[ModelChoice], seconds: float) -> dict[ModelChoice, float]:
        return {choice: RATES[f"{choice.runtime}-{choice.precision}"] for choice in choices}

    for replacement in (export_run, check_format, time_choices):
        monkeypatch.setattr(best_export, replacement.__name__, replacement)
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder, ignore=shutil.ignore_patterns("saved_model"))
    return folder


@pytest.mark.parametrize(("tolerance", "kept"), [(None, "litert-float32"), ("labels", "litert-int8")])
def test_the_fastest_within_the_tolerance_is_kept_and_nothing_of_the_others(
    run: Path, tolerance: str | None, kept: str
):
    listening = Listening()
    found = export_best(run, photos=None, device="cpu", tolerance=tolerance, progress=listening)
    assert found.export.folder == run / "exports" / kept
    assert [path.name for path in (run / "exports").iterdir()] == [kept]
    assert read_export(found.export.folder).name == kept
    said = {line.split()[0]: line for line in listening.said}
    assert said[kept].endswith("kept")
    assert said["litert-float16"].split()[1:6] == ["90", "9.0e-04", "2,000", "of", "2,000"]
    assert said["onnx-int8"].endswith("It differs by up to 0.7 (allowed: 0.1)")
    assert said["openvino-float32"].endswith("not installed")
    assert ("beyond the tolerance" in said["litert-int8"]) is (tolerance is None)


def test_an_export_that_was_there_is_taken_as_it_is_and_stays(run: Path, litert: Path, monkeypatch: pytest.MonkeyPatch):
    there = run / "exports/mine"
    shutil.copytree(litert, there)
    proof = replace(read_export(there).proof, largest_difference=1e-7)
    replace(read_export(there), format="onnx", proof=proof).write()
    found = export_best(run, photos=None, device="cpu", tolerance=None, progress=Silent())
    assert found.export.folder == there
    assert [path.name for path in (run / "exports").iterdir()] == ["mine"]


@pytest.mark.parametrize(("which", "sample_seed", "kept"), [("all", 0, "litert-float32"), ("all", None, "mine")])
def test_one_that_was_proven_on_a_sample_is_tried_again_where_all_are_asked_for(
    run: Path, litert: Path, which: str, sample_seed: int | None, kept: str
):
    there = run / "exports/mine"
    shutil.copytree(litert, there)
    found = read_export(there)
    proof = replace(found.proof, largest_difference=1e-7, sample_seed=sample_seed)
    replace(found, format="onnx", proof=proof).write()
    found = export_best(run, photos=ProveOn(which=which), device="cpu", tolerance=None, progress=Silent())
    assert found.export.folder == run / "exports" / kept


def test_where_none_is_near_enough_nothing_is_kept(run: Path):
    with pytest.raises(ExportError, match=r"No export that runs here is within 1e-09 of the trained model; allow more"):
        export_best(run, photos=None, device="cpu", tolerance=1e-9, progress=Silent())
    assert not (run / "exports").exists() or not any((run / "exports").iterdir())


@pytest.mark.parametrize("words", [("--format", "litert"), ("--precision", "int8"), ("--out", "x"), ("--force",)])
def test_what_best_decides_is_not_asked_for_beside_it(trained: TrainedRun, words: tuple[str, ...]):
    answer = run_regraft("export", trained.folder, "--best", *words)
    complaint = (
        "--best tries every format and precision and says where; leave --format, --precision, --out, --force out."
    )
    assert (answer.code, answer.stderr) == (2, f"regraft: {complaint}\n")
