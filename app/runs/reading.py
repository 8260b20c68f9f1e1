"""The files of a run, read; what is wrong with one is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regraft.errors import RunError


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file. Raises RunError where it is missing or damaged."""
    return read_file(path, _as_object)


def _as_object(text: str) -> dict[str, Any]:
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"expected an object; received {type(values).__name__}")
    return values


def read_file(path: Path, parse: Callable[[str], Any]) -> Any:
    """What `parse` makes of a file's text. Raises RunError where it is missing or damaged, or `parse` says so."""
    if not path.parent.is_dir():
        raise RunError(f"There is no run directory {path.parent}.")
    try:
        return parse(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is missing or damaged; train again.") from error
