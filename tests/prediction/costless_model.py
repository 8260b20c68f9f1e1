"""A model that answers by the length of a file alone, so that a test of jobs takes milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regraft.prediction import predict as predicting
from regraft.prediction.answerer import Answerer, Answers
from regraft.prediction.model_choice import ModelChoice, Source

READ: list[int] = []
"""The lengths of the files that were read since somebody cleared it."""


def take_its_place(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Has `regraft.prediction.predict.predict` answer with it, whatever model is named; its files lie in `folder`."""
    source = Source(folder, ("cat", "dog"), folder / "calibration.npz", False, ())
    choice = ModelChoice(str(folder), False, "none", "", "cpu")
    answerer = Answerer(source.class_names, _read, _compute, batch_size=1, workers=1)
    patch.setattr(predicting, "open_source", lambda *_: source)
    patch.setattr(predicting, "choose", lambda *_, **__: choice)
    patch.setattr(ModelChoice, "open", lambda *_, **__: answerer)


def _read(data: object) -> np.ndarray:
    assert isinstance(data, bytes)
    READ.append(len(data))
    return np.array([len(data)], np.float32)


def _compute(batch: np.ndarray) -> Answers:
    cat = 1 / (2 + batch)
    return Answers(np.concatenate([cat, 1 - cat], axis=1))
