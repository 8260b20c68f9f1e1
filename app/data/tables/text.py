"""The lines of a text that holds paths, whoever wrote it: its encoding, and lines that are none."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from regraft.errors import UsageError, option

MOST_LETTERS = 1 << 22
"""Of one line. What has longer ones is no list of paths, and would be taken into memory whole."""

_MARKS = (  # the longest first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARKS_AS_TEXT = tuple(mark.decode("utf-8", "surrogateescape") for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
_SAMPLE = 4096


def lines_of(file: str) -> Iterator[str]:
    """The lines of a text file with their ends, in UTF-8 or as a byte order mark says; bytes that are no UTF-8 stay.

    Raises:
        UsageError: a line is too long, or the file is of another encoding.
    """
    encoding = _encoding_of(file)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    with Path(file).open(encoding=encoding, errors=errors, newline="") as stream:
        try:
            yield from _short(stream.readline, file)
        except UnicodeError as error:
            raise UsageError(f"{file} is no {encoding.upper()} text, as its first bytes say: {error}.") from None


def lines_on(stdin: Iterable[str]) -> Iterator[str]:
    """The lines of a stream that was opened as UTF-8 with surrogates for other bytes. Raises UsageError, as above."""
    name = "The list on stdin"
    readline: Callable[[int], str] | None = getattr(stdin, "readline", None)
    lines = iter(stdin) if readline is None else _short(readline, name)
    first = next(lines, "")
    if first.startswith(_MARKS_AS_TEXT):
        raise UsageError(f"{name} is UTF-16; save it as UTF-8, or name its .txt file in the place of -.")
    if first:
        yield first.removeprefix("\ufeff")
    yield from lines


def first_line(file: str) -> str:
    """The first line that is not blank, without blanks around it; "" where there is none or it is too long."""
    try:
        return next((line.strip() for line in lines_of(file) if line.strip()), "")
    except (UsageError, OSError):
        return ""


def is_unmarked_utf16(file: str) -> bool:
    """Whether a file seems to be a text in UTF-16 that does not say so."""
    try:
        _encoding_of(file)
    except UsageError:
        return True
    except OSError:
        return False
    return False


def _short(readline: Callable[[int], str], name: str) -> Iterator[str]:
    number = 0
    while line := readline(MOST_LETTERS):
        number += 1
        if len(line) >= MOST_LETTERS:
            null = f" or, where null bytes part its paths, given on stdin with {option('null', True)}"
            raise UsageError(
                f"{name} has over {MOST_LETTERS:,} letters in line {number:,}: it must be a text of paths{null}."
            )
        yield line


def _encoding_of(file: str) -> str:
    with Path(file).open("rb") as stream:
        sample = stream.read(_SAMPLE)
    if encoding := next((encoding for mark, encoding in _MARKS if sample.startswith(mark)), ""):
        return encoding
    zeros = sorted(sample[start::2].count(0) for start in (0, 1))
    if zeros[0] == 0 and zeros[1] > len(sample) // 4:
        raise UsageError(f"{file} looks like UTF-16 without a byte order mark; save it as UTF-8.")
    return "utf-8"
