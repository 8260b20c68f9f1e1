"""`find-lr`: the learning-rate range test on the very network, head and images that a training would begin with."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from regraft.errors import RunError, UsageError, option
from regraft.experiments.rate_range import PICTURE, TABLE, holds_range, run_range, write_range
from regraft.machine.drafts import draft_folder
from regraft.machine.files import check_makeable
from regraft.machine.signals import saying_how_to_go_on
from regraft.progress import Progress, Silent
from regraft.runs.run import new_folder
from regraft.training.purpose import RANGE_TEST
from regraft.training.session import Request, open_session


@dataclass(frozen=True)
class RateSuggestion:
    """What came out of a range test.

    Attributes:
        folder: where its table and its picture are.
        suggestion: the rate to take as the highest of a schedule; None where the loss never clearly fell.
        reason: why, in one sentence without a full stop.
        steps: how many batches were trained on.
        low, high: the first and the last rate that was tried.
    """

    folder: Path
    suggestion: float | None
    reason: str
    steps: int
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "folder": str(self.folder)}


def find_rate(
    request: Request,
    *,
    low: float,
    high: float,
    steps: int,
    out: Path,
    force: bool = False,
    progress: Progress | None = None,
) -> RateSuggestion:
    """Runs the test, writes learning_rate_range.csv and .png into the folder `out`, and returns what came out.

    It trains a network of its own and leaves no run behind, so a later training is what it would have been.

    Raises:
        RegraftError: the request or an argument does not fit, or `out` exists without `force`.
    """
    progress = progress or Silent()
    if not request.recipe.finetune.epochs:
        raise UsageError("find-lr tries rates of fine-tuning, and this recipe has none; take balanced or thorough.")
    _check_place(out, force=force)
    with ExitStack() as stack:
        stack.enter_context(saying_how_to_go_on("nothing is left of it."))
        scratch = stack.enter_context(draft_folder(Path(tempfile.gettempdir())))
        request = replace(request, out=scratch / "run", purpose=RANGE_TEST)
        session = stack.enter_context(open_session(request, progress))
        ticker = stack.enter_context(progress.work("find-lr", steps, "steps"))
        from regraft.training.graft import graft
        from regraft.training.network import make_step

        session, _ = graft(session)
        train_step = make_step(session, steps)

        def step(rate: float) -> float:
            loss = train_step(rate)
            ticker.advance(note=f"rate {rate:.1e}  loss {loss:.3f}")
            return loss

        result = run_range(step, low=low, high=high, steps=steps)
    if os.path.lexists(out):
        _check_place(out, force=force)  # it may have come meanwhile
        write_range(out, result)
    else:
        with new_folder(out) as draft:
            write_range(draft, result)
    return RateSuggestion(
        folder=out,
        suggestion=result.suggestion,
        reason=result.reason,
        steps=len(result.rates),
        low=float(result.rates[0]),
        high=float(result.rates[-1]),
    )


def _check_place(out: Path, *, force: bool) -> None:
    """Raises RunError where `out` is there without `force`, or holds files of somebody else by the names of ours.

    OSError says that nothing can be made there.
    """
    if os.path.lexists(out):
        if not force:
            raise RunError(f"{out} exists already; choose another {option('out')} or add {option('force', True)}.")
        if not out.is_dir():
            raise RunError(f"{out} is no folder; choose another {option('out')}.")
        if not holds_range(out):
            raise RunError(
                f"{out} holds a {TABLE} or {PICTURE} that find-lr did not write; move it away, or choose another "
                f"{option('out')}."
            )
    check_makeable(out / TABLE)
