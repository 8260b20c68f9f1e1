"""Memory for what is read and decoded: a budget that threads share, so that large photos wait for one another."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from regraft.errors import UsageError
from regraft.machine.sizes import parse_size, show_size

DEFAULT_SHARE = 0.5
"""Of the memory that is there, what may be held by photos on their way to the network."""

LIMIT = "REGRAFT_MAX_MEMORY"
"""The environment variable that sets the budget, such as "4G"; `--max-memory` does for one command."""

_LEAST_BYTES = 256 << 20  # enough for a photo of any camera, however little is left
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


class OverBudget(Exception):  # noqa: N818 - it is a finding about a request, as StopIteration is
    """More was asked for than a whole budget holds; the message is such as "2.3 GB, the limit is 1.2 GB"."""


class MemoryBudget:
    """Bytes that threads take and give back. Who asks for more than is free waits; first come, first served.

    A thread that waits here while it holds some of the same budget may wait for itself. So take once for all that is
    done at a time, or `try_take` whatever comes on top and finish what is begun where that is refused.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._held = 0
        self._turns: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """How many bytes are taken and not given back."""
        return self._held

    def take(self, amount: int) -> None:
        """Holds `amount` bytes until they are given back; waits until they are free.

        Raises:
            OverBudget: they never will be, as the whole budget is smaller.
        """
        self._check(amount)
        turn = object()
        with self._changed:
            self._turns.append(turn)
            try:
                self._changed.wait_for(lambda: self._turns[0] is turn and self._held + amount <= self.total)
                self._held += amount
            finally:  # an interrupted wait leaves its turn to the next
                self._turns.remove(turn)
                self._changed.notify_all()

    def try_take(self, amount: int) -> bool:
        """Holds `amount` bytes if they are free and nobody waits; says whether they are held now.

        Raises:
            OverBudget: as `take`.
        """
        self._check(amount)
        with self._changed:
            is_free = not self._turns and self._held + amount <= self.total
            self._held += amount if is_free else 0
            return is_free

    def give_back(self, amount: int) -> None:
        """Frees `amount` bytes that were taken."""
        with self._changed:
            self._held -= amount
            self._changed.notify_all()

    @contextmanager
    def taking(self, amount: int) -> Iterator[None]:
        """Holds `amount` bytes within the block. Raises as `take`."""
        self.take(amount)
        try:
            yield
        finally:
            self.give_back(amount)

    def _check(self, amount: int) -> None:
        if amount > self.total:
            raise OverBudget(f"{show_size(amount)}, the limit is {show_size(self.total)}")


def decoding_budget() -> MemoryBudget:
    """The budget of this process for decoding: what `LIMIT` says, or else `DEFAULT_SHARE` of what was there at first.

    Decoding takes from it once for each photo, and waits for nothing while it holds.

    Raises:
        UsageError: `LIMIT` says no size.
    """
    chosen = os.environ.get(LIMIT)
    return _budget("decoding", _parsed(chosen) if chosen else _default_limit())


def reading_budget() -> MemoryBudget:
    """The budget of this process for encoded photos that are read ahead, of a quarter of `decoding_budget`.

    It is one of its own, so that bytes that wait to be decoded never keep a photo from being decoded.
    """
    return _budget("reading", decoding_budget().total // 4)


@contextmanager
def decoding_within(limit: int | None) -> Iterator[None]:
    """Within the block, this process and those that it starts decode in so many bytes; None changes nothing.

    Raises:
        UsageError: `LIMIT` says no size; before anything is decoded.
    """
    before = os.environ.get(LIMIT)
    if limit is not None:
        os.environ[LIMIT] = str(limit)
    try:
        decoding_budget()
        yield
    finally:
        if before is not None:
            os.environ[LIMIT] = before
        elif limit is not None:
            del os.environ[LIMIT]


@cache
def _budget(purpose: str, total: int) -> MemoryBudget:
    return MemoryBudget(total)


def _parsed(chosen: str) -> int:
    with suppress(ValueError):
        if amount := parse_size(chosen):
            return amount
    raise UsageError(f'{LIMIT} must be a size such as 4G or 512MB; received "{chosen}".')


@cache
def _default_limit() -> int:
    return max(int(available_bytes() * DEFAULT_SHARE), _LEAST_BYTES)


def available_bytes() -> int:
    """What this process may still take: memory that is free or can be, within the limits of its control groups."""
    known = [room for room in (_free_memory(), *_cgroup_rooms()) if room is not None]
    return max(min(known), 0) if known else 4 << 30


def _free_memory() -> int | None:
    with suppress(OSError, ValueError):
        for line in _MEMINFO.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _cgroup_rooms() -> Iterator[int]:
    """What each control group that this process is in leaves, of version 2 and of version 1.

    Files that were read count as used by a group until it needs their memory: so what nobody looks at is no use of it.
    """
    try:
        lines = _CGROUP.read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, limit, usage, cached = _CGROUP_ROOT, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, limit, usage = _CGROUP_ROOT / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = "total_inactive_file"
        else:
            continue
        group = top / path.strip("/")
        for folder in (group, *(parent for parent in group.parents if parent == top or top in parent.parents)):
            with suppress(OSError, ValueError):  # no such file, or "max"
                room = int((folder / limit).read_text("ascii")) - int((folder / usage).read_text("ascii"))
                yield room + _stated(folder / "memory.stat", cached)


def _stated(file: Path, name: str) -> int:
    """The number behind `name` in a file of a name and a number a line; 0 where it is not there."""
    with suppress(OSError, ValueError):
        return next(
            (int(line.split()[1]) for line in file.read_text("ascii").splitlines() if line.startswith(f"{name} ")), 0
        )
    return 0
