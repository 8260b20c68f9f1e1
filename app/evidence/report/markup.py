"""Pieces of HTML: escaped text, tables, pictures, bars, and numbers in words."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

from regraft.evidence.report.figures import CHART_DPI


class Html(str):
    """Text that is markup already; everything else is escaped."""

    __slots__ = ()


def escape(value: object) -> str:
    """The value as text between tags or in quotes; `Html` as it is, bytes that are no UTF-8 replaced."""
    if isinstance(value, Html):
        return value
    readable = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return html.escape(readable)


def make_section(heading: str, *parts: str) -> str:
    """A section under its heading, without its empty parts."""
    return f"<section><h2>{escape(heading)}</h2>\n" + "\n".join(filter(None, parts)) + "</section>"


def make_table(caption: str, columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> Html:
    """`columns` maps each heading to "left" or "right"; the first cell of a row is its heading."""
    sides = list(columns.values())
    head = "".join(f'<th scope="col" class="{side}">{escape(name)}</th>' for name, side in columns.items())
    body = "\n".join(_table_row(row, sides) for row in rows)
    return Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _table_row(row: Sequence[object], sides: Sequence[str]) -> str:
    first, *others = row
    cells = "".join(f'<td class="{side}">{escape(cell)}</td>' for cell, side in zip(others, sides[1:], strict=True))
    return f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'


def make_picture(png: bytes, description: str) -> str:
    """A PNG inside the page, at the size it was drawn for."""
    source = base64.b64encode(png).decode("ascii")
    width = int.from_bytes(png[16:20], "big") * 96 // CHART_DPI  # of the PNG header, in CSS pixels
    return f'<img class="chart" src="data:image/png;base64,{source}" alt="{escape(description)}" width="{width}">'


def make_range_bar(low: float, high: float, *marks: tuple[str, float]) -> Html:
    """A strip from 0 to 100 % with a band and ("dot" or "tick", place) marks; the numbers stand beside it."""
    band = f'<i class="band" style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></i>'
    marked = "".join(f'<i class="{kind}" style="left:{100 * place:.2f}%"></i>' for kind, place in marks)
    return Html(f'<span class="range" aria-hidden="true">{band}{marked}</span>')


def percent(fraction: float | None) -> str:
    """Such as "97.4 %", with a space that does not break; a dash for None."""
    return "–" if fraction is None else f"{100 * fraction:.1f}\u00a0%"


def interval(low: float, high: float) -> str:
    """Two fractions as one range, such as "93.5–99.0 %"."""
    return f"{100 * low:.1f}–{100 * high:.1f}\u00a0%"


def count_words(number: int, noun: str) -> str:
    """Such as "1 mistake" and "1,204 mistakes"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Such as "8.3 s", "2 min 05 s" and "1 h 00 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest:02}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60:02}\u00a0min"
