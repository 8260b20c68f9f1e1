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

OWN_VARIABLES = (
    "TF_CPP_MIN_LOG_LEVEL",
    "ORT_DISABLE_TELEMETRY",
    "ORT_TELEMETRY_DISABLED",
    "RAY_USAGE_STATS_ENABLED",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
    # what importing TensorFlow, Keras and Ray sets
    "ENABLE_RUNTIME_UPTIME_TELEMETRY",
    "HDF5_PLUGIN_PATH",
    "KMP_DUPLICATE_LIB_OK",
    "KMP_INIT_AT_FORK",
    "PYTHONBREAKPOINT",
    "RAY_CLIENT_MODE",
    "TF2_BEHAVIOR",
    "TPU_ML_PLATFORM",
    "TPU_ML_PLATFORM_VERSION",
    "TPU_SKIP_MDS_QUERY",
)
"""The environment variables that calls set, and the libraries that calls import. All others are left alone."""

OPENING_SECONDS = 300.0
"""How long whoever opens a model waits for another thread: opening is quick, and many threads may do it at once."""

_lock = threading.RLock()
_inside = ""


@contextmanager
def untouched(call: str, *, patience_seconds: float = 0.0) -> Iterator[None]:
    """Puts back what a call changes for all: Python's and NumPy's random state, Keras's policy, `OWN_VARIABLES`.

    As these belong to all threads, a second thread is kept out: it waits for `patience_seconds` and is then refused.
    What other threads draw meanwhile is drawn from the call's seeds, and drawn again afterwards from the states before
    it; a value that they give one of `OWN_VARIABLES` meanwhile is lost. Every other variable is left alone.
    The seeds of TensorFlow and Keras cannot be read, so they stay the call's, and opened devices stay open.

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
    import numpy  # here, as it takes long: every call imports it, and its seed is to be put back after the first, too

    keras = sys.modules.get("keras")
    return {
        "environ": {name: os.environ.get(name) for name in OWN_VARIABLES},
        "python": random.getstate(),
        "numpy": numpy.random.get_state(),
        "policy": keras.config.dtype_policy() if keras else None,
    }


def _restore(before: dict[str, Any]) -> None:
    import numpy

    random.setstate(before["python"])
    numpy.random.set_state(before["numpy"])
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy(before["policy"] or keras.config.floatx())
    for name, value in before["environ"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
