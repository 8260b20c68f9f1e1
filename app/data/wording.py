"""Counts, lists of names and paths as people read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path


def plural(count: int, noun: str) -> str:
    """`1 class`, `3 photos`, `0 entries`."""
    if count == 1:
        return f"1 {noun}"
    stem = f"{noun[:-1]}ie" if noun.endswith("y") else f"{noun}e" if noun.endswith("s") else noun
    return f"{count:,} {stem}s"


def name_some(names: Sequence[str], *, shown: int = 3) -> str:
    """`a.jpg, b.jpg, c.jpg and 2 more`."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def show_path(path: Path, root: Path) -> str:
    """`path`, relative to `root` where it is below it, as one line that any terminal can print."""
    text = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def count_reasons(reasons: Iterable[str], *, shown: int = 3) -> str:
    """Such as `120 x a video, 2 x empty file`, the most frequent first; one reason of all stands alone."""
    counts = Counter(reasons).most_common()
    return counts[0][0] if len(counts) == 1 else name_some([f"{n:,} x {reason}" for reason, n in counts], shown=shown)


def in_columns(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> list[str]:
    """A line for each row, its cells below one another; those of the columns `numbers` end below one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
