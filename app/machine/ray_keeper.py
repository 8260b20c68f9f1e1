"""Clears away after a local Ray: a process of its own, which outlives the one that started Ray, however that ends.

Ray's servers end with the process that started them, but not the two agents that they start in turn, nor the folder
that they write to. This script waits until its stdin ends, which it does also where that process is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_SECONDS_TO_END = 2.0


def main(folder: str, package: str) -> None:
    """Waits for the end of stdin, then ends who still runs for the folder of this Ray, and removes it.

    Args:
        folder: made for this Ray alone; all its processes are told of it.
        package: the folder of Ray's own programs: whoever else looks into the folder is left alone.
    """
    sys.stdin.read()
    deadline = time.monotonic() + _SECONDS_TO_END
    while list(processes_of(folder, package)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in processes_of(folder, package):
        with suppress(OSError):  # it has ended by itself
            os.kill(process, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: str, package: str) -> Iterator[int]:
    """Ray's own processes that write to the folder; none where the system has no /proc.

    Some are known by the program that they run, those that have given themselves a title by that alone.
    """
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            words = (place / "cmdline").read_bytes().split(b"\0")
            runs_rays = any(word.startswith(os.fsencode(f"{package}/")) for word in words)
            if not runs_rays and not words[0].startswith(b"ray::"):
                continue
            if any(os.fsencode(folder) in word for word in words) or _has_open(place, folder):
                yield int(place.name)


def _has_open(place: Path, folder: str) -> bool:
    return any(str(file.readlink()).startswith(f"{folder}/") for file in (place / "fd").iterdir())


if __name__ == "__main__":
    main(*sys.argv[1:])
