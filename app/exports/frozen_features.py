"""Features of a frozen network, through the fastest installed runtime where that pays for writing the network for it.

One photo at a time and on a thread each, they compute twice as many features a second as TensorFlow does in batches;
writing and opening the network takes OpenVINO three seconds, and the others five and nine
(`python benchmarks/features.py rates`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regraft.data.photos import UnreadablePhoto
from regraft.data.records import Record
from regraft.errors import RegraftError
from regraft.exports.export import Export
from regraft.exports.exporting import write_network
from regraft.exports.format import Network, find_format
from regraft.exports.runtimes import borrowed, can_be_made, version_of
from regraft.inference.features import FeatureCache, ReadsViews, extract_features, features_made_by
from regraft.inference.views import Infer, infer_all, make_infer
from regraft.machine.cache import cache_folder
from regraft.machine.devices import Device
from regraft.machine.drafts import draft_folder
from regraft.machine.threads import map_ordered
from regraft.models.classifier import answering_model, feature_extractor
from regraft.progress import Progress

if TYPE_CHECKING:
    import keras

PAYS_FROM: Mapping[str, int] = {"openvino": 600, "onnx": 1_200, "litert": 2_000}
"""From how many photos on a format saves more than writing a small network in it takes; the fastest comes first."""

TENSORFLOW = "tensorflow"

_CHECKED, _LARGEST_ERROR = 64, 1e-4


@dataclass(frozen=True)
class FrozenFeatures:
    """What the head of a classifier reads, of views that a reader gives: computed once, kept, all by one runtime.

    Attributes:
        classifier: as `regraft.models.classifier.build_classifier` gives it; its head is of no account.
        reader: gives the views.
        device: that TensorFlow computes on; the others compute where that is a CPU, in float32.
        progress: is told how far it is, and where a runtime is not what it seemed.
    """

    classifier: keras.Model
    reader: ReadsViews
    device: Device
    progress: Progress

    def of(self, records: Sequence[Record]) -> tuple[np.ndarray, str]:
        """float32 [N, C], a row for each record, and the runtime that computed them.

        It is another than TensorFlow where that pays and where it says the same of the first photos: the difference
        is at most 1e-4 as long as the features.

        Raises:
            FolderError: a file became unreadable since it was scanned.
            UsageError: the limit of the cache is no size.
        """
        runtime = self._worthwhile(records)
        if runtime != TENSORFLOW and (found := self._through(runtime, records)) is not None:
            return found, runtime
        return self._extract(records, self._infer, self.reader, TENSORFLOW), TENSORFLOW

    def keep(self, records: Sequence[Record], features: np.ndarray, runtime: str) -> None:
        """Keeps rows [N, C] as what `runtime` computed."""
        found = {record.fingerprint: row for record, row in zip(records, features, strict=True)}
        self._cache(runtime).save(found)

    @cached_property
    def _extractor(self) -> keras.Model:
        return feature_extractor(self.classifier)

    @cached_property
    def _infer(self) -> Infer:
        return make_infer(self._extractor, self.device)

    @cached_property
    def _made_by(self) -> Mapping[str, object]:
        return features_made_by(self._extractor, self.reader, self.device)

    def _cache(self, runtime: str) -> FeatureCache:
        how = {} if runtime == TENSORFLOW else {"runtime": runtime, "version": version_of(runtime)}
        return FeatureCache(cache_folder(), {**self._made_by, **how})

    def _worthwhile(self, records: Sequence[Record]) -> str:
        """The runtime to take: that follows from how many photos there are, so that it is the same another time."""
        if self.device.kind != "cpu" or self.device.precision != "float32":
            return TENSORFLOW
        count = len({record.fingerprint for record in records})
        pays = (name for name, least in PAYS_FROM.items() if count >= least and can_be_made(name))
        return next(pays, TENSORFLOW)

    def _through(self, runtime: str, records: Sequence[Record]) -> np.ndarray | None:
        """The features by this runtime; None where it fails, or says other than TensorFlow."""
        try:
            missing = self._cache(runtime).missing(records)
            if not missing:
                return self._extract(records, self._infer, self.reader, runtime)
            with draft_folder(Path(tempfile.gettempdir())) as folder:
                computed = _ComputedReader(self.reader, open_features(self.classifier, runtime, folder))
                error = self._error(computed, [record.path for record in missing[:_CHECKED]])
                if error <= _LARGEST_ERROR:
                    return self._extract(records, _as_it_is, computed, runtime)
            why = f"its features are off by {error:.1g} of them"
        except RegraftError:
            raise
        except Exception as failure:  # each converter and runtime has its own types
            why = (str(failure).strip().splitlines() or [type(failure).__name__])[0].rstrip(".")
        self.progress.say(f"{runtime} does not compute the features ({why}); TensorFlow does.")
        return None

    def _error(self, computed: _ComputedReader, paths: Sequence[Path]) -> float:
        """How far the features of these files are from TensorFlow's: the difference, as part of theirs."""
        expected = infer_all(self._infer, self.reader.read_all(paths))
        errors = [
            np.linalg.norm(other - one) / max(np.linalg.norm(one), np.finfo(np.float32).tiny)
            for one, other in zip(expected, computed.read_all(paths), strict=True)
            if not isinstance(one, UnreadablePhoto) and not isinstance(other, UnreadablePhoto)
        ]
        return float(np.max(errors, initial=0.0))  # which is no number where one is none

    def _extract(self, records: Sequence[Record], infer: Infer, reader: ReadsViews, runtime: str) -> np.ndarray:
        return extract_features(records, infer, reader, self._cache(runtime), self.progress)


@dataclass(frozen=True)
class _ComputedReader:
    """Reads the features of files: what `network` makes of the views that `reader` gives, each on a thread."""

    reader: ReadsViews
    network: Network

    @property
    def settings(self) -> Mapping[str, object]:
        """All that a view depends on besides the file."""
        return self.reader.settings

    def read_all(self, paths: Iterable[Path]) -> Iterator[np.ndarray | UnreadablePhoto]:
        """float32 [C] of each file, in order; an unreadable one yields its error."""
        return map_ordered(self._features, self.reader.read_all(paths))

    def _features(self, view: np.ndarray | UnreadablePhoto) -> np.ndarray | UnreadablePhoto:
        if isinstance(view, UnreadablePhoto):
            return view
        _, features = self.network(np.ascontiguousarray(view[None]))
        assert features is not None, "an answering model has an embedding where it has one head"
        return features[0]


def _as_it_is(features: np.ndarray) -> np.ndarray:
    return features


def open_features(classifier: keras.Model, runtime: str, folder: Path) -> Network:
    """The network that gives the features as its embedding, written below `folder` and opened for many threads."""
    form = find_format(runtime)
    labels = tuple(map(str, range(classifier.output_shape[-1])))
    export = Export(
        folder, form.name, "float32", labels, classifier.input_shape[1], crop_fraction=1.0, embedding=0, model=""
    )
    write_network(form, answering_model(classifier), export, [])

    def opened() -> Network:
        return form.open(form.network(folder), export, 1)

    return opened() if form.shared else borrowed(opened)
