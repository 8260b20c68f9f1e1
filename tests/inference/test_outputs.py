"""The logits of photos, in their order."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from regraft.data.photos import UnreadablePhoto
from regraft.data.records import Record
from regraft.errors import FolderError
from regraft.inference.outputs import logits_of
from regraft.progress import Silent


def records(count: int) -> list[Record]:
    return [Record(Path(f"{number}.jpg"), 0, "", "JPEG", 8, 8, 1, str(number), b"") for number in range(count)]


class NumberReader:
    """The view of "7.jpg" is all sevens; "13.jpg" cannot be read."""

    def read_all(self, paths: Iterable[Path]):
        for path in paths:
            yield (
                UnreadablePhoto("empty file") if path.stem == "13" else np.full((2, 2, 3), float(path.stem), np.float32)
            )


def infer(images: np.ndarray) -> np.ndarray:
    return images[:, 0, 0, :2] * [1, -1]


def test_there_is_one_row_of_logits_a_record_in_order():
    logits = logits_of(records(10), infer, NumberReader(), Silent(), "judge")  # type: ignore[arg-type]
    np.testing.assert_array_equal(logits, [[number, -number] for number in range(10)])


def test_a_photo_that_broke_since_the_scan_is_named():
    with pytest.raises(FolderError, match=r"13\.jpg became unreadable: empty file\. Run the command again\."):
        logits_of(records(15), infer, NumberReader(), Silent(), "judge")  # type: ignore[arg-type]
