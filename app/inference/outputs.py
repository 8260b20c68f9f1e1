"""What a model gives to labelled photos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from regraft.data.photos import UnreadablePhoto
from regraft.data.records import Record
from regraft.errors import FolderError
from regraft.inference.views import Infer, ViewReader, infer_all
from regraft.progress import Progress


def logits_of(
    records: Sequence[Record], infer: Infer, reader: ViewReader, progress: Progress, name: str, *, batch_size: int = 32
) -> np.ndarray:
    """float32 [N, classes] for the deterministic view of each record; N is at least 1.

    Raises:
        FolderError: a file became unreadable since it was scanned.
    """
    rows = []
    with progress.work(name, len(records), "images") as ticker:
        answers = infer_all(infer, reader.read_all(record.path for record in records), batch_size=batch_size)
        for record, row in zip(records, answers, strict=True):
            if isinstance(row, UnreadablePhoto):
                raise FolderError(f"{record.path} became unreadable: {row}. Run the command again.")
            rows.append(row)
            ticker.advance()
    return np.stack(rows)
