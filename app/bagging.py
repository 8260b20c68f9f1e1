"""Many heads on the features of one frozen backbone: nearly free to train, and the backbone still runs once."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from regraft.augment.policy import AugmentPolicy, make_train_view
from regraft.cache import cache_folder
from regraft.features import FeatureCache, extract_features
from regraft.head import Head
from regraft.models.classifier import feature_extractor
from regraft.parallel import map_ordered
from regraft.photos import UnreadablePhoto
from regraft.records import Record
from regraft.session import Session
from regraft.sources import is_plain_jpeg, labels_of, tensorflow_path, upright_size
from regraft.split import group_duplicates
from regraft.train import features_made_by, solve
from regraft.views import Infer, make_infer

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
    labels, groups = labels_of(session.roles.fit), group_duplicates(session.roles.fit)
    for number in range(count):
        rows = bootstrap(labels, groups, seed=_seed_of(session.recipe.seed, number))
        views = [features[rows], augmented[number % len(augmented)][rows]] if augmented else [features[rows]]
        yield solve(session, np.concatenate(views), np.tile(labels[rows], len(views)), l2)


def augmented_features(session: Session) -> list[np.ndarray]:
    """For each of `DRAWS`, float32 [N, C]: features of one augmented view of each image to fit, kept as others are."""
    infer = make_infer(feature_extractor(session.model), session.device)
    return [_one_draw(session, infer, draw) for draw in range(DRAWS)]


def _one_draw(session: Session, infer: Infer, draw: int) -> np.ndarray:
    augment, seed = session.recipe.augment.values, session.recipe.seed
    made_by = {**features_made_by(session), "augment": augment, "seed": seed, "draw": draw}
    reader = _AugmentedReader(session.roles.fit, augment, session.reader.image_size, seed=seed, draw=draw)
    return extract_features(session.roles.fit, infer, reader, FeatureCache(cache_folder(), made_by), session.progress)


class _AugmentedReader:
    """Reads files as training would see them; what each becomes follows from the seed, the draw and its bytes."""

    def __init__(
        self, records: Sequence[Record], augment: Mapping[str, object], image_size: int, *, seed: int, draw: int
    ) -> None:
        self.image_size = image_size
        self._records = {record.path: record for record in records}
        self._view = tf.function(make_train_view(AugmentPolicy(**augment), image_size), autograph=False)
        self._seed = _seed_of(seed, draw)

    def read_all(self, paths: Iterable[Path]) -> Iterator[np.ndarray | UnreadablePhoto]:
        """The views of many files, in order."""
        return map_ordered(self._read, paths)

    def _read(self, path: Path) -> np.ndarray:
        record = self._records[path]
        height, width = upright_size(record)
        own = tf.constant([self._seed, zlib.crc32(record.fingerprint.encode()) % 2**31], tf.int32)
        with tf.device("CPU:0"):
            encoded = tf.io.read_file(str(tensorflow_path(record)))
            return self._view(
                encoded, tf.constant(height), tf.constant(width), tf.constant(is_plain_jpeg(record)), own
            ).numpy()


def _seed_of(seed: int, number: int) -> int:
    """A seed of its own for each number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) % 2**31
