"""The runs of a comparison, and what each answered for the photos it was judged on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from regraft.errors import RunError
from regraft.evidence.calibration import expected_calibration_error
from regraft.evidence.judged import check_answers
from regraft.evidence.losses import losses_of
from regraft.machine.arrays import read_arrays
from regraft.recipes.arms import Arm
from regraft.runs.photos_now import rows_of
from regraft.runs.run import Run
from regraft.runs.run_metrics import RunMetrics


@dataclass(frozen=True)
class Trial:
    """One run of an arm: what it answered for each photo that was judged, and what it took."""

    run: Run
    seed: int
    stage: str
    fingerprints: tuple[str, ...]
    correct: np.ndarray
    losses: np.ndarray
    calibration_error: float
    train_count: int
    metrics: RunMetrics

    @property
    def accuracy(self) -> float:
        """Part of the photos it got right."""
        return float(self.correct.mean())


@dataclass
class ArmResult:
    """The trials of one arm so far, in the order of the seeds."""

    arm: Arm
    trials: list[Trial] = field(default_factory=list)


def read_trial(run: Run, seed: int, stage: str) -> Trial:
    """What a finished run of a comparison answered. Raises RunError where its files are damaged."""
    try:
        arrays = read_arrays(run.stages_file)
        index = int(arrays["kept"]) if stage == "kept" else len(arrays["names"]) - 1
        truth, probabilities = check_answers(arrays["truth"], arrays["probabilities"][index])
        name, fingerprints = str(arrays["names"][index]), tuple(arrays["fingerprints"].tolist())
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise RunError(f"{run.stages_file} is damaged; delete {run.folder} and compare again.") from error
    with np.errstate(divide="ignore"):
        losses = losses_of(np.log(np.maximum(probabilities, 1e-12)), truth)
    return Trial(
        run=run,
        seed=seed,
        stage=name,
        fingerprints=fingerprints,
        correct=probabilities.argmax(axis=1) == truth,
        losses=losses,
        calibration_error=expected_calibration_error(truth, probabilities),
        train_count=len(rows_of(run, "fit")),
        metrics=run.metrics,
    )
