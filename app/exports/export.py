"""An export on disk: what lies beside the network, so that a program that has never seen the run can use it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from regraft.augment.fits import Fit
from regraft.data.rendering import AS_EARLIER, Range, Rendering
from regraft.errors import RunError, UsageError
from regraft.evidence.decision import Decision, decision_from, decision_of
from regraft.exports.description import check_values, digest_values
from regraft.exports.proof_photos import ProofPhotos, words_for
from regraft.exports.table import FORMATS
from regraft.machine.drafts import is_unfinished
from regraft.machine.files import digest_file, write_json, write_text
from regraft.progress import Progress, Silent
from regraft.runs.digests import MODEL, kept_digest
from regraft.runs.run import Run

FORMAT_VERSION = 2
"""Of `export.json`. Since 2, it has the digests of all files by which an export answers, and of itself."""

RATES = "runtimes.json"
"""The file in an export, or in the folder of a run's exports, that says how fast it is on which machine."""

CARD = "README.md"
_DESCRIPTION = "export.json"


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
        reported: how many photos the run reports on that were there; None in exports of an earlier version.
        sample_seed: with which `images` of them were drawn, by class; None where that is all of them.
    """

    images: int
    largest_difference: float
    mean_difference: float | None = None
    same_label: int
    tolerance: float | None
    accuracy: float | None = None
    accuracy_trained: float | None = None
    bytes: int | None = None
    reported: int | None = None
    sample_seed: int | None = None

    @property
    def proven_on(self) -> str:
        """Such as "500 of 1,020 reported photos, drawn by class, seed 0"."""
        return words_for(self.images, self.reported, self.sample_seed)

    def of_photos(self, chosen: ProofPhotos | None) -> ProofResult:
        """The same, which says of how many reported photos these were drawn, and how; None leaves it unsaid."""
        return replace(self, reported=chosen.reported, sample_seed=chosen.seed) if chosen else self

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
        crop_fraction: what the view keeps of the centre, as a part of the short side, or of each; see `Fit`.
        embedding: how many numbers it gives beside the probabilities; 0 for none.
        model: digest of the trained model it was made of, by `digest_model`; "" in SavedModels of an earlier
            version.
        background, range: see `regraft.data.rendering.Rendering`; version 1 did not say them.
        fit: how a photo becomes a square; those of before there was a choice, which do not say it, crop.
        decision: how labels are made of its probabilities; None is the most probable class.
        proof: what came out when it was compared with the trained model; `NOT_PROVEN` while it is written.
        files: the digest of each file by which it answers, by its name in `folder`; None in exports of an earlier
            version, which have none.
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
    files: Mapping[str, str] | None = field(default=None, compare=False)
    background: str = AS_EARLIER.background
    range: Range = AS_EARLIER.range
    fit: Fit = "crop"
    decision: Decision | None = None

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
        """Writes the labels, and `export.json` with the digests of all that lies beside it."""
        extra = _extra(self.folder)
        extra.mkdir(exist_ok=True)
        description = (extra / _DESCRIPTION).relative_to(self.folder).as_posix()
        write_text(extra / "labels.txt", "".join(f"{name}\n" for name in self.labels))
        values = {**vars(self), "labels": list(self.labels), "proof": self.proof.as_dict()}
        described = {name: digest for name, digest in digests_of(self.folder).items() if name != description}
        values |= {"files": described, "format_version": FORMAT_VERSION}
        del values["folder"], values["decision"]
        if self.decision:
            values["decision"] = self.decision.as_dict(self.labels)
        write_json(extra / _DESCRIPTION, {**values, "digest": digest_values(values)})


def digest_model(run: Run) -> str:
    """What `Export.model` says of the trained model of `run`: 32 hexadecimal digits of its file."""
    return _digest_once(run.model_file)


def answering_files(folder: Path) -> dict[str, Path]:
    """The files of the export in `folder` that an answer depends on, by name: all but what is told and measured."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in files.items() if path.name not in (CARD, RATES) and not is_unfinished(path)}


def digests_of(folder: Path) -> dict[str, str]:
    """The digest of each of `answering_files`, by name."""
    return {name: _digest_once(path) for name, path in answering_files(folder).items()}


def _digest_once(path: Path) -> str:
    """`digest_file`, which is not done again in this process for a file that has not changed."""
    now = path.stat()
    return _digest(path.absolute(), now.st_ino, now.st_size, now.st_mtime_ns)


@functools.lru_cache(maxsize=512)
def _digest(path: Path, *_: int) -> str:
    return digest_file(path)


def _extra(folder: Path) -> Path:
    """Where the words about an export lie: TensorFlow Serving knows assets.extra, and minds other files."""
    return folder / "assets.extra" if (folder / "saved_model.pb").is_file() else folder


def description_of(folder: Path) -> Path:
    """The file that says that the files beside it are an export, and which."""
    return _extra(folder) / _DESCRIPTION


def is_export(folder: Path) -> bool:
    """Whether `folder` is an export, or a folder of numbered versions of one."""
    return any(description_of(each).is_file() or (each / "saved_model.pb").is_file() for each in _versions(folder))


