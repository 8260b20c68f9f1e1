"""The network of a session: what it is trained on, how much of it is trained, and the phase that does so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from regraft.data.photos import UnreadablePhoto
from regraft.data.sources import is_plain_jpeg, labels_of, upright_size
from regraft.errors import FolderError
from regraft.evidence.losses import losses_of
from regraft.inference.outputs import logits_of
from regraft.inference.views import make_infer
from regraft.machine.threads import map_ordered
from regraft.models.batch_norm import reestimate_batch_norm
from regraft.models.classifier import set_trainable
from regraft.progress import Silent
from regraft.training.finetune import batches_of, fine_tune, make_trainer
from regraft.training.pipeline import TrainingImages, steps_per_epoch
from regraft.training.session import Session


def train_network(session: Session) -> None:
    """Trains the network from where it stands, its batch norm and frozen part as the recipe says."""
    with session.watch.phase("fine-tune"):
        unfreeze(session)
        fine_tune(
            session.model,
            training_images(session),
            session.recipe,
            device=session.device,
            run=session.run,
            select=_make_select(session),
            progress=session.progress,
        )
        if session.recipe.finetune.batch_norm == "reestimated":
            import tensorflow as tf

            reestimate_batch_norm(session.model, whole_batches(session), compiled=tf.function)


def unfreeze(session: Session) -> None:
    """Lets the part of the network be trained, and its batch norms do, what the recipe says."""
    choices = session.recipe.finetune
    part = choices.unfreeze if choices.unfreeze is not None else 1.0
    batch_norm: Literal["frozen", "adaptive"] = "adaptive" if choices.batch_norm == "adaptive" else "frozen"
    set_trainable(session.model, unfreeze=part, batch_norm=batch_norm)


def whole_batches(session: Session) -> Iterator[np.ndarray]:
    """The deterministic views of the training photos, in whole batches."""
    size, views = session.recipe.finetune.batch_size, []
    for view in session.reader.read_all(record.path for record in session.roles.fit):
        if isinstance(view, UnreadablePhoto):
            raise FolderError(f"A photo became unreadable: {view}. Run the command again.")
        views.append(view)
        if len(views) == size:
            yield np.stack(views)
            views = []
    if views and len(session.roles.fit) < size:
        yield np.stack(views)


def _make_select(session: Session) -> Callable[[], tuple[float, float]] | None:
    records = session.roles.select
    if not records:
        return None
    infer, labels = make_infer(session.model, session.device), labels_of(records)
    counts = np.ones(len(labels)) if session.finetune_weights is None else session.finetune_weights[labels]

    def select() -> tuple[float, float]:
        logits = logits_of(records, infer, session.reader, Silent(), "select")
        return float((counts * losses_of(logits, labels)).mean()), float((logits.argmax(axis=1) == labels).mean())

    return select


def training_images(session: Session) -> TrainingImages:
    """What the network is trained on."""
    records = session.roles.fit
    sizes = np.array([upright_size(record) for record in records])
    plain = [is_plain_jpeg(record) for record in records]
    paths = [str(path) for path in map_ordered(session.reader.tensorflow_path, records)]
    is_balanced = session.recipe.finetune.sampling == "balanced"
    weights = None if is_balanced else session.finetune_weights
    own = np.array([record.weight for record in records], np.float64)
    return TrainingImages(
        paths, labels_of(records), sizes[:, 0], sizes[:, 1], np.array(plain), class_weights=weights,
        counts=None if (own == 1).all() else own / own.mean(), is_balanced=is_balanced,
    )  # fmt: skip


def make_step(session: Session, steps: int) -> Callable[[float], float]:
    """A function that trains on the next batch at a rate and returns the loss before it."""
    from regraft.models.schedules import Constant

    unfreeze(session)
    images, recipe = training_images(session), session.recipe
    epochs = math.ceil(steps / steps_per_epoch(len(images.paths), recipe.finetune.batch_size))
    rate_now = Constant(0.0)
    with session.device.strategy.scope():
        trainer = make_trainer(session.model, recipe, rate_now, session.device)
    shown = iter(batches_of(recipe, images, session.model, first_epoch=0, epochs=epochs))

    def step(rate: float) -> float:
        rate_now.rate.assign(rate)
        trainer.reset_metrics()
        return float(trainer.train_on_batch(*next(shown), return_dict=True)["loss"])

    return step
