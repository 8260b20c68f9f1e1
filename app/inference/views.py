"""Photos as the model sees them: read in threads, answered one by one, broken ones by their reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from regraft.augment.decode import decode_upright
from regraft.augment.fits import Fit
from regraft.augment.many_views import make_test_views
from regraft.augment.view import make_view
from regraft.data.decoding_cost import coefficient_bytes
from regraft.data.opened import decoding_memory
from regraft.data.photo_view import PhotoData
from regraft.data.photos import UnreadablePhoto, check_photo, held_pixels, read_bytes, tensorflow_reads
from regraft.data.records import Record
from regraft.data.rendering import Range, Rendering
from regraft.data.sources import tensorflow_path
from regraft.data.unreadable import MAX_PIXELS
from regraft.errors import UsageError, option
from regraft.machine.devices import Device
from regraft.machine.threads import map_ordered
from regraft.models.backbones import find_backbone
from regraft.models.monte_carlo import marginalize
from regraft.recipes.recipe import Recipe

_PIXEL_BYTES = 18  # of a photo that TensorFlow decodes and scales: bytes, the square of them, that as float32

Infer = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ViewReader:
    """Reads a file as float32 [image_size, image_size, 3] in [0, 255], upright, fitted into it as `make_view` says.

    TensorFlow decodes what it reads as the export will; Pillow decodes the rest (TIFF, CMYK, 16 bit, ...). With
    `views` other than "one" a file gives float32 [V, image_size, image_size, 3], see `make_test_views`.
    """

    image_size: int
    crop_fraction: float
    views: str = "one"
    background: str = "white"
    range: Range = "auto"
    max_pixels: int = MAX_PIXELS
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        size, fraction, fit = self.image_size, self.crop_fraction, self.fit
        is_one = self.views == "one"
        view = make_view(size, fraction, fit) if is_one else make_test_views(size, fraction, self.views, fit)
        of_bytes = tf.function(
            lambda encoded: view(decode_upright(encoded)),
            autograph=False,
            input_signature=[tf.TensorSpec([], tf.string)],
        )
        pixels = tf.TensorSpec([None, None, 3], tf.uint8)
        object.__setattr__(self, "_view_bytes", of_bytes)
        object.__setattr__(self, "_view_pixels", tf.function(view, autograph=False, input_signature=[pixels]))

    @classmethod
    def of_recipe(cls, recipe: Recipe, *, image_size: int | None = None, views: str = "one") -> ViewReader:
        """Reads as a model of this recipe sees photos; `image_size` is the recipe's, else the backbone's own."""
        size = image_size or recipe.data.image_size or find_backbone(recipe.model.backbone).image_size
        data = recipe.data
        return cls(size, data.crop_fraction, views, data.background, data.range, data.max_pixels, data.known_fit)

    @property
    def rendering(self) -> Rendering:
        """How values of files become 8-bit colours."""
        return Rendering(self.background, self.range)

    @property
    def settings(self) -> dict[str, object]:
        """All that a view depends on besides the file: every argument, whatever is added, but for the limit."""
        return {name: value for name, value in asdict(self).items() if name != "max_pixels"}

    def tensorflow_path(self, record: Record) -> Path:
        """A file that TensorFlow decodes to the pixels that are seen; see `regraft.data.sources.tensorflow_path`."""
        return tensorflow_path(record, self.rendering, max_pixels=self.max_pixels)

    def read(self, path: Path) -> np.ndarray:
        """The view of one file. Raises UnreadablePhoto with the reason where there is none."""
        return self.read_data(read_bytes(path))

    def read_data(self, photo: PhotoData, *, max_pixels: int | None = None) -> np.ndarray:
        """The view of one file's bytes, or of upright pixels uint8 [H, W, 3]; raises as `read`.

        `max_pixels` takes the place of the reader's own.
        """
        limit = max_pixels or self.max_pixels
        with tf.device("CPU:0"):
            if isinstance(photo, np.ndarray):
                return self._view_pixels(photo).numpy()  # type: ignore[attr-defined]
            header = check_photo(photo, max_pixels=limit)
            if tensorflow_reads(header, self.rendering):
                needed = header.pixels * (_PIXEL_BYTES + coefficient_bytes(photo))
                with suppress(tf.errors.InvalidArgumentError), decoding_memory(needed):
                    return self._view_bytes(photo).numpy()  # type: ignore[attr-defined]
            # Pillow either reads it after all or says what is broken
            with held_pixels(photo, rendering=self.rendering, max_pixels=limit) as pixels:
                return self._view_pixels(pixels).numpy()  # type: ignore[attr-defined]

    def read_all(self, paths: Iterable[Path]) -> Iterator[np.ndarray | UnreadablePhoto]:
        """The views of many files, in order; an unreadable one yields its error."""
        return map_ordered(self._read_or_error, paths)

    def _read_or_error(self, path: Path) -> np.ndarray | UnreadablePhoto:
        try:
            return self.read(path)
        except UnreadablePhoto as error:
            return error


@dataclass(frozen=True)
class MirroredReader:
    """Reads what `reader` does, left and right exchanged."""

    reader: ViewReader

    @property
    def settings(self) -> dict[str, object]:
        """All that a view depends on besides the file."""
        return {**self.reader.settings, "mirrored": True}

    def read_all(self, paths: Iterable[Path]) -> Iterator[np.ndarray | UnreadablePhoto]:
        """The mirrored views of many files, in order; an unreadable one yields its error."""
        for view in self.reader.read_all(paths):
            yield view if isinstance(view, UnreadablePhoto) else view[..., ::-1, :]


def make_infer(model: Callable[..., tf.Tensor], device: Device) -> Infer:
    """A function from float32 [N, S, S, 3] to the model's float32 output [N, ...], in inference mode."""
    jit = device.kind != "cpu"

    @tf.function(autograph=False, jit_compile=jit, reduce_retracing=True)
    def infer(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(images, training=False), tf.float32)

    if device.kind != "tpu":
        return lambda images: infer(tf.constant(images)).numpy()

    def infer_on_tpu(images: np.ndarray) -> np.ndarray:
        per_core = device.strategy.run(infer, args=(tf.constant(images),))
        return device.strategy.experimental_local_results(per_core)[0].numpy()

    return infer_on_tpu


