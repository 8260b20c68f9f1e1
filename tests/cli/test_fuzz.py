"""Whatever is typed and whatever the files of a run hold: the command line ends in one line and the right exit code.

For more than the suite has time for, and other cases than its own:

    REGRAFT_FUZZ_CASES=100000 REGRAFT_FUZZ_SEED=7 python -m pytest -s --timeout 0 -m slow tests/cli/test_fuzz.py
"""

import os
import random
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from command_line import Answer
from fuzz import Workplace, complaints, damaged, fuzz
from trained_runs import TrainedRun

from regraft.cli.shown import print_json, show_training
from regraft.evidence.conformal import read_calibration
from regraft.runs.history import read_history
from regraft.runs.photos_now import rows_of
from regraft.runs.run import Run, open_run

CASES = 300
SLOW_SECONDS = 15


@pytest.fixture
def workplace(trained: TrainedRun, litert: Path, tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, trained.folder, litert)


def read_all(folder: Path) -> None:
    """Everything that users of a run read of it, and show."""
    run = open_run(folder)
    assert run.recipe.to_toml()
    assert run.class_names
    assert run.environment is not None
    rows_of(run, "fit", "report")
    read_history(run.history_file)
    read_calibration(run.calibration_file)
    with redirect_stdout(StringIO()):
        show_training(run.metrics)
        print_json(run.metrics.as_dict())
    assert Run(folder).root


def tell(workplace: Workplace, seeds: range, goes_on: Callable[[], bool] = lambda: True) -> int:
    """How many cases there were. Fails with the first findings."""
    cases, findings = 0, []
    for found in fuzz(workplace, seeds, read_all, goes_on):
        cases += 1
        findings += [found] if found else []
        if len(findings) > 20:
            break
    assert not findings, "\n".join(map(str, findings))
    return cases


def test_no_call_and_no_damaged_file_ends_in_more_than_a_line(workplace: Workplace):
    assert tell(workplace, range(CASES)) >= CASES


@pytest.mark.slow
def test_no_call_of_very_many_ends_in_more_than_a_line(workplace: Workplace):
    wanted = int(os.environ.get("REGRAFT_FUZZ_CASES", "0"))
    until = time.monotonic() + SLOW_SECONDS
    start = int(os.environ.get("REGRAFT_FUZZ_SEED", CASES))
    cases = tell(workplace, range(start, start + (wanted or 10**9)), lambda: bool(wanted) or time.monotonic() < until)
    print(f"{cases:,} cases from seed {start:,}")
    assert cases > 1_000 or not wanted


def test_what_is_wrong_is_found():
    assert list(complaints(Answer(2, "", "regraft: no.\n"))) == []
    assert list(complaints(Answer(0, "fine", "1 ok\n"))) == []
    assert list(complaints(Answer(1, "", "regraft: no.\n")))
    for words in ("Traceback (most\n", "regraft: \u202e\n", "regraft: a\nregraft: b\n", ""):
        assert list(complaints(Answer(2, "", words)))


def test_damage_is_damage():
    whole = b'{"a": [1, 2, 3], "b": "text"}\n'
    seen = {damaged(whole, random.Random(seed)) for seed in range(200)}
    assert len(seen) > 50
    assert seen != {whole}
