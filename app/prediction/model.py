"""A trained model that stays open: it answers files, bytes, pictures and arrays in memory, from any thread."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFile

from regraft.data.photos import Limits, UnreadablePhoto, upright_rgb
from regraft.data.records import Prediction
from regraft.data.rendering import Rendering, background_rgb, composite
from regraft.data.wording import name_some
from regraft.errors import RunError, UsageError, as_keywords, checks_arguments
from regraft.exports.export import kind_of
from regraft.machine.untouched import OPENING_SECONDS, untouched
from regraft.prediction.answerer import Answerer, Wanted
from regraft.prediction.model_choice import Asked, ModelChoice, choose, open_source
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.reader import read_file
from regraft.progress import Silent

if TYPE_CHECKING:
    import keras

Photo = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""A file's path, its bytes, a PIL image, or pixels uint8 [H, W, 3] (RGB), [H, W, 4] or [H, W] (grey)."""

_EXPECTED = "a path, the bytes of a photo, a PIL image, or uint8 [H, W, 3], [H, W, 4] or [H, W] from 0 to 255"
_ANY = np.zeros((1, 1, 3), np.uint8)
_decoding = threading.Lock()  # of images that are still open files, whose position threads would share


@dataclass(frozen=True, slots=True)
class _Given:
    """One photo of a call, not yet read, and what it is called."""

    name: str
    photo: Any


class Model:
    """The model of a run or an export, opened by `regraft.load`. May be called from many threads at once.

    Attributes:
        folder: of the run or the export.
        labels: the class names, in the order of `Prediction.scores`.
        runtime: what computes: "tensorflow", "litert", "onnx" or "openvino".
        precision: of the export that answers; "" for the Keras model, which has that of its device.
        asked: the arguments that chose it.
    """

    def __init__(self, folder: Path, asked: Asked, choice: ModelChoice, answerer: Answerer) -> None:
        self.folder, self.asked = folder, asked
        self.labels = answerer.class_names
        self.runtime, self.precision = choice.runtime, choice.precision
        self._choice, self._answerer = choice, answerer
        self._embedder = answerer.embedder
        self._keras_model: keras.Model | None = None
        self._pool = ThreadPoolExecutor(answerer.workers, thread_name_prefix="regraft")

    def __repr__(self) -> str:
        what = f"{self.runtime}, {self.precision}" if self.precision else self.runtime
        return f"<regraft.Model {str(self.folder)!r}: {len(self.labels)} labels, {what}>"

    @checks_arguments("Model.predict")
    def predict(self, photos: Photo | Sequence[Photo]) -> list[Prediction]:
        """One prediction for each photo, in order; one that cannot be read has a status and a reason instead of scores.

        Files are read while others are answered, so memory holds few of them at a time.

        Args:
            photos: paths, bytes, PIL images and arrays, mixed as you like; a single one is a list of one.

        Raises:
            UsageError: something is none of these.
        """
        return list(self._answers(self._answerer, _given(photos)))

    @checks_arguments("Model.embed")
    def embed(self, photos: Photo | Sequence[Photo]) -> np.ndarray:
        """float32 [N, E]: the features of each photo that the head answers by, in order.

        The first call opens the network of a run once more, and waits for other threads as `regraft.load` does.

        Raises:
            UsageError: something is no photo or cannot be read, or the model is an ensemble, which has no embedding;
                or the first call waited too long.
        """
        given = _given(photos)
        embedder = self._open_embedder()
        rows = []
        for prediction in self._answers(embedder, given or _given(_ANY)):
            if prediction.status != "ok":
                raise UsageError(f"{prediction.path} cannot be read, so it has no embedding: {prediction.reason}.")
            rows.append(prediction.embedding)
        return np.array(rows, np.float32)[: len(given)]

    @property
    def keras_model(self) -> keras.Model:
        """The trained Keras model of a run: float32 [N, S, S, 3] in [0, 255] to logits [N, C].

        The first use opens it, and waits for other threads as `regraft.load` does.

        Raises:
            UsageError: this is an export, which has none; or the first use waited too long.
        """
        from regraft.inference.trained import open_trained

        if self._keras_model is None:
            if kind_of(self.folder) == "export":
                message = f"{self.folder} is an export, which holds no Keras model; load the run it was made of."
                raise UsageError(message)
            with untouched("Model.keras_model", patience_seconds=OPENING_SECONDS):
                if self._keras_model is None:  # else another thread has opened it meanwhile
                    self._keras_model = open_trained(self.folder, device=self._choice.device).model
        return self._keras_model

    def _open_embedder(self) -> Answerer:
        if self._embedder is None:
            with untouched("Model.embed", patience_seconds=OPENING_SECONDS):
                if self._embedder is None:  # else another thread has opened it meanwhile
                    self._embedder = self._choice.open(Wanted(embedding=True))
        return self._embedder

    def _answers(self, answerer: Answerer, given: Sequence[_Given]) -> Iterator[Prediction]:
        """The predictions, in order; each batch is read by the thread that answers it."""

        def answer(batch: Sequence[_Given]) -> list[Prediction]:
            return answerer.answer((Item(each.name), _read(each.photo, answerer.rendering)) for each in batch)

        size = answerer.batch_size
        batches = [given[start : start + size] for start in range(0, len(given), size)]
        for answered in map(answer, batches) if len(batches) == 1 else self._pool.map(answer, batches):
            yield from answered


