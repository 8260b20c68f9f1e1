"""The graft: a new head, solved on the features of the frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from regraft.data.duplicates import group_together
from regraft.data.records import Record
from regraft.data.sources import labels_of
from regraft.exports.frozen_features import TENSORFLOW, FrozenFeatures
from regraft.inference.features import ReadsViews
from regraft.inference.views import MirroredReader
from regraft.models.classifier import feature_widths, set_head
from regraft.progress import SILENT, Ticker
from regraft.training.building import graft_onto
from regraft.training.design import Design
from regraft.training.head import Head, solve_head
from regraft.training.judge import Candidate
from regraft.training.layers import LayerChoice, choose_layers, count_solutions
from regraft.training.photos_asked import BACKBONE_LOSSES, FEATURES_BY, FIT_LOSSES, TAPS_LOSSES
from regraft.training.session import Session
from regraft.training.solver import Solver
from regraft.training.stages import judge_stage

if TYPE_CHECKING:
    import keras


def graft(session: Session) -> tuple[Session, Candidate]:
    """Solves the head on the frozen backbone's features, and puts it where fine-tuning is to begin from it.

    Where the recipe leaves it open which layers the head reads, that is decided here: the session that comes back has
    the recipe that says it, as its run directory does, and the network that has them.
    """
    roles = session.roles
    with session.watch.phase("features"):
        features, runtime = _features(session)
        lessons = _lessons(session, features)
    with session.watch.phase("head"), _solutions(session) as ticker:
        session, layers = _choose(session, lessons, ticker)
        if layers.columns != slice(0, None):
            features = features[:, layers.columns]
            _frozen(session).keep(_records(session), features, runtime)
        _, select, report = np.split(features, np.cumsum([len(roles.fit), len(roles.select)]))
        head = _solved(session, layers, lessons, lessons.fit, ticker)
        truth, weights = labels_of(roles.select), session.finetune_weights
        stage = judge_stage("head", head.logits(select), truth, temperature=1.0, weights=weights)
        # The head that is kept learns from the photos that were held back only for the choice, too.
        kept = head
        if session.spared:
            kept = _solved(session, layers, lessons, len(lessons.labels), ticker)
    arrays = _weights_with(session.model, kept)
    if session.recipe.model.weights != "none":  # training leaves nothing of the features of fresh weights
        set_head(session.model, head.kernel, head.bias)
    facts = {
        "solver": session.recipe.head.solver,
        "l2": kept.l2,
        "l2_losses": {f"{key:g}": loss for key, loss in layers.strength.losses.items()},
        "taps_losses": session.run.environment.get(TAPS_LOSSES, {}),
        "backbone_losses": session.run.environment.get(BACKBONE_LOSSES, {}),
        "fit_losses": session.run.environment.get(FIT_LOSSES, {}),
        "iterations": kept.iterations,
        "objective": kept.objective,
        "solve_seconds": kept.seconds,
    }
    seconds = session.watch.seconds["features"] + session.watch.seconds["head"]
    return session, Candidate(stage, arrays, kept.logits(report), seconds, facts, session.head_weights)


@dataclass(frozen=True)
class _Lessons:
    """What a head may learn from: features float32 [M, C] and labels int [M], the first `fit` of the photos to fit.

    `groups` int [fit] are the same for photos that stay together. `counts` float [M] is what each photo counts, None
    where all count the same.
    """

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    counts: np.ndarray | None
    fit: int


def _lessons(session: Session, features: np.ndarray) -> _Lessons:
    """Of the photos to fit and those that are spared; with `head.mirrored` of their mirrored views, too."""
    fit, spared = session.roles.fit, session.spared
    known, labels = len(fit) + len(spared), labels_of(fit + spared)
    groups, counts = group_together(fit), counts_of(session, fit + spared)
    if not session.recipe.head.mirrored:
        return _Lessons(features[:known], labels, groups, counts, len(fit))
    session.progress.say("head.mirrored: the features of mirrored views take as long again.")
    twins, _ = _frozen(session, MirroredReader(session.reader)).of(fit + spared)
    parts = np.split(np.arange(known), [len(fit)])  # each part, and then its mirrored views
    order = np.concatenate([np.concatenate([part, part + known]) for part in parts])
    every = np.concatenate([features[:known], twins])[order]
    twice = None if counts is None else np.tile(counts, 2)[order]
    return _Lessons(every, np.tile(labels, 2)[order], np.tile(groups, 2), twice, 2 * len(fit))


def _choose(session: Session, lessons: _Lessons, ticker: Ticker) -> tuple[Session, LayerChoice]:
    """The session with its layers decided, and these."""
    fit = slice(lessons.fit)
    found = choose_layers(
        session.recipe,
        lessons.features[fit],
        feature_widths(session.model),
        lessons.labels[fit],
        lessons.groups,
        class_count=session.class_count,
        always=_was_compared(session),
        ticker=ticker,
        weights=None if lessons.counts is None else lessons.counts[fit],
    )
    if session.recipe.head.taps == "auto":
        session = _settled(session, found.taps, found.losses)
    return session, found


def _solved(session: Session, layers: LayerChoice, lessons: _Lessons, count: int, ticker: Ticker) -> Head:
    """The head on the first `count` photos, from where the comparison of some of them ended."""
    design, start = layers.design_of(lessons.features[:count])
    counts = None if lessons.counts is None else lessons.counts[:count]
    return solve(session, design, lessons.labels[:count], layers.l2, counts, ticker, start)


def _settled(session: Session, taps: int, losses: Mapping[str, float]) -> Session:
    """The session whose recipe says that the head reads the last so many taps, and whose network has them."""
    head = session.recipe.head.model_copy(update={"taps": taps})
    recipe = session.recipe.model_copy(update={"head": head})
    session.run.settle(recipe, **{TAPS_LOSSES: losses})
    if taps == len(feature_widths(session.model)) - 1:
        return replace(session, recipe=recipe)
    model = graft_onto(session.backbone, recipe, session.class_count, session.device)
    return replace(session, recipe=recipe, model=model)


def _solutions(session: Session) -> AbstractContextManager[Ticker]:
    """Progress over every solution of the head: each strength in each fold, and those that are kept."""
    compared = count_solutions(session.recipe, feature_widths(session.model), always=_was_compared(session))
    return session.progress.work("head", compared + 1 + bool(session.spared), "solutions")


def _was_compared(session: Session) -> bool:
    """Whether the run compared layers before it was resumed."""
    return bool(session.run.environment.get(TAPS_LOSSES))


def _weights_with(model: keras.Model, head: Head) -> list[np.ndarray]:
    """All weights of `model` with `head` in it; the model itself stays as it is."""
    untouched = model.get_weights()
    set_head(model, head.kernel, head.bias)
    weights = model.get_weights()
    model.set_weights(untouched)
    return weights


def features_of(session: Session) -> np.ndarray:
    """float32 [N, C]: the frozen backbone's features of the images to fit, to select by and to report on, in order."""
    features, _ = _features(session)
    return features


