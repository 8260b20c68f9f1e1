"""From a run to a proven export in every format and precision: what is answered, refused, and lies beside it."""

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder, draw_photo
from PIL import Image
from trained_runs import FAST, TrainedRun

from regraft.data.records import Record
from regraft.errors import ExportError, RunError
from regraft.exports.export import Export, read_export
from regraft.exports.exporting import calibration_records, export_run
from regraft.exports.format import Precision, Views, find_format
from regraft.exports.proof_photos import ProveOn
from regraft.machine.drafts import draft_of
from regraft.progress import Silent

EXPORTS = [  # every path of the code; the fixture is litert, float32
    *(("litert", "float16"), ("litert", "int8"), ("onnx", "float32"), ("onnx", "int8")),
    *(("openvino", "bfloat16"), ("openvino", "int8")),
]


def test_the_export_is_proven_on_the_photos_the_run_reports_on(litert: Path, trained: TrainedRun):
    proof = read_export(litert).proof
    assert proof.images == proof.same_label == trained.metrics["images"]
    assert proof.largest_difference < 1e-4
    assert proof.accuracy == pytest.approx(trained.metrics["accuracy"])


def test_an_export_that_exists_is_not_overwritten(litert: Path, trained: TrainedRun):
    answer = run_regraft("export", trained.folder, "--format", "litert", "--out", litert)
    assert (answer.code, answer.stderr) == (
        2,
        f"regraft: {litert} exists already; choose another --out or add --force.\n",
    )


@pytest.mark.parametrize("form", ["saved_model", "litert"])
def test_export_without_the_photos_says_what_is_missing(
    trained: TrainedRun, tmp_path: Path, photo_folder: PhotoFolder, form: str
):
    others = photo_folder({"bee": 1, "cat": 1})
    complaint = f"None of the photos {trained.folder} reports on are in {others} to prove the export on; use photos."
    with pytest.raises(RunError) as caught:
        export_run(trained.folder, form, photos=ProveOn(others), out=tmp_path / "export", progress=Silent())
    assert str(caught.value) == complaint
    assert not (tmp_path / "export").exists()


