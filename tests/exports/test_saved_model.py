"""The SavedModel: what it takes, what it answers, and that nothing is left of one that is not the model."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from command_line import run_regraft
from drawn_photos import draw_photo
from PIL import Image
from trained_runs import TrainedRun

from regraft.data.photos import read_upright_rgb
from regraft.errors import ExportError, RunError
from regraft.exports import saved_model
from regraft.exports.export import Export, ProofResult, read_export
from regraft.exports.proof import Bound, Proof
from regraft.exports.saved_model import Expected, compare, export_proven, tolerance_for
from regraft.inference.trained import open_trained
from regraft.inference.views import ViewReader, softmax
from regraft.machine import processes
from regraft.machine.devices import open_device
from regraft.machine.drafts import draft_of
from regraft.models.backbones import build_backbone
from regraft.models.classifier import build_classifier
from regraft.runs.roster import read_roster

NAMES = ("bee", "cat", "dog")


@pytest.fixture(scope="module")
def served(trained: TrainedRun):
    """The export that `train` wrote, as a server loads it."""
    return tf.saved_model.load(trained.folder / "saved_model/1")


@pytest.fixture(scope="module")
def keras_scores(trained: TrainedRun):
    """A function from files to float32 [N, 3]: the scores of the trained Keras model."""
    opened = open_trained(trained.folder)

    def scores(paths: Sequence[Path]) -> np.ndarray:
        return softmax(opened.model.predict_on_batch(np.stack([opened.reader.read(path) for path in paths])))

    return scores


def answer_bytes(served, paths: Sequence[Path]) -> dict[str, np.ndarray]:
    encoded = tf.constant([path.read_bytes() for path in paths])
    return {key: value.numpy() for key, value in served.signatures["serving_default"](image_bytes=encoded).items()}


def write_png(path: Path, *, class_index: int, seed: int = 500) -> Path:
    draw_photo(class_index, seed=seed, size=(50, 40), classes=3).save(path)
    return path


def test_the_labels_come_with_the_export(trained: TrainedRun, served):
    assert tuple(label.decode() for label in served.signatures["labels"]()["labels"].numpy()) == NAMES
    extra = trained.folder / "saved_model/1/assets.extra/labels.txt"
    assert extra.read_text("utf-8") == "bee\ncat\ndog\n" == (trained.folder / "labels.txt").read_text("utf-8")


def test_the_signatures_are_those_that_tensorflow_serving_expects(served):
    assert set(served.signatures) == {*("serving_default", "serving_each", "serving_images", "serving_views", "labels")}
    takes = {name: served.signatures[name].structured_input_signature[1] for name in served.signatures}
    assert takes["serving_default"]["image_bytes"].shape.as_list() == [None]
    assert takes["serving_default"]["image_bytes"].dtype == tf.string
    assert takes["serving_images"]["images"].shape.as_list() == [None, None, None, 3]
    assert takes["serving_images"]["images"].dtype == tf.uint8
    for name in ("serving_default", "serving_images"):
        gives = served.signatures[name].structured_outputs
        assert {key: (value.dtype, value.shape.rank) for key, value in gives.items()} == {
            "label": (tf.string, 1),
            "score": (tf.float32, 1),
            "scores": (tf.float32, 2),
            "classes": (tf.string, 2),
        }


def test_a_broken_photo_costs_its_own_row_alone(served, tmp_path: Path):
    whole = [write_png(tmp_path / f"{index}.png", class_index=index) for index in range(3)]
    jpeg = tmp_path / "whole.jpg"
    draw_photo(1, seed=500, size=(50, 40), classes=3).save(jpeg)
    broken = [jpeg.read_bytes()[:-200], b"", b"II*\0" + b"\0" * 90, b"text"]
    encoded = [broken[0], *(path.read_bytes() for path in whole[:2]), *broken[1:], whole[2].read_bytes()]
    answer = {
        key: value.numpy() for key, value in served.signatures["serving_each"](image_bytes=tf.constant(encoded)).items()
    }
    expected = answer_bytes(served, whole)
    is_read = np.array([False, True, True, False, False, False, True])
    assert answer["status"].tolist() == [b"ok" if each else b"unreadable" for each in is_read]
    np.testing.assert_array_equal(answer["label"][is_read], expected["label"])
    for key in ("score", "scores"):  # to the last bits, which the size of a batch moves on some processors
        np.testing.assert_allclose(answer[key][is_read], expected[key], rtol=2e-6)
    assert set(answer["label"][~is_read]) == {b""}
    assert not answer["scores"][~is_read].any()
    assert not answer["score"][~is_read].any()


def test_where_no_photo_is_broken_each_is_answered_as_by_default(served, tmp_path: Path):
    paths = [write_png(tmp_path / f"{index}.png", class_index=index % 3, seed=index) for index in range(20)]
    answer = served.signatures["serving_each"](image_bytes=tf.constant([path.read_bytes() for path in paths]))
    assert set(answer["status"].numpy()) == {b"ok"}
    for key, values in answer_bytes(served, paths).items():
        np.testing.assert_array_equal(answer[key].numpy(), values)


def test_nothing_asked_is_nothing_answered(served):
    nothing = {
        "serving_default": {"image_bytes": tf.constant([], tf.string)},
        "serving_each": {"image_bytes": tf.constant([], tf.string)},
        "serving_images": {"images": tf.zeros([0, 40, 50, 3], tf.uint8)},
        "serving_views": {"views": tf.zeros([0, 32, 32, 3])},
    }
    for name, inputs in nothing.items():
        assert served.signatures[name](**inputs)["scores"].shape == (0, 3)


def test_bytes_and_pixels_of_the_same_photo_give_the_same_answer(served, tmp_path: Path):
    paths = [write_png(tmp_path / f"{index}.png", class_index=index) for index in range(3)]
    by_bytes = answer_bytes(served, paths)
    pixels = tf.constant(np.stack([read_upright_rgb(path) for path in paths]))
    by_pixels = served.signatures["serving_images"](images=pixels)
    for key, values in by_bytes.items():
        np.testing.assert_array_equal(values, by_pixels[key].numpy())


def test_label_and_score_are_those_of_the_best_class(served, tmp_path: Path):
    answer = answer_bytes(served, [write_png(tmp_path / f"{index}.png", class_index=index) for index in range(3)])
    np.testing.assert_array_equal(answer["score"], answer["scores"].max(axis=1))
    assert [NAMES[index].encode() for index in answer["scores"].argmax(axis=1)] == answer["label"].tolist()
    assert answer["classes"].tolist() == [[b"bee", b"cat", b"dog"]] * 3
    np.testing.assert_allclose(answer["scores"].sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_through_the_export_is_the_same_as_through_keras(
    served, keras_scores, tmp_path: Path, orientation: int
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    draw_photo(2, seed=500, size=(50, 40), classes=3).save(path, exif=exif, quality=95)
    np.testing.assert_allclose(answer_bytes(served, [path])["scores"], keras_scores([path]), atol=1e-5)


def test_train_proved_the_export_on_every_photo_it_reports_on(trained: TrainedRun, served, keras_scores):
    proof = trained.metrics["export"]
    assert proof["folder"] == str(trained.folder / "saved_model/1")
    assert proof["images"] == proof["same_label"] == trained.metrics["images"] == 12
    assert proof["largest_difference"] < proof["tolerance"] == 1e-5
    reported = [row.path for row in read_roster(trained.folder / "images.csv") if row.role == "report"]
    as_they_are = [path for path in reported if "cmyk" not in path.name]
    np.testing.assert_allclose(answer_bytes(served, as_they_are)["scores"], keras_scores(as_they_are), atol=1e-5)


WHAT_IT_IMPORTS = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="__main__")
sys.stderr.write("imported: " + " ".join({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.slow
def test_the_proof_imports_tensorflow_and_not_regraft(trained: TrainedRun, served, tmp_path: Path):
    path = write_png(tmp_path / "photo.png", class_index=1)
    order = {
        "model": str(trained.folder / "saved_model/1"),
        "files": [[str(path)]],
        "threads": 2,
        "scores": str(tmp_path / "s.npy"),
    }
    finished = subprocess.run(
        [sys.executable, "-I", "-c", WHAT_IT_IMPORTS, *processes.PROGRAMS["prove_export"]],
        input=json.dumps(order) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(finished.stderr.rpartition("imported: ")[2].split())
    assert "tensorflow" in imported
    assert "regraft" not in imported
    assert json.loads(finished.stdout) == list(NAMES)
    np.testing.assert_allclose(np.load(tmp_path / "s.npy"), answer_bytes(served, [path])["scores"], atol=1e-6)


@pytest.mark.slow
def test_export_of_moved_photos_is_proven_where_they_lie_now(trained: TrainedRun, tmp_path: Path):
    moved = tmp_path / "moved"
    shutil.copytree(trained.photos, moved / "below/photos")
    target = tmp_path / "versions"
    (target / "7").mkdir(parents=True)
    answer = run_regraft("export", trained.folder, "--photos", moved / "below/photos", "--out", target, "--json")
    assert answer.code == 0, answer.stderr
    assert answer.stderr.startswith(f"60 photos in {moved / 'below/photos'}; left out: 6 files that cannot be read (")
    assert answer.stderr.count("\n") == 1
    assert (answer.values["folder"], answer.values["labels"]) == (str(target / "8"), list(NAMES))
    assert (answer.values["images"], answer.values["same_label"]) == (12, 12)
    assert answer.values["largest_difference"] < 1e-5
    assert sorted(path.name for path in target.iterdir()) == ["7", "8"]


def test_the_export_names_the_trained_model_it_was_made_of(trained: TrainedRun, litert: Path):
    of_file = hashlib.blake2b((trained.folder / "model.keras").read_bytes(), digest_size=16).hexdigest()
    assert read_export(trained.folder / "saved_model").model == read_export(litert).model == of_file


def small_model() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=1))(x))


class StubProof(Proof):
    """Answers as told, without a process."""

    def __init__(self, scores: np.ndarray, labels: list[str]) -> None:
        self.answer = scores, labels

    def scores(self, model: Path, paths: Sequence[Path], *, batch_size: int = 32) -> tuple[np.ndarray, list[str]]:
        assert (model / "saved_model.pb").is_file()
        return self.answer


EXPECTED = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)


def export(target: Path, scores: np.ndarray, labels: list[str], float_error: float = 0.0) -> Export:
    return export_proven(
        small_model(),
        ("ant", "bee"),
        target,
        reader=ViewReader(8, 1.0),
        model_digest="of a model",
        expected=Expected([Path("a.jpg"), Path("b.jpg")], EXPECTED, float_error=lambda: float_error),
        proof=StubProof(scores, labels),
    )


def test_versions_count_up_whatever_else_lies_there(tmp_path: Path):
    target = tmp_path / "deep/models"
    assert export(target, EXPECTED, ["ant", "bee"]).folder == target / "1"
    (target / "notes").mkdir()
    second = export(target, EXPECTED, ["ant", "bee"])
    assert second.folder == target / "2"
    assert read_export(target) == second
    assert second.proof == ProofResult(images=2, largest_difference=0.0, same_label=2, tolerance=1e-5)
    assert sorted(path.name for path in target.iterdir()) == ["1", "2", "notes"]


@pytest.mark.parametrize(
    ("scores", "labels", "complaint"),
    [
        (EXPECTED + np.float32(2e-5), ["ant", "bee"], "scores differ from the trained model's by up to 2e-05"),
        (EXPECTED * np.float32("nan"), ["ant", "bee"], "scores differ from the trained model's by up to nan"),
        (EXPECTED, ["bee", "ant"], r"labels \['bee', 'ant'\] are not the model's \['ant', 'bee'\]"),
    ],
    ids=["a score", "not a number", "the order of labels"],
)
def test_nothing_is_left_of_an_export_that_answers_otherwise(tmp_path: Path, scores, labels, complaint: str):
    with pytest.raises(ExportError, match=complaint):
        export(tmp_path, scores, labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_version_may_be_ten_times_as_far_off_as_the_trained_model_rounds(tmp_path: Path):
    scores = EXPECTED + np.array([[2e-5, -2e-5], [0, 0]], np.float32)
    assert export(tmp_path, scores, ["ant", "bee"], float_error=3e-6).proof.tolerance == pytest.approx(3e-5)
    with pytest.raises(ExportError, match=r"up to 2e-05 \(allowed: 1e-05\)"):
        export(tmp_path, scores, ["ant", "bee"], float_error=1e-6)


def test_a_second_process_does_not_write_a_version_meanwhile(tmp_path: Path):
    with draft_of(tmp_path / "version", RuntimeError("the first")), pytest.raises(RunError, match="Another process"):
        export(tmp_path, EXPECTED, ["ant", "bee"])


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr("tensorflow.saved_model.save", fail)
    complaint = rf"{tmp_path} cannot be written \(No space left on device\); make room and try again\."
    with pytest.raises(RunError, match=complaint):
        export(tmp_path, EXPECTED, ["ant", "bee"])
    assert list(tmp_path.iterdir()) == []


def test_agreement_is_counted_and_the_largest_difference_found():
    served = EXPECTED + np.array([[0, -0.25], [0.125, 0]], np.float32)
    found = compare(EXPECTED, served, ["ant", "bee"], ("ant", "bee"), Bound(0.25))
    assert found == ProofResult(images=2, largest_difference=0.25, same_label=2, tolerance=0.25)


@pytest.mark.parametrize(
    ("kind", "precision", "tolerance"),
    [("cpu", "float32", 1e-5), ("cpu", "mixed_bfloat16", 2e-2), ("gpu", "float32", 2e-2)],
)
def test_half_precision_and_gpus_are_allowed_their_rounding(kind: str, precision: str, tolerance: float):
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        backbone = build_backbone("tiny", image_size=16)
        model = build_classifier(backbone, preprocessing="tf", class_count=2)
    finally:
        keras.config.set_dtype_policy(usual)
    device = replace(open_device("cpu"), kind=kind)
    assert tolerance_for(model, device) == tolerance


def test_of_a_full_disk_is_said_what_the_system_says():
    message = "{{function_node __wrapped__SaveV2}} out/variables/part-0; No space left on device [Op:SaveV2]"
    assert saved_model._reason(message) == "No space left on device"
