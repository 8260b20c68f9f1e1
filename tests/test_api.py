"""The Python interface as people use it: the lines of the README, on a run and on its exports."""

import os
import random
import shutil
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from drawn_photos import PhotoFolder, draw_photo
from PIL import Image
from trained_runs import TrainedRun

import regraft

FORMATS = [
    "run",
    "litert",
    pytest.param("saved_model", marks=pytest.mark.slow),
    pytest.param("onnx", marks=pytest.mark.slow),
    pytest.param("openvino", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def opened(trained: TrainedRun, litert: Path, tmp_path_factory: pytest.TempPathFactory):
    """A function that gives the open model of a kind of export, or of the run."""
    models: dict[str, regraft.Model] = {}

    def get(kind: str) -> regraft.Model:
        if kind not in models:
            models[kind] = regraft.load(folder_of(kind))
        return models[kind]

    def folder_of(kind: str) -> Path:
        if kind in ("run", "saved_model"):
            return trained.folder / ("saved_model" if kind == "saved_model" else "")
        if kind == "litert":
            return litert
        out = tmp_path_factory.mktemp("exports") / kind
        return regraft.export(trained.folder, kind, out=out, progress=False).folder

    return get


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One photo in a file, without loss, so that its pixels are the same everywhere."""
    path = tmp_path_factory.mktemp("photo") / "a.png"
    draw_photo(1, seed=5, size=(44, 36), classes=3).save(path)
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_a_photo_has_one_answer_however_it_is_given(kind, opened, photo: Path):
    model = opened(kind)
    image = Image.open(photo)
    given = [str(photo), photo, photo.read_bytes(), image, np.asarray(image)]
    predictions = model.predict(given)
    assert [prediction.status for prediction in predictions] == ["ok"] * 5
    assert len({prediction.label for prediction in predictions}) == 1
    for prediction in predictions:
        np.testing.assert_allclose(prediction.scores, predictions[0].scores, atol=1e-6)
    assert [prediction.path for prediction in predictions] == [str(photo)] * 2 + [f"photos[{n}]" for n in (2, 3, 4)]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_prediction_names_its_label_its_score_and_the_best(kind, opened, photo: Path, trained: TrainedRun):
    model = opened(kind)
    (prediction,) = model.predict(photo)
    assert model.labels == ("bee", "cat", "dog")
    assert prediction.label == model.labels[int(np.argmax(prediction.scores))]
    assert prediction.score == max(prediction.scores)
    assert [label for label, _ in prediction.top] == sorted(
        model.labels, key=lambda label: -prediction.scores[model.labels.index(label)]
    )
    assert sum(prediction.scores) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_broken_photo_keeps_its_row(kind, opened, photo: Path):
    predictions = opened(kind).predict([b"no photo", photo, "missing.jpg", photo.read_bytes()[:200]])
    assert [prediction.status for prediction in predictions] == ["unreadable", "ok", "missing", "truncated"]
    assert [bool(prediction.reason) for prediction in predictions] == [True, False, True, True]
    assert predictions[0].label == ""
    assert predictions[0].scores == ()


@pytest.mark.parametrize("kind", FORMATS)
def test_embeddings_are_rows_of_the_features(kind, opened, photo: Path):
    model = opened(kind)
    rows = model.embed([photo, draw_photo(0, seed=1, size=(44, 36), classes=3)])
    assert (rows.shape, rows.dtype) == ((2, 160), np.float32)
    assert not np.array_equal(rows[0], rows[1])
    with pytest.raises(regraft.UsageError, match=r"^missing.jpg cannot be read, so it has no embedding: "):
        model.embed("missing.jpg")


@pytest.mark.parametrize("kind", FORMATS)
def test_many_threads_get_the_answers_of_one(kind, opened):
    model = opened(kind)
    photos = [draw_photo(number % 3, seed=number, size=(44, 36), classes=3) for number in range(24)]
    expected = [prediction.scores for prediction in model.predict(photos)]
    answers: dict[int, tuple] = {}

    def ask(number: int) -> None:
        answers[number] = model.predict(photos[number])[0].scores

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose([answers[number] for number in range(len(photos))], expected, atol=1e-6)


def test_a_run_has_its_keras_model_and_an_export_says_that_it_has_none(opened, litert: Path):
    assert opened("run").keras_model.input_shape == (None, 32, 32, 3)
    with pytest.raises(regraft.UsageError, match="is an export, which holds no Keras model; load the run"):
        opened("litert").keras_model  # noqa: B018


def test_an_export_is_none_the_less_one_where_its_network_is_called_as_that_of_a_run(litert: Path, tmp_path: Path):
    shutil.copytree(litert, tmp_path / "export")
    (tmp_path / "export/model.keras").touch()
    with pytest.raises(regraft.UsageError, match="is an export, which holds no Keras model; load the run"):
        regraft.load(tmp_path / "export").keras_model  # noqa: B018


@pytest.mark.parametrize(
    ("photo", "received"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"uint8 \[3, 8, 8\]"),
        (np.zeros((8, 8, 3), np.float32), r"float32 \[8, 8, 3\]"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"uint8 \[1, 8, 8, 3\]"),
        (np.zeros((0, 8, 3), np.uint8), r"uint8 \[0, 8, 3\]"),
        (3, "int"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_photo_is_refused_with_what_is(photo, received, opened):
    expected = rf"^photos\[0\] must be a path, the bytes of a photo, a PIL image, or uint8 .* received {received}\.$"
    with pytest.raises(regraft.UsageError, match=expected):
        opened("litert").predict([photo])


def test_grey_and_transparent_arrays_are_answered_as_their_files(opened, tmp_path: Path):
    rng = np.random.default_rng(0)
    grey, clear = (rng.integers(0, 256, shape, np.uint8) for shape in ((40, 30), (40, 30, 4)))
    for name, pixels in (("grey.png", grey), ("clear.png", clear)):
        Image.fromarray(pixels).save(tmp_path / name)
        (from_array,), (from_file,) = opened("litert").predict(pixels), opened("litert").predict(tmp_path / name)
        assert from_array.scores == from_file.scores


def test_a_photo_stored_lying_is_turned_upright_also_as_an_open_image(opened, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "lying.png"
    draw_photo(1, seed=5, size=(44, 36), classes=3).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    with Image.open(path) as image:
        assert opened("litert").predict(image)[0].scores == opened("litert").predict(path)[0].scores


def test_the_lines_of_the_readme_work_as_they_stand(photo_folder: PhotoFolder, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo_folder({"cat": 8, "dog": 8}, name="photos")
    photo_folder({"cat": 4, "dog": 4}, name="other", seed=1)
    report = regraft.check("photos/", progress=False)
    assert (report.verdict, "16" in report._repr_html_()) == ("ready", True)
    edits = {"augment.mixup": 0.2, "head.l2": [0.1]}
    run = regraft.train("photos/", recipe="quick", backbone="tiny", set=edits, seed=1, out="pets", progress=False)
    assert 0 <= run.metrics.accuracy <= 1
    assert run.folder == Path("pets")
    assert "<iframe" in run._repr_html_()
    assert run.recipe.augment.mixup == 0.2
    assert regraft.load(run).predict("photos/cat/000.jpg")[0].status == "ok"
    summary = regraft.predict("pets", "other", out="answers.csv", progress=False)
    assert (summary.rows, dict(summary.counts)) == (8, {"ok": 8})
    evaluation = regraft.evaluate(run, "other/", progress=False)
    assert evaluation.metrics.images == 8
    again = regraft.predict(run, ["other/"], out="answers.csv", resume=True, progress=False)
    assert again.already_finished


@pytest.mark.slow
def test_the_slower_lines_of_the_readme_work_as_they_stand(photo_folder: PhotoFolder, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo_folder({"cat": 12, "dog": 12}, name="photos")
    quick = {"recipe": "quick", "backbone": "tiny", "progress": False}
    run = regraft.train("photos/", set={"head.l2": [0.1]}, out="pets", **quick)
    export = regraft.export(run, "litert", precision="float16", progress=False)
    assert export.folder == Path("pets/exports/litert-float16")
    compared = regraft.compare("photos/", vary={"head.solver": ["lbfgs", "newton-cg"]}, seeds=2, **quick)
    assert [arm["arm"] for arm in compared.as_dict()["arms"]] == ["lbfgs", "newton-cg"]
    heads = regraft.ensemble("photos/", kind="heads", members=3, **quick)
    assert heads.metrics.ensemble.members == len(heads.metrics.ensemble.member_rows) == 3
    again = regraft.ensemble([run, heads.folder], rival=False, out="both", progress=False)
    assert again.folder == Path("both")


@pytest.mark.parametrize("name", ["train", "check", "evaluate", "predict", "ensemble", "compare", "find_lr"])
def test_silence_is_silent(name, photo_folder: PhotoFolder, trained: TrainedRun, tmp_path: Path, capfd):
    photos = photo_folder({"cat": 1, "dog": 1})
    calls = {
        "check": lambda: regraft.check(photos, progress=False),
        "evaluate": lambda: regraft.evaluate(trained.folder, out=tmp_path / "e", progress=False),
        "predict": lambda: regraft.predict(trained.folder, photos, out=tmp_path / "p.csv", progress=False),
    }
    if name not in calls:
        with pytest.raises(regraft.RegraftError):
            getattr(regraft, name)(tmp_path / "missing", progress=False)
    else:
        calls[name]()
    assert capfd.readouterr() == ("", "")


def test_a_call_leaves_the_process_as_it_was(photo_folder: PhotoFolder, tmp_path: Path):
    photos = photo_folder({"cat": 6, "dog": 6})

    def call(name: str) -> None:
        options = {"recipe": "quick", "backbone": "tiny", "set": {"head.l2": [0.1]}, "seed": 3, "progress": False}
        regraft.load(regraft.train(photos, out=tmp_path / name, **options)).predict(photos / "cat" / "000.jpg")

    call("first")  # TensorFlow opens what it keeps open for good
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        before = process_state()
        call("second")
        assert process_state() == before
    finally:
        keras.config.set_dtype_policy("float32")


def process_state() -> tuple:
    descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0  # noqa: PTH208
    seeds = random.getstate(), np.random.get_state()[1].tolist()
    return keras.config.dtype_policy().name, seeds, dict(os.environ), descriptors, Path.cwd()


def test_a_mistake_is_one_sentence_without_dashes(tmp_path: Path, trained: TrainedRun):
    for call, message in (
        (lambda: regraft.train(tmp_path / "missing"), f"No such folder: {tmp_path}/missing. Expected FOLDER/<class>/"),
        (lambda: regraft.train(trained.photos, device="abacus"), "device must be auto, cpu, "),
        (lambda: regraft.train(trained.photos, recipe="quik"), 'There is no recipe "quik"'),
        (lambda: regraft.train(trained.photos, set={"augment.mixp": 1}), 'A recipe has no key "augment.mixp"'),
        (lambda: regraft.train(trained.photos, backbone="tinny"), 'There is no backbone "tinny"'),
        (lambda: regraft.evaluate(trained.folder, views="seven"), "views must be one of one, "),
        (lambda: regraft.export(trained.folder, "litert", precision="int4"), "precision of litert must be one of "),
        (lambda: regraft.predict(trained.folder, "a.jpg"), "regraft.predict writes a table: give out."),
    ):
        with pytest.raises(regraft.RegraftError) as caught:
            call()
        assert str(caught.value).startswith(message)
        assert "--" not in str(caught.value)


@pytest.mark.parametrize("what", ["missing", "empty", "photos", "file"])
def test_loading_what_is_neither_run_nor_export_says_what_is_there(what, tmp_path: Path):
    place = tmp_path / what
    if what == "file":
        place.write_text("words")
    elif what != "missing":
        (place / "cat").mkdir(parents=True) if what == "photos" else place.mkdir()
    found = {
        "missing": "there is nothing", "empty": "an empty folder", "photos": "a folder with cat/", "file": "a file",
    }  # fmt: skip
    with pytest.raises(regraft.RunError) as caught:
        regraft.load(place)
    assert str(caught.value) == f"{place} is neither a run nor an export: {found[what]}."


def test_two_threads_that_train_at_once_are_one_and_a_refusal(photo_folder: PhotoFolder, tmp_path: Path):
    photos, refused = photo_folder({"cat": 6, "dog": 6}), []

    class Waiting(regraft.progress.Silent):
        """Asks for a second training in the middle of the first."""

        def say(self, text: str) -> None:
            return None

        def work(self, name: str, total: int, unit: str):
            if not refused:
                thread = threading.Thread(target=second)
                thread.start()
                thread.join()
            return super().work(name, total, unit)

    def second() -> None:
        try:
            regraft.train(photos, out=tmp_path / "second", progress=False)
        except regraft.UsageError as error:
            refused.append(str(error))

    options = {"recipe": "quick", "backbone": "tiny", "set": {"head.l2": [0.1]}}
    run = regraft.train(photos, out=tmp_path / "first", progress=Waiting(), **options)
    assert run.is_finished
    assert refused[0].startswith("train cannot run while another thread of this process is in regraft.train; ")
