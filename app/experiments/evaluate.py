"""How good a finished run is: on the images it reports on, or on any other labelled folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from regraft.data.groups import group_numbers
from regraft.data.sources import labels_of
from regraft.evidence.decision import decision_of
from regraft.evidence.metrics import Metrics, measure
from regraft.evidence.report import ReportData, write_judgement
from regraft.evidence.requirements import Outcome, Requirement
from regraft.experiments.photos_to_judge import photos_to_judge
from regraft.inference.outputs import logits_of
from regraft.inference.trained import Look, open_trained
from regraft.inference.views import softmax
from regraft.machine.files import write_json
from regraft.machine.notebook import framed
from regraft.progress import Progress
from regraft.runs.run import check_free, new_folder


@dataclass(frozen=True)
class Evaluation:
    """How good a run is on some photos.

    Attributes:
        run: the run directory.
        photos: the folder that the photos were found in.
        folder: where the report and its tables are.
        which_images: the words for what it was judged on, such as "the run reports on".
        metrics: see `Metrics`.
        decision: the words for how labels are made of probabilities; "" where they are the most probable class.
        required: what each requirement came to, in the order in which they were asked.
    """

    run: Path
    photos: Path
    folder: Path
    which_images: str
    metrics: Metrics
    decision: str = ""
    required: tuple[Outcome, ...] = ()

    @property
    def unmet(self) -> tuple[Outcome, ...]:
        """The requirements that are not met."""
        return tuple(outcome for outcome in self.required if not outcome.met)

    def _repr_html_(self) -> str:
        return framed(self.folder / "report.html", repr(self))

    def as_dict(self) -> dict[str, Any]:
        """The values of the evaluation's metrics.json."""
        return {
            "run": str(self.run),
            "photos": str(self.photos),
            "evaluation": str(self.folder),
            "which_images": self.which_images,
            **({"decision": self.decision} if self.decision else {}),
            **self.metrics.as_dict(),
            "required": [outcome.as_dict() for outcome in self.required],
        }


def evaluate(
    folder: Path,
    photos: Path | None,
    progress: Progress,
    *,
    device: str = "auto",
    out: Path | None = None,
    look: Look | None = None,
    told: Mapping[str, Any] | None = None,
    requirements: Sequence[Requirement] = (),
) -> Evaluation:
    """Measures a run and writes metrics.json, predictions.csv, the confusion matrix and report.html.

    Args:
        folder: the run.
        photos: a labelled folder: its test split, else val, else all of it. Images the run was trained on, or
            chosen by, are left out. By default the images the run reports on.
        progress: who is told.
        device: see `open_device`.
        out: where the files go, by default a new folder in the run's `evaluations/`.
        look: how closely each photo is looked at.
        told: keys of the recipe that say how the labels of `photos` are found, where not as in training.
        requirements: bounds on its figures, for classes of the run.

    Raises:
        RunError, FolderError: the run or the folder cannot be used.
    """
    trained = open_trained(folder, device=device, look=look)
    scanned, records, which = photos_to_judge([trained.run], photos, progress, told)
    target = out or trained.run.folder / "evaluations" / f"{datetime.now():%Y%m%d-%H%M%S}"
    check_free(target)
    names = trained.run.class_names
    logits = logits_of(records, trained.infer, trained.reader, progress, "evaluate", batch_size=trained.batch_size)
    probabilities = softmax(logits)
    decision = decision_of(trained.run)
    metrics = measure(labels_of(records), probabilities, names, decision, group_numbers(records))
    data = ReportData(
        title=f"{trained.run.folder.name} on {scanned.name}",
        metrics=metrics,
        probabilities=probabilities,
        truth=labels_of(records),
        records=records,
        class_names=names,
        which_images=which,
        root=scanned.root,
        set_aside=scanned.unreadable,
        environment=trained.run.environment,
        decision=decision,
    )
    required = tuple(requirement.judge(metrics) for requirement in requirements)
    words = decision.words(names) if decision else ""
    evaluation = Evaluation(trained.run.folder, scanned.root, target, which, metrics, words, required)
    with new_folder(target) as draft:
        write_judgement(draft, data)
        write_json(draft / "metrics.json", evaluation.as_dict())
    return evaluation
