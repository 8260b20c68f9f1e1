"""Killed at any file operation, or its plug pulled there, a job ends as one that nobody interrupted."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from killed_jobs import FORMS, STARTS
from killing import call_in_new_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the names of open files in /proc")


def check(found: dict[str, Any], points: int) -> None:
    """At least so many points, and no failure; prints the numbers."""
    print({name: found[name] for name in ("points", "states", "refused")})
    assert found["failures"] == []
    assert found["points"] >= points
    assert found["refused"] <= 8, "resume may refuse the old output only before anything of the forced job is written"


def test_killed_at_some_operation_a_job_ends_as_an_uninterrupted_one():
    """A file, and by force a folder over a finished one."""
    found = call_in_new_process("killed_jobs:sample", every=13)
    assert len(found) == 2
    for each in found:
        check(each, points=36)


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("form", FORMS)
def test_killed_at_any_operation_a_job_ends_as_an_uninterrupted_one(form: str, start: str):
    """Nothing is answered again but what was not done, nothing is left beside, and what it was made of is known."""
    check(call_in_new_process("killed_jobs:failures", form=form, start=start), points=400)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "folder of csv"])
def test_killed_twice_at_any_operations_a_job_ends_as_an_uninterrupted_one(form: str):
    check(call_in_new_process("killed_jobs:failures_of_two_kills", form=form), points=500)
