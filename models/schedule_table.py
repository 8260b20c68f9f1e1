"""The schedules by name, and what each needs, without Keras."""

from __future__ import annotations

SCHEDULES: dict[str, str] = {
    "constant": "stays",
    "step": "is multiplied by decay every step_epochs",
    "exponential": "falls by decay over step_epochs, smoothly",
    "cosine": "falls to 0 on half a cosine",
    "one_cycle": "rises and falls once, both on half a cosine",
    "cyclic": "falls to 0 on half a cosine in each of `cycles` cycles, and starts again",
    "plateau": "is multiplied by decay when the loss has not fallen for patience epochs",
}
"""What the learning rate does. All but one_cycle, which has a rise of its own, and cyclic begin with the warm-up."""

WITHOUT_WARMUP = ("one_cycle", "cyclic")


def check_schedule(name: str, *, epochs: int, warmup_epochs: float, cycles: int) -> None:
    """Raises ValueError where the schedule does not fit the epochs."""
    if name not in SCHEDULES:
        raise ValueError(f'schedule.name must be one of {", ".join(SCHEDULES)}; received "{name}".')
    if name not in WITHOUT_WARMUP and warmup_epochs >= epochs:
        raise ValueError(f"schedule.warmup_epochs must be less than the epochs ({epochs}); received {warmup_epochs:g}")
    if name == "cyclic" and epochs % cycles:
        fitting = ", ".join(str(number) for number in range(1, epochs + 1) if epochs % number == 0)
        raise ValueError(
            f"schedule.cycles must divide the epochs ({epochs}), so be one of {fitting}; received {cycles}"
        )
