"""Arrays in .npz files, which may be damaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of an .npz file, by name. Raises ValueError where the file is missing or damaged."""
    import numpy as np

    try:
        with path.open("rb") as file, np.load(file) as arrays:  # given a path, it leaves a damaged file open
            return dict(arrays)
    except Exception as error:  # damaged data makes NumPy, zipfile and zlib raise nearly any type
        raise ValueError(f"{path} is missing or damaged") from error
