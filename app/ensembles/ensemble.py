"""`ensemble` on a folder of photos: members trained, combined into one run that every other verb takes, and judged."""

from __future__ import annotations

from dataclasses import replace

from regraft.ensembles.combined import combine_and_finish
from regraft.ensembles.kinds import function_of
from regraft.ensembles.plan import Plan, check_plan, resumed_plan
from regraft.machine.files import write_json
from regraft.progress import Progress
from regraft.runs.run import Run
from regraft.training.purpose import ENSEMBLE
from regraft.training.resumable import resumable
from regraft.training.session import open_session


def ensemble_photos(plan: Plan, progress: Progress | None = None) -> Run:
    """The finished run of an ensemble whose members are trained on a folder of photos.

    All members have the same photos to learn from, to be selected by and to report on. A run that is resumed does what
    it began with, whatever else `plan` says.

    Raises:
        RegraftError: the plan does not fit, or a member failed; what has been trained can be resumed.
    """
    plan = resumed_plan(plan) if plan.request.resume else plan
    check_plan(plan)
    with (
        open_session(replace(plan.request, purpose=ENSEMBLE), progress) as session,
        resumable(session),
    ):
        write_json(session.run.ensemble_plan_file, plan.describe())
        made = function_of(plan.kind, "make")(plan, session)
        return combine_and_finish(plan, session, made)
