"""What a call changes for the whole process is put back, and two threads do not change it at once."""

import os
import random
import re
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

import regraft
from regraft.errors import UsageError
from regraft.machine.untouched import OPENING_SECONDS, OWN_VARIABLES, untouched


def state() -> tuple:
    return random.getstate(), np.random.get_state()[1].tolist(), keras.config.dtype_policy().name, dict(os.environ)


@pytest.mark.parametrize("fails", [False, True])
def test_seeds_policy_and_environment_are_put_back_also_after_an_error(fails, monkeypatch: pytest.MonkeyPatch):
    changed, removed, added, *_ = OWN_VARIABLES
    monkeypatch.setenv(changed, "old")
    monkeypatch.setenv(removed, "old")
    monkeypatch.delenv(added, raising=False)
    before = state()
    try:
        with untouched("train"):
            keras.utils.set_random_seed(7)
            keras.config.set_dtype_policy("mixed_bfloat16")
            os.environ |= {changed: "new", added: "new"}
            del os.environ[removed]
            assert state() != before
            if fails:
                raise ValueError("inside")
    except ValueError:
        assert fails
    assert state() == before


def test_what_others_put_into_the_environment_meanwhile_stays(monkeypatch: pytest.MonkeyPatch):
    for name in ("REGRAFT_TEST_CHANGED", "REGRAFT_TEST_REMOVED"):
        monkeypatch.setenv(name, "old")
    monkeypatch.delenv("REGRAFT_TEST_ADDED", raising=False)
    with untouched("train"):
        monkeypatch.setenv("REGRAFT_TEST_CHANGED", "new")
        monkeypatch.setenv("REGRAFT_TEST_ADDED", "new")
        monkeypatch.delenv("REGRAFT_TEST_REMOVED")
    assert [os.environ.get(f"REGRAFT_TEST_{name}") for name in ("CHANGED", "ADDED", "REMOVED")] == ["new", "new", None]


def test_every_variable_that_the_application_sets_is_one_that_is_put_back():
    sources = [path.read_text("utf-8") for path in Path(regraft.__file__).resolve().parent.rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"os\.environ(?:\.setdefault\(|\[)\s*\"(\w+)\"", text)}
    assert "TF_CPP_MIN_LOG_LEVEL" in named
    assert named <= set(OWN_VARIABLES)


@pytest.mark.slow
def test_the_first_call_of_a_process_imports_what_it_changes_and_still_puts_it_back():
    """Neither NumPy's state nor Keras's policy is there before, and TensorFlow sets variables while it is imported."""
    code = """
import os, sys
from regraft.machine.untouched import untouched
assert "numpy" not in sys.modules
before = dict(os.environ)
with untouched("train"):
    from regraft.machine.devices import start_tensorflow
    start_tensorflow()
    import keras
    keras.utils.set_random_seed(7)
    keras.config.set_dtype_policy("mixed_float16")
import numpy
print(keras.config.dtype_policy().name)
print("own draws" if numpy.random.rand() != numpy.random.RandomState(7).rand() else "draws of the seed")
print({name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)} or "own environment")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["float32", "own draws", "own environment"]


def test_a_second_thread_is_refused_in_one_line_and_gets_in_afterwards():
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with untouched("train"):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(10)
    try:
        with pytest.raises(UsageError) as caught, untouched("evaluate"):
            pass
    finally:
        leave.set()
        thread.join()
    assert str(caught.value) == (
        "evaluate cannot run while another thread of this process is in regraft.train; wait for it, or give each a "
        "process of its own."
    )
    with untouched("evaluate"):
        pass


def test_a_patient_thread_waits_for_its_turn():
    inside, turns = threading.Event(), []

    def first() -> None:
        with untouched("load"):
            inside.set()
            turns.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(10)
    with untouched("load", patience_seconds=10):
        turns.append("second")
    thread.join()
    assert turns == ["first", "second"]


def test_a_call_within_a_call_of_the_same_thread_is_let_in():
    with untouched("compare"), untouched("train"):
        pass


def test_the_page_on_python_names_the_calls_that_run_one_at_a_time_and_how_long_opening_waits():
    app = Path(regraft.__file__).resolve().parent
    calls = {
        call for path in (app / "api").glob("*.py") for call in re.findall(r'untouched\("(\w+)"', path.read_text())
    }
    page = (app.parent / "docs" / "python.md").read_text("utf-8")
    section = page.partition("\n## Threads\n")[2].partition("\n## ")[0]
    assert {"train", "load"} <= calls <= set(re.findall(r"`(?:regraft\.)?(\w+)`", section))
    for text in (section, regraft.load.__doc__ or ""):
        assert f"{OPENING_SECONDS / 60:.0f} minutes" in text
