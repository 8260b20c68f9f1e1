"""files.json: what the files that decide a finished run's answers hold, so that rot and edits do not go unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

from regraft.errors import RunError
from regraft.machine.files import digest_file, write_json

DIGESTS = "files.json"
DECISION = "decision.json"
SMALL_FILES = ("recipe.toml", "labels.txt", "calibration.npz", DECISION)
"""What is checked whenever a run is opened, as it takes no time."""

MODEL, ROSTER, BACKBONE = "model.keras", "images.csv", "backbone.weights.h5"
"""What is checked where it is read: the network, which photos had which role, and what other runs begin with."""

_METHOD = "blake2b"


def write_digests(folder: Path) -> None:
    """Keeps the digests of those of the files that a run has, before it is finished."""
    names = [name for name in (MODEL, ROSTER, BACKBONE, *SMALL_FILES) if (folder / name).is_file()]
    write_json(folder / DIGESTS, {_METHOD: {name: digest_file(folder / name) for name in names}})


def kept_digest(folder: Path, name: str) -> str | None:
    """The digest of a file as the run was finished with it; None in older runs. Raises RunError where it is damaged."""
    return _read(folder / DIGESTS).get(name)


def without_digest(folder: Path, name: str) -> None:
    """Keeps the digest of a file no longer, before it is changed on purpose; nothing in older runs."""
    kept = _read(folder / DIGESTS)
    if name in kept:
        write_json(folder / DIGESTS, {_METHOD: {key: digest for key, digest in kept.items() if key != name}})


def keep_digest(folder: Path, name: str) -> None:
    """Keeps the digest of a file that was changed on purpose, in a run that keeps digests."""
    if (folder / DIGESTS).is_file():
        write_json(folder / DIGESTS, {_METHOD: {**_read(folder / DIGESTS), name: digest_file(folder / name)}})


def check_digests(folder: Path, *names: str) -> None:
    """Raises RunError where one of the files is not what the run was finished with.

    Older runs kept no digests, and of a file that is gone those speak who need it.
    """
    kept = _read(folder / DIGESTS)
    for name in kept.keys() & set(names):
        path = folder / name
        if path.is_file() and digest_file(path) != kept[name]:
            raise RunError(
                f"{path} is not what the run was finished with, so it is damaged or edited; put it back or train again."
            )


def check_weights(file: Path) -> None:
    """The same for a file of weights, where `pretrain` has written it in its run."""
    if file.name == BACKBONE and (file.parent / "recipe.toml").is_file():
        check_digests(file.parent, BACKBONE)


def _read(file: Path) -> dict[str, str]:
    try:
        return dict(json.loads(file.read_text("utf-8"))[_METHOD])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{file} is damaged; train again.") from error
