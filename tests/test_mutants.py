"""Every planted fault is seen by the tests that should see it."""

import subprocess
import sys
from pathlib import Path

import pytest
from mutant_table import MUTANTS
from mutants import misplaced

TESTS = Path(__file__).parent


def test_there_are_forty_mutants_and_each_has_its_place():
    assert len(MUTANTS) >= 40
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert misplaced(MUTANTS) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_mutant_is_seen(capsys: pytest.CaptureFixture[str]):
    """In a process of its own, which has imported nothing of the package before it forks."""
    planted = subprocess.run([sys.executable, TESTS / "mutants.py"], capture_output=True, text=True, check=False)
    with capsys.disabled():
        print(f"\n{(planted.stdout.splitlines() or [planted.stderr[-500:]])[-1]}")
    assert planted.returncode == 0, planted.stdout
