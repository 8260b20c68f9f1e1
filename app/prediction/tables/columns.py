"""Predictions as rows of a table: which columns there are, and what is in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regraft.data.records import TOP, Prediction
from regraft.evidence.conformal import UnknownRule

ALWAYS = ("path", "status", "reason", "label", "score")
"""The columns that every table begins with."""

DOUBTS = ("entropy", "disagreement", "mutual_information")
"""The columns of uncertainty."""

Cell = str | float | list[float] | None
"""Text, a number, an embedding, or nothing where there is no answer."""


@dataclass(frozen=True)
class Columns:
    """Which columns a table of answers has.

    Columns: path, status, reason, label, score (the probability of label), label_2, score_2, ... up to the `top` best,
    of which a decision comes first, then those asked for. A row without an answer leaves all after reason empty.

    Attributes:
        class_names: in label order.
        top: how many labels a row names.
        uncertainty: adds entropy (of the answer, in nats), disagreement (the part of an ensemble's members with
            another label) and mutual_information (in nats, what the answers of members say of which member it is); the
            last two are empty for a single model.
        rule: adds guess (the label without the rule) and possible (the labels in the prediction set); label is then
            "unknown" unless exactly one is possible.
        probabilities: adds p_CLASS for each class.
        embedding: adds embedding, a list of numbers.
    """

    class_names: tuple[str, ...]
    top: int = TOP
    uncertainty: bool = False
    rule: UnknownRule | None = None
    probabilities: bool = False
    embedding: bool = False

    def names(self) -> list[str]:
        """The names of the columns, from left to right."""
        best = [f"{name}_{place}" for place in range(2, self._count() + 1) for name in ("label", "score")]
        return [
            *(*ALWAYS, *best),
            *(DOUBTS if self.uncertainty else ()),
            *(("guess", "possible") if self.rule else ()),
            *((f"p_{name}" for name in self.class_names) if self.probabilities else ()),
            *(("embedding",) if self.embedding else ()),
        ]

    def row(self, prediction: Prediction) -> list[Cell]:
        """One cell a column; None where there is no answer."""
        start: list[Cell] = [prediction.path, prediction.status, prediction.reason]
        if not prediction.scores:
            return start + [None] * (len(self.names()) - len(start))
        cells = self._best(prediction)
        cells += _doubts(prediction) if self.uncertainty else []
        if self.rule:
            label, possible = self.rule.answer(prediction.scores, self.class_names)
            cells = [label, *cells[1:], cells[0], "|".join(possible)]
        cells += prediction.scores if self.probabilities else ()
        cells += [list(prediction.embedding)] if self.embedding else []
        return start + cells

    def _count(self) -> int:
        return min(self.top, len(self.class_names))

    def _best(self, prediction: Prediction) -> list[Cell]:
        first = np.array(prediction.scores)
        if prediction.decided is not None:
            first[prediction.decided] = np.inf
        order = np.argsort(-first, kind="stable")[: self._count()]
        return [cell for index in order.tolist() for cell in (self.class_names[index], prediction.scores[index])]


def _doubts(prediction: Prediction) -> list[Cell]:
    from regraft.models.monte_carlo import entropy, mutual_information

    cells: list[Cell] = [float(entropy(np.asarray(prediction.scores)))]
    if not prediction.members:
        return [*cells, None, None]
    members = np.asarray(prediction.members)
    others = members.argmax(axis=1) != int(np.argmax(prediction.scores))
    return [*cells, float(others.mean()), max(float(mutual_information(members[:, None])[0]), 0.0)]


def rounded(value: float) -> float:
    """`value` with the seven digits that float32 holds, for tables that are text."""
    return float(f"{value:.7g}")
