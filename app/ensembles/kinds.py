"""Every kind of ensemble, in one table: what `kind` and a budget can ask for, and who makes it; and how they combine.

The table needs no TensorFlow, so a plan is checked in milliseconds; a row's functions are imported when they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One row of the table. Functions are "module:function" in `regraft.ensembles`, "" where there is none.

    Attributes:
        members: how many it has unless asked otherwise.
        make: trains it, (plan, session) -> Made; without it, only a budget chooses this kind.
        of_runs: makes it of finished runs, (plan, session, runs) -> Made; without it, the kind has to train.
        within: trains what there is time for, (plan, session, deadline) -> (plan, Made), the deadline in seconds of
            `time.monotonic`. Which of the kinds that have it a budget chooses, and in which order, stands in
            `regraft.ensembles.budget.choose_kind`, which names them.
        check: raises UsageError where a plan does not fit, beyond what is checked of all, (plan) -> None.
        trains_networks: whether its members need epochs of fine-tuning to differ.
        takes_variants: whether members may have recipes of their own.
        takes_one_run: whether it is made along one run, which of finished ones must have kept snapshots.
    """

    members: int
    make: str = ""
    of_runs: str = ""
    within: str = ""
    check: str = ""
    trains_networks: bool = True
    takes_variants: bool = False
    takes_one_run: bool = False


KINDS: dict[str, Kind] = {
    "independent": Kind(
        members=5,
        make="independent:make_independent",
        of_runs="independent:independent_of_runs",
        within="independent:independent_within",
        takes_variants=True,
    ),
    "snapshot": Kind(
        members=4,
        make="along_one_run:make_snapshot",
        of_runs="along_one_run:snapshot_of_run",
        within="along_one_run:snapshot_within",
        check="plan:check_cycles",
        takes_one_run=True,
    ),
    "heads": Kind(
        members=10,
        make="heads:make_heads",
        within="heads:heads_within",
        trains_networks=False,
    ),
    "ema": Kind(members=1, make="along_one_run:make_ema", takes_one_run=True),
    "swa": Kind(members=4, make="along_one_run:make_swa", check="plan:check_averaged_epochs", takes_one_run=True),
    "soup": Kind(
        members=5,
        make="soup:make_soup",
        of_runs="soup:soup_of_runs",
        takes_variants=True,
    ),
    "single": Kind(members=1, within="independent:single_within"),
}
"""Every kind, by its name."""


COMBINATIONS = ("mean", "logits", "weights", "greedy")
"""How answers become one: see `regraft.ensembles.plan.Plan`."""

SOUPS = ("greedy", "uniform")
"""Which weights are averaged."""


def names(which: str) -> tuple[str, ...]:
    """The kinds that have the function `which`: "make", "of_runs" or "within"."""
    return tuple(name for name, kind in KINDS.items() if getattr(kind, which))


def function_of(kind: str, which: str) -> Callable[..., Any]:
    """A function of the row, imported."""
    module, _, function = getattr(KINDS[kind], which).partition(":")
    return getattr(import_module(f"regraft.ensembles.{module}"), function)
