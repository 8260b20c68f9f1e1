"""Features of a frozen backbone, computed once and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from regraft.augment.decode import JPEG_TRANSFORM
from regraft.data.photos import DECODING, UnreadablePhoto
from regraft.data.records import Record
from regraft.errors import FolderError
from regraft.inference.views import Infer, infer_all
from regraft.machine.arrays import read_arrays
from regraft.machine.cache import cache_folder, cache_limit, touch
from regraft.machine.cache_room import keep_within_limit
from regraft.machine.devices import Device
from regraft.machine.files import atomic_file
from regraft.machine.versions import describe_versions
from regraft.models.digest import network_digest
from regraft.progress import Progress

if TYPE_CHECKING:
    import keras

_SHARD_IMAGES = 4096


class ReadsViews(Protocol):
    """What gives the views of files, such as `regraft.inference.views.ViewReader`."""

    @property
    def settings(self) -> Mapping[str, object]:
        """All that a view depends on besides the file."""

    def read_all(self, paths: Iterable[Path]) -> Iterator[np.ndarray | UnreadablePhoto]:
        """The views, in order; an unreadable file yields its error."""


def features_made_by(extractor: keras.Model, reader: ReadsViews, device: Device) -> dict[str, object]:
    """All that the features of an image depend on besides the image.

    The network is digested as it is, so whatever changes what it answers changes this, also what is thought of later.
    """
    return {
        "network": network_digest(extractor),
        "reader": dict(reader.settings),
        "jpeg_transform": JPEG_TRANSFORM,
        "decoding": DECODING,
        "precision": device.precision,
        "device": device.kind,
        "versions": describe_versions(),
    }


class FeatureCache:
    """Features by image fingerprint, for one way of making them.

    Args:
        folder: where caches live.
        made_by: all that a feature depends on besides the image: weights, image size, view, precision, versions.

    A cache that cannot be read or written is as good as none: features are then computed again. What is kept counts
    towards the limit of the cache, and goes when it was not used for longest.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, object]) -> None:
        text = json.dumps(made_by, sort_keys=True, default=str)
        self._cache = folder
        self.folder = folder / "features" / hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    @classmethod
    def of(cls, extractor: keras.Model, reader: ReadsViews, device: Device) -> FeatureCache:
        """The one for what `extractor` makes of the views of `reader` on `device`, where this user's caches are."""
        return cls(cache_folder(), features_made_by(extractor, reader, device))

    def load(self) -> dict[str, np.ndarray]:
        """Every feature that is kept, by fingerprint."""
        kept: dict[str, np.ndarray] = {}
        for path in sorted(self.folder.glob("*.npz")):
            try:
                shard = read_arrays(path)
                kept.update(zip(shard["fingerprints"].tolist(), shard["features"], strict=True))
                touch(path)
            except Exception:  # gone meanwhile, damaged, or other arrays than these
                continue
        return kept

    def missing(self, records: Sequence[Record]) -> list[Record]:
        """Those whose features are not kept, of equal photos the last."""
        kept: set[str] = set()
        for path in sorted(self.folder.glob("*.npz")):
            with contextlib.suppress(Exception):  # as of `load`
                kept.update(read_arrays(path, "fingerprints")["fingerprints"].tolist())
        return _without(records, kept)

    def save(self, features: Mapping[str, np.ndarray]) -> None:
        """Keeps these features in a file of their own."""
        name = hashlib.blake2b("".join(features).encode(), digest_size=12).hexdigest()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_file(self.folder / f"{name}.npz") as temporary:
                np.savez(
                    temporary,
                    fingerprints=np.array(list(features)),
                    features=np.stack(list(features.values())),
                )
            keep_within_limit(self._cache, self.folder)
        except OSError:
            return


def extract_features(
    records: Sequence[Record], infer: Infer, reader: ReadsViews, cache: FeatureCache, progress: Progress
) -> np.ndarray:
    """float32 [N, C]: the features of the view that `reader` gives of each record, from the cache where it has them.

    Raises:
        FolderError: a file became unreadable since it was scanned.
        UsageError: the limit of the cache is no size.
    """
    cache_limit()  # that it is one is known before anything is computed
    kept = cache.load()
    missing = _without(records, kept)
    with progress.work("features", len(missing), "images") as ticker:
        fresh: dict[str, np.ndarray] = {}
        rows = infer_all(infer, reader.read_all(record.path for record in missing))
        for record, row in zip(missing, rows, strict=True):
            if isinstance(row, UnreadablePhoto):
                raise FolderError(f"{record.path} became unreadable: {row}. Run the command again.")
            fresh[record.fingerprint] = row
            ticker.advance()
            if len(fresh) == _SHARD_IMAGES:
                kept |= _keep(cache, fresh)
                fresh = {}
        if fresh:
            kept |= _keep(cache, fresh)
    return np.stack([kept[record.fingerprint] for record in records])


def _without(records: Sequence[Record], kept: Container[str]) -> list[Record]:
    return list({record.fingerprint: record for record in records if record.fingerprint not in kept}.values())


def _keep(cache: FeatureCache, fresh: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    cache.save(fresh)
    return fresh
