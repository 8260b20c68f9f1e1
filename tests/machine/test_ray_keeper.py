"""What a local Ray leaves behind is cleared away, however the process that started it ends."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regraft.machine import processes
from regraft.machine.ray_keeper import processes_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="there is no /proc here")

SLEEP = "import time; time.sleep(60)"


def sleeper(*words: object) -> subprocess.Popen[bytes]:
    """A process with these words on its command line, as Ray's agents have the session on theirs."""
    return subprocess.Popen([sys.executable, "-c", SLEEP, *map(str, words)])


def test_agents_that_outlive_a_killed_driver_are_ended_and_their_folder_is_removed(tmp_path: Path, monkeypatch):
    session, package = tmp_path / "session_2026_1", tmp_path / "ray"
    (session / "logs").mkdir(parents=True)
    (tmp_path / "session_2026_2").mkdir()
    agent = sleeper(f"{package}/dashboard/agent.py", f"--session-dir={session}")
    with (session / "logs/agent.out").open("w") as log:
        titled = subprocess.Popen(["ray::DashboardAgent", "60"], executable=shutil.which("sleep"), stdout=log)
        reader = subprocess.Popen(["tail", "60"], executable=shutil.which("sleep"), stdout=log)
    others = [reader, sleeper("tail", session), sleeper(f"{package}/dashboard/agent.py", tmp_path / "session_2026_2")]
    driver = subprocess.Popen(
        [sys.executable, "-c", f"""
import subprocess, time
from regraft.machine import processes
processes.start("ray_keeper", {str(session)!r}, {str(package)!r}, stdin=subprocess.PIPE, start_new_session=True)
print(flush=True)
{SLEEP}"""],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        driver.stdout.readline()
        assert sorted(processes_of(str(session), str(package))) == sorted([agent.pid, titled.pid])
        driver.kill()
        driver.communicate()
        assert (agent.wait(timeout=30), titled.wait(timeout=30)) == (-9, -9)
        deadline = time.monotonic() + 30
        while session.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["session_2026_2"]
        assert [other.poll() for other in others] == [None, None, None]
    finally:
        for process in (agent, titled, *others, driver):
            process.kill()
            process.wait()


def test_where_all_has_ended_only_the_folder_is_left_to_remove(tmp_path: Path):
    session = tmp_path / "session"
    session.mkdir()
    keeper = processes.start("ray_keeper", session, tmp_path / "ray", stdin=subprocess.PIPE)
    keeper.communicate(timeout=30)
    assert (keeper.returncode, list(tmp_path.iterdir())) == (0, [])
