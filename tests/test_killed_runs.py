"""Killed at its file operations, every verb that writes runs goes on to the files that it would have left."""

import os
from pathlib import Path

import pytest
from killed_runs import WORKS
from killing import call_in_new_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

POINTS = {"train": 4, "fine-tune": 2, "heads": 2, "independent": 2, "of runs": 2, "compare": 2, "evaluate": 2}
"""How many of each verb's operations are tried here, of about 100 to 400; `python tests/killed_runs.py` tries all."""


@pytest.mark.parametrize("verb", WORKS)
def test_a_kill_at_any_file_operation_costs_nothing_but_time(tmp_path: Path, verb: str):
    found = call_in_new_process("killed_runs:kill", verb=verb, folder=str(tmp_path), most=POINTS[verb], ends=1)
    print(f"{verb}: killed before {found['tried']} of {found['operations']} operations")
    assert found["failures"] == []
