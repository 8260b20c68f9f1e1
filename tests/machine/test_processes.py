"""How other processes are started: which script, in which environment, away from the current folder's modules."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from regraft.machine import processes


@pytest.mark.parametrize("program", processes.PROGRAMS)
def test_every_program_is_there(program):
    *_, what = processes.PROGRAMS[program]
    assert Path(what).is_file() if what.endswith(".py") else find_spec(what)


def test_a_program_ends_with_what_it_printed(tmp_path: Path):
    done = processes.run("regraft", "--version", capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout.split()[0]) == (0, "regraft,")


def test_modules_of_the_current_folder_are_not_taken_for_ours(tmp_path: Path):
    (tmp_path / "click.py").write_text("raise SystemExit('the wrong click')\n")
    done = processes.run("regraft", "--help", capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_environment_is_this_one_and_what_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REGRAFT_TEST_OLD", "old")
    script = tmp_path / "show.py"
    script.write_text("import os\nprint(os.environ['REGRAFT_TEST_OLD'], os.environ['NEW'])\n")
    monkeypatch.setitem(processes.PROGRAMS, "show", (str(script),))
    process = processes.start("show", environment={"NEW": "new"}, stdout=subprocess.PIPE, text=True)
    assert process.communicate()[0] == "old new\n"
    assert processes.command("show")[:2] == [sys.executable, "-P"]


@pytest.mark.parametrize(("stderr", "words"), [(b"one\ntwo\n", "two"), ("", "no message"), ("  \n", "no message")])
def test_the_last_words_are_the_last_line(stderr, words):
    assert processes.last_words(stderr) == words
