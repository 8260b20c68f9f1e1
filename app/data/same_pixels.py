"""Photos with the same pixels in different bytes, where their appearance is too plain to tell."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from regraft.data.duplicates import are_detailed
from regraft.data.photos import UnreadablePhoto, read_upright_rgb
from regraft.data.records import Record
from regraft.machine.threads import map_ordered


def mark_same_pixels(
    records: Sequence[Record], *, max_pixels: int | None = None, workers: int | None = None
) -> list[Record]:
    """`records`, with the digest `pixels` for those that may be copies of each other and not near-duplicates by looks.

    Equal pixels give equal appearances and sizes, so only photos that share both with different bytes are decoded
    again: none of most folders. Detailed ones are not: an equal appearance makes them near-duplicates already.
    `max_pixels` is that of the scan which found them.
    """
    places = _suspects(records)
    suspects = (records[place].path for place in places)
    digests = map_ordered(lambda path: _digest(path, max_pixels), suspects, workers=workers)
    marked = list(records)
    for place, digest in zip(places, digests, strict=True):
        marked[place] = replace(marked[place], pixels=digest)
    return marked


def _suspects(records: Sequence[Record]) -> list[int]:
    """The places of the plain photos that look like another one with different bytes."""
    alike: defaultdict[tuple[bytes, int, int], list[int]] = defaultdict(list)
    for place in np.flatnonzero(~are_detailed(records)).tolist():
        record = records[place]
        short, long = sorted((record.width, record.height))
        alike[record.appearance, short, long].append(place)
    return sorted(
        place
        for places in alike.values()
        if len({records[place].fingerprint for place in places}) > 1
        for place in places
    )


def _digest(path: Path, max_pixels: int | None) -> str:
    """BLAKE2b-128 of the upright pixels and their shape; "" where the file has become unreadable."""
    try:
        pixels = read_upright_rgb(path, max_pixels=max_pixels)
    except UnreadablePhoto:
        return ""
    shape = repr(pixels.shape).encode()
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, key=shape, digest_size=16).hexdigest()
