"""An open model, without a network: what it takes, who waits for whom, and when photos are read."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn_photos import draw_photo
from PIL import Image

from regraft.data.rendering import Rendering
from regraft.errors import UsageError
from regraft.exports.export import Export
from regraft.machine.untouched import untouched
from regraft.prediction.answerer import Answerer, Answers, Wanted, answerer_of_export
from regraft.prediction.model import Model
from regraft.prediction.model_choice import Asked, ModelChoice

EXPORT = Export(Path("e"), "litert", "float32", ("cat", "dog"), 8, 1.0, 3, "", {})


def read(photo: Any) -> np.ndarray:
    """One number for a photo: the length of its bytes, or its first pixel."""
    return np.array([len(photo) if isinstance(photo, bytes) else photo.flat[0]], np.float32)


def compute(images: np.ndarray) -> Answers:
    return Answers(
        np.tile(np.array([0.25, 0.75], np.float32), (len(images), 1)), embedding=np.repeat(images, 3, axis=1)
    )


ANSWERER = Answerer(("cat", "dog"), read, compute, batch_size=2, workers=2)


def model_of(answerer: Answerer = ANSWERER, *, folder: Path = Path("r"), opening: Callable[[], None] = lambda: None):
    """A model as of a run: its embeddings need a network of their own, which `opening` opens."""

    def open_again(_: Wanted) -> Answerer:
        opening()
        return answerer

    choice: Any = SimpleNamespace(runtime="tensorflow", precision="", is_run=True, device="cpu", open=open_again)
    return Model(
        folder, Asked(), choice, replace(answerer, compute=lambda images: Answers(compute(images).probabilities))
    )


@contextmanager
def another_thread_in(call: str, seconds: float = 30.0) -> Iterator[None]:
    """Another thread is in `call` until the block ends, or so many seconds have passed."""
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with untouched(call):
            inside.set()
            leave.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    try:
        yield
    finally:
        leave.set()
        thread.join()


# --- threads ---


def test_models_in_many_threads_open_their_embeddings_one_after_the_other():
    models = [model_of(opening=lambda: time.sleep(0.05)) for _ in range(4)]
    rows: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda model=model: rows.append(model.embed(b"12345"))) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.tolist() for row in rows] == [[[5.0] * 3]] * 4


def test_a_network_is_opened_once_by_many_threads_of_one_model():
    opened: list[int] = []

    def opening() -> None:
        time.sleep(0.05)
        opened.append(1)

    model = model_of(opening=opening)
    threads = [threading.Thread(target=model.embed, args=(b"1",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [1]


def test_what_is_open_answers_while_another_thread_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network = SimpleNamespace(model="the network")
    monkeypatch.setattr("regraft.inference.trained.open_trained", lambda *_, **__: network)
    (tmp_path / "model.keras").touch()
    model = model_of(folder=tmp_path)
    assert (model.keras_model, model.embed(b"1").shape) == ("the network", (1, 3))
    with another_thread_in("train"):
        assert (model.keras_model, model.embed(b"1").shape) == ("the network", (1, 3))


def test_opening_waits_for_another_thread_and_then_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "model.keras").touch()
    model = model_of(folder=tmp_path)
    monkeypatch.setattr("regraft.prediction.model.OPENING_SECONDS", 0.01)
    with another_thread_in("train"):
        with pytest.raises(UsageError, match=r"^Model\.embed cannot run while another thread .* in regraft\.train; "):
            model.embed(b"1")
        with pytest.raises(
            UsageError, match=r"^Model\.keras_model cannot run while another thread .* regraft\.train; "
        ):
            model.keras_model  # noqa: B018
    monkeypatch.setattr("regraft.prediction.model.OPENING_SECONDS", 30.0)
    with another_thread_in("train", seconds=0.1):
        assert model.embed(b"1").shape == (1, 3)


def test_an_export_gives_embeddings_with_the_network_that_is_open(monkeypatch: pytest.MonkeyPatch):
    opened: list[Export] = []

    def open_network(export: Export, batch_size: int) -> Callable:
        opened.append(export)
        return lambda images: (np.full((1, 2), 0.5, np.float32), images[:, 0, 0, :] + np.float32(0.5))

    monkeypatch.setattr("regraft.prediction.answerer.open_network", open_network)
    monkeypatch.setattr("regraft.prediction.model_choice.read_export", lambda _: EXPORT)
    model = Model(
        Path("e"), Asked(), ModelChoice("e", False, "litert", "float32", "cpu"), answerer_of_export(EXPORT, Wanted())
    )
    with another_thread_in("train"):
        assert model.embed(np.zeros((8, 8, 3), np.uint8)).tolist() == [[0.5] * 3]
    assert model.predict(np.zeros((8, 8, 3), np.uint8))[0].embedding == ()
    assert opened == [EXPORT]


# --- when photos are read ---


@pytest.mark.parametrize("call", ["predict", "embed"])
def test_photos_are_read_by_the_threads_that_answer_them_batch_by_batch(call, monkeypatch: pytest.MonkeyPatch):
    reads: list[str] = []
    reads_at_compute: list[int] = []

    def read_bytes(path: Path, *, max_bytes: int) -> bytes:
        reads.append(threading.current_thread().name)
        return b"x" * int(path.stem)

    def slow_compute(images: np.ndarray) -> Answers:
        reads_at_compute.append(len(reads))
        time.sleep(0.005)
        return compute(images)

    monkeypatch.setattr("regraft.prediction.sources.reader.read_bytes", read_bytes)
    answerer = replace(ANSWERER, compute=slow_compute)
    choice: Any = SimpleNamespace(runtime="tensorflow", precision="", is_run=True, open=lambda _: answerer)
    answers = getattr(Model(Path("r"), Asked(), choice, answerer), call)([f"{number}.jpg" for number in range(40)])
    assert len(answers) == 40
    if call == "embed":
        assert answers[:, 0].tolist() == list(range(40))
    assert min(reads_at_compute) <= ANSWERER.batch_size * ANSWERER.workers
    assert {name.partition("_")[0] for name in reads} == {"regraft"}


def test_an_open_image_that_is_given_many_times_is_decoded_by_one_thread_at_a_time():
    class SlowFile(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            time.sleep(0.001)
            return super().read(size)

    encoded = io.BytesIO()
    draw_photo(1, seed=5, size=(200, 200), classes=3).save(encoded, "PNG")
    with Image.open(SlowFile(encoded.getvalue())) as image:
        predictions = model_of(replace(ANSWERER, workers=8)).predict([image] * 32)
    assert {prediction.status for prediction in predictions} == {"ok"}


def test_transparent_pictures_in_memory_are_seen_over_the_background_of_the_model():
    pixels = np.array([[[10, 20, 30, 0]]], np.uint8)
    for background, first in (("white", 255), ("black", 0), ("#070809", 7), ("none", 10)):
        seen = replace(ANSWERER, rendering=Rendering(background))
        np.testing.assert_array_equal(model_of(seen).embed([pixels, Image.fromarray(pixels)])[:, 0], first)


def test_the_first_photo_that_has_no_embedding_is_named():
    with pytest.raises(UsageError, match=r"^missing\.jpg cannot be read, so it has no embedding: no such file"):
        model_of().embed([b"1", b"2", "missing.jpg", b"3"])


def test_no_photos_have_embeddings_of_the_same_width():
    rows = model_of().embed([])
    assert (rows.shape, rows.dtype) == ((0, 3), np.float32)
    assert model_of().predict([]) == []


# --- what is no photo ---


@pytest.mark.parametrize("call", ["predict", "embed"])
@pytest.mark.parametrize(
    ("photos", "message"),
    [
        (
            io.BytesIO(b"line\nline\n"),
            r"received an open file \(BytesIO\): give its path, or what its read\(\) returns",
        ),
        ({"a.jpg": 1}, r"received dict: give a list of its keys or of its values"),
        (None, r"received NoneType"),
        (3, r"received int"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"give a batch as list\(batch\); received uint8 \[2, 8, 8, 3\]"),
        (Image.new("RGB", (0, 0)), r"received an image of 0 x 0 pixels"),
        ([Image.new("L", (5, 0))], r"received an image of 5 x 0 pixels"),
        ([b"1", io.BytesIO()], r"^photos\[1\] .* received BytesIO"),
        (np.array([[b"1"]], object), r"received object \[1, 1\]"),
    ],
)
def test_what_is_no_photo_is_refused_in_one_line(call, photos, message):
    with pytest.raises(UsageError, match=message) as caught:
        getattr(model_of(), call)(photos)
    assert "must be a path, the bytes of a photo, a PIL image, or uint8 [H, W, 3]" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [str, object])
def test_an_array_of_paths_is_a_list_of_paths(kind, tmp_path: Path):
    paths = [str(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    assert [prediction.path for prediction in model_of().predict(np.array(paths, kind))] == paths


def test_nothing_is_computed_where_one_is_no_photo():
    computed: list[int] = []
    model = model_of(replace(ANSWERER, read=lambda photo: computed.append(1) or read(photo)))
    with pytest.raises(UsageError, match=r"^photos\[9\] must be "):
        model.predict([*[b"1"] * 9, 3])
    assert not computed


# --- keywords ---


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        ("predict", {"photo": b"1"}, 'Model.predict has no argument "photo". Did you mean "photos"?'),
        ("embed", {"photos": b"1", "top": 3}, 'Model.embed has no argument "top".'),
        ("predict", {}, "Model.predict: missing a required argument: 'photos'."),
    ],
)
def test_an_unknown_keyword_names_the_nearest(call, options, message):
    with pytest.raises(UsageError) as caught:
        getattr(model_of(), call)(**options)
    assert str(caught.value) == message
