"""Every other process that this program starts: which script it runs, and how it is run and ended."""

from __future__ import annotations

import functools
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

OUTLIVING = ("ray_keeper",)
"""Programs that clear away behind this process, whose end they wait for."""

_SECONDS_TO_CLEAN_UP = 5.0


def command(program: str, *words: object) -> list[str]:
    """The command line of a program in `PROGRAMS`. Modules that lie in the current folder do not get in its way."""
    return [sys.executable, "-P", *PROGRAMS[program], *map(str, words)]


def start(
    program: str, *words: object, environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Starts a program, with `environment` on top of this process's; `options` are those of `subprocess.Popen`.

    It ends with this process, also where this one is killed, unless it is one of `OUTLIVING`.
    """
    python, apart, *rest = command(program, *words)
    if os.name == "posix" and program not in OUTLIVING:
        pipe, _ = _lifeline()
        rest = [str(_PACKAGE / "machine" / "lifeline.py"), str(pipe), *rest]
        options["pass_fds"] = (pipe,)
    return subprocess.Popen([python, apart, *rest], env=_environment(environment), **options)


def run(
    program: str,
    *words: object,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    check: bool = False,
    capture_output: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Runs a program to its end, or ends it where this one is interrupted; arguments are those of `subprocess.run`.

    Raises:
        subprocess.SubprocessError: it took longer than `timeout`, or failed where `check` is set.
    """
    given = options.pop("input", None)
    if given is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(program, *words, environment=environment, **options) as process:
        try:
            stdout, stderr = process.communicate(given, timeout=timeout)
        except BaseException:
            end(process)
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    if check:
        done.check_returncode()
    return done


def end(*processes: subprocess.Popen[Any]) -> None:
    """Ends programs: they are asked to, and killed where they have not cleaned up behind themselves in seconds."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(_SECONDS_TO_CLEAN_UP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def last_words(stderr: str | bytes) -> str:
    """The last line that a process wrote, or "no message"."""
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else stderr
    return (text.strip().splitlines() or ["no message"])[-1]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(more or {})}


@functools.cache
def _lifeline() -> tuple[int, int]:
    """A pipe, of which programs are given the reading end, see `regraft.machine.lifeline`.

    The writing end is open as long as this process lives: nothing closes it, and no program inherits it.
    """
    return os.pipe()


def _cut_lifeline() -> None:
    """Leaves a forked process without the lifeline of the one it comes from, which is to end with that one alone."""
    if _lifeline.cache_info().currsize:
        for end_of_pipe in _lifeline():
            os.close(end_of_pipe)
        _lifeline.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_cut_lifeline)
