"""What `export.json` may say: the type and range of each of its values, told in one line where one does not fit."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from regraft.augment.fits import FITS
from regraft.data.rendering import check_background, check_range
from regraft.evidence.decision import decision_from
from regraft.exports.table import FORMATS, PRECISIONS
from regraft.machine.files import to_json

_DIGEST = re.compile(r"[0-9a-f]{32}")


def _is_text(value: Any) -> bool:
    """Whether it is a string that a file can hold: JSON knows half characters, UTF-8 does not."""
    return isinstance(value, str) and value.encode("utf-8", "replace") == value.encode("utf-8", "surrogatepass")


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 1 << 31


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_labels(value: Any) -> bool:
    is_list = isinstance(value, list) and bool(value) and all(_is_text(name) and name for name in value)
    return is_list and len(set(value)) == len(value) and not any("\n" in name for name in value)


def _are_files(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_text(name) and is_inside(name) and isinstance(digest, str) and _DIGEST.fullmatch(digest)
        for name, digest in value.items()
    )


def _is_proof(value: Any) -> bool:
    """Whether it is empty or measures of known names; `tolerance` may be null."""
    if not isinstance(value, dict) or (value and not _PROOF_NEEDS <= set(value) <= _PROOF_NEEDS | _PROOF_MAY):
        return False
    return all(_is_number(measured) or (name == "tolerance" and measured is None) for name, measured in value.items())


def _fits(check: Callable[[Any], object]) -> Callable[[Any], bool]:
    """Whether `check`, which raises ValueError, takes a value."""

    def fits(value: Any) -> bool:
        try:
            check(value)
        except (ValueError, AttributeError):
            return False
        return True

    return fits


_PROOF_NEEDS = {"images", "largest_difference", "same_label", "tolerance"}
_PROOF_MAY = {"mean_difference", "accuracy", "accuracy_trained", "bytes", "reported", "sample_seed"}

_Check = tuple[str, Callable[[Any], bool]]
_VALUES: dict[str, _Check] = {
    "format": (f"one of {', '.join(FORMATS)}", lambda value: isinstance(value, str) and value in FORMATS),
    "precision": (f"one of {', '.join(PRECISIONS)}", lambda value: isinstance(value, str) and value in PRECISIONS),
    "labels": ("a list of different names", _are_labels),
    "image_size": ("a number of pixels", lambda value: _is_whole(value, 1)),
    "crop_fraction": ("in (0, 1]", lambda value: _is_number(value) and 0 < value <= 1),
    "embedding": ("a whole number", lambda value: _is_whole(value, 0)),
    "model": ("a digest", lambda value: isinstance(value, str)),
    "proof": ("what a proof measures", _is_proof),
}
_DIGESTS: dict[str, _Check] = {
    "files": ("names of files with their digests", _are_files),
    "digest": ("a digest", lambda value: isinstance(value, str)),
}
_MAY: dict[str, _Check] = {
    "background": ('a colour, or "none"', _fits(check_background)),
    "range": ("a range of values", _fits(check_range)),
    "decision": ("costs, or a class and its least probability", lambda value: isinstance(value, dict)),
    "fit": (f"one of {', '.join(FITS)}", lambda value: isinstance(value, str) and value in FITS),
}
"""What those of before there was a choice do not say."""

_EXPECTED: dict[int, dict[str, _Check]] = {1: _VALUES, 2: _VALUES | _DIGESTS}
"""By the version of the format."""


def check_values(values: Mapping[str, Any]) -> None:
    """Raises ValueError that names the first value of an `export.json` that is not what its version says.

    Values of other names are refused too.
    """
    version = values["format_version"]
    if not _is_whole(version, 1) or version not in _EXPECTED:
        raise ValueError("format_version must be a number of a version")
    expected, known = _EXPECTED[version], _EXPECTED[version] | _MAY
    for name in (*expected, *values.keys() - {"format_version"}):
        if name not in known:
            raise ValueError(f"{name[:40]!r} is no key of it")
        if name not in values:
            raise ValueError(f"{name} is missing")
        words, fits = known[name]
        if not fits(values[name]):
            raise ValueError(f"{name} must be {words}")
    if "decision" in values:
        decision_from(values["decision"], values["labels"])
    if "digest" in expected and digest_values(values) != values["digest"]:
        raise ValueError("it changed since it was written")


def digest_values(values: Mapping[str, Any]) -> str:
    """32 hexadecimal digits of all values but `digest` itself, whatever their order."""
    told = {name: values[name] for name in sorted(values) if name != "digest"}
    return hashlib.blake2b(to_json(told).encode(), digest_size=16).hexdigest()


def is_inside(name: str) -> bool:
    """Whether a file's name, relative to an export with "/", stays in it."""
    parts = PurePosixPath(name).parts
    return bool(parts) and name == "/".join(parts) and ".." not in parts and "\0" not in name
