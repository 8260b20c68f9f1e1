"""That an export is proven: in which process, and how far off it may be."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_photos import PhotoFolder
from PIL import Image
from trained_runs import TrainedRun

import regraft.exports.proof
from regraft.data.records import Record
from regraft.data.scan import scan_folder
from regraft.errors import ExportError
from regraft.exports.export import Export, read_export
from regraft.exports.format import find_format
from regraft.exports.proof import Bound, Proof, answers_of, check_proof, float_error_of, proof_records
from regraft.inference.views import Infer, ViewReader, softmax
from regraft.machine import processes
from regraft.progress import Silent
from regraft.runs.run import Run

TRUTH = np.array([0, 1, 1])
TRAINED = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)


def an_export(precision: str) -> Export:
    return Export(Path("nowhere"), "litert", precision, ("a", "b"), 32, 1.0, 0, "")


def test_a_proof_counts_differences_labels_and_accuracy():
    served = TRAINED + np.array([[0, 0], [0, 0], [-0.04, 0.04]], np.float32)
    found = check_proof(TRAINED, served, TRUTH, an_export("float16"), Bound(5e-2))
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
        check_proof(TRAINED, TRAINED + np.float32(step), TRUTH, an_export(precision), Bound(tolerance))


def test_more_than_the_tolerance_is_allowed_where_the_trained_model_itself_is_as_far_off():
    served = TRAINED + np.array([[-3e-4, 3e-4], [0, 0], [0, 0]], np.float32)
    found = check_proof(TRAINED, served, TRUTH, an_export("float32"), Bound(1e-4, lambda: 5e-5))
    assert found.tolerance == pytest.approx(5e-4)  # ten times
    for bound in (Bound(1e-4, lambda: 2e-5), Bound(1e-4), Bound(1e-4, lambda: 0.0)):
        with pytest.raises(ExportError, match=r"differ from the trained model's by up to 0\.0003"):
            check_proof(TRAINED, served, TRUTH, an_export("float32"), bound)


@pytest.mark.parametrize("step", [0.03, float("nan")])
def test_no_float_error_excuses_what_is_no_rounding(step: float):
    bound = Bound(1e-4, lambda: pytest.fail("measured in vain"))
    with pytest.raises(ExportError, match="it was removed"):
        check_proof(TRAINED, TRAINED + np.float32(step), TRUTH, an_export("float32"), bound)


def test_a_float_error_is_measured_only_where_it_is_needed():
    bound = Bound(1e-4, lambda: pytest.fail("measured in vain"))
    assert check_proof(TRAINED, TRAINED, TRUTH, an_export("float32"), bound).tolerance == 1e-4


def test_the_float_error_is_how_far_the_last_bit_of_the_input_moves_an_answer(photo_folder: PhotoFolder):
    """One logit is 2000 times the mean of a view of 255s and 0s, in which the last bit of 255 is 255 * 2^-24."""
    records = scan_folder(photo_folder({"bee": 2, "cat": 1})).records
    views = np.zeros((1, 4, 4, 3), np.float32)
    views[0, 0, 0, 0] = 255

    class Reader:
        def read_all(self, paths):
            return (views[0] for _ in paths)

    def infer(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        mean = images.astype(np.float64).mean(axis=(1, 2, 3))
        return np.stack([2000 * (mean - 255 / 48), 0 * mean], axis=1).astype(np.float32)

    seen: list[int] = []
    error = float_error_of(infer, Reader(), records, Silent())
    assert error == pytest.approx(2000 * 255 * 2.0**-24 / 48 / 4, rel=0.05)  # a sigmoid has the slope 1/4
    assert set(seen) == {32, 8}


# --- what must be refused, on a network that rounding moves a lot ---


@pytest.fixture(scope="module")
def of_faint_photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[ViewReader, Infer, list[Record]]:
    """A network that tells on which side photos of two grey levels, 127 and 128, are lighter; rounding disturbs it."""
    root = tmp_path_factory.mktemp("faint") / "photos"
    for class_index, name in enumerate(("left", "right")):
        (root / name).mkdir(parents=True)
        for number in range(6):
            grey = np.full((40, 32, 3), 127, np.uint8)
            grey[:, 16 * class_index : 16 * class_index + 10 + number] += 1
            exif = Image.Exif()
            exif[0x0112] = 3
            photo = Image.fromarray(np.ascontiguousarray(grey[::-1, ::-1]))
            photo.save(root / name / f"{number}.png", exif=exif)
    kernel = 0.25 * (1 - 2 * (np.indices((32, 32, 3))[:2].sum(axis=0) % 2)).astype(np.float32)  # a chess board
    kernel[:, :16] += 0.001
    kernel[:, 16:] -= 0.001

    def infer(images: np.ndarray) -> np.ndarray:
        left = np.tensordot(images.astype(np.float32), kernel, 3)
        return np.stack([left, -left], axis=1)

    return ViewReader(32, 1.0), infer, list(scan_folder(root).records)


WRONG = {
    "normalized twice": lambda views: views / np.float32(127.5) - 1,
    "not normalized": lambda views: views * np.float32(255),
    "upside down, as without EXIF": lambda views: views[:, ::-1, ::-1],
}


def test_rounding_is_excused_where_answers_hang_on_it_and_mistakes_are_not(of_faint_photos):
    reader, infer, records = of_faint_photos
    views = np.stack(list(reader.read_all(record.path for record in records)))
    truth = np.array([record.class_index for record in records])
    expected = softmax(infer(views))
    bound = Bound(1e-5, lambda: float_error_of(infer, reader, records, Silent()))
    ups = np.random.default_rng(99).random(views.shape) < 0.5
    rounded = softmax(infer(np.where(ups, np.nextafter(views, np.float32(np.inf)), views)))
    assert np.abs(rounded - expected).max() > 1e-5
    assert check_proof(expected, rounded, truth, an_export("float32"), bound).tolerance > 1e-5
    for wrong in WRONG.values():
        with pytest.raises(ExportError, match="differ from the trained model's"):
            check_proof(expected, softmax(infer(wrong(views))), truth, an_export("float32"), bound)
    with pytest.raises(ExportError, match="differ from the trained model's"):
        check_proof(expected, expected[:, ::-1], truth, an_export("float32"), bound)


def test_integers_are_held_to_their_labels():
    flipped = TRAINED.copy()
    flipped[2] = [0.4, 0.6]
    with pytest.raises(
        ExportError, match=r"In int8 only 2 of 3 photos keep their label \(needed: 90%\); it was removed"
    ):
        check_proof(TRAINED, flipped, TRUTH, an_export("int8"), Bound(None))


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


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (64, 8)])
def test_a_proof_uses_the_cores_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int):
    says = (
        "import json, sys\nimport numpy as np\norder = json.loads(sys.stdin.readline())\n"
        "np.save(order['scores'], [len(batch) for batch in order['files']])\nprint(order['threads'])"
    )
    run_instead(monkeypatch, tmp_path, says)
    monkeypatch.setattr(regraft.exports.proof, "cores", lambda: cores)
    with Proof() as proof:
        sizes, found = proof.scores(tmp_path, [tmp_path / f"{number}.jpg" for number in range(20)])
    assert (found, sizes.tolist()) == (threads, [8, 8, 4])


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
