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

from regraft.augment.decode import Ends, decode_upright
from regraft.augment.view import make_view
from regraft.data.rendering import WHITES, Range, background_rgb
from regraft.evidence.decision import Decision, LeastCost
from regraft.inference.views import ViewReader
from regraft.models.classifier import answering_model

_DECODED_AT_ONCE = 10  # photos, as many as tf.map_fn decodes


class _Server(tf.Module):
    """What is exported: the model with decoding, resizing, softmax and labels around it."""

    def __init__(
        self, model: keras.Model, class_names: Sequence[str], reader: ViewReader, decision: Decision | None
    ) -> None:
        super().__init__()
        image_size = reader.image_size
        self._background, self._ends = background_rgb(reader.background), ends_for(reader.range)
        self._view = make_view(image_size, reader.crop_fraction, reader.fit)
        self._view_spec = tf.TensorSpec([image_size, image_size, 3], tf.float32)
        self._decision = decision
        self._labels = tf.constant(list(class_names))
        # Only its variables are kept: the model as an attribute would be traced layer by layer for nothing.
        self._variables = [variable.value for variable in model.variables]

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, image_size, image_size, 3], tf.float32)])
        def scores(views: tf.Tensor) -> tf.Tensor:
            logits = model(_not_empty(views), training=False)[: tf.shape(views)[0]]
            return tf.nn.softmax(tf.cast(logits, tf.float32))

        self._scores = scores
        answers = answering_model(model)

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec([None, image_size, image_size, 3], tf.float32, name="views")],
        )
        def serve_views(views: tf.Tensor) -> dict[str, tf.Tensor]:
            """What `regraft predict` has read: float32 [N, S, S, 3] in [0, 255]."""
            found = answers(_not_empty(views), training=False)
            found = {name: values[: tf.shape(views)[0]] for name, values in found.items()}
            return {"scores": found.pop("probabilities"), **found}

        self.serve_views = serve_views

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded photos (JPEG, PNG, WebP with any EXIF orientation, GIF, BMP), string [N]; a broken one fails all."""
        return self._answer(self._view_of_bytes, image_bytes)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_each(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The same, where a broken photo costs its own row alone, and says so in "status"."""
        views, is_read = views_of_readable(image_bytes, self._view_of_bytes, self._view_spec.shape.as_list())
        answer = self._answer_views(views)
        return {
            "status": tf.where(is_read, "ok", "unreadable"),
            "label": tf.where(is_read, answer["label"], ""),
            "score": tf.where(is_read, answer["score"], 0.0),
            "scores": tf.where(is_read[:, None], answer["scores"], 0.0),
            "classes": answer["classes"],
        }

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Upright RGB photos of one size, uint8 [N, H, W, 3]."""
        return self._answer(self._view, images)

    @tf.function(autograph=False, input_signature=[])
    def serve_labels(self) -> dict[str, tf.Tensor]:
        """The class names, string [C], in the order of the scores."""
        return {"labels": self._labels}

    def _view_of_bytes(self, encoded: tf.Tensor) -> tf.Tensor:
        return self._view(decode_upright(encoded, self._background, self._ends))

    def _answer(self, view: Callable[[tf.Tensor], tf.Tensor], inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._answer_views(tf.map_fn(view, inputs, fn_output_signature=self._view_spec))

    def _answer_views(self, views: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = self._scores(views)
        answers = decide_in_graph(scores, self._decision)
        return {
            "label": tf.gather(self._labels, answers),
            "score": tf.gather(scores, answers, batch_dims=1),
            "scores": scores,
            "classes": tf.tile(self._labels[None, :], [tf.shape(scores)[0], 1]),
        }


def decide_in_graph(scores: tf.Tensor, decision: Decision | None) -> tf.Tensor:
    """int64 [N]: what `regraft.evidence.decision.decide` gives for scores float32 [N, C], of equals the first."""
    if decision is None or (isinstance(decision, LeastCost) and decision.is_even):
        return tf.argmax(scores, axis=1)
    exact = tf.cast(scores, tf.float64)
    if isinstance(decision, LeastCost):
        expected = exact @ tf.constant(decision.costs, tf.float64)
        is_least = expected == tf.reduce_min(expected, axis=1, keepdims=True)
        return tf.argmax(tf.where(is_least, exact, -1.0), axis=1)
    own = tf.one_hot(decision.label, tf.shape(scores)[1], on_value=True, off_value=False)
    others = tf.argmax(tf.where(own, tf.constant(-1.0, tf.float64), exact), axis=1)
    is_given = exact[:, decision.label] >= decision.at_least
    return tf.where(is_given, tf.constant(decision.label, tf.int64), others)


def ends_for(spread: Range) -> Ends:
    """Black and white of grey of 16 bits, as a `Rendering` of this range has them."""
    if spread == "auto":

        def ends(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            highest = tf.cast(tf.reduce_max(tf.cast(values, tf.int32)), tf.float64)
            whites = tf.constant(WHITES, tf.float64)  # the last one is the largest value there is
            return tf.constant(0, tf.float64), tf.reduce_min(tf.boolean_mask(whites, whites >= highest))

        return ends
    black, white = (0.0, 65535.0) if isinstance(spread, str) else spread
    return lambda values: (tf.constant(black, tf.float64), tf.constant(white, tf.float64))


def views_of_readable(
    image_bytes: tf.Tensor, view: Callable[[tf.Tensor], tf.Tensor], shape: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """The views [N, *shape] of encoded photos (string [N]), zeros where one cannot be decoded; and which can, bool [N].

    A decoder that fails ends the whole request. All that catches it in a graph is a dataset that leaves out what fails;
    it costs one to two milliseconds per request. A last element that cannot fail keeps it from ending empty.
    """
    count = tf.shape(image_bytes, out_type=tf.int64)[0]
    photos = tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
    views = photos.map(lambda index, encoded: (index, view(encoded)), num_parallel_calls=_DECODED_AT_ONCE)
    last = tf.data.Dataset.from_tensors((count, tf.zeros(shape)))
    answered = views.ignore_errors().concatenate(last).batch(count + 1).with_options(_as_written())
    index, found = tf.data.experimental.get_single_element(answered)

    def spread() -> tuple[tf.Tensor, tf.Tensor]:
        whole = tf.concat([[count + 1], tf.constant(shape, tf.int64)], 0)
        is_read = tf.scatter_nd(index[:, None], tf.ones_like(index, tf.bool), [count + 1])
        return tf.scatter_nd(index[:, None], found, whole), is_read

    none_failed = tf.size(index, out_type=tf.int64) == count + 1
    placed, is_read = tf.cond(none_failed, lambda: (found, tf.fill([count + 1], True)), spread)
    return tf.ensure_shape(placed[:count], [None, *shape]), is_read[:count]


def _as_written() -> tf.data.Options:
    """A dataset for one request is not worth optimizing."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return options


