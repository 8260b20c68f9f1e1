"""The choice among crop, stretch and pad: by features that are made up, and once by photos."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import draw_photo
from drawn_records import detailed_appearance, record
from PIL import Image
from trained_runs import FAST

from regraft.machine.devices import open_device
from regraft.progress import Silent
from regraft.recipes.recipe import load_recipe
from regraft.runs.run import open_run
from regraft.training import fitting
from regraft.training.fitting import FitChoice, choose_fit, sample

LABELS = np.arange(120) % 3
RECORDS = [record(f"{n}.jpg", int(label), bits=detailed_appearance(n)) for n, label in enumerate(LABELS)]


def features(signal: float, *, seed: int = 0) -> np.ndarray:
    """float32 [120, 8]: the more signal, the better three classes are told apart in the same noise."""
    noise = np.random.default_rng(seed).standard_normal((len(LABELS), 8))
    return (signal * np.eye(3, 8)[LABELS] + noise).astype(np.float32)


def choose(monkeypatch: pytest.MonkeyPatch, of: dict[str, np.ndarray], count: int = 120, **edits: object) -> FitChoice:
    """The choice among the first `count` photos, where they have these features in each fit."""
    monkeypatch.setattr(fitting, "feature_extractor", lambda model: None)
    monkeypatch.setattr(fitting, "feature_widths", lambda model: [8])
    monkeypatch.setattr(fitting, "make_infer", lambda *_: None)
    monkeypatch.setattr(fitting.FeatureCache, "of", lambda *_: None)
    monkeypatch.setattr(fitting, "extract_features", lambda records, _, reader, *__: of[reader.fit][: len(records)])
    edits = {"model.backbone": "tiny", "model.weights": "shipped", "head.l2": [0.1]} | edits
    model = SimpleNamespace(output_shape=(None, 3))
    return choose_fit(load_recipe("quick", edits), model, open_device("cpu"), RECORDS[:count], Silent())


def test_the_fit_with_the_clearly_lowest_loss_is_taken(monkeypatch: pytest.MonkeyPatch):
    for best in ("crop", "stretch", "pad"):
        of = {fit: features(4.0 if fit == best else 1.0) for fit in ("crop", "stretch", "pad")}
        found = choose(monkeypatch, of)
        assert (found.fit, found.photos) == (best, 120)
        assert min(found.losses, key=found.losses.get) == best


def test_crop_stays_where_another_is_better_by_luck(monkeypatch: pytest.MonkeyPatch):
    """Other noise of the same strength: each gain is within its standard error."""
    of = {"crop": features(1.5), "stretch": features(1.5, seed=1), "pad": features(1.0)}
    found = choose(monkeypatch, of)
    assert found.losses["stretch"] < found.losses["crop"] < found.losses["pad"]
    assert found.fit == "crop"


def test_the_choice_is_told_with_its_losses():
    losses = {"crop": 0.5, "stretch": 0.25, "pad": 0.3}
    assert str(FitChoice("stretch", 1300, losses)) == (
        "data.fit is stretch, clearly better than crop: cross-validated loss on 1,300 training photos crop 0.500, "
        "stretch 0.250, pad 0.300."
    )
    assert str(FitChoice("crop", 300, losses)).startswith("data.fit is crop, none is clearly better: cross-validated")
    assert str(FitChoice("crop", 2)) == "data.fit is crop, as there is nothing to compare the others by."


def test_nothing_is_compared_of_fresh_weights_and_of_a_photo_a_class(monkeypatch: pytest.MonkeyPatch):
    of = {"crop": features(1.0), "stretch": features(4.0), "pad": features(1.0)}
    assert choose(monkeypatch, of, **{"model.weights": "none"}) == FitChoice("crop")
    assert choose(monkeypatch, of, count=3) == FitChoice("crop", 3)


def test_a_sample_has_of_each_class_its_share_and_two_at_least():
    labels = [0] * 150 + [1] * 45 + [2] * 3 + [3]
    records = [record(f"{number}.jpg", label) for number, label in enumerate(labels)]
    chosen = sample(records, 50, seed=0)
    counts = Counter(one.class_index for one in chosen)
    assert len(chosen) == sum(counts.values()) == 50
    assert (counts[2], counts[3]) == (2, 1)
    assert abs(counts[0] / counts[1] - 150 / 45) < 0.5
    numbers = [records.index(one) for one in chosen]
    assert numbers == sorted(set(numbers))
    assert chosen == sample(records, 50, seed=0) != sample(records, 50, seed=1)
    assert sample(records, 1000, seed=0) == records


@pytest.mark.slow
def test_photos_whose_subject_lies_at_the_side_are_not_cropped(tmp_path: Path):
    for class_index, name in enumerate(("circle", "square")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(25):
            wide = Image.new("RGB", (120, 40), (90, 100, 110))
            subject = draw_photo(class_index * 4, seed=number, size=(38, 38))
            wide.paste(subject, (0 if number % 2 else 82, 1))
            wide.save(tmp_path / "photos" / name / f"{number}.png")
    answer = run_regraft("train", tmp_path / "photos", *FAST, "--set", "data.fit=auto", "--out", tmp_path / "run")
    assert answer.code == 0, answer.stderr
    run = open_run(tmp_path / "run")
    assert run.recipe.data.fit in ("stretch", "pad")
    assert f"data.fit is {run.recipe.data.fit}, clearly better than crop: cross-validated loss on 40" in answer.stderr
    (head,) = run.metrics.stages
    assert head.fit_losses == run.environment["fit_losses"]
    assert head.fit_losses[run.recipe.data.fit] < 0.7 * head.fit_losses["crop"]
