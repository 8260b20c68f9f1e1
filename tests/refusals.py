"""What a call that is refused says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def message_of(error: type[Exception], call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The message of the error that the call raises, which is one line."""
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text
