"""A trained model that stays open: it answers files, bytes, pictures and arrays in memory, from any thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from regraft.data.photos import Limits, UnreadablePhoto, read_bytes, upright_rgb
from regraft.data.records import Prediction
from regraft.data.scan import name_some
from regraft.errors import RunError, UsageError
from regraft.prediction.answerer import Answerer, Wanted
from regraft.prediction.model_choice import ModelChoice, choose, kind_of, open_source
from regraft.prediction.sources.item import Item
from regraft.progress import Silent

if TYPE_CHECKING:
    import keras

Photo = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""A file's path, its bytes, a PIL image, or pixels uint8 [H, W, 3] (RGB), [H, W, 4] or [H, W] (grey)."""

_EXPECTED = "a path, the bytes of a photo, a PIL image, or uint8 [H, W, 3], [H, W, 4] or [H, W] from 0 to 255"


@dataclass(frozen=True, slots=True)
class _Given:
    """One photo of a call: what it is called, and its encoded bytes, its pixels, or why there are none."""

    name: str
    content: bytes | np.ndarray | UnreadablePhoto


class Model:
    """The model of a run or an export, opened by `regraft.load`. May be called from many threads at once.

    Attributes:
        folder: of the run or the export.
        labels: the class names, in the order of `Prediction.scores`.
        runtime: what computes: "tensorflow", "litert", "onnx" or "openvino".
        precision: of the export that answers; "" for the Keras model, which has that of its device.
    """

    def __init__(self, folder: Path, choice: ModelChoice, answerer: Answerer) -> None:
        self.folder = folder
        self.labels = answerer.class_names
        self.runtime, self.precision = choice.runtime, choice.precision
        self._choice, self._answerer = choice, answerer
        self._embedder: Answerer | None = None
        self._opening = threading.Lock()
        self._pool = ThreadPoolExecutor(answerer.workers, thread_name_prefix="regraft")

    def __repr__(self) -> str:
        what = f"{self.runtime}, {self.precision}" if self.precision else self.runtime
        return f"<regraft.Model {str(self.folder)!r}: {len(self.labels)} labels, {what}>"

    def predict(self, photos: Photo | Sequence[Photo]) -> list[Prediction]:
        """One prediction for each photo, in order; one that cannot be read has a status and a reason instead of scores.

        Args:
            photos: paths, bytes, PIL images and arrays, mixed as you like; a single one is a list of one.

        Raises:
            UsageError: something is none of these.
        """
        given = _given(photos)
        batches = list(_in_batches(given, self._answerer.batch_size))
        if len(batches) == 1:
            return self._answer(batches[0])
        return [prediction for answered in self._pool.map(self._answer, batches) for prediction in answered]

    def embed(self, photos: Photo | Sequence[Photo]) -> np.ndarray:
        """float32 [N, E]: the features of each photo that the head answers by, in order.

        Raises:
            UsageError: something is no photo or cannot be read, or the model is an ensemble, which has no embedding.
        """
        given = _given(photos)
        for each in given:
            if isinstance(each.content, UnreadablePhoto):
                raise UsageError(f"{each.name} cannot be read, so it has no embedding: {each.content}.")
        embedder = self._open_embedder()
        rows = []
        for batch in _in_batches(given, embedder.batch_size):
            for prediction in _ask(embedder, batch):
                if prediction.status != "ok":
                    raise UsageError(f"{prediction.path} cannot be read, so it has no embedding: {prediction.reason}.")
                rows.append(prediction.embedding)
        return np.array(rows, np.float32)

    @property
    def keras_model(self) -> keras.Model:
        """The trained Keras model of a run: float32 [N, S, S, 3] in [0, 255] to logits [N, C].

        Raises:
            UsageError: this is an export, which has none.
        """
        from regraft.inference.trained import open_trained
        from regraft.machine.untouched import untouched

        if kind_of(self.folder) == "export":
            raise UsageError(f"{self.folder} is an export, which holds no Keras model; load the run it was made of.")
        with self._opening, untouched("load"):
            if not hasattr(self, "_keras_model"):
                self._keras_model = open_trained(self.folder, device=self._choice.device).model
        return self._keras_model

    def _answer(self, batch: Sequence[_Given]) -> list[Prediction]:
        return _ask(self._answerer, batch)

    def _open_embedder(self) -> Answerer:
        from regraft.machine.untouched import untouched

        with self._opening:
            if self._embedder is None:
                with untouched("load"):
                    self._embedder = self._choice.open(Wanted(embedding=True))
            return self._embedder


def open_model(folder: Path, *, runtime: str = "auto", precision: str | None = None, device: str = "auto") -> Model:
    """The model of the run or export in `folder`; arguments and errors are those of `regraft.load`."""
    _check_is_something(folder)
    source = open_source(folder)
    choice = choose(source, runtime=runtime, precision=precision, device=device, progress=Silent())
    return Model(folder, choice, choice.open(Wanted()))


def _check_is_something(folder: Path) -> None:
    """Raises RunError that says what is there where it is neither a run nor an export."""
    if kind_of(folder) is None:
        raise RunError(f"{folder} is neither a run nor an export: {_what_is(folder)}.")


def _what_is(path: Path) -> str:
    if not path.is_dir():
        return "a file" if path.exists() else "there is nothing"
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in path.iterdir())
    return f"a folder with {name_some(names)}" if names else "an empty folder"


def _ask(answerer: Answerer, batch: Sequence[_Given]) -> list[Prediction]:
    return answerer.answer([(Item(each.name), each.content) for each in batch])


def _in_batches(given: Sequence[_Given], size: int) -> Iterator[Sequence[_Given]]:
    return (given[start : start + size] for start in range(0, len(given), size))


def _given(photos: Any) -> list[_Given]:
    is_one = isinstance(photos, str | os.PathLike | bytes | bytearray | memoryview | Image.Image | np.ndarray)
    listed = [photos] if is_one else list(photos)
    return [_read(photo, f"photos[{place}]") for place, photo in enumerate(listed)]


def _read(photo: Any, name: str) -> _Given:
    if isinstance(photo, str | os.PathLike):
        path = os.fsdecode(photo)
        try:
            return _Given(path, read_bytes(Path(path), max_bytes=Limits().bytes))
        except UnreadablePhoto as error:
            return _Given(path, error)
    if isinstance(photo, bytes | bytearray | memoryview):
        return _Given(name, bytes(photo))
    if isinstance(photo, Image.Image):
        try:
            return _Given(name, upright_rgb(photo))
        except UnreadablePhoto as error:
            return _Given(name, error)
    return _Given(name, _pixels(photo, name))


def _pixels(photo: Any, name: str) -> np.ndarray:
    """uint8 [H, W, 3] of an array."""
    if not isinstance(photo, np.ndarray):
        raise UsageError(f"{name} must be {_EXPECTED}; received {type(photo).__name__}.")
    is_image = photo.ndim == 2 or (photo.ndim == 3 and photo.shape[2] in (1, 3, 4))
    if photo.dtype != np.uint8 or not is_image or not photo.size:
        raise UsageError(f"{name} must be {_EXPECTED}; received {photo.dtype} {list(photo.shape)}.")
    if photo.ndim == 2 or photo.shape[2] == 1:
        return np.repeat(photo.reshape(*photo.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(photo[:, :, :3])
