"""Which cases of a parametrized test the default suite keeps; the others are marked slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few_by_default(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """All cases, those marked slow that are not among `kept`. Raises ValueError where one of `kept` is no case."""
    cases = list(cases)
    if strangers := [each for each in kept if each not in cases]:
        raise ValueError(f"no such cases: {strangers}.")
    return [case if case in kept else pytest.param(case, marks=pytest.mark.slow) for case in cases]
