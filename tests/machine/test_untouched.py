"""What a call changes for the whole process is put back, and two threads do not change it at once."""

import os
import random
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from regraft.errors import UsageError
from regraft.machine.untouched import untouched


def state() -> tuple:
    return random.getstate(), np.random.get_state()[1].tolist(), keras.config.dtype_policy().name, dict(os.environ)


@pytest.mark.parametrize("fails", [False, True])
def test_seeds_policy_and_environment_are_put_back_also_after_an_error(fails, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REGRAFT_TEST_CHANGED", "old")
    monkeypatch.setenv("REGRAFT_TEST_REMOVED", "old")
    before = state()
    try:
        with untouched("train"):
            keras.utils.set_random_seed(7)
            keras.config.set_dtype_policy("mixed_bfloat16")
            os.environ |= {"REGRAFT_TEST_CHANGED": "new", "REGRAFT_TEST_ADDED": "new"}
            del os.environ["REGRAFT_TEST_REMOVED"]
            assert state() != before
            if fails:
                raise ValueError("inside")
    except ValueError:
        assert fails
    assert state() == before


def test_a_policy_that_keras_had_no_time_to_have_is_its_own_default():
    code = """
from regraft.machine.untouched import untouched
with untouched("train"):
    import keras
    keras.config.set_dtype_policy("mixed_float16")
print(keras.config.dtype_policy().name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "float32\n"


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
