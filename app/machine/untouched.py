"""A call that leaves the process as it was, and keeps a second one out while it changes what belongs to all threads."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from regraft.errors import UsageError

_lock = threading.RLock()
_inside = ""


@contextmanager
def untouched(call: str, *, patience_seconds: float = 0.0) -> Iterator[None]:
    """Puts back what a call changes for the whole process: Python's and NumPy's seeds, Keras's policy, `environ`.

    As these belong to all threads, a second thread is kept out: it waits for `patience_seconds` and is then refused.
    TensorFlow's own seed cannot be read, and devices that were opened stay as they are.

    Args:
        call: its name, for the message.
        patience_seconds: how long to wait for another thread.

    Raises:
        UsageError: another thread is in such a call.
    """
    if not _lock.acquire(timeout=patience_seconds):
        raise UsageError(
            f"{call} cannot run while another thread of this process is in regraft.{_inside}; wait for it, or give "
            "each a process of its own."
        )
    try:
        before = _state()
        with _named(call):
            try:
                yield
            finally:
                _restore(before)
    finally:
        _lock.release()


@contextmanager
def _named(call: str) -> Iterator[None]:
    global _inside
    outer, _inside = _inside, call
    try:
        yield
    finally:
        _inside = outer


def _state() -> dict[str, Any]:
    numpy, keras = sys.modules.get("numpy"), sys.modules.get("keras")
    return {
        "environ": dict(os.environ),
        "python": random.getstate(),
        "numpy": numpy.random.get_state() if numpy else None,
        "policy": keras.config.dtype_policy() if keras else None,
    }


def _restore(before: dict[str, Any]) -> None:
    random.setstate(before["python"])
    if before["numpy"] is not None:
        sys.modules["numpy"].random.set_state(before["numpy"])
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy(before["policy"] or keras.config.floatx())
    for name in set(os.environ) - set(before["environ"]):
        del os.environ[name]
    for name, value in before["environ"].items():
        if os.environ.get(name) != value:
            os.environ[name] = value
