"""From probabilities to a label: the most probable class, the least expected cost, or an operating point of one class.

A decision is kept with a run, and in the description of its exports. Without one, the most probable class is the label.
Least expected cost is Bayes' rule (Elkan 2001, "The foundations of cost-sensitive learning"): right where the
probabilities are calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from regraft.data.wording import name_some
from regraft.errors import RunError
from regraft.machine.files import write_json
from regraft.recipes.class_tables import ARROW, find_mistake, is_finite_number
from regraft.runs.digests import DECISION, keep_digest, kept_digest, without_digest
from regraft.runs.reading import read_json
from regraft.runs.run import Run


@dataclass(frozen=True)
class LeastCost:
    """The class whose answer costs least on average, of equals the more probable one.

    Attributes:
        costs: float [C, C], rows are the truth, columns the answers.
    """

    costs: tuple[tuple[float, ...], ...]

    @cached_property
    def _matrix(self) -> np.ndarray:
        return np.array(self.costs)

    @cached_property
    def is_even(self) -> bool:
        """Whether all mistakes cost the same and right answers nothing, so that the most probable class costs least."""
        mistakes = self._matrix[~np.eye(len(self.costs), dtype=bool)]
        return not self._matrix.diagonal().any() and bool((mistakes == mistakes[0]).all())

    def answers(self, probabilities: np.ndarray) -> np.ndarray:
        """Int [N]: the label of each row of float [N, C]."""
        probabilities = np.asarray(probabilities, np.float64)
        if self.is_even:  # where rounding would break ties between expected costs
            return probabilities.argmax(axis=1)
        expected = probabilities @ self._matrix
        is_least = expected == expected.min(axis=1, keepdims=True)
        return np.where(is_least, probabilities, -1.0).argmax(axis=1)

    def words(self, class_names: Sequence[str]) -> str:
        """What the label is, such as "the least expected cost (sick->well 10, other mistakes 1)"."""
        said = [
            f"{class_names[truth]}{ARROW}{class_names[answer]} {cost:g}"
            for truth, row in enumerate(self.costs)
            for answer, cost in enumerate(row)
            if truth != answer and cost != 1
        ]
        return f"the least expected cost ({name_some(said)}{', ' if said else ''}other mistakes 1)"

    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """JSON values that `decision_from` reads."""
        return {"costs": [list(row) for row in self.costs]}


@dataclass(frozen=True)
class OperatingPoint:
    """One class wherever it is probable enough, and else the most probable of the others.

    Attributes:
        label: position of that class.
        at_least: its least probability, in [0, 1]; above 1 it is never given.
    """

    label: int
    at_least: float

    def answers(self, probabilities: np.ndarray) -> np.ndarray:
        """Int [N]: the label of each row of float [N, C]."""
        probabilities = np.asarray(probabilities, np.float64)
        others = probabilities.copy()
        others[:, self.label] = -1.0
        return np.where(probabilities[:, self.label] >= self.at_least, self.label, others.argmax(axis=1))

    def words(self, class_names: Sequence[str]) -> str:
        """What the label is, such as ""sick" from a probability of 0.12 on, else the most probable of the others"."""
        least = f"from a probability of {self.at_least:.4g} on"
        return f'"{class_names[self.label]}" {least}, else the most probable of the others'

    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """JSON values that `decision_from` reads."""
        return {"class": class_names[self.label], "at_least": self.at_least}


Decision = LeastCost | OperatingPoint
"""How a label is made of probabilities, where it is not the most probable class."""


def decide(probabilities: np.ndarray, decision: Decision | None) -> np.ndarray:
    """Int [N]: the label of each row of float [N, C]; without a decision the most probable, of equals the first."""
    return np.asarray(probabilities).argmax(axis=1) if decision is None else decision.answers(probabilities)


def decision_of_costs(costs: Mapping[str, float], class_names: Sequence[str]) -> LeastCost | None:
    """The decision by the costs of a recipe, by "TRUE->ANSWER"; mistakes that it leaves out cost 1. None of no costs.

    Raises:
        UsageError: it names a class that there is not.
    """
    if not costs:
        return None
    matrix = 1.0 - np.eye(len(class_names))
    for key, cost in costs.items():
        truth, answer = find_mistake(key, class_names)
        matrix[list(class_names).index(truth), list(class_names).index(answer)] = cost
    return LeastCost(tuple(map(tuple, matrix.tolist())))


def decision_from(values: Any, class_names: Sequence[str]) -> Decision:
    """The decision in JSON values of `Decision.as_dict`. Raises ValueError where they are none for these classes."""
    if not isinstance(values, Mapping):
        raise ValueError("a decision is an object")
    if set(values) == {"costs"}:
        rows = values["costs"]
        size = len(class_names)
        is_square = isinstance(rows, list) and len(rows) == size
        if not is_square or not all(isinstance(row, list) and len(row) == size for row in rows):
            raise ValueError("costs must have a row and a column for each class")
        if not all(is_finite_number(cost) and cost >= 0 for row in rows for cost in row):
            raise ValueError("costs must be numbers of at least 0")
        return LeastCost(tuple(tuple(map(float, row)) for row in rows))
    if set(values) != {"class", "at_least"}:
        raise ValueError("a decision has costs, or a class and at_least")
    if values["class"] not in class_names or not is_finite_number(values["at_least"]):
        raise ValueError("a decision must name a class of the model and a number")
    return OperatingPoint(list(class_names).index(values["class"]), float(values["at_least"]))


def decision_of(run: Run) -> Decision | None:
    """The decision that is in force for `run`. Raises RunError where its file is damaged or gone."""
    file = run.decision_file
    if not file.is_file():
        if kept_digest(run.folder, DECISION):
            raise RunError(f"{file} is gone; put it back, or regraft threshold RUN --clear goes on without.")
        return None
    try:
        return decision_from(read_json(file).get("rule"), run.class_names)
    except ValueError as error:
        raise RunError(f"{file} is damaged ({error}); regraft threshold RUN --clear goes on without.") from error


def write_decision(run: Run, decision: Decision, **why: Any) -> None:
    """Puts `decision` in force for `run`, and `why` beside it. The run is held, or not finished yet."""
    without_digest(run.folder, DECISION)
    write_json(run.decision_file, {"rule": decision.as_dict(run.class_names), **why})
    keep_digest(run.folder, DECISION)


def remove_decision(run: Run) -> None:
    """Goes back to the most probable class."""
    without_digest(run.folder, DECISION)
    run.decision_file.unlink(missing_ok=True)
