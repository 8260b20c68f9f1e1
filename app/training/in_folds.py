"""Every photo judged by a model that has not seen it: one training for each fold, before the one on all photos."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.groups import group_numbers
from regraft.data.sources import labels_of
from regraft.errors import RunError
from regraft.evidence.decision import Decision, decide, decision_of_costs
from regraft.evidence.intervals import grouped_accuracy_interval
from regraft.evidence.losses import losses_of_probabilities
from regraft.evidence.report import ReportSection
from regraft.machine.arrays import read_arrays
from regraft.progress import Silent
from regraft.runs.run import Run
from regraft.training.finish import finish_trial
from regraft.training.resumable import resumable
from regraft.training.session import Session, Stopwatch

if TYPE_CHECKING:
    import keras

    from regraft.data.roles import Roles
    from regraft.training.judge import Candidate

Stages = Callable[[Session], tuple[Session, "list[Candidate]", str]]
"""What trains the stages of a session: see `regraft.training.train`."""


@dataclass(frozen=True)
class OutOfFold:
    """What the models of the folds answered.

    Attributes:
        probabilities: float32 [N, C], for the reported images of the session, each by the model that has not seen it.
        rows: for metrics.json, what each fold came to.
    """

    probabilities: np.ndarray
    rows: Sequence[dict[str, Any]]

    @property
    def section(self) -> ReportSection:
        """A part of the report page: a row for each fold."""
        figures = ("images", "accuracy", "95 % interval", "log loss")
        columns = {"fold": "left", **dict.fromkeys(figures, "right"), "stage": "left"}
        rows = [
            (
                row["fold"], f"{row['images']:,}", f"{100 * row['accuracy']:.1f} %",
                f"{100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f} %", f"{row['log_loss']:.3f}",
                row["stage"],
            )
            for row in self.rows
        ]  # fmt: skip
        sentence = "Each fold was judged by a model that was trained on the others; all numbers above are of these."
        return ReportSection("Folds", (sentence,), columns, rows)


def judge_in_folds(session: Session, train_stages: Stages) -> OutOfFold:
    """Trains and judges the model of each fold of `session`; those that are finished already are read.

    The session's network comes back as it was, so that what is trained next does not depend on which were read.
    """
    names = len(session.folder.class_names)
    place_of = {id(record): place for place, record in enumerate(session.roles.report)}
    probabilities, rows = np.zeros((len(place_of), names), np.float32), []
    restore, decision = _kept_state(session.model), decision_of_costs(session.recipe.cost, session.folder.class_names)
    with session.watch.phase("folds"), session.progress.work("folds", len(session.folds), "folds") as ticker:
        for number, roles in enumerate(session.folds, start=1):
            run = Run(session.run.folder / "folds" / str(number))
            if not run.is_finished:
                _train_fold(session, run, roles, train_stages)
                restore()
            answers, stage = _answers(run, roles)
            probabilities[[place_of[id(record)] for record in roles.report]] = answers
            rows.append(_row(number, roles, answers, stage, decision))
            ticker.advance(note=f"fold {number}: {100 * rows[-1]['accuracy']:.1f} %")
    return OutOfFold(probabilities, rows)


def _kept_state(model: keras.Model) -> Callable[[], None]:
    """A function that puts `model` back as it is now: its weights, and the random states that its noise draws from.

    Python's own random state comes back too: Keras draws from it the seed of a layer that is built without one, as some
    are again where a fold settles its taps.
    """
    values = [(variable, variable.numpy()) for variable in model.variables]  # of which `weights` has no random states
    state = random.getstate()

    def restore() -> None:
        for variable, value in values:
            variable.assign(value)
        random.setstate(state)

    return restore


def _train_fold(session: Session, run: Run, roles: Roles, train_stages: Stages) -> None:
    """The finished run of a fold, in a folder of its own in that of the run; a killed one goes on."""
    if run.folder.exists():
        run.tidy()
    else:
        run.start(session.recipe, session.folder.class_names, session.run.environment)
    of_fold = replace(
        session, run=run, roles=roles, spared=roles.select, folds=(), watch=Stopwatch(), progress=Silent(), proof=None
    )
    with resumable(of_fold):
        trained, candidates, why = train_stages(of_fold)
        finish_trial(trained, candidates, why=why)


def _answers(run: Run, roles: Roles) -> tuple[np.ndarray, str]:
    """float32 [n, C] for the images of a fold, in the order of its roles, and the stage that was kept."""
    try:
        stages = read_arrays(run.stages_file)
        kept = int(stages["kept"])
        if stages["fingerprints"].tolist() != [record.fingerprint for record in roles.report]:
            raise ValueError("other images")
        return stages["probabilities"][kept], str(stages["names"][kept])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise RunError(f"{run.folder} is damaged; remove it, and resume the training.") from error


def _row(number: int, roles: Roles, probabilities: np.ndarray, stage: str, decision: Decision | None) -> dict[str, Any]:
    truth = labels_of(roles.report)
    is_right = decide(probabilities, decision) == truth
    low, high = grouped_accuracy_interval(is_right, group_numbers(roles.report))
    loss = float(losses_of_probabilities(probabilities, truth).mean())
    return {
        "fold": number, "images": len(truth), "accuracy": float(is_right.mean()), "accuracy_low": low,
        "accuracy_high": high, "log_loss": loss, "stage": stage,
    }  # fmt: skip
