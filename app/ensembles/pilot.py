"""How long things take on this machine: a few steps and answers, timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from regraft.inference.views import make_infer
from regraft.training.network import make_step
from regraft.training.pipeline import steps_per_epoch
from regraft.training.session import Session

EXPORT_SECONDS = 20.0
"""TensorFlow starts anew for the proof; more where the pilot says that this machine is slow."""

_PILOT_SECONDS, _PILOT_STEPS = 4.0, 20


@dataclass(frozen=True)
class Pilot:
    """What a few seconds say of how long things take here.

    Attributes:
        start: seconds until a member trains: the network is built, its head is solved.
        epoch: seconds of an epoch of fine-tuning, its judgement included.
        judge: seconds of one network's answers to all selection photos and reported ones.
        finish: seconds of saving, exporting, proving and reporting one network.
    """

    start: float
    epoch: float
    judge: float
    finish: float


def run_pilot(session: Session, *, solve_seconds: float) -> Pilot:
    """Times a few steps of fine-tuning and a few answers; the session's model is as before afterwards.

    Args:
        session: with the head solved.
        solve_seconds: what that took, at one strength.
    """
    roles, batch = session.roles, session.recipe.finetune.batch_size
    before = session.model.get_weights()
    step = _time_steps(session)
    session.model.set_weights(before)
    infer = make_infer(session.model, session.device)
    images = np.zeros((32, *session.model.input_shape[1:]), np.float32)
    answer = _median_seconds(lambda: infer(images)) / 32
    steps = steps_per_epoch(len(roles.fit), batch)
    judged = len(roles.select) + len(roles.report)
    seconds = session.watch.seconds
    return Pilot(
        start=seconds.get("start", 0.0) + 2 * solve_seconds,
        epoch=steps * step + 2 * answer * len(roles.select),
        judge=2 * answer * judged,
        finish=EXPORT_SECONDS + 3 * answer * len(roles.report),
    )


def _time_steps(session: Session) -> float:
    """Mean seconds of a step of training, the reading of its photos included."""
    step = make_step(session, _PILOT_STEPS + 1)
    rate = session.recipe.optimizer.learning_rate or 0.0
    step(rate)  # traces
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < _PILOT_SECONDS and len(seconds) < _PILOT_STEPS):
        started = time.perf_counter()
        step(rate)
        seconds.append(time.perf_counter() - started)
    return float(np.mean(seconds[1:]))  # the first finds its photos read already


def _median_seconds(call: Callable[[], object], rounds: int = 3) -> float:
    call()
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))
