"""How good a finished run is: on the images it reports on, or on any other labelled folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from regraft.data.records import ImageFolder, Record
from regraft.data.sources import labels_of
from regraft.errors import FolderError
from regraft.evidence.decision import decision_of
from regraft.evidence.metrics import Metrics, measure
from regraft.evidence.report import ReportData, write_judgement
from regraft.inference.outputs import logits_of
from regraft.inference.trained import Look, open_trained
from regraft.inference.views import softmax
from regraft.machine.files import write_json
from regraft.machine.notebook import framed
from regraft.progress import Progress
from regraft.runs.photos_now import fingerprints_of, records_of, rows_of, scan_photos
from regraft.runs.run import Run, check_free, new_folder


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
    """

    run: Path
    photos: Path
    folder: Path
    which_images: str
    metrics: Metrics
    decision: str = ""

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
        }


def evaluate(
    folder: Path,
    photos: Path | None,
    progress: Progress,
    *,
    device: str = "auto",
    out: Path | None = None,
    look: Look | None = None,
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

    Raises:
        RunError, FolderError: the run or the folder cannot be used.
    """
    trained = open_trained(folder, device=device, look=look)
    scanned = scan_photos(trained.run, photos, progress, advice="name their folder after the run")
    records, which = _choose(scanned, trained.run, of_the_run=photos is None)
    target = out or trained.run.folder / "evaluations" / f"{datetime.now():%Y%m%d-%H%M%S}"
    check_free(target)
    names = trained.run.class_names
    logits = logits_of(records, trained.infer, trained.reader, progress, "evaluate", batch_size=trained.batch_size)
    probabilities = softmax(logits)
    decision = decision_of(trained.run)
    metrics = measure(labels_of(records), probabilities, names, decision)
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
    words = decision.words(names) if decision else ""
    evaluation = Evaluation(trained.run.folder, scanned.root, target, which, metrics, words)
    with new_folder(target) as draft:
        write_judgement(draft, data)
        write_json(draft / "metrics.json", evaluation.as_dict())
    return evaluation


def _choose(folder: ImageFolder, run: Run, *, of_the_run: bool) -> tuple[tuple[Record, ...], str]:
    """The images to judge on, and the words for them."""
    if of_the_run:
        paths = {row.path for row in rows_of(run, "report")}
        records = tuple(record for record in records_of(run, folder, "report") if record.path.absolute() in paths)
        absent = len(paths) - len(records)
        which = "the run reports on" + (f", without {absent} gone or changed since" if absent else "")
    else:
        seen = fingerprints_of(run, "fit", "select")
        split = next((name for name in ("test", "val") if folder.split(name)), None)
        offered = folder.split(split) if split else folder.records
        records = tuple(record for record in offered if record.fingerprint not in seen)
        left_out = len(offered) - len(records)
        which = f"of {folder.name}" + (f"/{split}" if split else "")
        which += f", without {left_out} that the run was trained on" if left_out else ""
    if not records:
        raise FolderError(f"{folder.root} has no image to judge the run on that it was not trained on.")
    return records, which
