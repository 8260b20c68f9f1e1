"""The stages of a run, and the rule that keeps one of them.

The choice is made on the selection photos, which are never reported. The later stage has to earn its place: it is
kept where its loss on them is lower by more than half the standard error of the difference, otherwise the earlier one
stays, which then learns from the selection photos as well. Both cost the same to answer with, so nothing but luck is to
be guarded against; a whole standard error (Breiman et al. 1984) gave away two points where photos said enough
(docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from regraft.evidence.losses import gain_of, losses_of

_TEMPERATURE_PRIOR = 0.5  # standard deviation of log T: keeps a few, all correct, images from forcing T to 0


_ENOUGH = 0.5
"""Standard errors of the difference by which a later stage has to be better."""


@dataclass(frozen=True)
class Stage:
    """One candidate.

    Attributes:
        name: "head", "fine-tuned", "pretrained" or "ensemble" in a run; any word where only a temperature is wanted.
        temperature: what its logits are divided by; fitted on the selection photos, 1 without any.
        select_losses: float [N], cross-entropy in nats of each selection photo, after the temperature, times what a
            photo of its class counts.
        select_accuracy: fraction of the selection photos it gets right; None without any.
    """

    name: str
    temperature: float
    select_losses: np.ndarray
    select_accuracy: float | None

    @property
    def select_loss(self) -> float | None:
        """Mean loss on the selection photos."""
        return float(self.select_losses.mean()) if len(self.select_losses) else None


def judge_stage(
    name: str,
    select_logits: np.ndarray,
    labels: np.ndarray,
    *,
    temperature: float | None = None,
    weights: np.ndarray | None = None,
) -> Stage:
    """The stage of these logits [N, classes] on the selection photos; N may be 0.

    Its `temperature` is fitted on them unless given: a solved head needs none, while a network trained with
    label smoothing is less sure than it should be. With `weights` float [C], what a photo of each class counts in
    training, its losses count as much, those that the temperature is fitted on too.
    """
    if not len(labels):
        return Stage(name, 1.0, np.zeros(0), None)
    counts = np.ones(len(labels)) if weights is None else weights[labels]
    temperature = temperature or fit_temperature(select_logits, labels, counts)
    losses = counts * losses_of(select_logits / temperature, labels)
    return Stage(name, temperature, losses, float((select_logits.argmax(axis=1) == labels).mean()))


def choose_stage(stages: Sequence[Stage]) -> tuple[Stage, str]:
    """The stage to keep, and one sentence that says why. `stages` go from simple to elaborate.

    Without selection photos, the simplest is kept.
    """
    best, reason = stages[0], "it is the only stage"
    if len(stages) > 1 and not len(best.select_losses):
        return best, f"without selection photos nothing says whether {stages[-1].name} is better"
    for challenger in stages[1:]:
        gain, error = gain_of(challenger.select_losses, best.select_losses)
        losses = f"loss {challenger.select_loss:.3f}, {best.name} {best.select_loss:.3f}"
        verdict = f"{losses}, standard error of the difference {error:.3f}"
        counts = f"on the {len(best.select_losses)} selection photos"
        if gain > _ENOUGH * error:
            best, reason = challenger, f"{challenger.name} is better {counts} ({verdict})"
        else:
            reason = f"{challenger.name} is not clearly better {counts} ({verdict})"
    return best, reason


def fit_temperature(logits: np.ndarray, labels: np.ndarray, counts: np.ndarray | None = None) -> float:
    """The T > 0 for which softmax(logits / T) is best calibrated on these images, which count float [N], or all 1.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; with a log-normal prior
    around 1.
    """

    def cost(log_temperature: float) -> float:
        losses = losses_of(logits / np.exp(log_temperature), labels)
        loss = (losses if counts is None else counts * losses).sum()
        return float(loss + 0.5 * (log_temperature / _TEMPERATURE_PRIOR) ** 2)

    return float(np.exp(minimize_scalar(cost, bounds=(-3.0, 3.0), method="bounded").x))