def kind_of(folder: Path) -> Literal["run", "export"] | None:
    """What is in `folder`, finished or not, or None for neither. A run is one whatever lies in it besides."""
    if Run(folder).recipe_file.is_file():
        return "run"
    return "export" if is_export(folder) else None


def read_export(folder: Path, progress: Progress | None = None) -> Export:
    """The export in `folder`, or the newest of its numbered versions that is whole.

    Args:
        folder: of an export or of versions.
        progress: is told which newer version is passed over, and why.

    Raises:
        UsageError: it was written by a newer Regraft.
        RunError: it is damaged, or says two things of its labels.
    """
    if _versions(folder) == [folder]:
        return read_description(folder)
    first: RunError | UsageError | None = None
    for version in _versions(folder):
        try:
            export = read_description(version)
            check_files(export)
        except (RunError, UsageError) as error:
            first = first or error
        else:
            if first:
                (progress or Silent()).say(f"{version} answers, the newest version that can: {first}")
            return export
    assert first is not None
    raise first


def check_files(export: Export) -> None:
    """Raises RunError that names the first file of `export` that is not as it was written.

    Of an export of an earlier version, which has no digests, it is the first one that is empty.
    """
    files = answering_files(export.folder)
    if export.files is None:
        damaged = next((path for path in files.values() if not path.stat().st_size), None)
        if damaged:
            raise RunError(f"{damaged} is damaged (it is empty); export the run again.")
        return
    for name, digest in export.files.items():
        if name not in files:
            raise RunError(f"{export.folder / name} is missing; export the run again.")
        if _digest_once(files[name]) != digest:
            raise RunError(f"{files[name]} is damaged (it changed since it was written); export the run again.")


def find_exports(run: Run, progress: Progress) -> list[Export]:
    """The exports of the model of `run` in the folders of its `exports`, by name.

    `progress` is told of those that are passed over: what is damaged, was written by a newer Regraft or answers as
    another model would.
    """
    found = []
    for file in sorted(run.exports.glob(f"*/{_DESCRIPTION}")):
        try:
            export = read_description(file.parent)
            _check_is_of(run, export)
        except (RunError, UsageError) as error:
            progress.say(passed_over(error))
        else:
            found.append(export)
    return found


def passed_over(error: RunError | UsageError) -> str:
    """What is said of an export of a run that cannot answer, where something else can."""
    return f"Passed over: {error.text}"


def _check_is_of(run: Run, export: Export) -> None:
    if export.labels != run.class_names:
        raise RunError(
            f"{export.folder} has mixed label sets: it answers {', '.join(export.labels)}, the run "
            f"{', '.join(run.class_names)}; export the run again or remove it."
        )
    if export.model and export.model != (kept_digest(run.folder, MODEL) or digest_model(run)):
        raise RunError(f"{export.folder} was made of another model than {run.model_file}; export the run again.")
    if export.decision != decision_of(run):
        raise RunError(f"{export.folder} decides otherwise than the run does by now; export the run again.")


def read_description(folder: Path) -> Export:
    """The export that `folder` itself is, as its `export.json` says. Raises as `read_export`."""
    file = description_of(folder)
    try:
        values = json.loads(file.read_text("utf-8"))
        _check_is_not_newer(folder, values["format_version"])
        check_values(values)
        labels = (_extra(folder) / "labels.txt").read_text("utf-8")
    except FileNotFoundError as error:
        raise RunError(f"{error.filename} is missing; export the run again.") from None
    except OSError as error:
        raise RunError(f"{file} cannot be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # what json and damaged JSON raise
        reason = str(error) if type(error) is ValueError else "it is no JSON object with a format_version"
        raise RunError(f"{file} is damaged ({reason}); export the run again.") from error
    if labels != "".join(f"{name}\n" for name in values["labels"]):
        raise RunError(f"{folder} has mixed label sets: its labels.txt and export.json differ; export the run again.")
    known = {name: values[name] for name in values.keys() - {"format_version", "digest"}}
    known["labels"] = tuple(values["labels"])
    if isinstance(known.get("range"), list):
        known["range"] = tuple(known["range"])
    if "decision" in known:
        known["decision"] = decision_from(known["decision"], known["labels"])
    known["proof"] = ProofResult(**values["proof"]) if values["proof"] else NOT_PROVEN
    return Export(folder, **known)


def _check_is_not_newer(folder: Path, written: Any) -> None:
    if isinstance(written, int) and FORMAT_VERSION < written < 1000:
        raise UsageError(
            f"{folder} was exported by a newer Regraft (format {written}; this one reads up to {FORMAT_VERSION}): "
            "upgrade Regraft, or export the run again with this one."
        )


def _versions(folder: Path) -> list[Path]:
    """The numbered versions in `folder`, the newest first; itself where it is an export or holds none."""
    if not folder.is_dir() or (folder / _DESCRIPTION).exists():
        return [folder]
    numbered = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    return sorted(numbered, key=lambda path: int(path.name), reverse=True) or [folder]
