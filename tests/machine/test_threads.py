"""Work in threads: order, bounded memory, failures."""

import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from regraft.machine.threads import cores, map_ordered, single_threaded_algebra


def test_results_come_in_the_order_of_the_items():
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * item

    assert list(map_ordered(slow_first, range(50), workers=4)) == [item * item for item in range(50)]


def test_items_are_worked_on_at_the_same_time():
    both = threading.Barrier(2, timeout=20)  # breaks unless two threads meet
    assert len(list(map_ordered(lambda _: both.wait(), range(2), workers=2))) == 2


def test_no_more_items_are_taken_than_may_wait():
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = map_ordered(lambda item: item, items(), workers=2, ahead=5)
    assert next(results) == 0
    assert len(taken) == 5
    results.close()


def test_an_exception_comes_when_its_item_has_its_turn():
    def fail_on_two(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    results = map_ordered(fail_on_two, range(5), workers=3)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_no_items_give_no_results():
    assert list(map_ordered(str, [])) == []


def test_there_is_at_least_one_core():
    assert cores() >= 1


FAULTS = """
import resource
from regraft.machine.threads import map_ordered

def work(_):
    blocks = [bytearray(b"x") * 600_000 for _ in range(6)]
    return len(blocks)

list(map_ordered(work, range(20), workers=1))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
list(map_ordered(work, range(100), workers=1))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Memory as decoding uses it: 3.6 MB in blocks, freed together; the faults that getting 100 times as much took."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other habits")
def test_freed_memory_is_kept_for_the_next_photo():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 * 3_600_000 / 4096 / 10  # a tenth of all pages


@pytest.mark.parametrize(("but_numpy", "still"), [(False, []), (True, ["numpy"])])
def test_algebra_takes_one_thread_while_that_is_asked(but_numpy: bool, still: list[str]):
    import scipy.linalg  # noqa: F401 - each brings a library of its own
    from threadpoolctl import threadpool_info, threadpool_limits

    def many() -> list[str]:
        return [
            info["filepath"] for info in threadpool_info() if info["user_api"] == "blas" and info["num_threads"] > 1
        ]

    with threadpool_limits(2, user_api="blas"):
        before = many()
        assert len(before) >= 2
        with single_threaded_algebra(but_numpy=but_numpy):
            assert [any(name in path for path in many()) for name in still] == [True] * len(still)
            assert len(many()) == len(still)
        assert many() == before
