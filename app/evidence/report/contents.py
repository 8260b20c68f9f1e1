"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from regraft.data.records import Record, SetAside
from regraft.evidence.decision import Decision, decide
from regraft.evidence.metrics import Metrics


class StageRow(TypedDict, total=False):
    """One stage of a training, for the report. What is left out is shown as a dash.

    `stage` is its name, `chosen_on` says on what the stages were compared ("40 selection photos"), `loss`
    (nats) and `accuracy` (fraction) are measured on those, `kept` marks the stage whose model the run holds.
    """

    stage: str
    chosen_on: str
    loss: float
    accuracy: float
    seconds: float
    kept: bool


@dataclass(frozen=True)
class ReportSection:
    """A part of the page that only some runs have: a heading, sentences, a table and a picture, each if there is one.

    `columns` maps a heading to its side ("left" or "right"); `picture` is a PNG that `description` tells of.
    """

    heading: str
    sentences: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Sequence[object]] = ()
    picture: bytes = b""
    description: str = ""


@dataclass(frozen=True)
class ReportData:
    """Everything report.html shows. A section whose field is empty is left out.

    Attributes:
        title: plain text, such as the name of the run.
        metrics: of the N images below.
        probabilities: float [N, C].
        truth: int [N], indices into `class_names`.
        records: the N images.
        class_names: C names in label order.
        which_images: ends the sentence "97.4 % of 153 photos ...".
        root: the folder that `records` were found under; paths are shown relative to it.
        stages: see `StageRow`.
        kept_because: a sentence on why that stage was kept.
        history: rows of history.csv: `loss`, `accuracy`, `select_loss` and `select_accuracy` of each epoch.
        seconds_by_phase: where the time went, in order.
        notes: sentences that a reader should know, such as warnings.
        set_aside: files that were found and not used.
        recipe_toml: the resolved recipe.
        environment: versions, device and so on; values may be nested.
        run: the run directory, for the commands that come next.
        sections: what else there is to say, after the notes.
        decision: how labels are made of probabilities, where they are not the most probable class.
    """

    title: str
    metrics: Metrics
    probabilities: np.ndarray
    truth: np.ndarray
    records: Sequence[Record]
    class_names: Sequence[str]
    which_images: str = "it never trained on"
    root: Path | None = None
    stages: Sequence[StageRow] = ()
    kept_because: str = ""
    history: Sequence[Mapping[str, float | str | int]] = ()
    seconds_by_phase: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    set_aside: Sequence[SetAside] = ()
    recipe_toml: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    run: Path | None = None
    sections: Sequence[ReportSection] = ()
    decision: Decision | None = None

    @property
    def answers(self) -> np.ndarray:
        """Int [N]: the label of each image."""
        return decide(self.probabilities, self.decision)