def over_views(infer: Infer) -> Infer:
    """A function from float32 [N, V, S, S, 3] to logits [N, C] whose softmax is the mean over each image's V views."""

    def infer_views(images: np.ndarray) -> np.ndarray:
        count, views = images.shape[:2]
        logits = infer(images.reshape(count * views, *images.shape[2:]))
        return log_mean(softmax(logits).reshape(count, views, -1), axis=1)

    return infer_views


def make_noisy_infer(model: keras.Model, device: Device, *, draws: int, seed: int = 0) -> Infer:
    """As `make_infer`, with the noise of the model's regularizers left on and averaged out over `draws` draws of it.

    Raises:
        UsageError: the model has no noise.
    """
    jit = device.kind != "cpu"
    try:
        probabilities = marginalize(
            model,
            draws=draws,
            seed=seed,
            compiled=lambda call: tf.function(call, autograph=False, jit_compile=jit, reduce_retracing=True),
        )
    except ValueError as error:
        raise UsageError(f"{option('draws')}: {error}") from None
    return lambda images: _log(np.asarray(probabilities(tf.constant(images))))


def log_mean(probabilities: np.ndarray, axis: int) -> np.ndarray:
    """float32 logits whose softmax is the mean of `probabilities` along `axis`."""
    return _log(probabilities.mean(axis=axis, dtype=np.float64))


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)


def infer_all(
    infer: Infer, views: Iterable[np.ndarray | UnreadablePhoto], *, batch_size: int = 32
) -> Iterator[np.ndarray | UnreadablePhoto]:
    """One row of output for each view, in order; an error stays where it is.

    Every batch has the same shape (the last is padded), so a row does not depend on its neighbours.
    """
    pending: list[np.ndarray | UnreadablePhoto] = []
    images: list[np.ndarray] = []
    for view in views:
        pending.append(view)
        if not isinstance(view, UnreadablePhoto):
            images.append(view)
        if len(images) == batch_size:
            yield from _answers(infer, pending, images, batch_size)
            pending, images = [], []
    yield from _answers(infer, pending, images, batch_size)


def _answers(
    infer: Infer, pending: list[np.ndarray | UnreadablePhoto], images: list[np.ndarray], batch_size: int
) -> Iterator[np.ndarray | UnreadablePhoto]:
    if images:
        batch = np.zeros((batch_size, *images[0].shape), np.float32)
        batch[: len(images)] = images
        rows = iter(infer(batch))
    for item in pending:
        yield item if isinstance(item, UnreadablePhoto) else next(rows)


def softmax(logits: np.ndarray) -> np.ndarray:
    """float32 probabilities along the last axis."""
    from scipy.special import softmax as scipy_softmax

    return scipy_softmax(np.asarray(logits, np.float32), axis=-1)
