"""Doing slow things to many items at once, with results in order and memory bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_LARGEST_BLOCK = 16 << 20  # of memory that is used again and again: a decoded photo, a batch


@cache
def keep_freed_memory() -> None:
    """Has the C library keep blocks of up to 16 MB that are freed, as the next photo needs one of the same size.

    glibc gives free memory back to the system where it is more than twice the largest block freed so far that had
    pages of its own (mallopt(3), M_MMAP_THRESHOLD), and gets it again page by page. Decoding photos in threads, that
    made up a fifth of the time of a prediction. This frees one such block, which was never written to.
    """
    bytearray(_LARGEST_BLOCK)


def single_threaded_algebra(*, but_numpy: bool = False) -> AbstractContextManager[object]:
    """While it is open, products and solutions of NumPy and SciPy, whoever asks for them, take one thread.

    NumPy and SciPy each bring a BLAS with threads of its own, which wait by spinning: where calls of both alternate, or
    are small, they mostly keep the cores from one another. `but_numpy` leaves NumPy its threads.
    """
    from threadpoolctl import ThreadpoolController  # which looks at every library that is loaded

    controller = ThreadpoolController()
    libraries = [each.filepath for each in controller.lib_controllers if each.user_api == "blas"]
    limited = [path for path in libraries if not (but_numpy and "numpy" in path)]
    return controller.select(filepath=limited).limit(limits=1)


def map_ordered(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    ahead: int = 64,
) -> Iterator[Result]:
    """`map(work, items)` in threads: results in the order of `items`, at most `ahead` of them waiting.

    An exception of `work` is raised when its item's turn comes.
    """
    keep_freed_memory()
    with ThreadPoolExecutor(workers or cores()) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for unwanted in waiting:  # where nobody asks for more
                unwanted.cancel()
