"""Records without files: photos as a scan finds them, of which only what they contain and how they look is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from regraft.data.records import Record


def detailed_appearance(seed: int) -> np.ndarray:
    """256 random bits, which change about 120 times down and across."""
    return np.random.default_rng(seed).integers(0, 2, 256).astype(np.uint8)


def flip_bits(bits: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """`bits`, but for `count` of them."""
    flipped = bits.copy()
    flipped[np.random.default_rng(seed).choice(256, count, replace=False)] ^= 1
    return flipped


def record(
    name: str, class_index: int = 0, *, split: str = "", content: str | None = None, bits: np.ndarray | None = None
) -> Record:
    """A photo of this name; the same `content` is the same bytes, `bits` [256] are how it looks (by default, plain)."""
    bits = np.zeros(256, np.uint8) if bits is None else bits
    content = name if content is None else content
    appearance = np.packbits(bits).tobytes()
    return Record(Path("photos", split, name), class_index, split, "JPEG", 64, 48, 1, content, appearance)
