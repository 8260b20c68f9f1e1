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
from regraft.evidence.decision import Decision, decision_of
from regraft.exports.export import Export
from regraft.exports.format import find_format
from regraft.exports.runtimes import borrowed, open_network
from regraft.inference.trained import Look, open_trained
from regraft.machine.memory import MemoryBudget, reading_budget
from regraft.machine.threads import cores, map_ordered
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.reader import ItemReader

View = np.ndarray | UnreadablePhoto
"""float32 [S, S, 3] or [V, S, S, 3], or why there is none."""


@dataclass(frozen=True)
class Answers:
    """For N views: probabilities float32 [N, C], and where asked for, of M members [N, M, C], and embeddings [N, E].

    `decided` int [N] are the labels that a decision gives.
    """

    probabilities: np.ndarray
    members: np.ndarray | None = None
    embedding: np.ndarray | None = None
    decided: np.ndarray | None = None


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
        decision: how labels are made of probabilities, where they are not the most probable class.
    """

    class_names: tuple[str, ...]
    read: Callable[[PhotoData], np.ndarray]
    compute: Callable[[np.ndarray], Answers]
    batch_size: int
    workers: int
    embedder: Answerer | None = None
    rendering: Rendering = field(default_factory=Rendering)
    decision: Decision | None = None

    def answer(self, photos: Iterable[tuple[Item, PhotoData | UnreadablePhoto]]) -> list[Prediction]:
        """One prediction for each of at most `batch_size` photos, in order. Of a generator, one is held at a time."""
        return self.answer_views([(item, self.view(photo)) for item, photo in photos])

    def answer_views(self, views: Sequence[tuple[Item, View]]) -> list[Prediction]:
        """As `answer`, of views that `view` made.

        Each has its place in the batch, whatever becomes of the others: a photo that cannot be read leaves a hole.
        """
        good = [view for _, view in views if not isinstance(view, UnreadablePhoto)]
        answers = None
        if good:
            batch = np.zeros((self.batch_size, *good[0].shape), np.float32)
            for place, (_, view) in enumerate(views):
                if not isinstance(view, UnreadablePhoto):
                    batch[place] = view
            answers = self.compute(batch)
            if self.decision:
                answers = replace(answers, decided=self.decision.answers(answers.probabilities))
        return [self._prediction(item, view, answers, place) for place, (item, view) in enumerate(views)]

    def view(self, photo: PhotoData | UnreadablePhoto) -> View:
        """What the network sees of a photo, or why it sees nothing."""
        if isinstance(photo, UnreadablePhoto):
            return photo
        try:
            return self.read(photo)
        except UnreadablePhoto as error:
            return _alone(error)

    def _prediction(self, item: Item, view: View, answers: Answers | None, place: int) -> Prediction:
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
            decided=None if answers.decided is None else int(answers.decided[place]),
        )


# --- many photos ---

MOST_READ_AHEAD = 256 << 20
"""Bytes of photos of archives that wait for their turn: enough to keep every thread at work."""


def answer_batches(
    answerer: Answerer, batches: Iterable[Sequence[Item]], reader: ItemReader
) -> Iterator[list[Prediction]]:
    """The predictions of each batch, in order. Reading, decoding and computing overlap; memory does not grow.

    Files are read by the threads that answer them, archives and shards by one, forward.
    """
    budget = MemoryBudget(min(reading_budget().total, MOST_READ_AHEAD))

    def loaded() -> Iterator[list[tuple[Item, View | _Waiting | None]]]:
        for batch in batches:
            yield [(item, _read_ahead(answerer, reader, item, budget)) for item in batch]

    def answer(batch: Sequence[tuple[Item, View | _Waiting | None]]) -> list[Prediction]:
        return answerer.answer_views([(item, view_of(item, ahead)) for item, ahead in batch])

    def view_of(item: Item, ahead: View | _Waiting | None) -> View:
        if ahead is None:
            with reader.room_for(item):
                return answerer.view(_load(reader, item))
        return ahead.view(answerer) if isinstance(ahead, _Waiting) else ahead

    ahead = max(2 * answerer.workers, 64 // answerer.batch_size)
    return map_ordered(answer, loaded(), workers=answerer.workers, ahead=ahead)


class _Waiting:
    """A photo that was read ahead, and the memory that it holds until its view is made."""

    def __init__(self, data: bytes | UnreadablePhoto, budget: MemoryBudget, size: int) -> None:
        self._data, self._budget, self._size = data, budget, size

    def view(self, answerer: Answerer) -> View:
        data, self._data = self._data, b""
        try:
            return answerer.view(data)
        finally:
            self._budget.give_back(self._size)


def _read_ahead(answerer: Answerer, reader: ItemReader, item: Item, budget: MemoryBudget) -> View | _Waiting | None:
    """A photo that waits; where it has no room to wait in, its view, made at once; None for a file of its own."""
    if item.kind == "file":
        return None
    if item.size <= budget.total and budget.try_take(item.size):
        return _Waiting(_load(reader, item), budget, item.size)
    return answerer.view(_load(reader, item))


def _load(reader: ItemReader, item: Item) -> bytes | UnreadablePhoto:
    try:
        return reader.read(item)
    except UnreadablePhoto as error:
        return _alone(error)


def _alone(error: UnreadablePhoto) -> UnreadablePhoto:
    """The same finding without its traceback, which keeps the photo's bytes alive for as long as it waits."""
    return UnreadablePhoto(str(error), error.status)


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


def answerer_of_export(
    export: Export, wanted: Wanted, *, workers: int | None = None, batch_size: int | None = None
) -> Answerer:
    """Answers with the network of an export, `batch_size` views at a time, by default as many as its format says.

    Raises:
        UsageError: the runtime is not installed, or embeddings are wanted of a network without.
        RunError: the network is damaged.
    """
    if wanted.embedding and not export.embedding:
        raise UsageError(f"{export.folder} gives no embeddings: an ensemble has none that its members share.")
    first = open_network(export, batch_size)  # in this thread, so that a damaged file is said at once
    form = find_format(export.format)
    network = first if form.shared else borrowed(lambda: open_network(export, batch_size), first)

    def compute(images: np.ndarray) -> Answers:
        probabilities, embedding = network(images)
        return Answers(probabilities, embedding=embedding)

    embedder = Answerer(
        export.labels,
        lambda photo: read_view(
            photo,
            export.image_size,
            export.crop_fraction,
            fit=export.fit,
            rendering=export.rendering,
            max_pixels=wanted.limits.pixels,
            shrink=wanted.shrink,
        ),
        compute,
        batch_size or form.batch_size,
        workers or cores(),
        rendering=export.rendering,
        decision=export.decision,
    )
    if wanted.embedding:
        return embedder
    return replace(
        embedder,
        compute=lambda images: Answers(compute(images).probabilities),
        embedder=embedder if export.embedding else None,
    )


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
            return read_view(
                photo,
                reader.image_size,
                reader.crop_fraction,
                fit=reader.fit,
                rendering=seen,
                max_pixels=limits.pixels,
                shrink=wanted.shrink,
            )
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

    return Answerer(
        trained.run.class_names, read, compute, trained.batch_size, workers or cores(), rendering=seen,
        decision=decision_of(trained.run),
    )  # fmt: skip
