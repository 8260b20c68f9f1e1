"""How a job begins, in an empty folder or in the place of an earlier one, and how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from regraft.machine.files import digest_file
from regraft.prediction.delivery import remove
from regraft.prediction.job import Job, write_inputs
from regraft.prediction.model_choice import ModelChoice
from regraft.prediction.plan import ASKED, Owned, digest_over, write_asked, write_plan
from regraft.prediction.sources.item import Item
from regraft.prediction.standing import Standing, check_free


def begin(
    job: Job,
    standing: Standing,
    asked: Mapping[str, Any],
    items: Iterable[Item],
    choose: Callable[[int], ModelChoice],
) -> dict[str, Any]:
    """Lists the inputs and plans the job, which then has the place of what was there before. Returns the plan.

    Args:
        job: with an id of its own.
        standing: what is there. It is untouched until the plan is written, and whole where anything fails.
        asked: all that the bytes depend on.
        items: the inputs.
        choose: the model for so many inputs.
    """
    forget_begun(job, standing)
    asked = {"id": job.id, "over": digest_over(job), **asked}
    write_asked(job, asked)
    try:
        count = write_inputs(job, items)
        check_free(job, -(-count // job.shard_rows), standing.owned)
        model = choose(count)
        answering = {"digest": model.digest(), "model": asdict(model)}
        listed = {"rows": count, "listed": digest_file(job.inputs_file)}
    except BaseException:
        remove(job.folder, Owned((job.inputs_file.name, ASKED)))
        raise
    plan = {**asked, **answering, **listed, "replaces": standing.owned.as_dict()}
    write_plan(job, plan)
    return plan


def clear(job: Job, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Removes what the plan took the place of, as far as it is still there. Returns the plan, which then says so."""
    replaced = Owned.from_dict(plan["replaces"])
    if replaced == Owned():
        return dict(plan)
    remove(job.folder, replaced)
    cleared = {**plan, "replaces": Owned().as_dict()}
    write_plan(job, cleared)
    return cleared


def forget_begun(job: Job, standing: Standing) -> None:
    """Removes what a job left that was begun and never planned."""
    asked, plan = standing.asked, standing.plan
    if asked is not None and (plan is None or plan.get("id") != asked["id"]):
        remove(job.folder, Owned((f"inputs-{asked['id']}.jsonl", ASKED)))