def test_a_precision_of_a_format_is_one_row_that_the_proof_and_the_writer_follow(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def write(model: keras.Model, network: Path, export: Export, views: Views) -> None:
        seen.extend(view.shape for view in views())

    def answers(export: Export, paths: list[Path]) -> np.ndarray:
        return uniform(len(paths)) + np.float32(0.01)

    def uniform(count: int) -> np.ndarray:
        return np.full((count, 3), 1 / 3, np.float32)

    seen: list[tuple[int, ...]] = []
    litert = find_format("litert")
    strict = replace(litert, precisions={"int4": Precision(1e-3, needs_views=True)}, write=write)
    monkeypatch.setattr("regraft.exports.litert.FORMAT", strict)
    monkeypatch.setattr("regraft.exports.exporting.answers_of_trained", lambda _, records, __: uniform(len(records)))
    monkeypatch.setattr("regraft.exports.exporting.answers_of", answers)
    with pytest.raises(ExportError, match=r"by up to 0\.01 \(allowed in int4: 0\.001\); it was removed"):
        export_run(trained.folder, "litert", precision="int4", out=tmp_path / "export", progress=Silent())
    assert set(seen) == {(32, 32, 3)}


@pytest.mark.parametrize(
    ("of_class", "chosen"),
    [
        ([80] * 5, [40] * 5),
        ([123, 121], [101, 99]),  # 1.22 apart: the 101st is at 122, the 102nd at 123.22
        ([100, 100], [100, 100]),
        ([3, 4], [3, 4]),
        ([900, 100], [180, 20]),
    ],
)
def test_int8_looks_at_photos_of_every_class_alike(of_class: list[int], chosen: list[int]):
    classes = [index for index, count in enumerate(of_class) for _ in range(count)]
    found = calibration_records(
        [Record(Path(f"{n}.jpg"), index, "", "JPEG", 8, 8, 1, "", b"") for n, index in enumerate(classes)]
    )
    assert [sum(record.class_index == index for record in found) for index in range(len(of_class))] == chosen
    assert len({record.path for record in found}) == len(found)


def test_nothing_is_left_of_an_export_that_answers_otherwise(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def wrong(export: Export, paths: list[Path]) -> np.ndarray:
        return np.full((len(paths), 3), 1 / 3, np.float32)

    monkeypatch.setattr("regraft.exports.exporting.answers_of", wrong)
    monkeypatch.setattr("regraft.exports.exporting.write_network", lambda *_: None)
    with pytest.raises(ExportError, match="it was removed"):
        export_run(trained.folder, "litert", out=tmp_path / "export", progress=Silent())
    assert list(tmp_path.iterdir()) == []


def test_force_replaces_an_export_and_no_folder_of_others(litert: Path, trained: TrainedRun, tmp_path: Path):
    work = tmp_path / "work"
    (work / "thesis").mkdir(parents=True)
    (work / "thesis/a.txt").write_text("precious")
    answer = run_regraft("export", trained.folder, "--format", "litert", "--force", "--out", work)
    assert (answer.code, answer.stderr) == (
        2,
        f"regraft: {work} holds what no export does (thesis/a.txt), so it is not replaced; move that away or choose "
        "another --out.\n",
    )
    assert (work / "thesis/a.txt").read_text() == "precious"


@pytest.mark.parametrize("form", ["litert", "saved_model"])
@pytest.mark.parametrize("words", [(), ("--force",)])
def test_a_file_is_not_replaced_by_an_export(form: str, words: tuple[str, ...], trained: TrainedRun, tmp_path: Path):
    (tmp_path / "file").write_text("precious")
    answer = run_regraft("export", trained.folder, "--format", form, "--out", tmp_path / "file", *words)
    assert answer.code == 2
    assert answer.stderr.startswith(f"regraft: {tmp_path}/file ")
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("form", ["litert", "saved_model"])
def test_an_empty_path_is_not_the_current_folder(
    form: str, trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    answer = run_regraft("export", trained.folder, "--format", form, "--force", "--out", "")
    complaint = "regraft: Invalid value for '--out': it must be a path; received an empty one."
    assert (answer.code, answer.stderr) == (2, f"{complaint} See regraft export --help.\n")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_write_one_export(trained: TrainedRun, tmp_path: Path):
    busy = rf"Another process is writing {tmp_path}/export; wait until it is done\."
    with draft_of(tmp_path / "export", RuntimeError("the first")), pytest.raises(RunError, match=busy):
        export_run(trained.folder, "litert", out=tmp_path / "export", progress=Silent())


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
def test_photos_with_hardly_any_contrast_are_trained_on_and_exported(tmp_path: Path):
    for class_index, name in enumerate(("healthy", "ill")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(30):
            grey = np.asarray(draw_photo(class_index, seed=number, size=(48, 48), classes=2).convert("L"))
            Image.fromarray((7 + (grey > 100)).astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    run = tmp_path / "run"
    answer = run_regraft("train", tmp_path / "photos", *FAST, "--image-size", 32, "--out", run, "--json")
    assert answer.code == 0, answer.stderr
    assert answer.values["export"]["largest_difference"] <= answer.values["export"]["tolerance"] < 2e-2
    answer = run_regraft("export", run, "--format", "litert")
    assert answer.code == 0, answer.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_exports_of_another_fit_are_proven_and_their_cards_are_right(mixed_photos: Path, tmp_path: Path):
    run = tmp_path / "run"
    answer = run_regraft("train", mixed_photos, *FAST, "--set", "data.fit=pad", "--out", run, "--json")
    assert answer.code == 0, answer.stderr
    assert answer.values["export"]["same_label"] == answer.values["images"]
    answer = run_regraft("export", run, "--format", "litert", "--out", tmp_path / "litert", "--json")
    assert answer.code == 0, answer.stderr
    assert answer.values["largest_difference"] < 1e-4
    assert [read_export(folder).fit for folder in (run / "saved_model", tmp_path / "litert")] == ["pad", "pad"]
    photo = tmp_path / "wide.png"
    draw_photo(1, seed=5, size=(150, 61), classes=3).save(photo)
    rows = []
    for source in (run, tmp_path / "litert"):
        words = ("--format", "jsonl", "--all-probabilities", "--runtime", "auto" if rows else "tensorflow")
        rows.append(json.loads(run_regraft("predict", source, photo, *words).stdout))
    card = (tmp_path / "litert/README.md").read_text("utf-8").split("```python\n")[1].split("```\n")[0]
    names: dict = {}
    with contextlib.chdir(tmp_path / "litert"):
        exec(card.replace('"photo.jpg"', repr(str(photo))), names)
    expected = [rows[0][f"p_{label}"] for label in ("bee", "cat", "dog")]
    np.testing.assert_allclose([rows[1][f"p_{label}"] for label in ("bee", "cat", "dog")], expected, atol=1e-4)
    np.testing.assert_allclose(names["answer"]["probabilities"][0], expected, atol=1e-3)


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
    assert names == {find_format(form).file, "export.json", "labels.txt", "README.md", "calibration.npz"} | extra
    (tmp_path / "export").rename(tmp_path / "moved")
    predicted = run_regraft("predict", tmp_path / "moved", trained.photos, "--format", "jsonl", "--embeddings")
    rows = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert sum(row["status"] == "ok" for row in rows) == 60
    right = sum(row["label"] == Path(row["path"]).parent.name for row in rows)
    assert right >= 45
