"""Which photos are copies of one another: in the same bytes, with the same pixels, or nearly alike.

And which belong together: copies, and those of one group, as of one patient.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from regraft.data.records import Record, group_keys

NEAR_BITS = 15
"""Two photos are near-duplicates where at most this many of the 256 bits of their appearance differ.

Measured on trashnet6, flowers5_128 and hymenoptera: a JPEG saved again at quality 60 differs by 2 to 5 bits
(median), one of half the size by 4 to 7, two unrelated photos by about 125; each pair found shows one scene.
"""

DETAIL_BITS = 36
"""An appearance is compared only where its bits change this often down and across the 16x16 grid.

Flat pictures (an object on plain paper, handwritten digits) have nearly the same few bits whatever they
show: scikit-learn's 1,797 digits drawn at 64x64 give over 5,000 pairs without this and none with it.
"""

_MOST_NEIGHBOURS = 64
_SCATTERED = np.arange(256) * 85 % 256
_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint16)


Group = tuple[Record, ...]


class Likeness:
    """What of photos is nearly alike, looked for once and asked for any part of them."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._place = {id(record): place for place, record in enumerate(records)}
        self._records = records  # an id is one record's for as long as it lives
        self._near = _near_pairs(records)

    def group(self, records: Sequence[Record]) -> np.ndarray:
        """`group_together` of these records, which must be among those that were looked at."""
        named = _equal_to_first(group_keys(records))
        return _connected(len(records), [*self._copies(records), named])

    def copies(self, records: Sequence[Record]) -> np.ndarray:
        """As `group`, of duplicates alone, whatever groups their records name."""
        return _connected(len(records), self._copies(records))

    def _copies(self, records: Sequence[Record]) -> list[np.ndarray]:
        """int64 [P, 2] each: places in `records` of pairs that are duplicates."""
        here = np.full(len(self._place), -1, np.int64)
        here[[self._place[id(record)] for record in records]] = np.arange(len(records))
        near = here[self._near]
        return [
            near[(near >= 0).all(axis=1)],
            _equal_to_first([record.fingerprint for record in records]),
            _equal_to_first([record.pixels or record.fingerprint for record in records]),
        ]


def group_together(records: Sequence[Record]) -> np.ndarray:
    """int64 [N]: what each record must not be torn from, numbered as they first appear.

    Duplicates share a number, and records of the same `group`. Exact duplicates have equal fingerprints or `pixels`;
    near ones are within `NEAR_BITS` of each other and have `DETAIL_BITS`. In huge sets of look-alikes each photo is
    compared with 1,024 others at most.
    """
    return Likeness(records).group(records)


def _connected(count: int, pairs: Sequence[np.ndarray]) -> np.ndarray:
    """int64 [count]: the connected component of each place, numbered as they first appear."""
    from scipy.sparse import coo_array  # starts for a second, which predicting need not wait for
    from scipy.sparse.csgraph import connected_components

    links = np.concatenate(pairs)
    matrix = coo_array((np.ones(len(links), np.int8), links.T), shape=(count, count))
    return connected_components(matrix, directed=False)[1].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Groups of photos that are copies of one another, each in path order.

    Attributes:
        exact: files with the same bytes.
        alike: photos that are the same, exactly or nearly.
    """

    exact: tuple[Group, ...]
    alike: tuple[Group, ...]

    @classmethod
    def of(cls, records: Sequence[Record], likeness: Likeness | None = None) -> Duplicates:
        """Those among `records`, of which `likeness` may know already."""
        return cls(
            _groups_of(records, [record.fingerprint for record in records]),
            _groups_of(records, (likeness or Likeness(records)).copies(records).tolist()),
        )

    def near(self) -> list[Group]:
        """Those that look the same in different bytes."""
        return _differing(self.alike, lambda record: record.fingerprint)

    def across_splits(self) -> list[Group]:
        """Those that lie in several splits."""
        return _differing(self.alike, lambda record: record.split)

    def across_classes(self) -> list[Group]:
        """Those that lie in several classes."""
        return _differing(self.alike, lambda record: record.class_index)

    def spare(self) -> list[Group]:
        """Exact copies within one class and split, all but one of which can go."""
        return [group for group in self.exact if len({(one.split, one.class_index) for one in group}) == 1]


def are_detailed(records: Sequence[Record]) -> np.ndarray:
    """Whether the appearance of each record, bool [N], has `DETAIL_BITS`, so that it tells photos apart."""
    return _detail(np.unpackbits(_appearances(records), axis=1)) >= DETAIL_BITS


def _equal_to_first(keys: Sequence[str]) -> np.ndarray:
    """int64 [N, 2]: each place, and the first one with the same key."""
    first: dict[str, int] = {}  # ten times as fast as np.unique, which sorts
    firsts = np.fromiter((first.setdefault(key, place) for place, key in enumerate(keys)), np.int64, len(keys))
    return np.stack([np.arange(len(keys)), firsts], axis=1)


def _appearances(records: Sequence[Record]) -> np.ndarray:
    return np.frombuffer(b"".join(record.appearance for record in records), np.uint8).reshape(-1, 32)


def _near_pairs(records: Sequence[Record]) -> np.ndarray:
    """int64 [P, 2]: by the pigeonhole principle, 16 bands of 16 bits find all pairs within 15 bits."""
    hashes = _appearances(records)
    bits = np.unpackbits(hashes, axis=1)
    detailed = np.flatnonzero(_detail(bits) >= DETAIL_BITS)
    # Neighbouring bits agree too often (skies, tables): a band of far-away bits collides less by chance.
    bands = np.packbits(bits[np.ix_(detailed, _SCATTERED)], axis=1).view(np.uint16)
    pairs = [np.empty((0, 2), np.int64)]
    for band in bands.T:
        for left, right in _equal_pairs(band):
            differing = _BITS_OF_BYTE[hashes[detailed[left]] ^ hashes[detailed[right]]].sum(axis=1)
            near = differing <= NEAR_BITS
            pairs.append(np.stack([detailed[left[near]], detailed[right[near]]], axis=1))
    return np.concatenate(pairs)


def _detail(bits: np.ndarray) -> np.ndarray:
    """How often bits [N, 256] change down or across their 16x16 grid, whichever is less."""
    bits = bits.reshape(-1, 16, 16)
    down = (bits[:, 1:] != bits[:, :-1]).sum(axis=(1, 2))
    across = (bits[:, :, 1:] != bits[:, :, :-1]).sum(axis=(1, 2))
    return np.minimum(down, across)


def _equal_pairs(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of positions with equal values, in batches; at most `_MOST_NEIGHBOURS` pairs per position."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    for offset in range(1, min(_MOST_NEIGHBOURS + 1, len(values))):
        at = np.flatnonzero(ordered[offset:] == ordered[:-offset])
        if not at.size:
            return
        yield order[at], order[at + offset]


def _differing(groups: Iterable[Group], value: Callable[[Record], Hashable]) -> list[Group]:
    """Those of `groups` whose members do not all have the same value."""
    return [group for group in groups if len({value(record) for record in group}) > 1]


def _groups_of(records: Iterable[Record], keys: Iterable[Hashable]) -> tuple[Group, ...]:
    """The records that share a key with another, in path order."""
    groups = defaultdict(list)
    for record, key in zip(records, keys, strict=True):
        groups[key].append(record)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
