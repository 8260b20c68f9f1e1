"""Features by another runtime than TensorFlow: the same, kept apart, and refused where they are not."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from drawn_photos import PhotoFolder
from listening import Listening

import regraft.exports.frozen_features as frozen
from regraft.errors import FolderError
from regraft.exports.frozen_features import FrozenFeatures
from regraft.inference.views import make_infer
from regraft.models.classifier import feature_extractor
from regraft.recipes.recipe import load_recipe
from regraft.training.graft import graft
from regraft.training.session import Request, Session, open_session

RUNTIMES = [("openvino", "openvino"), ("onnx", "tf2onnx"), ("litert", "ai_edge_litert")]


@pytest.fixture
def photos(photo_folder: PhotoFolder) -> Path:
    return photo_folder({"ant": 12, "bee": 12})


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))


@contextmanager
def session_of(photos: Path, out: Path, **edits: object) -> Iterator[tuple[Session, Listening]]:
    keys = {"model.backbone": "tiny", "head.l2": [0.1], "head.folds": 2, "data.image_size": 32}
    said = Listening()
    request = Request(str(photos), load_recipe("quick", keys | edits), out=out, device="cpu")
    with open_session(request, said) as session:
        yield session, said


def features(session: Session) -> tuple[np.ndarray, str]:
    records = session.roles.fit + session.roles.report
    return FrozenFeatures(session.model, session.reader, session.device, session.progress).of(records)


@pytest.mark.parametrize(("runtime", "module"), RUNTIMES)
def test_another_runtime_computes_what_tensorflow_does(photos, tmp_path, monkeypatch, runtime, module):
    pytest.importorskip(module)
    with session_of(photos, tmp_path / "run") as (session, said):
        monkeypatch.setattr(frozen, "PAYS_FROM", {runtime: len(session.roles.fit)})
        found, by = features(session)
        assert by == runtime and not said.said
        monkeypatch.setattr(frozen, "open_features", None)  # now they come from the cache
        again, by = features(session)
        assert by == runtime
        np.testing.assert_array_equal(again, found)
        monkeypatch.setattr(frozen, "PAYS_FROM", {})
        expected, by = features(session)
        assert by == "tensorflow"
        assert (found != expected).any(), "they come from another runtime"
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("share", [0, 2e-4, np.nan])
def test_what_is_not_the_same_is_refused(photos, tmp_path, monkeypatch, share):
    pytest.importorskip("openvino")
    opened = frozen.open_features

    def open_off(*args):
        network = opened(*args)

        def off(images):
            probabilities, embedding = network(images)
            return probabilities, embedding * np.float32(1 + share)

        return off

    monkeypatch.setattr(frozen, "open_features", open_off)
    monkeypatch.setattr(frozen, "PAYS_FROM", {"openvino": 1})
    with session_of(photos, tmp_path / "run") as (session, said):
        _, by = features(session)
    assert by == ("tensorflow" if share else "openvino")
    assert ["its features are off" in line for line in said.said] == ([True] if share else [])


def test_what_fails_is_named_and_costs_nothing_else(photos, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("an operation it does not know\nand more")

    monkeypatch.setattr(frozen, "open_features", fail)
    monkeypatch.setattr(frozen, "can_be_made", lambda name: name == "onnx")
    monkeypatch.setattr(frozen, "PAYS_FROM", {"openvino": 1, "onnx": 2})
    with session_of(photos, tmp_path / "run") as (session, said):
        found, by = features(session)
    assert (by, len(found)) == ("tensorflow", 24)
    assert said.said == ["onnx does not compute the features (an operation it does not know); TensorFlow does."]


def test_one_that_fails_on_the_way_costs_only_time(photos, tmp_path, monkeypatch):
    calls = itertools.count()

    def open_failing(*_):
        def network(images):
            if next(calls) == 20:
                raise RuntimeError("out of memory")
            return None, infer(images)

        return network

    monkeypatch.setattr(frozen, "open_features", open_failing)
    monkeypatch.setattr(frozen, "can_be_made", lambda name: True)
    monkeypatch.setattr(frozen, "_CHECKED", 8)
    monkeypatch.setattr(frozen, "PAYS_FROM", {"onnx": 1})
    with session_of(photos, tmp_path / "run") as (session, said):
        infer = make_infer(feature_extractor(session.model), session.device)
        found, by = features(session)
    assert (by, len(found)) == ("tensorflow", 24)
    assert said.said == ["onnx does not compute the features (out of memory); TensorFlow does."]


def test_a_photo_that_became_unreadable_is_named(photos, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(frozen, "PAYS_FROM", {"openvino": 1})
    with session_of(photos, tmp_path / "run") as (session, _):
        session.roles.fit[0].path.write_bytes(b"")
        with pytest.raises(FolderError, match="became unreadable"):
            features(session)


def test_the_run_remembers_who_computed_its_features_and_is_proven(photos, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(frozen, "PAYS_FROM", {"openvino": 1})
    with session_of(photos, tmp_path / "run", **{"head.taps": "auto"}) as (session, _):
        settled, head = graft(session)
        assert settled.run.environment["features_by"] == "openvino"
        settled.model.set_weights(head.weights)
        monkeypatch.setattr(frozen, "open_features", None)
        _, again = graft(settled)  # with the features that were kept of the network that was settled on
    np.testing.assert_allclose(head.report_logits, again.report_logits, atol=1e-4)


def test_few_photos_are_not_worth_it(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, "can_be_made", lambda name: True)
    with session_of(photos, tmp_path / "run") as (session, _):
        monkeypatch.setattr(frozen, "PAYS_FROM", {"openvino": 25})
        assert features(session)[1] == "tensorflow"
        assert "features_by" not in session.run.environment
