"""The types that travel through the program: one image, one folder, one prediction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPLITS = ("train", "val", "test")
TOP = 5
"""How many labels an answer names."""


@dataclass(frozen=True, slots=True)
class Record:
    """One readable image of the user's folder.

    Attributes:
        path: the file, as found under the folder's root.
        class_index: position of its class in `ImageFolder.class_names`.
        split: "train", "val" or "test"; "" where the folder has no splits.
        format: Pillow's name of the file format, such as "JPEG".
        width: pixels, as stored (before the EXIF orientation is applied).
        height: pixels, as stored.
        orientation: EXIF orientation, 1 to 8; 1 where there is none or it is not valid.
        fingerprint: BLAKE2b-128 of the file's bytes, hexadecimal. Equal for exact duplicates.
        appearance: 256-bit difference hash of the upright image, 32 bytes. Near for near-duplicates.
        mode: Pillow's name of the pixel mode, such as "RGB" or "CMYK".
        complete: whether the file has the end mark of its format, which TensorFlow's decoder insists on.
        transparent: whether pixels may be transparent, so that a background shows through.
        lowest: the lowest value of deep grey (16 or 32 bits) whose file does not say its range; None for others.
        highest: the highest of such values.
        note: what is odd about the file, which is read all the same, such as a missing end mark; "" for most.
        camera: what took it, as EXIF says; "" where it does not.
        taken: when, in seconds on the camera's clock; None where EXIF does not say it.
        pixels: digest of the upright pixels, hexadecimal, of a photo that looks as plain as another one of its size;
            "" for all others. Equal for the same picture in different bytes.
        group: what it has in common with photos that it must not be parted from, such as a patient; "" for nothing.
        weight: how much it counts in training, above 0, where a table says so.
    """

    path: Path
    class_index: int
    split: str
    format: str
    width: int
    height: int
    orientation: int
    fingerprint: str
    appearance: bytes
    mode: str = "RGB"
    complete: bool = True
    transparent: bool = False
    lowest: float | None = None
    highest: float | None = None
    note: str = ""
    camera: str = ""
    taken: float | None = None
    pixels: str = ""
    group: str = ""
    weight: float = 1.0


def in_path_order(records: Iterable[Record]) -> tuple[Record, ...]:
    """As paths themselves are ordered, ten times as fast."""
    return tuple(sorted(records, key=lambda record: record.path.parts))


def group_keys(records: Sequence[Record]) -> list[str]:
    """The group of each record, and a key of its own for each that has none."""
    return [record.group or f"\0{place}" for place, record in enumerate(records)]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file or folder that was found and not used, and why ("cannot read: image file is truncated")."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """What a scan found. Every file below `root` is a record, or is named (or lies below what is named) elsewhere.

    Of a table, the files are those that it names.

    Attributes:
        root: the folder that was scanned, or where the relative paths of a table start.
        class_names: one name per class, sorted, in the order of `Record.class_index`.
        records: every readable image, sorted by path.
        unreadable: images that cannot be decoded and folders that cannot be entered, with the reason.
        not_images: files that are no images by name or content, with what they are.
        empty_folders: class folders without a readable image.
        hidden: files and folders that are hidden or left by a system, which are passed over.
        loose: images outside the class folders, which belong to no class.
        ours: folders and files that Regraft has written, which are passed over, with what they are.
        links: links back to a folder that is read where it lies.
        alike: class folders of one class whose names are different writings of one name; of a table, the names.
        table: the file that names the photos and their classes; None where folders do.
        remarks: what else is to be known of how it was read, in sentences.
    """

    root: Path
    class_names: tuple[str, ...]
    records: tuple[Record, ...]
    unreadable: tuple[SetAside, ...] = ()
    not_images: tuple[SetAside, ...] = ()
    empty_folders: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    loose: tuple[Path, ...] = ()
    ours: tuple[SetAside, ...] = ()
    links: tuple[Path, ...] = ()
    alike: tuple[tuple[Path, ...], ...] = ()
    table: Path | None = None
    remarks: tuple[str, ...] = ()

    @property
    def source(self) -> Path:
        """What was named: the table, or the folder."""
        return self.table or self.root

    @property
    def name(self) -> str:
        """The name of the table; else the folder's own, also where `root` is "." or ends in ".."."""
        if self.table:
            return self.table.name
        return self.root.name if self.root.name not in ("", "..") else self.root.resolve().name or str(self.root)

    def split(self, name: str) -> tuple[Record, ...]:
        """The records of one split, in path order."""
        return tuple(record for record in self.records if record.split == name)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold images, in the order train, val, test; empty without splits."""
        present = {record.split for record in self.records}
        return tuple(name for name in SPLITS if name in present)


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """The answer for one input.

    Attributes:
        path: the input as the user named it.
        status: one of `regraft.data.photos.STATUSES`.
        reason: why there is no answer; "" where status is "ok".
        scores: float probabilities in label order; empty where status is not "ok".
        members: the same of each member of an ensemble, where they were asked for.
        embedding: float features of the photo, which the head answers by, where they were asked for.
        class_names: in label order; one tuple that all predictions of a model share.
        decided: position of the class that the model's decision gives; None where the most probable class is given.
    """

    path: str
    status: str
    reason: str = ""
    scores: tuple[float, ...] = ()
    members: tuple[tuple[float, ...], ...] = ()
    embedding: tuple[float, ...] = ()
    class_names: tuple[str, ...] = field(default=(), compare=False)
    decided: int | None = None

    # What follows is worked out when asked for: a job of millions of rows makes predictions and asks for none of it.

    @property
    def label(self) -> str:
        """The class that is decided for, else the most probable, the first of equals; "" where there is no answer."""
        return self.class_names[self._order[0]] if self.scores else ""

    @property
    def score(self) -> float:
        """The probability of `label`, in [0, 1]; 0.0 where there is no answer."""
        return self.scores[self._order[0]] if self.scores else 0.0

    @property
    def _order(self) -> list[int]:
        """Positions of all classes: that of `label`, then the others, the most probable first."""
        return sorted(range(len(self.scores)), key=lambda index: (index != self.decided, -self.scores[index]))

    @property
    def top(self) -> tuple[tuple[str, float], ...]:
        """Label and score of five classes, that of `label` first, then the most probable; fewer of few classes."""
        return tuple((self.class_names[index], self.scores[index]) for index in self._order[:TOP])

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "path": self.path,
            "status": self.status,
            "reason": self.reason,
            "label": self.label,
            "score": self.score,
            "top": [{"label": label, "score": score} for label, score in self.top],
            "scores": list(self.scores),
            "members": [list(scores) for scores in self.members],
            "embedding": list(self.embedding),
        }

    def __repr__(self) -> str:
        answer = f"label={self.label!r}, score={self.score:.4g}" if self.scores else f"reason={self.reason!r}"
        return f"Prediction(path={self.path!r}, status={self.status!r}, {answer})"
