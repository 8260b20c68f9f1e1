"""No verb opens a connection that nobody asked for, or leaves anything in the home folder but what is documented."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from trained_runs import FAST, TrainedRun

WATCH = """
import os, sys

def watch(event, arguments):
    if event == "socket.getaddrinfo" or event in ("socket.gethostbyname", "socket.gethostbyaddr"):
        note(event, arguments[0])
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        note(event, arguments[1])

def note(event, place):
    with open(os.environ["WATCH_LOG"], "a") as log:
        print(event, place, sys.argv[:3], file=log)

sys.addaudithook(watch)
"""
"""A sitecustomize.py, which every Python process below imports: it notes who asks for a host."""

VERBS = """
import json, sys
from command_line import run_regraft
for words in json.loads(sys.argv[1]):
    answer = run_regraft(*words)
    assert answer.code == 0, (words, answer.stderr)
"""


def watched(commands: list[list[object]], folder: Path) -> list[str]:
    """Which hosts were asked for while these commands ran, one after the other in one process. `folder` gets a home."""
    (folder / "home").mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(WATCH)
    log, trace = folder / "hosts.txt", folder / "trace.txt"
    environment = os.environ | {
        "HOME": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join([str(folder), *sys.path[1:]]),
        "WATCH_LOG": str(log),
        "CI": "",
        "REGRAFT_CACHE": str(folder / "cache"),
    }
    words = [sys.executable, "-c", VERBS, json.dumps([list(map(str, words)) for words in commands])]
    if shutil.which("strace"):  # sees what is not Python, too
        words = ["strace", "-f", "--seccomp-bpf", "-e", "trace=connect", "-o", str(trace), *words]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr[-2_000:]
    lines = [line for file in (log, trace) if file.is_file() for line in file.read_text(errors="replace").splitlines()]
    return [line for line in lines if line.startswith("socket.") or "AF_INET" in line]


def left_in(home: Path) -> list[str]:
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


def test_the_watch_sees_who_asks_for_a_host(tmp_path: Path):
    script = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('nowhere.invalid', 80)"
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "WATCH_LOG": str(tmp_path / "log")}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    assert (tmp_path / "log").read_text().startswith("socket.getaddrinfo nowhere.invalid")


def test_checking_and_predicting_ask_no_host_and_leave_nothing_at_home(
    trained: TrainedRun, litert: Path, tmp_path: Path
):
    commands = [["check", trained.photos], ["predict", litert, trained.photos], ["backbones"], ["cache"]]
    assert watched(commands, tmp_path / "watched") == []
    assert left_in(tmp_path / "watched/home") == []


@pytest.mark.slow
@pytest.mark.timeout(900)  # strace slows the start of TensorFlow down
def test_no_verb_asks_for_a_host(trained: TrainedRun, tmp_path: Path):
    photos, run = trained.photos, tmp_path / "run"
    shutil.copytree(trained.folder, run)
    exports = [run / "exports" / f"{name}-float32" for name in ("litert", "onnx", "openvino")]
    commands = [
        ["train", photos, *FAST, "--out", tmp_path / "new"],
        *(["export", run, "--format", export.name.partition("-")[0], "--out", export] for export in exports),
        *(["predict", export, photos] for export in exports),
        ["predict", run, photos, "--runtime", "tensorflow"],
        ["evaluate", run],
        ["ensemble", photos, *FAST, "--kind", "heads", "--members", 2, "--no-rival", "--out", tmp_path / "heads"],
        ["augment-preview", photos, "--out", tmp_path / "preview.png"],
    ]
    assert watched(commands, tmp_path / "watched") == []
    allowed = (".keras/", ".config/matplotlib/", ".cache/matplotlib/")
    assert [name for name in left_in(tmp_path / "watched/home") if not name.startswith(allowed)] == []
    print(f"{len(commands)} verbs; left at home: {left_in(tmp_path / 'watched/home')}")
