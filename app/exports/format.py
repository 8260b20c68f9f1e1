"""What an export format is: one value, with which the module of each format ends."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from regraft.errors import UsageError, option
from regraft.exports.export import Export
from regraft.exports.proof_photos import ProveOn
from regraft.exports.table import FORMATS
from regraft.progress import Progress

if TYPE_CHECKING:
    import keras

Network = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""float32 [N, S, S, 3] in [0, 255] -> probabilities float32 [N, C], embeddings float32 [N, E] or None."""

Views = Callable[[], Iterable[np.ndarray]]
"""Views of training photos, float32 [S, S, 3] each, for finding the ranges of activations; none unless the precision
needs them."""

Writer = Callable[["keras.Model", Path, Export, Views], None]
"""Writes what `regraft.models.classifier.answering_model` gives to a path, as the export says it."""

Opener = Callable[[Path, Export, int], Network]
"""The network at a path, ready to answer so many views at a time."""


class Exporter(Protocol):
    """The way from a run to a proven export, where it is not that of `regraft.exports.exporting`."""

    def __call__(self, folder: Path, *, photos: ProveOn, out: Path | None, device: str, progress: Progress) -> Export:
        """Exports the run in `folder`; the arguments are those of `export_run`."""


@dataclass(frozen=True)
class Needs:
    """What writing takes beside the runtime: modules, and the extras of this package that install them."""

    modules: tuple[str, ...]
    extras: str


@dataclass(frozen=True)
class Precision:
    """What an export in a precision is held to, and what writing it takes.

    Attributes:
        tolerance: largest difference of a probability from the trained model's; None where only labels are held.
        needs_views: whether writing looks at views of training photos.
    """

    tolerance: float | None
    needs_views: bool = False


FLOAT32, FLOAT16, BFLOAT16 = Precision(1e-4), Precision(5e-2), Precision(1e-1)
INT8 = Precision(None, needs_views=True)


@dataclass(frozen=True)
class Format:
    """One export format.

    Attributes:
        name: its key in `FORMATS`, and its module's name.
        package: what has to be installed to compute it.
        module: what is imported to compute it.
        file: the network's file in the export's folder; "" where the folder itself is the network.
        precisions: the ones it can be written in, float32 first.
        open: opens a network.
        start_seconds: about how long the runtime takes to start; the fastest answers where nothing was measured.
        write: writes a network; None where `exporter` does.
        exporter: its own way from a run to a proven export.
        needs: what has to be installed to write it, by precision.
        more_files: what the network has beside `file`.
        batch_size: how many views a network takes at a time. Runtimes that take one, on one thread, are called by as
            many threads as there are cores: nothing waits for the slowest thread of a batch, a row depends on no other,
            and it is the fastest way on a CPU (docs/benchmarks.md, "Prediction").
        many: as `batch_size`, where there are many views to answer and so many together take less time each.
        shared: whether one network may be called by many threads at once, or each thread needs its own.
        snippet: Python for the model card, first its imports and then, after an empty line, what gets `answer`, the
            outputs by name, for `view`, float32 [S, S, 3]. `export` holds what export.json says.
    """

    name: str
    package: str
    module: str
    file: str
    precisions: Mapping[str, Precision]
    open: Opener
    start_seconds: float
    write: Writer | None = None
    exporter: Exporter | None = None
    needs: Mapping[str, Needs] = field(default_factory=dict)
    more_files: tuple[str, ...] = ()
    batch_size: int = 1
    many: int | None = None
    shared: bool = False
    snippet: str = ""

    def network(self, folder: Path) -> Path:
        """The network of an export in `folder`: its file, or the folder."""
        return folder / self.file


def find_format(name: str) -> Format:
    """The format of that name. Raises UsageError where there is none."""
    if name not in FORMATS:
        raise UsageError(f'{option("format")} must be one of {", ".join(FORMATS)}; received "{name}".')
    found: Format = importlib.import_module(f"regraft.exports.{name}").FORMAT
    return found


def first_format(runtime: str) -> Format:
    """The first format that `runtime` reads; it knows what has to be installed."""
    return find_format(next(name for name, reader in FORMATS.items() if reader == runtime))


def as_answer(outputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    """What a `Network` answers, from the outputs of `answering_model` by name."""
    return outputs["probabilities"], outputs.get("embedding")
