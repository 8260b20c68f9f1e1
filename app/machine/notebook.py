"""What a notebook shows of things that have a page of their own."""

from __future__ import annotations

import html
from pathlib import Path

_HEIGHT_PX = 640


def framed(page: Path, otherwise: str) -> str:
    """HTML that shows a self-contained page inside a frame, so that its styles touch nothing else.

    Args:
        page: the file.
        otherwise: plain text for where there is none.
    """
    if not page.is_file():
        return f"<code>{html.escape(otherwise)}</code>"
    source = html.escape(page.read_text("utf-8"))
    return f'<iframe srcdoc="{source}" style="width: 100%; height: {_HEIGHT_PX}px; border: 0"></iframe>'
