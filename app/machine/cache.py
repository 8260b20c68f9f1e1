"""Where things are kept that can be made again: scans, features, transcoded photos."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$REGRAFT_CACHE`, or `regraft` in the user's cache folder. Deleting it costs time, nothing else."""
    chosen = os.environ.get("REGRAFT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "regraft"
