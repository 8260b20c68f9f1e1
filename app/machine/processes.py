"""Every other process that this program starts: which script it runs, and how it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parents[1]

MOST_RESTARTS = 3
"""How often work is begun anew whose process was killed, here or on another machine."""

PROGRAMS: dict[str, tuple[str, ...]] = {
    "regraft": ("-m", "regraft"),
    "worker": ("-m", "regraft.training.worker"),
    "ray_keeper": ("-m", "regraft.machine.ray_keeper"),
    "time_network": ("-m", "regraft.prediction.time_network"),
    # By its path, as it must import nothing of this package.
    "prove_export": (str(_PACKAGE / "exports" / "prove_export.py"),),
}
"""What Python is given to run each of them."""


def command(program: str, *words: object) -> list[str]:
    """The command line of a program in `PROGRAMS`. Modules that lie in the current folder do not get in its way."""
    return [sys.executable, "-P", *PROGRAMS[program], *map(str, words)]


def start(
    program: str, *words: object, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Starts a program, with `environment` on top of this process's; `options` are those of `subprocess.Popen`."""
    return subprocess.Popen(command(program, *words), env=_environment(environment), **options)


def run(
    program: str, *words: object, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Runs a program to its end; `options` are those of `subprocess.run`.

    Raises:
        subprocess.SubprocessError: it took longer than `timeout`, or failed where `check` is set.
    """
    options = {"check": False, **options}
    return subprocess.run(command(program, *words), env=_environment(environment), **options)


def last_words(stderr: str | bytes) -> str:
    """The last line that a process wrote, or "no message"."""
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else stderr
    return (text.strip().splitlines() or ["no message"])[-1]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(more or {})}
