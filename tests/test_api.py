"""The Python interface as people use it: the lines of the README, on a run and on its exports."""

import contextlib
import inspect
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from drawn_photos import PhotoFolder, draw_photo
from PIL import Image
from pyarrow import parquet
from trained_runs import TrainedRun

import regraft
from regraft.models.classifier import feature_widths

FORMATS = [
    "run",
    "litert",
    pytest.param("saved_model", marks=pytest.mark.slow),
    pytest.param("onnx", marks=pytest.mark.slow),
    pytest.param("openvino", marks=pytest.mark.slow),
]
FUNCTIONS = [name for name in regraft.__all__ if inspect.isfunction(getattr(regraft, name))]


@pytest.fixture(scope="module")
def folder_of(trained: TrainedRun, litert: Path, tmp_path_factory: pytest.TempPathFactory):
    """A function that gives the folder of a kind of export, or of the run."""
    folders = {"run": trained.folder, "saved_model": trained.folder / "saved_model", "litert": litert}

    def get(kind: str) -> Path:
        if kind not in folders:
            out = tmp_path_factory.mktemp("exports") / kind
            folders[kind] = regraft.export(trained.folder, kind, out=out, progress=False).folder
        return folders[kind]

    return get


@pytest.fixture(scope="module")
def opened(folder_of):
    """A function that gives the open model of a kind of export, or of the run."""
    models: dict[str, regraft.Model] = {}

    def get(kind: str) -> regraft.Model:
        if kind not in models:
            models[kind] = regraft.load(folder_of(kind))
        return models[kind]

    return get


def width_of(model: regraft.Model) -> int:
    """How many numbers its head reads, of as many layers as cross-validation has said."""
    return sum(feature_widths(model.keras_model))


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
    assert (rows.shape, rows.dtype) == ((2, width_of(opened("run"))), np.float32)
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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, regraft.Run]:
    """A working folder with what the ten lines name, and the run that their third line trains in it. To be copied."""
    folder = tmp_path_factory.mktemp("home")
    for name, count, seed in (("photos", 12, 0), ("big", 3, 100), ("other", 4, 200)):
        for class_index, class_name in enumerate(("cat", "dog")):
            (folder / name / class_name).mkdir(parents=True)
            for number in range(count):
                photo = draw_photo(class_index, seed=seed + number, size=(44, 36), classes=2)
                photo.save(folder / name / class_name / f"{number:03}.jpg", quality=90)
    draw_photo(1, seed=5, size=(44, 36), classes=3).save(folder / "a.jpg")
    (folder / "saved_models").mkdir()
    with contextlib.chdir(folder):
        edits = {"augment.mixup": 0.2, "head.l2": [0.1]}
        run = regraft.train("photos/", recipe="quick", backbone="tiny", set=edits, seed=1)
    return folder, run


