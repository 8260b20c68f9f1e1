"""Arrays in .npz files, which may be damaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def read_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file of these names, or all; by name.

    Raises ValueError where the file is missing or damaged, or has none of such a name.
    """
    import numpy as np

    try:
        with path.open("rb") as file, np.load(file) as arrays:  # given a path, it leaves a damaged file open
            return {name: arrays[name] for name in names or arrays.files}
    except Exception as error:  # damaged data makes NumPy, zipfile and zlib raise nearly any type
        raise ValueError(f"{path} is missing or damaged") from error
