"""Which of the photos that a run reports on its export is proven on: all of a few, a sample by class of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from regraft.errors import UsageError, option

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from regraft.data.records import Record
    from regraft.progress import Progress

PROVE_ON = ("sample", "all")
"""What the option `prove` may be."""

MOST_PHOTOS = 500
"""A sample has this many photos, or one of each class where there are more classes."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class ProveOn:
    """Which of the photos that a run reports on its export is to be proven on, as it is asked for.

    Attributes:
        folder: where they lie now, if they moved since training.
        which: one of `PROVE_ON`.
    """

    folder: Path | None = None
    which: str = "sample"

    def __post_init__(self) -> None:
        check_prove(self.which)


@dataclass(frozen=True)
class ProofPhotos:
    """The photos that an export is proven on.

    Attributes:
        places: int64 [N], ascending: where each stands among the reported photos.
        reported: how many photos are reported on.
        seed: that the sample was drawn with; None where `places` are all.
    """

    places: np.ndarray
    reported: int
    seed: int | None

    @property
    def words(self) -> str:
        """Such as "500 of 1,020 reported photos, drawn by class, seed 0"."""
        return words_for(len(self.places), self.reported, self.seed)

    @property
    def announcement(self) -> str:
        """One line that says so before the proof."""
        return f"The export is to be proven on {self.words}."

    def announce(self, progress: Progress) -> None:
        """Tells `progress` where it is not all of them."""
        if self.seed is not None:
            progress.say(self.announcement)

    def of(self, reported: Sequence[Item]) -> list[Item]:
        """What stands at `places` in `reported`, one item for each reported photo."""
        return [reported[place] for place in self.places]


def words_for(images: int, reported: int | None, seed: int | None) -> str:
    """What a proof looked at, as the command line, the page and the card say it; `reported` is None where unknown."""
    if reported is None:
        return f"{images:,} photos"
    if seed is None:
        return f"all {reported:,} reported photos" if reported > 1 else "the only reported photo"
    return f"{images:,} of {reported:,} reported photos, drawn by class, seed {seed}"


def check_prove(prove: str) -> None:
    """Raises UsageError where `prove` is not in `PROVE_ON`."""
    if prove not in PROVE_ON:
        raise UsageError(f'{option("prove")} must be {" or ".join(PROVE_ON)}; received "{prove}".')


def choose_proof_photos(records: Sequence[Record], *, prove: str, seed: int) -> ProofPhotos:
    """The photos among `records`, those that are reported on, to prove an export on.

    All of them where `prove` is "all" or there are no more than `MOST_PHOTOS`. Else a sample, drawn within each class:
    one photo of each, and of what is left of the sample each class its share (Neyman 1934, "On the two different
    aspects of the representative method": proportional allocation). It depends on what the files contain and on `seed`,
    not on their order or place.
    """
    import numpy as np

    classes = np.array([record.class_index for record in records], np.int64)
    counts = np.bincount(classes)
    size = max(MOST_PHOTOS, int((counts > 0).sum()))
    if prove == "all" or len(records) <= size:
        return ProofPhotos(np.arange(len(records)), len(records), None)
    by_content = np.array(sorted(range(len(records)), key=lambda place: records[place].fingerprint), np.int64)
    drawn = [
        np.random.default_rng([seed, class_index]).permutation(by_content[classes[by_content] == class_index])[:share]
        for class_index, share in enumerate(share_out(counts, size))
    ]
    return ProofPhotos(np.sort(np.concatenate(drawn)), len(records), seed)


def share_out(counts: np.ndarray, size: int) -> np.ndarray:
    """int64 [C]: how many of `counts` (int64 [C]) photos of each class are in a sample of `size`.

    Each class that has photos has one in it, and its share of the others; halves of a photo go to the classes with the
    largest remainders, of equal ones to those that come first. `size` is at least the number of classes with photos,
    and at most that of photos.
    """
    import numpy as np

    first = np.minimum(counts, 1)
    more, left = counts - first, size - int(first.sum())
    whole, remainder = np.divmod(more * left, max(1, int(more.sum())))
    largest = np.argsort(-remainder, kind="stable")[: left - int(whole.sum())]
    whole[largest] += 1
    return first + whole
