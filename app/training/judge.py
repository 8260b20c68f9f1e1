"""The candidates of a training: a stage, the weights of the network in it, and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from regraft.data.sources import labels_of
from regraft.inference.outputs import logits_of
from regraft.inference.views import make_infer, softmax
from regraft.training.session import Session
from regraft.training.stages import Stage, judge_stage


@dataclass(frozen=True)
class Candidate:
    """A stage, all weights of the model in it, its logits float32 [N, C] for the reported images, and its facts.

    `seconds` is what it took, None where that is not known. `class_weights` float [C] is what photos of each class
    counted in its training, if they did not count the same; where it `is_shifted_back`, that is taken out of the
    probabilities again, which then are those of the photos as they are.
    """

    stage: Stage
    weights: list[np.ndarray]
    report_logits: np.ndarray
    seconds: float | None
    facts: Mapping[str, Any]
    class_weights: np.ndarray | None = None
    is_shifted_back: bool = False

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float32 [N, C] for the reported images, at the stage's temperature."""
        logits = self.report_logits / self.stage.temperature
        if self.is_shifted_back and self.class_weights is not None:
            logits = logits - np.log(self.class_weights)
        return softmax(logits)


def judge_network(session: Session, name: str) -> Candidate:
    """The model as it stands, judged on the selection photos, with its logits for the reported ones."""
    roles, infer, reader = session.roles, make_infer(session.model, session.device), session.reader
    with session.watch.phase("judge"):
        logits = logits_of(roles.select + roles.report, infer, reader, session.progress, "judge")
    select, report = np.split(logits, [len(roles.select)])
    weights = session.finetune_weights
    stage = judge_stage(name, select, labels_of(roles.select), weights=weights)
    return Candidate(stage, session.model.get_weights(), report, session.watch.seconds["fine-tune"], {}, weights)
