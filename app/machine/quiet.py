"""Swallowing what C++ libraries write to the process's own streams, which Python cannot catch."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STDOUT, STDERR = 1, 2


@contextmanager
def swallowed(*descriptors: int) -> Iterator[None]:
    """Sends these descriptors of the process (default: stderr) nowhere while any thread is inside.

    Afterwards they are as before. A descriptor that is closed stays closed.
    """
    for descriptor in descriptors or (STDERR,):
        _SWALLOWERS[descriptor].enter()
    try:
        yield
    finally:
        for descriptor in descriptors or (STDERR,):
            _SWALLOWERS[descriptor].leave()


class _Swallower:
    """Sends one descriptor nowhere from the first thread's entrance to the last one's exit.

    Without the count, threads that overlap would restore the descriptor while others still need it swallowed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._inside = 0
        self._original: int | None = None

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._swallow()

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._original is not None:
                os.dup2(self._original, self._descriptor)
                os.close(self._original)
                self._original = None

    def _swallow(self) -> None:
        try:
            self._original = os.dup(self._descriptor)
        except OSError:  # closed, as a daemon's may be
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._descriptor)
        os.close(nowhere)


_SWALLOWERS = {descriptor: _Swallower(descriptor) for descriptor in (STDOUT, STDERR)}
