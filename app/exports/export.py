"""An export on disk: what lies beside the network, so that a program that has never seen the run can use it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from regraft.data.rendering import AS_EARLIER, Range, Rendering
from regraft.errors import RunError, UsageError
from regraft.exports.table import FORMATS
from regraft.machine.files import write_text
from regraft.runs.run import Run

FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class ProofResult:
    """How an export answered photos, beside the trained model. What its format does not measure is None.

    Attributes:
        images: how many photos were compared.
        largest_difference, mean_difference: of a probability from the trained model's.
        same_label: how many photos keep their label.
        tolerance: what `largest_difference` was allowed to be; None where only labels are held.
        accuracy, accuracy_trained: of the export and of the trained model, on these photos.
        bytes: what the export takes on disk.
    """

    images: int
    largest_difference: float
    mean_difference: float | None = None
    same_label: int
    tolerance: float | None
    accuracy: float | None = None
    accuracy_trained: float | None = None
    bytes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """What was measured, as JSON values. Empty for `NOT_PROVEN`."""
        if self == NOT_PROVEN:
            return {}
        return {name: value for name, value in vars(self).items() if value is not None or name == "tolerance"}


NOT_PROVEN = ProofResult(images=0, largest_difference=1.0, same_label=0, tolerance=None)
"""Of an export that nothing was compared with."""


@dataclass(frozen=True)
class Export:
    """A network with all that is needed to use it, as `export.json` says.

    Attributes:
        folder: where it lies.
        format: a key of `regraft.exports.table.FORMATS`.
        precision: one of `regraft.exports.table.PRECISIONS`.
        labels: in the order of the probabilities.
        image_size: pixels a side of the view it takes, float32 [N, S, S, 3] in [0, 255], RGB.
        crop_fraction: the centre square of the view, as a part of the short side.
        embedding: how many numbers it gives beside the probabilities; 0 for none.
        model: digest of the trained model it was made of, by `digest_model`; "" in SavedModels of an earlier
            version.
        background, range: see `regraft.data.rendering.Rendering`; version 1 did not say them.
        proof: what came out when it was compared with the trained model; `NOT_PROVEN` while it is written.
    """

    folder: Path
    format: str
    precision: str
    labels: tuple[str, ...]
    image_size: int
    crop_fraction: float
    embedding: int
    model: str
    proof: ProofResult = NOT_PROVEN
    background: str = AS_EARLIER.background
    range: Range = AS_EARLIER.range

    @property
    def rendering(self) -> Rendering:
        """How values of files become 8-bit colours."""
        return Rendering(self.background, self.range)

    @property
    def name(self) -> str:
        """Such as "litert-int8"."""
        return f"{self.format}-{self.precision}"

    @property
    def runtime(self) -> str:
        """The runtime that reads it."""
        return FORMATS[self.format]

    @property
    def calibration_file(self) -> Path:
        """As of a run; there only where the run had one."""
        return _extra(self.folder) / "calibration.npz"

    @property
    def bytes(self) -> int:
        """How many bytes the export takes on disk, card and calibration left out."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.suffix not in (".md", ".npz")]
        return sum(path.stat().st_size for path in files)

    def as_dict(self) -> dict[str, Any]:
        """What `regraft export --json` prints of it: where it is, its labels, and what its proof found."""
        return {"folder": str(self.folder), "labels": list(self.labels), **self.proof.as_dict()}

    def write(self) -> None:
        """Writes `export.json` and the labels beside the network."""
        extra = _extra(self.folder)
        extra.mkdir(exist_ok=True)
        write_text(extra / "labels.txt", "".join(f"{name}\n" for name in self.labels))
        values = {**vars(self), "proof": self.proof.as_dict(), "format_version": FORMAT_VERSION}
        del values["folder"]
        write_text(extra / "export.json", json.dumps(values, indent=2) + "\n")


def digest_model(run: Run) -> str:
    """What `Export.model` says of the trained model of `run`: 32 hexadecimal digits of its file."""
    return hashlib.blake2b(run.model_file.read_bytes(), digest_size=16).hexdigest()


def _extra(folder: Path) -> Path:
    """Where the words about an export lie: TensorFlow Serving knows assets.extra, and minds other files."""
    return folder / "assets.extra" if (folder / "saved_model.pb").is_file() else folder


def is_export(folder: Path) -> bool:
    """Whether `folder` is an export, or a folder of numbered versions of one."""
    return (_extra(_newest(folder)) / "export.json").is_file() or (_newest(folder) / "saved_model.pb").is_file()


def kind_of(folder: Path) -> Literal["run", "export"] | None:
    """What is in `folder`, finished or not, or None for neither. A run is one whatever lies in it besides."""
    if Run(folder).recipe_file.is_file():
        return "run"
    return "export" if is_export(folder) else None


def read_export(folder: Path) -> Export:
    """The export in `folder`, or the newest of its numbered versions.

    Raises:
        UsageError: it was written by a newer Regraft.
        RunError: it is damaged, or says two things of its labels.
    """
    folder = _newest(folder)
    file = _extra(folder) / "export.json"
    try:
        values = json.loads(file.read_text("utf-8"))
        written = values.pop("format_version")
        if written > FORMAT_VERSION:
            raise UsageError(
                f"{folder} was exported by a newer Regraft (format {written}; this one reads up to {FORMAT_VERSION}): "
                "upgrade Regraft, or export the run again with this one."
            )
        values["labels"] = tuple(values["labels"])
        if isinstance(values.get("range"), list):
            values["range"] = tuple(values["range"])
        values["proof"] = ProofResult(**values["proof"]) if values["proof"] else NOT_PROVEN
        export = Export(folder, **values)
        labels = (_extra(folder) / "labels.txt").read_text("utf-8")
    except FileNotFoundError as error:
        raise RunError(f"{error.filename} is missing; export the run again.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file} is damaged; export the run again.") from error
    if labels != "".join(f"{name}\n" for name in export.labels):
        raise RunError(f"{folder} has mixed label sets: its labels.txt and export.json differ; export the run again.")
    if export.format not in FORMATS:
        raise RunError(f'{file} names the format "{export.format}", which does not exist; export the run again.')
    return export


def find_exports(folder: Path, labels: Sequence[str]) -> list[Export]:
    """The finished exports in the folders of `folder`, by name.

    Raises:
        RunError: one of them has other labels than the run.
    """
    found = [read_export(path.parent) for path in sorted(folder.glob("*/export.json"))]
    for export in found:
        if export.labels != tuple(labels):
            raise RunError(
                f"{export.folder} has mixed label sets: it answers {', '.join(export.labels)}, the run "
                f"{', '.join(labels)}; export the run again or remove it."
            )
    return found


def _newest(folder: Path) -> Path:
    if not folder.is_dir() or (folder / "export.json").exists():
        return folder
    versions = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    return max(versions, key=lambda path: int(path.name), default=folder)
