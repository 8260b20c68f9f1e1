"""Many heads on the features of one frozen backbone: nearly free to train, and the backbone still runs once."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import tensorflow as tf

from regraft.augment.fits import Fit
from regraft.augment.policy import AugmentPolicy, make_train_view
from regraft.data.duplicates import group_together
from regraft.data.photos import MAX_PIXELS, UnreadablePhoto
from regraft.data.records import Record
from regraft.data.rendering import Rendering
from regraft.data.sources import is_plain_jpeg, labels_of, tensorflow_path, upright_size
from regraft.exports.frozen_features import FrozenFeatures
from regraft.machine.threads import map_ordered
from regraft.training.graft import counts_of, solve
from regraft.training.head import Head
from regraft.training.session import Session

DRAWS = 2
"""Augmented views of each training photo, beside its plain one."""


def bootstrap(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """int64: positions of as many groups as there are, drawn with replacement class by class, so that each class stays.

    Source: Breiman 1996, "Bagging predictors". Duplicates are drawn together, as they say the same.

    Args:
        labels: int [N].
        groups: int [N], duplicates share one.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        own = np.unique(groups[members])
        for group in rng.choice(own, len(own)):
            rows.append(members[groups[members] == group])
    return np.concatenate(rows)


def bagged_heads(
    session: Session, features: np.ndarray, augmented: Sequence[np.ndarray], *, count: int, l2: float
) -> Iterator[Head]:
    """`count` heads, each solved on a bootstrap of the training photos, in their plain and one augmented view.

    Args:
        session: whose recipe says how heads are solved.
        features: float32 [N, C] of the images to fit.
        augmented: draws of the same, see `augmented_features`; head k takes draw k modulo their number.
        count: how many.
        l2: strength.
    """
    labels, groups = labels_of(session.roles.fit), group_together(session.roles.fit)
    counts = counts_of(session, session.roles.fit)
    for number in range(count):
        rows = bootstrap(labels, groups, seed=_seed_of(session.recipe.seed, number))
        views = [features[rows], augmented[number % len(augmented)][rows]] if augmented else [features[rows]]
        of_rows = None if counts is None else np.tile(counts[rows], len(views))
        yield solve(session, np.concatenate(views), np.tile(labels[rows], len(views)), l2, of_rows)


def augmented_features(session: Session) -> list[np.ndarray]:
    """For each of `DRAWS`, float32 [N, C]: features of one augmented view of each image to fit, kept as others are."""
    records = session.roles.fit
    by_path = {record.path: record for record in records}
    drawn = []
    for draw in range(DRAWS):
        augment, seed, seen = session.recipe.augment.values, session.recipe.seed, session.reader
        reader = _AugmentedReader(
            seen.image_size, augment, seed, draw, by_path, seen.rendering, seen.max_pixels, seen.fit
        )
        features, _ = FrozenFeatures(session.model, reader, session.device, session.progress).of(records)
        drawn.append(features)
    return drawn


@dataclass(frozen=True)
class _AugmentedReader:
    """Reads files as training would see them; what each becomes follows from the seed, the draw and its bytes."""

    image_size: int
    augment: Mapping[str, object]
    seed: int
    draw: int
    records: Mapping[Path, Record]
    rendering: Rendering = field(default_factory=Rendering)
    max_pixels: int = MAX_PIXELS
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        policy = AugmentPolicy(self.fit, **self.augment)
        view = tf.function(make_train_view(policy, self.image_size), autograph=False)
        object.__setattr__(self, "_view", view)

    @property
    def settings(self) -> dict[str, object]:
        """All that a view depends on besides the file."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if name not in ("records", "max_pixels")}

    def read_all(self, paths: Iterable[Path]) -> Iterator[np.ndarray | UnreadablePhoto]:
        """The views of many files, in order."""
        return map_ordered(self._read, paths)

    def _read(self, path: Path) -> np.ndarray:
        record = self.records[path]
        height, width = upright_size(record)
        own = tf.constant([_seed_of(self.seed, self.draw), zlib.crc32(record.fingerprint.encode()) % 2**31], tf.int32)
        with tf.device("CPU:0"):
            encoded = tf.io.read_file(str(tensorflow_path(record, self.rendering, max_pixels=self.max_pixels)))
            return self._view(  # type: ignore[attr-defined]
                encoded, tf.constant(height), tf.constant(width), tf.constant(is_plain_jpeg(record)), own
            ).numpy()


def _seed_of(seed: int, number: int) -> int:
    """A seed of its own for each number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) % 2**31