def _not_empty(views: tf.Tensor) -> tf.Tensor:
    """`views` [N, S, S, 3], or one of zeros in the place of none, at which some layers fail."""
    missing = tf.cast(tf.shape(views)[0] == 0, tf.int32)
    return tf.pad(views, [[0, missing], [0, 0], [0, 0], [0, 0]])


def write_saved_model(
    model: keras.Model,
    class_names: Sequence[str],
    folder: Path,
    *,
    reader: ViewReader,
    decision: Decision | None = None,
) -> None:
    """Writes the SavedModel of `model` to the new `folder`, which gives the labels that a decision wants.

    Signatures: `serving_default` and `serving_each` take `image_bytes` (string [N]), `serving_images` takes `images`
    (uint8 [N, H, W, 3]). All answer `label` (string [N]), `score` (float32 [N]), `scores` (float32 [N, C]) and
    `classes` (string [N, C]). A photo that cannot be decoded fails the whole request; with `serving_each` it is a row
    whose `status` (string [N]) is "unreadable" instead of "ok", whose label is "" and whose scores are 0.
    `serving_views` takes `views` (float32 [N, S, S, 3] in [0, 255]) and answers `scores` and, of a classifier with
    one head, `embedding` (float32 [N, F]). `labels` takes nothing and answers `labels` (string [C]), which also lie
    beside the model in assets.extra/labels.txt.
    """
    server = _Server(model, class_names, reader, decision)
    signatures = {
        "serving_default": server.serve_bytes,
        "serving_each": server.serve_each,
        "serving_images": server.serve_images,
        "serving_views": server.serve_views,
        "labels": server.serve_labels,
    }
    tf.saved_model.save(server, folder, signatures=signatures)
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / "labels.txt").write_text("".join(f"{name}\n" for name in class_names), "utf-8")
