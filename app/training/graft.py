"""The graft: a new head, solved on the features of the frozen backbone."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from regraft.data.duplicates import group_duplicates
from regraft.data.sources import labels_of
from regraft.inference.features import FeatureCache, extract_features, features_made_by
from regraft.inference.views import make_infer
from regraft.machine.cache import cache_folder
from regraft.models.classifier import feature_extractor, set_head
from regraft.progress import SILENT, Ticker
from regraft.training.head import Head, choose_l2, solve_head
from regraft.training.judge import Candidate
from regraft.training.session import FIT_LOSSES, Session
from regraft.training.solver import Solver
from regraft.training.stages import judge_stage

if TYPE_CHECKING:
    import keras


def graft(session: Session) -> Candidate:
    """Solves the head on the frozen backbone's features, and puts it where fine-tuning is to begin from it."""
    roles = session.roles
    with session.watch.phase("features"):
        features = features_of(session)
    fit, select, report = np.split(features, np.cumsum([len(roles.fit), len(roles.select)]))
    with session.watch.phase("head"), _solutions(session) as ticker:
        l2, l2_losses = _choose_l2(session, fit, ticker)
        head = solve(session, fit, labels_of(roles.fit), l2, ticker)
        stage = judge_stage("head", head.logits(select), labels_of(roles.select), temperature=1.0)
        # The head that is kept learns from the photos that were held back only for the choice, too.
        spared, kept = session.spared, head
        if spared:
            kept = solve(session, np.concatenate([fit, select]), labels_of(roles.fit + spared), l2, ticker)
    weights = _weights_with(session.model, kept)
    if session.recipe.model.weights != "none":  # training leaves nothing of the features of fresh weights
        set_head(session.model, head.kernel, head.bias)
    facts = {
        "solver": session.recipe.head.solver,
        "l2": kept.l2,
        "l2_losses": {f"{key:g}": loss for key, loss in l2_losses.items()},
        "fit_losses": session.run.environment.get(FIT_LOSSES, {}),
        "iterations": kept.iterations,
        "objective": kept.objective,
        "solve_seconds": kept.seconds,
    }
    seconds = session.watch.seconds["features"] + session.watch.seconds["head"]
    return Candidate(stage, weights, kept.logits(report), seconds, facts)


def _solutions(session: Session) -> AbstractContextManager[Ticker]:
    """Progress over every solution of the head: each strength in each fold, and those that are kept."""
    choices = session.recipe.head
    compared = len(choices.l2) * choices.folds if len(choices.l2) > 1 else 0
    return session.progress.work("head", compared + 1 + bool(session.spared), "solutions")


def _choose_l2(session: Session, features: np.ndarray, ticker: Ticker) -> tuple[float, dict[float, float]]:
    records, choices = session.roles.fit, session.recipe.head
    return choose_l2(
        features,
        labels_of(records),
        class_count=session.class_count,
        candidates=choices.l2,
        groups=group_duplicates(records),
        folds=choices.folds,
        seed=session.recipe.seed,
        max_iterations=choices.max_iterations,
        ticker=ticker,
    )


def _weights_with(model: keras.Model, head: Head) -> list[np.ndarray]:
    """All weights of `model` with `head` in it; the model itself stays as it is."""
    untouched = model.get_weights()
    set_head(model, head.kernel, head.bias)
    weights = model.get_weights()
    model.set_weights(untouched)
    return weights


def features_of(session: Session) -> np.ndarray:
    """float32 [N, C]: the frozen backbone's features of the images to fit, to select by and to report on, in order."""
    roles = session.roles
    extractor = feature_extractor(session.model)
    infer = make_infer(extractor, session.device)
    cache = FeatureCache(cache_folder(), features_made_by(extractor, session.reader, session.device))
    records = roles.fit + roles.select + roles.report
    return extract_features(records, infer, session.reader, cache, session.progress)


def solve(session: Session, features: np.ndarray, labels: np.ndarray, l2: float, ticker: Ticker = SILENT) -> Head:
    """The head that the recipe asks for, on features [N, C] of images with labels int [N]; one step of `ticker`."""
    choices = session.recipe.head
    settings = choices.model_dump(exclude={"solver", "l2", "folds"})
    solver = Solver(choices.solver, **settings, seed=session.recipe.seed)
    head = solve_head(features, labels, class_count=session.class_count, l2=l2, solver=solver, ticker=ticker)
    ticker.advance()
    return head
