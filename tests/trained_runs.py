"""The runs that tests share, and the options of runs that take no longer than they must."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_line import Answer

TRAINING = (
    *("--backbone", "tiny", "--seed", 3, "--epochs", 3),
    *("--set", "finetune.batch_size=8", "--set", "optimizer.learning_rate=0.003"),
    *("--set", "data.select_fraction=0.2", "--set", "head.l2=[1e6]"),
)
"""The options of the run that most tests share. So strong an L2 spoils the head: the fine-tuned stage is kept."""

FAST = ("--backbone", "tiny", "--recipe", "quick", "--set", "head.l2=[0.1]")
"""The options of a run that takes no longer than it must."""


@dataclass(frozen=True)
class TrainedRun:
    """A finished run that tests only read: its folder, the photos it was trained on and what `train` answered."""

    folder: Path
    photos: Path
    answer: Answer

    @property
    def metrics(self) -> dict[str, Any]:
        """What its metrics.json holds."""
        return json.loads((self.folder / "metrics.json").read_text("utf-8"))
