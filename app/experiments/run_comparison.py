"""`compare RUN RUN`: what two finished runs answer to the same photos, and which of them is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regraft.data.class_names import place_of
from regraft.data.groups import group_numbers
from regraft.data.records import ImageFolder, Record
from regraft.data.sources import labels_of
from regraft.data.wording import name_some
from regraft.errors import UsageError
from regraft.evidence.decision import decide, decision_of, reordered
from regraft.evidence.duel import Duel, judge_duel
from regraft.evidence.metrics import Metrics, measure
from regraft.evidence.report.result_tables import shown_path
from regraft.experiments.photos_to_judge import photos_to_judge
from regraft.inference.outputs import logits_of
from regraft.inference.trained import open_trained
from regraft.inference.views import softmax
from regraft.machine.files import write_csv, write_json
from regraft.machine.notebook import tabled
from regraft.progress import Progress
from regraft.runs.run import Run, check_free, new_folder, open_run

_COLUMNS = ("path", "truth", "first_label", "first_score", "second_label", "second_score")
_NAMED_CLASSES = 10


@dataclass(frozen=True)
class DifferentAnswer:
    """A photo to which two runs give different labels.

    Attributes:
        path: relative to the folder of the photos, with forward slashes.
        truth: its class.
        first_label, second_label: what each run answers.
        first_score, second_score: the probabilities that they give to their own label.
    """

    path: str
    truth: str
    first_label: str
    first_score: float
    second_label: str
    second_score: float

    def cells(self) -> list[str]:
        """The row of differences.csv."""
        first, second = f"{self.first_score:.6f}", f"{self.second_score:.6f}"
        return [self.path, self.truth, self.first_label, first, self.second_label, second]


@dataclass(frozen=True)
class RunComparison:
    """Two runs on the same photos.

    Attributes:
        first, second: the run directories.
        photos: the folder that the photos were found in.
        folder: where differences.csv and summary.json are; None where they were not asked for.
        which_images: the words for what they were judged on, such as "both runs report on".
        first_metrics, second_metrics: how good each is.
        duel: the second against the first.
        different: the photos that they answer differently, in the order of the folder.
    """

    first: Path
    second: Path
    photos: Path
    folder: Path | None
    which_images: str
    first_metrics: Metrics
    second_metrics: Metrics
    duel: Duel
    different: tuple[DifferentAnswer, ...]

    @property
    def verdict(self) -> str:
        """One plain sentence on the accuracy."""
        return f"{self.second} against {self.first}: {self.duel.verdict}."

    def as_dict(self) -> dict[str, Any]:
        """The values of summary.json."""
        return {
            "first": {"run": str(self.first), **self.first_metrics.as_dict()},
            "second": {"run": str(self.second), **self.second_metrics.as_dict()},
            "photos": str(self.photos),
            "comparison": None if self.folder is None else str(self.folder),
            "which_images": self.which_images,
            **self.duel.as_dict(),
            "different": [vars(answer) for answer in self.different],
        }

    def _repr_html_(self) -> str:
        rows = [answer.cells() for answer in self.different]
        return tabled(_COLUMNS, rows, [self.verdict, *self.duel.notes])


def compare_runs(
    first: Path,
    second: Path,
    photos: Path | None,
    progress: Progress,
    *,
    device: str = "auto",
    out: Path | None = None,
    told: Mapping[str, Any] | None = None,
) -> RunComparison:
    """Has two runs answer the same photos, and writes differences.csv and summary.json where `out` is given.

    Args:
        first, second: the runs, in classes of the same names.
        photos, told: see `photos_to_judge`. By default the images that both report on.
        progress: who is told.
        device: see `open_device`.
        out: a new folder.

    Raises:
        UsageError: the runs tell different classes apart, or report on no image in common.
        RunError, FolderError: a run or the folder cannot be used, or no image is left.
    """
    runs = open_run(first), open_run(second)
    places = _places(*runs)
    if out is not None:
        check_free(out)
    folder, records, which = photos_to_judge(runs, photos, progress, told)
    truth, names, groups = labels_of(records), runs[0].class_names, group_numbers(records)
    answers = [_probabilities(run, records, device, progress) for run in runs]
    answers[1] = answers[1][:, places]
    decisions = decision_of(runs[0]), reordered(decision_of(runs[1]), places)
    labels = [decide(given, decision) for given, decision in zip(answers, decisions, strict=True)]
    found = RunComparison(
        first=first,
        second=second,
        photos=folder.root,
        folder=out,
        which_images=which,
        first_metrics=measure(truth, answers[0], names, decisions[0], groups),
        second_metrics=measure(truth, answers[1], names, decisions[1], groups),
        duel=judge_duel(truth, answers[0], answers[1], labels, groups),
        different=_different(folder, records, answers, labels, names),
    )
    if out is not None:
        with new_folder(out) as draft:
            write_csv(draft / "differences.csv", _COLUMNS, [answer.cells() for answer in found.different])
            write_json(draft / "summary.json", found.as_dict())
    return found


def _places(first: Run, second: Run) -> list[int]:
    """Where the second run has each class of the first one. Raises UsageError where they have not the same."""
    ours, theirs = first.class_names, second.class_names
    places = [place for name in ours if (place := place_of(name, theirs)) is not None]
    if not len(ours) == len(theirs) == len(set(places)):
        odd = name_some(sorted(set(ours) ^ set(theirs)), shown=_NAMED_CLASSES)
        raise UsageError(
            f"{first.folder} and {second.folder} tell different classes apart: only one of them has {odd}."
        )
    return places


def _probabilities(run: Run, records: Sequence[Record], device: str, progress: Progress) -> np.ndarray:
    """float32 [N, C], classes in the order of the run."""
    trained = open_trained(run.folder, device=device)
    name = run.folder.name
    return softmax(logits_of(records, trained.infer, trained.reader, progress, name, batch_size=trained.batch_size))


def _different(
    folder: ImageFolder,
    records: Sequence[Record],
    answers: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    names: Sequence[str],
) -> tuple[DifferentAnswer, ...]:
    scores = [given[np.arange(len(given)), own] for given, own in zip(answers, labels, strict=True)]
    return tuple(
        DifferentAnswer(
            path=shown_path(record.path, folder.root),
            truth=names[record.class_index],
            first_label=names[labels[0][row]],
            first_score=float(scores[0][row]),
            second_label=names[labels[1][row]],
            second_score=float(scores[1][row]),
        )
        for row, record in enumerate(records)
        if labels[0][row] != labels[1][row]
    )
