"""That an export is proven: in which process, and how far off it may be."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_photos import PhotoFolder
from trained_runs import TrainedRun

import regraft.exports.proof
from regraft.errors import ExportError
from regraft.exports.export import Export, read_export
from regraft.exports.format import find_format
from regraft.exports.proof import Proof, answers_of, check_proof, proof_records
from regraft.machine import processes
from regraft.progress import Silent
from regraft.runs.run import Run

TRUTH = np.array([0, 1, 1])
TRAINED = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)


def an_export(precision: str) -> Export:
    return Export(Path("nowhere"), "litert", precision, ("a", "b"), 32, 1.0, 0, "")


def test_a_proof_counts_differences_labels_and_accuracy():
    served = TRAINED + np.array([[0, 0], [0, 0], [-0.04, 0.04]], np.float32)
    found = check_proof(TRAINED, served, TRUTH, an_export("float16"), 5e-2)
    assert found.largest_difference == pytest.approx(0.04)
    assert found.mean_difference == pytest.approx(0.08 / 6)
    assert (found.images, found.same_label) == (3, 3)
    assert (found.accuracy, found.accuracy_trained) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("precision", "step"), [("float32", 2e-4), ("float16", 0.06), ("float32", float("nan")), ("int8", float("nan"))]
)
def test_a_network_that_is_too_far_off_is_refused(precision: str, step: float):
    tolerance = find_format("litert").precisions[precision].tolerance
    with pytest.raises(ExportError, match=rf"differ .* by up to .* \(allowed in {precision}: .*\); it was removed"):
        check_proof(TRAINED, TRAINED + np.float32(step), TRUTH, an_export(precision), tolerance)


def test_integers_are_held_to_their_labels():
    flipped = TRAINED.copy()
    flipped[2] = [0.4, 0.6]
    with pytest.raises(
        ExportError, match=r"In int8 only 2 of 3 photos keep their label \(needed: 90%\); it was removed"
    ):
        check_proof(TRAINED, flipped, TRUTH, an_export("int8"), None)


def test_an_export_that_fails_in_its_process_says_why(litert: Path, tmp_path: Path):
    broken = replace(read_export(litert), folder=tmp_path)
    with pytest.raises(ExportError, match="The export does not answer in a fresh process: regraft: "):
        answers_of(broken, [litert])


def test_where_a_class_is_missing_and_another_is_new_the_others_keep_their_numbers(
    trained: TrainedRun, tmp_path: Path, photo_folder: PhotoFolder
):
    photos = photo_folder({"yak": 1})
    for name in ("cat", "dog"):
        shutil.copytree(trained.photos / name, photos / name)
    records = proof_records(Run(trained.folder), photos, Silent())
    assert len(records) == 8
    assert {(record.path.parent.name, record.class_index) for record in records} == {("cat", 1), ("dog", 2)}


def run_instead(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    """Puts a script in the place of the one that a `Proof` runs."""
    path = folder / "prove.py"
    path.write_text(text)
    monkeypatch.setitem(processes.PROGRAMS, "prove_export", (str(path),))


def test_a_proof_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failing = "import sys\nsys.stdin.readline()\nprint('lots of noise', file=sys.stderr)\nsys.exit('no such model')"
    run_instead(monkeypatch, tmp_path, failing)
    with Proof() as proof, pytest.raises(ExportError, match="does not answer in a fresh process: no such model"):
        proof.scores(tmp_path, [])


def test_a_proof_gets_the_files_in_batches_and_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    echo = (
        "import json, sys\nimport numpy as np\norder = json.loads(sys.stdin.readline())\n"
        "np.save(order['scores'], [len(batch) for batch in order['files']])\n"
        "print(json.dumps([order['model'], *sum(order['files'], [])]))"
    )
    run_instead(monkeypatch, tmp_path, echo)
    paths = [tmp_path / f"ü{number}.jpg" for number in range(5)]
    with Proof() as proof:
        sizes, names = proof.scores(tmp_path, paths, batch_size=2)
    assert sizes.tolist() == [2, 2, 1]
    assert names == [str(tmp_path), *map(str, paths)]


def test_a_proof_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_instead(monkeypatch, tmp_path, "import time\ntime.sleep(60)")
    monkeypatch.setattr(regraft.exports.proof, "_START_SECONDS", 0.1)
    monkeypatch.setattr(regraft.exports.proof, "_SECONDS_A_PHOTO", 0)
    with Proof() as proof, pytest.raises(ExportError, match=r"did not answer 1 photos in 0\.1 seconds"):
        proof.scores(tmp_path, [tmp_path])
    assert proof._process.poll() is not None


def test_a_proof_on_the_cpu_sees_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    says = "import os, sys\nsys.stdin.readline()\nsys.exit(os.environ['CUDA_VISIBLE_DEVICES'])"
    run_instead(monkeypatch, tmp_path, says)
    for use_gpus, seen in ((True, "0"), (False, "-1")):
        with Proof(use_gpus=use_gpus) as proof, pytest.raises(ExportError, match=f"process: {seen}$"):
            proof.scores(tmp_path, [])


def test_a_proof_that_nobody_asks_ends_with_its_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_instead(monkeypatch, tmp_path, "import time\ntime.sleep(60)")
    with Proof() as proof:
        assert proof._process.poll() is None
    assert proof._process.poll() is not None
