"""Amounts of memory and of disk, as people write and read them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([a-z]*)", re.ASCII)
_UNITS = {"": 1, "b": 1} | {
    f"{letter}{ending}": base ** (place + 1)
    for place, letter in enumerate("kmgt")
    for ending, base in (("b", 1000), ("ib", 1024), ("", 1024))
}


def parse_size(text: str) -> int:
    """Bytes of "500MB", "2 gb", "1.5GiB", "4G" or "0": kB, MB, GB and TB are powers of 1000, GiB and G of 1024.

    Raises:
        ValueError: it is no such size.
    """
    found = _SIZE.fullmatch(text.strip().lower())
    if not found or found[2] not in _UNITS:
        raise ValueError(f'Expected a size such as "500MB" or "4G"; received "{text}".')
    return int(float(found[1]) * _UNITS[found[2]])


def show_size(amount: int) -> str:
    """Such as "1.2 GB", "3.4 MB", "120 kB" or "12 bytes"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if amount >= scale:
            return f"{amount / scale:.1f} {unit}"
    return f"{amount / 1e3:.0f} kB" if amount >= 1000 else f"{amount} bytes"
