"""SIGTERM, as schedulers send it, and Ctrl-C: at any moment one line that says how to go on, and nothing half left."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_photos import PhotoFolder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are listed as Linux lists them"),
]

Moment = Callable[[Path], bool]


def processes_of(session: int) -> list[str]:
    """The command lines of the processes of a session that are alive."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
            words = (place / "cmdline").read_text()
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found.append(words.replace("\0", " "))
    return found


def stop(words: list[object], folder: Path, moment: Moment, number: int, *, times: int = 1) -> tuple[int, str]:
    """The exit code and the last line of a command that is sent a signal at a moment, once nothing is left of it."""
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "REGRAFT_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "regraft", *map(str, words)]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    while not moment(folder) and process.poll() is None:
        time.sleep(0.02)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.05)
    _, stderr = process.communicate(timeout=60)
    deadline = time.monotonic() + 5
    while processes_of(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(process.pid) == []
    assert list(temporary.iterdir()) == []
    assert [path for path in folder.rglob(".*") if path.name.startswith((".writing-", ".drafting-"))] == []
    return process.returncode, stderr.decode().splitlines()[-1]


def in_tensorflow(folder: Path) -> bool:
    time.sleep(2.0)
    return True


def in_the_second_epoch(folder: Path) -> bool:
    return (folder / "run/checkpoints/epoch_00001.npz").is_file()


def in_the_export(folder: Path) -> bool:
    return (folder / "run/metrics.json").is_file()


def in_a_member(folder: Path) -> bool:
    return any(folder.glob("run/members/*/checkpoints"))


@pytest.mark.parametrize(
    ("moment", "number", "times", "code", "said"),
    [
        (in_tensorflow, signal.SIGTERM, 1, 143, "stopped by SIGTERM."),
        (in_the_second_epoch, signal.SIGINT, 3, 130, "interrupted; "),
        (in_the_export, signal.SIGTERM, 3, 143, "stopped by SIGTERM; "),
        (in_a_member, signal.SIGTERM, 1, 143, "stopped by SIGTERM; "),
    ],
)
def test_a_stopped_command_says_how_to_go_on_and_leaves_nothing_half(
    photo_folder: PhotoFolder, tmp_path: Path, moment: Moment, number: int, times: int, code: int, said: str
):
    photos = photo_folder({"ant": 10, "bee": 10}, name="my photos", size=(32, 32)).name
    verb = ["ensemble", "--members", 2, "--jobs", 2, "--no-rival"] if moment is in_a_member else ["train"]
    options = ["--backbone", "tiny", "--epochs", 3, "--set", "finetune.batch_size=8", "--out", "run"]
    ended, line = stop([*verb, photos, *options], tmp_path, moment, number, times=times)
    assert ended == code
    assert line.startswith(f"regraft: {said}")
    command = shlex.join(["regraft", verb[0], photos, "--resume", "--out", "run"])
    assert line in (f"regraft: {said}", f"regraft: {said}go on: {command}")
