"""Addresses of the network, which are no paths: nothing is read from them and nothing written to them."""

from __future__ import annotations

import os
import re

ADDRESS_NOT_READ = "addresses are not read; download it first and name the file"

_ADDRESS = re.compile(r"(?P<host>[a-z][a-z0-9+.-]+:)/|data:image/", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether `text` is such as "s3://bucket/a.jpg", also as `pathlib` shortens it, and not the name of a file here."""
    found = _ADDRESS.match(text)
    if not found:
        return False
    place = found["host"] or text
    return not os.path.lexists(place)
