"""The budget of memory: who waits, who is refused, and what it is by default."""

import os
import threading

import pytest

from regraft.errors import UsageError
from regraft.machine import memory
from regraft.machine.memory import (
    MemoryBudget,
    OverBudget,
    available_bytes,
    decoding_budget,
    decoding_within,
    reading_budget,
)


def test_what_can_never_fit_is_refused_at_once():
    with pytest.raises(OverBudget, match=r"^2\.3 GB, the limit is 1\.2 GB$"):
        MemoryBudget(1_200_000_000).take(2_300_000_000)


def test_the_sum_of_what_threads_hold_never_exceeds_the_budget():
    budget, most, lock = MemoryBudget(10), 0, threading.Lock()

    def work(amount: int) -> None:
        nonlocal most
        for _ in range(200):
            with budget.taking(amount), lock:
                most = max(most, budget.held)

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (1, 3, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert (most, budget.held) == (10, 0)


def test_a_large_photo_is_not_overtaken_for_ever_by_small_ones():
    budget, large = MemoryBudget(10), threading.Event()
    budget.take(6)

    def take_all() -> None:
        with budget.taking(10):
            large.set()

    waiting = threading.Thread(target=take_all)
    waiting.start()
    while not budget._turns:
        pass
    assert not budget.try_take(1)  # there is room, but somebody waits
    budget.give_back(6)
    assert large.wait(20)
    waiting.join(20)
    assert budget.try_take(1)


def test_trying_takes_what_is_free_and_nothing_else():
    budget = MemoryBudget(10)
    assert budget.try_take(7)
    assert not budget.try_take(4)
    assert budget.held == 7
    with pytest.raises(OverBudget):
        budget.try_take(11)


def test_memory_is_given_back_when_the_work_fails():
    budget = MemoryBudget(10)
    with pytest.raises(ZeroDivisionError), budget.taking(10):
        _ = 1 / 0
    assert budget.held == 0


def test_the_default_is_half_of_what_is_free_within_every_control_group(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:  4000000 kB\n")
    (tmp_path / "cgroup").write_text("0::/outer/inner\n")
    inner = tmp_path / "groups/outer/inner"
    inner.mkdir(parents=True)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_CGROUP_ROOT", tmp_path / "groups")
    assert available_bytes() == 4_096_000_000
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.current").write_text("1000\n")
    (inner.parent / "memory.max").write_text("3000000000\n")
    (inner.parent / "memory.current").write_text("1000000000\n")
    assert available_bytes() == 2_000_000_000
    (inner.parent / "memory.current").write_text("2900000000\n")
    (inner.parent / "memory.stat").write_text("inactive_anon 7\ninactive_file 1900000000\nactive_file 5\n")
    assert available_bytes() == 2_000_000_000  # files that were read make way
    memory._default_limit.cache_clear()
    monkeypatch.delenv("REGRAFT_MAX_MEMORY", raising=False)
    try:
        assert decoding_budget().total == 1_000_000_000
    finally:
        memory._default_limit.cache_clear()


def test_everyone_in_a_process_shares_one_budget_and_reading_ahead_has_its_own(monkeypatch):
    monkeypatch.setenv("REGRAFT_MAX_MEMORY", "8K")
    assert decoding_budget() is decoding_budget()
    assert decoding_budget().total == 8192
    assert reading_budget() is reading_budget()
    assert reading_budget().total == 2048


def test_a_limit_holds_for_one_block_and_for_the_processes_that_it_starts(monkeypatch):
    monkeypatch.delenv("REGRAFT_MAX_MEMORY", raising=False)
    with decoding_within(4096):
        assert (os.environ["REGRAFT_MAX_MEMORY"], decoding_budget().total) == ("4096", 4096)
        with decoding_within(None):
            assert decoding_budget().total == 4096
        with decoding_within(2048):
            assert decoding_budget().total == 2048
        assert decoding_budget().total == 4096
    assert "REGRAFT_MAX_MEMORY" not in os.environ


def test_a_limit_that_is_no_size_is_said_before_anything_is_decoded(monkeypatch):
    for text in ("garbage", "0", "-1"):
        monkeypatch.setenv("REGRAFT_MAX_MEMORY", text)
        with pytest.raises(UsageError) as caught, decoding_within(None):
            pytest.fail("something may be decoded now")
        assert str(caught.value) == f'REGRAFT_MAX_MEMORY must be a size such as 4G or 512MB; received "{text}".'
    with decoding_within(4096):
        assert decoding_budget().total == 4096  # what is asked for by name counts