def open_model(folder: Path, *, runtime: str = "auto", precision: str | None = None, device: str = "auto") -> Model:
    """The model of the run or export in `folder`; arguments and errors are those of `regraft.load`."""
    _check_is_something(folder)
    source = open_source(folder, _Warning())
    asked = Asked(runtime, precision, device)
    choice = choose(source, **vars(asked), progress=_Warning())
    return Model(folder, asked, choice, choice.open(Wanted()))


class _Warning(Silent):
    """What is said while a model is opened becomes a warning: `regraft.load` has nobody else to tell."""

    def say(self, text: str) -> None:
        """One warning."""
        warnings.warn(as_keywords(text), stacklevel=2)


def _check_is_something(folder: Path) -> None:
    """Raises RunError that says what is there where it is neither a run nor an export."""
    if kind_of(folder) is None:
        raise RunError(f"{folder} is neither a run nor an export: {_what_is(folder)}.")


def _what_is(path: Path) -> str:
    if not path.is_dir():
        return "a file" if path.exists() else "there is nothing"
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in path.iterdir())
    return f"a folder with {name_some(names)}" if names else "an empty folder"


def _given(photos: Any) -> list[_Given]:
    """The photos of a call by their names. Raises UsageError where something is none."""
    return [_Given(_check(photo, f"photos[{place}]"), photo) for place, photo in enumerate(_listed(photos))]


def _listed(photos: Any) -> list[Any]:
    if isinstance(photos, np.ndarray) and not (photos.ndim == 1 and photos.dtype.kind in "UO"):  # but paths
        return [photos]
    if isinstance(photos, str | os.PathLike | bytes | bytearray | memoryview | Image.Image):
        return [photos]
    kind = type(photos).__name__
    if hasattr(photos, "read"):
        raise _refused("photos", f"an open file ({kind}): give its path, or what its read() returns")
    if isinstance(photos, Mapping):
        raise _refused("photos", f"{kind}: give a list of its keys or of its values")
    if not isinstance(photos, Iterable):
        raise _refused("photos", kind)
    return list(photos)


def _check(photo: Any, name: str) -> str:
    """What the photo is called: its path or `name`. Raises UsageError where it is none."""
    if isinstance(photo, str | os.PathLike):
        return os.fsdecode(photo)
    if isinstance(photo, Image.Image):
        if not all(photo.size):
            raise _refused(name, f"an image of {photo.width} x {photo.height} pixels")
    elif isinstance(photo, np.ndarray):
        is_image = photo.ndim == 2 or (photo.ndim == 3 and photo.shape[2] in (1, 3, 4))
        if photo.dtype != np.uint8 or not is_image or not photo.size:
            hint = "give a batch as list(batch); " if photo.ndim == 4 else ""
            raise _refused(name, f"{photo.dtype} {list(photo.shape)}", hint)
    elif not isinstance(photo, bytes | bytearray | memoryview):
        raise _refused(name, type(photo).__name__)
    return name


def _refused(name: str, received: str, hint: str = "") -> UsageError:
    or_list = ", or a list of these" if name == "photos" else ""
    return UsageError(f"{name} must be {_EXPECTED}{or_list}; {hint}received {received}.")


def _read(photo: Any, rendering: Rendering) -> bytes | np.ndarray | UnreadablePhoto:
    """Its encoded bytes, its pixels uint8 [H, W, 3], or why there are none."""
    try:
        if isinstance(photo, str | os.PathLike):
            return read_file(os.fsdecode(photo), os.fsdecode(photo), Limits().bytes)
        if isinstance(photo, ImageFile.ImageFile):
            with _decoding:
                return upright_rgb(photo, rendering)
        if isinstance(photo, Image.Image):
            return upright_rgb(photo, rendering)
    except UnreadablePhoto as error:
        return error
    return _rgb(photo, rendering) if isinstance(photo, np.ndarray) else bytes(photo)


def _rgb(pixels: np.ndarray, rendering: Rendering) -> np.ndarray:
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return composite(pixels, background_rgb(rendering.background)) if pixels.shape[2] == 4 else pixels
