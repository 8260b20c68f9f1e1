"""One process at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regraft.errors import UsageError
from regraft.machine.locks import exclusive, held_if_free

HOLDER = """
import sys, time
from pathlib import Path
from regraft.machine.locks import exclusive
with exclusive(Path(sys.argv[1]), RuntimeError("busy")):
    print("held", flush=True)
    time.sleep(60)
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_call_is_refused_until_the_first_has_ended(tmp_path: Path):
    with exclusive(tmp_path, UsageError("busy")):
        with pytest.raises(UsageError, match="busy"), exclusive(tmp_path, UsageError("busy")):
            raise AssertionError("both were let in")
        with held_if_free(tmp_path) as is_free:
            assert not is_free
    with exclusive(tmp_path, UsageError("busy")):
        assert names_in(tmp_path) == []  # a lock leaves nothing behind


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, env=environment)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="busy"), exclusive(tmp_path, UsageError("busy")):
            raise AssertionError("both were let in")
    finally:
        holder.kill()
        holder.communicate()
    with exclusive(tmp_path, UsageError("busy")), held_if_free(tmp_path / "not there") as is_free:
        assert not is_free
