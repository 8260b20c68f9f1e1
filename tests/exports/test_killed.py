"""Exports that are killed, or whose plug is pulled, at each of their file operations."""

import sys

import pytest
from killing import call_in_new_process
from trained_runs import TrainedRun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the names of open files in /proc")

CASES = [  # format, --force, whether two folders can be exchanged in one step, whether the plug is pulled
    ("litert", False, True, False),
    ("onnx", False, True, False),
    ("openvino", True, True, False),
    ("saved_model", True, True, True),
    ("litert", True, False, True),
]


@pytest.mark.slow
@pytest.mark.parametrize(("format", "force", "can_exchange", "losses"), CASES)
def test_an_export_that_was_killed_is_made_whole_by_the_same_command_and_the_run_answers_meanwhile(
    format: str, force: bool, can_exchange: bool, losses: bool, trained: TrainedRun
):
    words = {"run": str(trained.folder), "format": format, "force": force, "can_exchange": can_exchange}
    found = call_in_new_process("kill_exports:killed_everywhere", **words, losses=losses)
    how = ("--force " if force else "") + ("" if can_exchange else "without an exchange ")
    print(
        f"export --format {format} {how}was killed at {found['points']} points ({len(found['operations'])} operations)"
    )
    assert found["wrong"] == []
