"""What C++ writes is swallowed, what Python writes elsewhere is not, and the descriptors come back."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regraft.machine.quiet import STDERR, STDOUT, swallowed


@contextmanager
def stderr_in(file: Path) -> Iterator[None]:
    """Has what is written to stderr go to a file."""
    original, handle = os.dup(2), os.open(file, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, 2)
    os.close(handle)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)


def test_what_is_written_inside_is_gone_and_what_is_written_outside_is_there(tmp_path: Path):
    with stderr_in(tmp_path / "stderr"):
        os.write(2, b"before ")
        with swallowed():
            os.write(2, b"inside ")
        os.write(2, b"after")
    assert (tmp_path / "stderr").read_bytes() == b"before after"


def test_the_stream_comes_back_after_an_error(tmp_path: Path):
    with stderr_in(tmp_path / "stderr"):
        with pytest.raises(ValueError, match="inside"), swallowed(STDERR):
            raise ValueError("inside")
        os.write(2, b"after")
    assert (tmp_path / "stderr").read_bytes() == b"after"


def test_threads_that_overlap_do_not_put_back_each_others(tmp_path: Path):
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with swallowed():
            inside.set()
            leave.wait(10)

    with stderr_in(tmp_path / "stderr"):
        thread = threading.Thread(target=first)
        thread.start()
        inside.wait(10)
        with swallowed():
            leave.set()
            thread.join()
            os.write(2, b"still inside")
        os.write(2, b"outside")
    assert (tmp_path / "stderr").read_bytes() == b"outside"


def test_no_descriptor_is_left_open():
    before = set(Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").is_dir() else set()
    with swallowed(STDOUT, STDERR):
        pass
    after = set(Path("/proc/self/fd").iterdir()) if before else set()
    assert len(after) <= len(before)


def test_a_process_whose_streams_are_closed_goes_on():
    code = (
        "import os; os.close(1); os.close(2)\nfrom regraft.machine.quiet import swallowed\nwith swallowed(1, 2): pass"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
