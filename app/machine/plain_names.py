"""Names for libraries that take a path as a pattern, or as text of some encoding, instead of as it is."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.machine.drafts import draft_folder

_PLAIN = re.compile(r"[A-Za-z0-9_./+=@,~-]*")


@contextmanager
def plain_name(folder: Path) -> Iterator[Path]:
    r"""A path of the existing `folder` made of letters, digits and a few signs, which holds while the block runs.

    TensorFlow takes `[ ]`, `*`, `?` and `\\` in the paths of checkpoints as patterns, and several runtimes take only
    UTF-8. A plain path comes back as it is.
    """
    if _PLAIN.fullmatch(str(folder)) or os.name == "nt":
        yield folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        name = Path(f"/proc/self/fd/{handle}")
        if name.is_dir():
            yield name
            return
        with draft_folder(Path(tempfile.gettempdir())) as place:  # macOS has no such names
            (place / "folder").symlink_to(folder.absolute(), target_is_directory=True)
            yield place / "folder"
    finally:
        os.close(handle)
