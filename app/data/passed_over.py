"""What is never a photo and never a class: what systems and Regraft itself leave among photos. Stated here alone."""

from __future__ import annotations

import re
from collections.abc import Collection

_SYSTEM_NAMES = frozenset(
    [
        # Windows: thumbnails, folder settings, the recycle bin, restore points
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycler"),
        "system volume information",
        # macOS: resource forks in archives, folder icons, what its file server adds
        *("__macosx", "icon\r", "network trash folder", "temporary items", "thevolumesettingsfolder"),
        # NAS: indexes and thumbnails, recycle bins and snapshots of Synology, QNAP and NetApp
        *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@__thumb", "@recently-snapshot", "~snapshot"),
        *("@transcode", "@sharebin", "network recycle bin"),
        # what a check of the file system found, on Linux and Android
        *("lost+found", "lost.dir"),
    ]
)
_CHECKED_DISK = re.compile(r"found\.\d{3}", re.IGNORECASE)  # the same on Windows
_SHARD = re.compile(r"^(part-\d+)\..*")
_INPUTS = re.compile(r"^(inputs)(?:-[0-9a-f]{16})?\.jsonl$")

PREVIEW = "augment_preview.png"
"""What `augment-preview` writes by default, into the current folder: often that of the photos."""

_OURS = {
    "a run": {"recipe.toml", "environment.json", "labels.txt"},
    "a run that was killed when it began": {"environment.json", "labels.txt", "checkpoints"},
    "an export": {"export.json", "labels.txt"},
    "an exported SavedModel": {"saved_model.pb", "assets.extra"},
    "a comparison": {"plan.json", "runs"},
    "an evaluation": {"metrics.json", "predictions.csv", "report.html"},
    "a learning-rate range test": {"learning_rate_range.csv", "learning_rate_range.png"},
    "an unfinished prediction": {"plan.json", "inputs"},
    "a prediction that was begun": {"asked.json", "inputs"},
    "a prediction": {"manifest.json", "part-000000"},
}
"""What Regraft writes a folder for, and entries that such a folder has, all of them.

Of shards, and of the list of inputs, whose name holds the id of its prediction, only the beginning.
"""


def is_left_by_system(name: str) -> bool:
    """Whether a file or folder of this name, without its path, is hidden or what a system leaves among photos."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES or bool(_CHECKED_DISK.fullmatch(name))


def what_file_of_ours(name: str) -> str:
    """What Regraft writes by this name where the user names none, among photos maybe; "" for any other file."""
    return "a sheet of augmented photos" if name == PREVIEW else ""


def what_of_ours(names: Collection[str]) -> str:
    """What Regraft has written a folder with these entries for, such as "a run"; "" where it has not.

    Told by the files, as a run may have any name and `saved_models` may be a class.
    """
    known = {_SHARD.sub(r"\1", _INPUTS.sub(r"\1", name)) for name in names}
    return next((what for what, marks in _OURS.items() if marks <= known), "")
