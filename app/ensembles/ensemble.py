"""`ensemble` on a folder of photos: members trained, combined into one run that every other verb takes, and judged."""

from __future__ import annotations

from dataclasses import replace

from regraft.ensembles.combined import combine_and_finish
from regraft.ensembles.kinds import function_of
from regraft.ensembles.plan import Plan, check_plan, resumed_plan
from regraft.machine.files import write_json
from regraft.progress import Progress
from regraft.runs.run import Run
from regraft.training.finish import finish_export
from regraft.training.purpose import ENSEMBLE
from regraft.training.resumable import resumable
from regraft.training.session import open_session


def ensemble_photos(plan: Plan, progress: Progress | None = None) -> Run:
    """The finished run of an ensemble whose members are trained on a folder of photos.

    All members have the same photos to learn from, to be selected by and to report on. A run that is resumed does what
    it began with; a plan that asks for something else is refused.

    Raises:
        RegraftError: the plan does not fit, or a member failed; what has been trained can be resumed.
    """
    plan = resumed_plan(plan, None) if plan.request.resume else plan
    check_plan(plan)
    request = replace(plan.request, purpose=ENSEMBLE, ensemble_plan=plan.describe())
    with open_session(request, progress) as session, resumable(session):
        if session.run.is_finished:
            return finish_export(session)
        if not session.run.ensemble_plan_file.is_file():  # a run that an earlier version began and did not come so far
            write_json(session.run.ensemble_plan_file, plan.describe())
        made = function_of(plan.kind, "make")(plan, session)
        return combine_and_finish(plan, session, made)
