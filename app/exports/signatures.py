"""What a SavedModel can be asked: bytes or pixels in, labels and scores out.

The signatures follow TensorFlow Serving's conventions: versions in numbered folders, a `serving_default`, an input
whose name ends in `_bytes` (so that REST clients can send {"b64": ...}), and outputs whose first dimension is the
batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from regraft.augment.decode import decode_upright
from regraft.augment.view import make_view
from regraft.data.rendering import background_rgb
from regraft.inference.views import ViewReader
from regraft.models.classifier import answering_model


class _Server(tf.Module):
    """What is exported: the model with decoding, resizing, softmax and labels around it."""

    def __init__(self, model: keras.Model, class_names: Sequence[str], reader: ViewReader) -> None:
        super().__init__()
        image_size = reader.image_size
        self._background = background_rgb(reader.background)
        self._view = make_view(image_size, reader.crop_fraction)
        self._view_spec = tf.TensorSpec([image_size, image_size, 3], tf.float32)
        self._labels = tf.constant(list(class_names))
        # Only its variables are kept: the model as an attribute would be traced layer by layer for nothing.
        self._variables = [variable.value for variable in model.variables]

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, image_size, image_size, 3], tf.float32)])
        def scores(views: tf.Tensor) -> tf.Tensor:
            return tf.nn.softmax(tf.cast(model(views, training=False), tf.float32))

        self._scores = scores
        answers = answering_model(model)

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec([None, image_size, image_size, 3], tf.float32, name="views")],
        )
        def serve_views(views: tf.Tensor) -> dict[str, tf.Tensor]:
            """What `regraft predict` has read: float32 [N, S, S, 3] in [0, 255]."""
            found = answers(views, training=False)
            scores = found.pop("probabilities")
            return {"scores": scores, **found}

        self.serve_views = serve_views

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded photos (JPEG, PNG and WebP with any EXIF orientation, GIF, BMP), string [N]."""
        return self._answer(lambda encoded: self._view(decode_upright(encoded, self._background)), image_bytes)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Upright RGB photos of one size, uint8 [N, H, W, 3]."""
        return self._answer(self._view, images)

    @tf.function(autograph=False, input_signature=[])
    def serve_labels(self) -> dict[str, tf.Tensor]:
        """The class names, string [C], in the order of the scores."""
        return {"labels": self._labels}

    def _answer(self, view: Callable[[tf.Tensor], tf.Tensor], inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = self._scores(tf.map_fn(view, inputs, fn_output_signature=self._view_spec))
        return {
            "label": tf.gather(self._labels, tf.argmax(scores, axis=1)),
            "score": tf.reduce_max(scores, axis=1),
            "scores": scores,
            "classes": tf.tile(self._labels[None, :], [tf.shape(scores)[0], 1]),
        }


def write_saved_model(model: keras.Model, class_names: Sequence[str], folder: Path, *, reader: ViewReader) -> None:
    """Writes the SavedModel of `model` to the new `folder`.

    Signatures: `serving_default` takes `image_bytes` (string [N]), `serving_images` takes `images` (uint8
    [N, H, W, 3]). Both answer `label` (string [N]), `score` (float32 [N]), `scores` (float32 [N, C]) and
    `classes` (string [N, C]). `labels` takes nothing and answers `labels` (string [C]), which also lie beside the
    model in assets.extra/labels.txt.
    """
    server = _Server(model, class_names, reader)
    signatures = {
        "serving_default": server.serve_bytes,
        "serving_images": server.serve_images,
        "serving_views": server.serve_views,
        "labels": server.serve_labels,
    }
    tf.saved_model.save(server, folder, signatures=signatures)
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / "labels.txt").write_text("".join(f"{name}\n" for name in class_names), "utf-8")
