"""Standard streams that are always there, take every name, and may lose their reader at any time."""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO

import click

READER_GONE = 141
"""The exit code where the reader of a pipe has gone: 128 + SIGPIPE, as of other tools."""

_ANY_NAME = "any-name"
_DESCRIPTORS = {"stdin": (0, "r"), "stdout": (1, "w"), "stderr": (2, "w")}


def open_streams() -> None:
    """Gives the process the streams that it was started without, and lets every file name through all of them.

    A closed descriptor is opened to nowhere, here and for child processes: the next file that is opened would take its
    number, and get what libraries write to stdout.
    """
    for descriptor in (0, 1, 2):
        _open_to_nowhere_if_closed(descriptor)
    for name, (descriptor, mode) in _DESCRIPTORS.items():
        if getattr(sys, name) is None:
            setattr(sys, name, io.TextIOWrapper(open(descriptor, f"{mode}b", closefd=False), "utf-8"))  # noqa: SIM115
    _let_work_go_on_without_log()
    codecs.register_error(_ANY_NAME, _any_name)
    _let_names_through(sys.stdin, "surrogateescape")
    for stream in (sys.stdout, sys.stderr):
        _let_names_through(stream, _ANY_NAME)


@contextmanager
def reader_may_go() -> Iterator[None]:
    """Ends the command with `READER_GONE`, without a word, where whoever reads its stdout or stderr has gone.

    Everything is written out before the block ends, so that nothing is left to fail at the exit of Python.

    Raises:
        click.exceptions.Exit: the reader has gone.
        OSError: stdout takes no more, such as on a full disk; what is left of the output is dropped.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not any(map(_has_lost_its_reader, (sys.stdout, sys.stderr))):
            raise  # a pipe to a child process
        _drop_what_is_left()
        raise click.exceptions.Exit(READER_GONE) from None
    except OSError as error:
        if error.filename is None:
            _drop_what_is_left()
        raise


def _open_to_nowhere_if_closed(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != descriptor:  # a lower number was free
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        os.set_inheritable(descriptor, True)


class _Log(io.FileIO):
    """A file for words that nothing depends on: where they cannot be written, as on a full disk, they are dropped."""

    def write(self, words: Any, /) -> int:
        try:
            return super().write(words) or 0
        except BrokenPipeError:
            raise
        except OSError:
            return len(words)


def _let_work_go_on_without_log() -> None:
    """Has progress and warnings that stderr cannot take end no training."""
    buffer = getattr(sys.stderr, "buffer", None)
    if isinstance(getattr(buffer, "raw", buffer), io.FileIO):  # Python's own, with a buffer or without
        log = io.BufferedWriter(_Log(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(log, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)


def _let_names_through(stream: object, errors: str) -> None:
    if reconfigure := getattr(stream, "reconfigure", None):
        reconfigure(errors=errors)


def _any_name(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of a file name that is no text as they are; characters that the encoding lacks as `\\xe9`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff":
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    return sign.encode("ascii", "backslashreplace"), error.start + 1


def _has_lost_its_reader(stream: TextIO) -> bool:
    try:
        descriptor = stream.fileno()
        poll = select.poll()
    except (OSError, ValueError, AttributeError):  # no file of the system, or a system without `poll`
        return True
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _drop_what_is_left() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if _cannot_be_written(stream):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _cannot_be_written(stream: IO[str]) -> bool:
    try:
        stream.flush()
    except OSError:
        return True
    return False
