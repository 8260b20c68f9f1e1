"""Many photos through one answerer: what is held of them at a time."""

import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from regraft.data.photos import Limits
from regraft.machine.memory import decoding_within
from regraft.prediction.answerer import Answerer, Answers, answer_batches
from regraft.prediction.sources.expand import expand_inputs
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.reader import ItemReader

PHOTO_BYTES = 100_000


class Counted(ItemReader):
    """Knows how many bytes were read and not yet looked at."""

    held = most = 0
    lock = threading.Lock()

    def read(self, item: Item) -> bytes:
        data = super().read(item)
        self.count(len(data))
        return data

    def count(self, amount: int) -> None:
        with self.lock:
            self.held += amount
            self.most = max(self.most, self.held)


def photos_in(folder: Path, kind: str) -> list[Item]:
    """40 photos, the first byte of each its number, in an archive or in files of their own."""
    data = [bytes([number]) + bytes(PHOTO_BYTES - 1) for number in range(40)]
    if kind == "zip":
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            for number, photo in enumerate(data):
                archive.writestr(f"{number:02d}.jpg", photo)
        return list(expand_inputs(str(folder / "a.zip")))
    for number, photo in enumerate(data):
        (folder / f"{number:02d}.jpg").write_bytes(photo)
    return list(expand_inputs(str(folder)))


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("kind", ["zip", "file"])
@pytest.mark.parametrize(("limit", "allowed"), [(2_000_000, 5 + 3), (400_000, 1 + 3)], ids=["some", "one"])
def test_what_is_read_ahead_is_counted_in_bytes(tmp_path: Path, kind: str, batch_size: int, limit: int, allowed: int):
    """A quarter of the limit waits; beside it each of 2 threads and the one that reads have a photo in hand."""
    items = photos_in(tmp_path, kind)
    with decoding_within(limit), Counted(Limits()) as reader:

        def read(photo: bytes) -> np.ndarray:
            time.sleep(0.0005)
            reader.count(-len(photo))
            return np.array([photo[0]], np.float32)

        def compute(views: np.ndarray) -> Answers:
            return Answers(np.concatenate([views, 1 - views], axis=1))

        answerer = Answerer(("a", "b"), read, compute, batch_size, workers=2)
        batches: Iterator[list[Item]] = (items[start : start + batch_size] for start in range(0, 40, batch_size))
        answers = [answer for batch in answer_batches(answerer, batches, reader) for answer in batch]
    assert [answer.path for answer in answers] == [item.path for item in items]
    assert [answer.scores[0] for answer in answers] == list(range(40))
    assert reader.held == 0
    assert reader.most <= allowed * PHOTO_BYTES
