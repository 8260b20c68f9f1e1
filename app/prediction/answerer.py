"""A model that answers encoded photos: how they are read, what computes, and what comes out, row for row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from regraft.data.photo_view import PhotoData, read_view
from regraft.data.photos import Limits, UnreadablePhoto
from regraft.data.records import Prediction
from regraft.data.rendering import Rendering
from regraft.errors import UsageError
from regraft.exports.export import Export
from regraft.exports.format import Network, find_format
from regraft.exports.runtimes import open_network
from regraft.inference.trained import Look, open_trained
from regraft.machine.threads import cores, map_ordered
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.reader import ItemReader


@dataclass(frozen=True)
class Answers:
    """For N views: probabilities float32 [N, C], and where asked for, of M members [N, M, C], and embeddings [N, E]."""

    probabilities: np.ndarray
    members: np.ndarray | None = None
    embedding: np.ndarray | None = None


@dataclass(frozen=True)
class Answerer:
    """What is needed to answer photos.

    Attributes:
        class_names: in label order.
        read: the view of a photo, float32 [S, S, 3] or [V, S, S, 3], from its bytes or its upright pixels uint8
            [H, W, 3]; raises UnreadablePhoto.
        compute: what the model answers to float32 [batch_size, ...]; may be called by many threads.
        batch_size: views answered together.
        workers: how many threads are of use.
        embedder: the same network, whose answers hold embeddings too; None where it gives none unless asked when it
            is opened, or is asked already.
        rendering: how pictures that are open already become the upright pixels that `read` takes.
    """

    class_names: tuple[str, ...]
    read: Callable[[PhotoData], np.ndarray]
    compute: Callable[[np.ndarray], Answers]
    batch_size: int
    workers: int
    embedder: Answerer | None = None
    rendering: Rendering = field(default_factory=Rendering)

    def answer(self, photos: Sequence[tuple[Item, PhotoData | UnreadablePhoto]]) -> list[Prediction]:
        """One prediction for each of at most `batch_size` photos, in order.

        Each has its place in the batch, whatever becomes of the others: a photo that cannot be read leaves a hole.
        """
        views = [self._view(photo) for _, photo in photos]
        good = [view for view in views if not isinstance(view, UnreadablePhoto)]
        answers = None
        if good:
            batch = np.zeros((self.batch_size, *good[0].shape), np.float32)
            for place, view in enumerate(views):
                if not isinstance(view, UnreadablePhoto):
                    batch[place] = view
            answers = self.compute(batch)
        return [self._prediction(item, views[place], answers, place) for place, (item, _) in enumerate(photos)]

    def _view(self, photo: PhotoData | UnreadablePhoto) -> np.ndarray | UnreadablePhoto:
        if isinstance(photo, UnreadablePhoto):
            return photo
        try:
            return self.read(photo)
        except UnreadablePhoto as error:
            return error

    def _prediction(
        self, item: Item, view: np.ndarray | UnreadablePhoto, answers: Answers | None, place: int
    ) -> Prediction:
        if isinstance(view, UnreadablePhoto):
            return Prediction(item.path, view.status, reason=str(view))
        assert answers is not None
        members, embedding = answers.members, answers.embedding
        return Prediction(
            item.path,
            "ok",
            scores=tuple(answers.probabilities[place].tolist()),
            members=() if members is None else tuple(map(tuple, members[place].tolist())),
            embedding=() if embedding is None else tuple(embedding[place].tolist()),
            class_names=self.class_names,
        )


def answer_batches(
    answerer: Answerer, batches: Iterable[Sequence[Item]], reader: ItemReader
) -> Iterator[list[Prediction]]:
    """The predictions of each batch, in order. Reading, decoding and computing overlap; memory does not grow.

    Files are read by the threads that answer them, archives and shards by one, forward.
    """

    def loaded() -> Iterator[list[tuple[Item, bytes | UnreadablePhoto | None]]]:
        for batch in batches:
            yield [(item, None if item.kind == "file" else _load(reader, item)) for item in batch]

    def answer(batch: Sequence[tuple[Item, bytes | UnreadablePhoto | None]]) -> list[Prediction]:
        return answerer.answer([(item, _load(reader, item) if data is None else data) for item, data in batch])

    ahead = max(2 * answerer.workers, 64 // answerer.batch_size)
    return map_ordered(answer, loaded(), workers=answerer.workers, ahead=ahead)


def _load(reader: ItemReader, item: Item) -> bytes | UnreadablePhoto:
    try:
        return reader.read(item)
    except UnreadablePhoto as error:
        return error


# --- makers ---


@dataclass(frozen=True)
class Wanted:
    """How photos are to be read and what is wanted of them.

    Attributes:
        look: how closely each photo is looked at; anything but the default needs the Keras model.
        embedding: whether embeddings are wanted.
        limits: of photos.
        shrink: whether large JPEGs are shrunk while they are decoded.
    """

    look: Look = field(default_factory=Look)
    embedding: bool = False
    limits: Limits = field(default_factory=Limits)
    shrink: bool = True


def answerer_of_export(export: Export, wanted: Wanted, *, workers: int | None = None) -> Answerer:
    """Answers with the network of an export.

    Raises:
        UsageError: the runtime is not installed, or embeddings are wanted of a network without.
        RunError: the network is damaged.
    """
    if wanted.embedding and not export.embedding:
        raise UsageError(f"{export.folder} gives no embeddings: an ensemble has none that its members share.")
    first = open_network(export)  # in this thread, so that a damaged file is said at once
    form = find_format(export.format)
    network = first if form.shared else _borrowed(export, first)

    def compute(images: np.ndarray) -> Answers:
        probabilities, embedding = network(images)
        return Answers(probabilities, embedding=embedding)

    embedder = Answerer(
        export.labels,
        lambda photo: read_view(
            photo,
            export.image_size,
            export.crop_fraction,
            rendering=export.rendering,
            max_pixels=wanted.limits.pixels,
            shrink=wanted.shrink,
        ),
        compute,
        form.batch_size,
        workers or cores(),
        rendering=export.rendering,
    )
    if wanted.embedding:
        return embedder
    return replace(
        embedder,
        compute=lambda images: Answers(compute(images).probabilities),
        embedder=embedder if export.embedding else None,
    )


def _borrowed(export: Export, first: Network) -> Network:
    """A network that many threads may call: each call borrows one, so there are never more than calls at a time."""
    spare = [first]

    def network(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        try:
            own = spare.pop()
        except IndexError:
            own = open_network(export)
        try:
            return own(images)
        finally:
            spare.append(own)

    return network


def answerer_of_run(folder: Path, device: str, wanted: Wanted, *, workers: int | None = None) -> Answerer:
    """Answers with the Keras model of a run, on TensorFlow.

    Raises:
        RunError: there is no finished run, or its model is damaged.
        UsageError: the look or the device does not fit.
    """
    trained = open_trained(folder, device=device, look=wanted.look, embedding=wanted.embedding)
    reader, limits, seen = trained.reader, wanted.limits, trained.reader.rendering

    def read(photo: PhotoData) -> np.ndarray:
        if wanted.look.views == "one":
            size, fraction = reader.image_size, reader.crop_fraction
            return read_view(photo, size, fraction, rendering=seen, max_pixels=limits.pixels, shrink=wanted.shrink)
        return reader.read_data(photo, max_pixels=limits.pixels)

    def compute(images: np.ndarray) -> Answers:
        from regraft.inference.views import softmax

        output = trained.infer(images)
        if wanted.embedding:
            logits, embedding = np.split(output, [len(trained.run.class_names)], axis=1)
            return Answers(softmax(logits), embedding=embedding)
        probabilities = softmax(output)
        if probabilities.ndim == 2:
            return Answers(probabilities)
        return Answers(probabilities[:, 0], members=probabilities[:, 1:])

    return Answerer(trained.run.class_names, read, compute, trained.batch_size, workers or cores(), rendering=seen)
