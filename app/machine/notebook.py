"""What a notebook shows of results: their page in a frame, or a table."""

from __future__ import annotations

import html
from collections.abc import Sequence
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


def tabled(columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """HTML of a table and of the sentences below it.

    Args:
        columns: what stands above each column.
        rows: plain text of the cells.
        notes: plain text, one paragraph each.
    """
    lines = [_row("th", columns), *(_row("td", cells) for cells in rows)]
    return f"<table>{''.join(lines)}</table>" + "".join(f"<p>{html.escape(note)}</p>" for note in notes)


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