@pytest.fixture
def at_home(home: tuple[Path, regraft.Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> regraft.Run:
    """The run of `home`, in a copy of that folder which is the working folder of the test."""
    folder, run = home
    shutil.copytree(folder, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return run


@pytest.mark.parametrize("kind", FORMATS)
def test_the_ten_lines_work_on_a_run_and_on_each_kind_of_export(kind, folder_of, at_home: regraft.Run):
    """As in the README, with a backbone that needs no network; the lines that train again are tested below."""
    Path("saved_models/pets").symlink_to(folder_of(kind))
    pil_image = Image.open("a.jpg")
    uint8_array, jpeg_bytes = np.asarray(pil_image), Path("a.jpg").read_bytes()
    report = regraft.check("photos/")
    assert (report.verdict, "24" in report._repr_html_()) == ("ready", True)
    run = at_home  # regraft.train("photos/", recipe="quick", backbone="tiny", set={"augment.mixup": 0.2}, seed=1)
    assert 0 <= run.metrics.accuracy <= 1
    assert run.folder.parent == Path("saved_models")
    assert "<iframe" in run._repr_html_()
    assert (run.recipe.augment.mixup, run.recipe.seed) == (0.2, 1)
    model = regraft.load("saved_models/pets")
    predictions = model.predict(["a.jpg", pil_image, uint8_array, jpeg_bytes])
    assert [(each.label, each.status) for each in predictions] == [(predictions[0].top[0][0], "ok")] * 4
    assert model.labels == ("bee", "cat", "dog")
    assert model.embed(["a.jpg"]).shape == (1, width_of(regraft.load(folder_of("run"))))
    has_keras_model = contextlib.nullcontext() if kind == "run" else pytest.raises(regraft.UsageError, match="load the")
    with has_keras_model:
        assert model.keras_model.output_shape == (None, 3)
    summary = regraft.predict(model, ["big/"], out="answers.parquet", resume=True)
    assert (summary.rows, dict(summary.counts)) == (6, {"ok": 6})
    assert regraft.predict(model, ["big/"], out="answers.parquet", resume=True).already_finished
    rows = parquet.read_table("answers.parquet").to_pylist()
    photos = sorted(Path("big").glob("*/*.jpg"))
    assert [Path(row["path"]).resolve() for row in rows] == [photo.resolve() for photo in photos]
    assert [row["label"] for row in rows] == [each.label for each in model.predict(photos)]
    evaluation = regraft.evaluate(run, "other/")
    assert (evaluation.metrics.images, evaluation.run) == (8, run.folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_lines_that_train_again_work_as_they_stand(at_home: regraft.Run):
    run, tiny = at_home, {"backbone": "tiny", "progress": False}
    export = regraft.export(run, "litert", precision="int8", progress=False)
    assert export.folder == run.folder / "exports/litert-int8"
    assert regraft.load(export.folder).predict("a.jpg")[0].status == "ok"
    edits = {"vary": {"optimizer.name": ["adam", "sgd"]}, "set": {"head.l2": [0.1]}}
    compared = regraft.compare("photos/", **edits, seeds=2, epochs=1, **tiny)
    assert [arm["arm"] for arm in compared.as_dict()["arms"]] == ["adam", "sgd"]
    assert (compared.seeds, compared.stage) == (2, "last")
    heads = regraft.ensemble("photos/", kind="heads", members=3, recipe="quick", **tiny)
    assert heads.metrics.ensemble.members == len(heads.metrics.ensemble.member_rows) == 3
    second = regraft.train("photos/", recipe="quick", set={"head.l2": [1.0]}, seed=1, **tiny)
    again = regraft.ensemble([run, second.folder], rival=False, out="both", progress=False)
    assert again.folder == Path("both")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a silent call keeps to itself."""
    sentences: list[str] = []
    monkeypatch.setattr(regraft.progress.Silent, "say", lambda self, text: sentences.append(text))
    return sentences


@pytest.mark.usefixtures("without_export")
def test_calls_are_silent_where_they_have_something_to_say(photo_folder, trained: TrainedRun, tmp_path, said, capfd):
    photos = photo_folder({"cat": 6, "dog": 6})
    (photos / "cat" / "broken.jpg").write_bytes(b"no photo")
    edits = {"head.l2": [0.1]}
    regraft.train(photos, recipe="quick", backbone="tiny", set=edits, out=tmp_path / "run", progress=False)
    assert "broken.jpg" in "".join(said)
    regraft.check(photos, progress=False)
    regraft.predict(trained.folder, photos, out=tmp_path / "answers.csv", progress=False)
    regraft.evaluate(trained.folder, out=tmp_path / "evaluation", progress=False)
    assert capfd.readouterr() == ("", "")


EVERY_CALL = """
import regraft
from regraft.progress import Silent

said = []
Silent.say = lambda self, text: said.append(text)
tiny = {"backbone": "tiny", "set": {"head.l2": [0.1]}, "progress": False}
quick = {"recipe": "quick", **tiny}
regraft.check("photos", progress=False)
run = regraft.train("photos", out="run", **quick)
assert "broken.jpg" in "".join(said), said
model = regraft.load(run)
model.predict(["photos/cat/000.jpg", "photos/cat/broken.jpg"]), model.embed("photos/cat/000.jpg"), model.keras_model
regraft.predict(run, "photos", out="answers.csv", progress=False)
regraft.evaluate(run, "photos", out="evaluation", progress=False)
regraft.threshold(run, "others", recall={"cat": 0.9}, progress=False)
regraft.export(run, "litert", progress=False)
regraft.load(run, runtime="litert").predict("photos/cat/000.jpg")
regraft.compare("photos", vary={"head.solver": ["lbfgs", "newton-cg"]}, seeds=1, out="compared", **quick)
regraft.ensemble("photos", kind="heads", members=2, out="heads", **quick)
regraft.compare_runs(run, "heads", out="duel", progress=False)
regraft.pretrain("photos", epochs=2, out="pretrained", progress=False)
regraft.find_lr("photos", steps=10, **tiny)
regraft.augment_preview("photos", progress=False)
regraft.backbones(["tiny"]), regraft.cache()
"""
"""Each public function, and what an open model does, among them one that reads a broken photo."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_call_is_silent_from_the_start_of_tensorflow_on(photo_folder: PhotoFolder, tmp_path: Path):
    assert [name for name in FUNCTIONS if f"regraft.{name}(" not in EVERY_CALL] == []
    photos = photo_folder({"cat": 12, "dog": 12})
    photo_folder({"cat": 4, "dog": 4}, name="others", seed=1)
    (photos / "cat" / "broken.jpg").write_bytes(b"no photo")
    fresh = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}  # TensorFlow sets it
    words = [sys.executable, "-c", EVERY_CALL]
    done = subprocess.run(words, cwd=tmp_path, env=fresh, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.slow
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


@pytest.mark.slow
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
