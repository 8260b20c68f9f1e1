"""The head on frozen features: which layers it reads, what it learns from, and that the network answers as it does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from drawn_photos import PhotoFolder

import regraft.exports.frozen_features
import regraft.training.layers
import regraft.training.strength
from regraft.data.duplicates import group_together
from regraft.data.sources import labels_of
from regraft.inference.outputs import logits_of
from regraft.inference.views import MirroredReader, make_infer
from regraft.models.classifier import feature_widths
from regraft.progress import Silent
from regraft.recipes.recipe import load_recipe
from regraft.training.design import Design
from regraft.training.graft import _lessons, features_of, graft
from regraft.training.head import solve_head
from regraft.training.session import Request, Session, open_session


@pytest.fixture
def photos(photo_folder: PhotoFolder) -> Path:
    return photo_folder({"ant": 12, "bee": 12})


@contextmanager
def session_of(photos: Path, out: Path, **edits: object) -> Iterator[Session]:
    keys = {"model.backbone": "tiny", "head.l2": [0.1], "head.folds": 2}
    keys |= {f"head.{key}": value for key, value in edits.items()}
    with open_session(Request(str(photos), load_recipe("quick", keys), out=out, device="cpu")) as session:
        yield session


def reported(session: Session) -> np.ndarray:
    infer = make_infer(session.model, session.device)
    return logits_of(session.roles.report, infer, session.reader, Silent(), "report")


@pytest.mark.parametrize(("taps", "widths"), [(0, [160]), (["stem_relu", "stage2_residual_add"], [32, 96, 160])])
def test_the_network_answers_as_the_head_that_was_solved(photos, tmp_path, taps, widths):
    with session_of(photos, tmp_path / "run", taps=taps) as opened:
        lessons = _lessons(opened, features_of(opened))
        assert (len(lessons.labels), lessons.fit) == (len(opened.roles.fit + opened.spared), len(opened.roles.fit))
        session, head = graft(opened)
        assert feature_widths(session.model) == widths
        session.model.set_weights(head.weights)
        np.testing.assert_allclose(reported(session), head.report_logits, atol=1e-4)


@pytest.mark.parametrize(("better", "taps", "widths"), [(True, 3, [32, 48, 96, 160]), (False, 0, [160])])
def test_auto_writes_into_the_recipe_what_it_chose(photos, tmp_path, monkeypatch, better, taps, widths):
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def judge(losses: np.ndarray, others: np.ndarray) -> bool:
        asked.append((losses, others))
        return better

    monkeypatch.setattr(regraft.training.layers, "is_clearly_better", judge)
    with session_of(photos, tmp_path / "run", taps="auto") as opened:
        assert feature_widths(opened.model) == [32, 48, 96, 160]
        session, head = graft(opened)
        ((tapped, plain),) = asked
        assert len(tapped) == len(plain) == len(opened.roles.fit)
        assert list(head.facts["taps_losses"]) == ["0", "3"]
        assert session.recipe.head.taps == session.run.recipe.head.taps == taps
        assert feature_widths(session.model) == widths
        session.model.set_weights(head.weights)
        np.testing.assert_allclose(reported(session), head.report_logits, atol=1e-4)
        with monkeypatch.context() as without_network:
            without_network.setattr(regraft.exports.frozen_features, "make_infer", lambda *_: None)
            assert features_of(session).shape[1] == sum(widths)  # from the cache
    with session_of(photos, tmp_path / "again", taps=taps) as opened:
        _, again = graft(opened)
    for one, other in zip(head.weights, again.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_resumed_run_says_what_was_compared_before(photos, tmp_path):
    with session_of(photos, tmp_path / "run", taps="auto") as opened:
        settled, head = graft(opened)
        _, again = graft(settled)
    assert set(head.facts["taps_losses"]) == {"0", "3"}
    assert {key: again.facts[key] for key in ("taps_losses", "l2")} == {
        key: head.facts[key] for key in ("taps_losses", "l2")
    }
    assert again.facts["l2_losses"] == pytest.approx(head.facts["l2_losses"], rel=1e-4)
    assert head.facts["l2_losses"]


@pytest.mark.parametrize("taps", ["auto", 0])
def test_of_many_photos_the_head_learns_from_all_at_the_strength_that_suits_them(photos, tmp_path, monkeypatch, taps):
    """As many are compared as two classes have at least, 10 of the 18 to learn from."""
    monkeypatch.setattr(regraft.training.strength, "_COMPARED", 1.0)
    monkeypatch.setattr(regraft.training.strength, "_OF_FEW", 0)
    with session_of(photos, tmp_path / "run", taps=taps, l2=[0.01, 0.1]) as opened:
        lessons = _lessons(opened, features_of(opened))
        session, head = graft(opened)
        compared, fit = 10, len(opened.roles.fit)
        assert fit > compared
        assert head.facts["l2"] in [pytest.approx(l2 * (compared / fit) ** 0.5) for l2 in (0.01, 0.1)]
        columns = slice(-sum(feature_widths(session.model)), None)
        design = Design.of(lessons.features[:, columns], feature_widths(session.model))
        plain = solve_head(design, lessons.labels, class_count=2, l2=head.facts["l2"])
        assert head.facts["objective"] == pytest.approx(plain.objective, abs=1e-5)
        session.model.set_weights(head.weights)
        np.testing.assert_allclose(reported(session), head.report_logits, atol=1e-4)


def test_mirrored_views_are_learned_from_beside_the_plain_ones(photos, tmp_path):
    with session_of(photos, tmp_path / "run", taps=0, mirrored=True) as session:
        fit, spared = session.roles.fit, session.spared
        features = features_of(session)
        lessons = _lessons(session, features)
        plain, twins = np.split(lessons.features[: lessons.fit], 2)
        np.testing.assert_array_equal(plain, features[: len(fit)])
        assert np.abs(twins - plain).max() > 1e-3
        labels = labels_of(fit)
        assert lessons.labels.tolist() == [*labels, *labels, *labels_of(spared), *labels_of(spared)]
        assert lessons.groups.tolist() == [*group_together(fit), *group_together(fit)]
        (view,) = session.reader.read_all([fit[0].path])
        (mirrored,) = MirroredReader(session.reader).read_all([fit[0].path])
        np.testing.assert_array_equal(mirrored, view[:, ::-1])
        _, head = graft(session)
        assert np.isfinite(head.report_logits).all()