def _features(session: Session) -> tuple[np.ndarray, str]:
    """The same, and what computed them, which the run remembers where it was not TensorFlow."""
    features, runtime = _frozen(session).of(_records(session))
    if runtime != session.run.environment.get(FEATURES_BY, TENSORFLOW):  # where a resumed run finds another
        session.run.note(**{FEATURES_BY: runtime})
    return features, runtime


def _frozen(session: Session, reader: ReadsViews | None = None) -> FrozenFeatures:
    return FrozenFeatures(session.model, reader or session.reader, session.device, session.progress)


def _records(session: Session) -> Sequence[Record]:
    roles = session.roles
    return roles.fit + roles.select + roles.report


def solve(
    session: Session,
    features: np.ndarray | Design,
    labels: np.ndarray,
    l2: float,
    counts: np.ndarray | None,
    ticker: Ticker = SILENT,
    start: np.ndarray | None = None,
) -> Head:
    """The head that the recipe asks for, on features [N, C] of images with labels int [N]; one step of `ticker`.

    `counts` float [N] is that of `counts_of`.
    """
    choices = session.recipe.head
    settings = choices.model_dump(exclude={"solver", "taps", "mirrored", "l2", "folds", "class_weights"})
    solver = Solver(choices.solver, **settings, seed=session.recipe.seed)
    if not isinstance(features, Design):
        features = Design.of(features, feature_widths(session.model))
    head = solve_head(
        features, labels, class_count=session.class_count, l2=l2, solver=solver, start=start,
        weights=counts, ticker=ticker,
    )  # fmt: skip
    ticker.advance()
    return head


def counts_of(session: Session, records: Sequence[Record]) -> np.ndarray | None:
    """float64 [N]: what each photo counts where a head is solved, by its class and itself; None where all the same."""
    own, by_class = np.array([record.weight for record in records], np.float64), session.head_weights
    if by_class is not None:
        return own * by_class[labels_of(records)]
    return None if (own == 1).all() else own
