"""Which backbone suits the photos: the fastest, unless a slower one is clearly better."""

from pathlib import Path

import numpy as np
import pytest
from drawn_photos import PhotoFolder
from listening import Listening

import regraft
from regraft.data.scan import scan_folder
from regraft.errors import UsageError
from regraft.machine.devices import open_device
from regraft.progress import Silent
from regraft.recipes.recipe import Recipe, load_recipe
from regraft.runs.run import Run
from regraft.training import backbone_choice
from regraft.training.backbone_choice import BackboneChoice, choose_backbone
from regraft.training.session import Request, open_session

GOOD, FAIR, BAD = np.linspace(0.1, 0.2, 24), np.linspace(0.3, 0.4, 24), np.linspace(0.5, 0.9, 24)


@pytest.fixture
def photos(photo_folder: PhotoFolder) -> Path:
    return photo_folder({"ant": 12, "bee": 12})


def chosen(photos: Path, monkeypatch: pytest.MonkeyPatch, **answers: tuple[float, np.ndarray | None]) -> BackboneChoice:
    def ask(recipe: Recipe, *_: object) -> tuple[float, np.ndarray | None]:
        assert recipe.data.fit == "crop", "how photos are fitted is asked later"
        return answers[recipe.model.backbone]

    monkeypatch.setattr(backbone_choice, "installed_backbones", lambda: list(answers))
    monkeypatch.setattr(backbone_choice, "_ask", ask)
    recipe = load_recipe("quick", {"model.backbone": "auto", "model.feature_seconds": 60.0, "data.fit": "auto"})
    records, device = scan_folder(photos).records, open_device("cpu")
    return choose_backbone(recipe, device, records, images=24, class_count=2, progress=Silent())


@pytest.mark.parametrize(
    ("tiny", "lite0", "vgg16", "best"),
    [
        ((1.0, GOOD), (5.0, GOOD[::-1] - 1e-9), (9.0, FAIR), "tiny"),  # as good as the fastest is no reason
        ((1.0, FAIR), (5.0, GOOD), (9.0, BAD), "efficientnet_lite0"),
        ((9.0, GOOD), (1.0, GOOD), (5.0, BAD), "efficientnet_lite0"),  # the fastest comes first, whatever its place
        ((1.0, BAD), (5.0, FAIR), (9.0, GOOD), "vgg16"),
        ((1.0, BAD), (5.0, FAIR), (90.0, None), "efficientnet_lite0"),
        ((1.0, np.zeros(0)), (5.0, np.zeros(0)), (9.0, np.zeros(0)), "tiny"),  # classes that cannot be divided
    ],
)
def test_the_fastest_is_taken_unless_a_slower_one_is_clearly_better(photos, monkeypatch, tiny, lite0, vgg16, best):
    found = chosen(photos, monkeypatch, tiny=tiny, efficientnet_lite0=lite0, vgg16=vgg16)
    assert found.backbone == best
    assert set(found.losses) == {
        name
        for name, (_, losses) in {"tiny": tiny, "efficientnet_lite0": lite0, "vgg16": vgg16}.items()
        if losses is not None and len(losses)
    }


def test_what_is_too_slow_is_named(photos, monkeypatch):
    found = chosen(photos, monkeypatch, tiny=(1.0, BAD), efficientnet_lite0=(5.0, GOOD), vgg16=(90.0, None))
    assert str(found) == (
        "model.backbone is efficientnet_lite0: cross-validated loss on 24 training photos tiny 0.700, "
        "efficientnet_lite0 0.150; vgg16 would take 90 s for all."
    )


def test_where_none_is_fast_enough_the_fastest_is_named(photos, monkeypatch):
    with pytest.raises(UsageError, match=r"at most 60 s \(model\.feature_seconds\); those of tiny take 70"):
        chosen(photos, monkeypatch, tiny=(70.0, None), vgg16=(900.0, None))
    with pytest.raises(UsageError, match="install one, or name it"):
        chosen(photos, monkeypatch)


def test_the_run_has_the_one_that_was_chosen_and_goes_on_with_it(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(backbone_choice, "installed_backbones", lambda: ["vgg16", "tiny"])  # vgg16 takes 32 pixels
    edits = {"model.backbone": "auto", "data.image_size": 16, "head.folds": 2, "head.l2": [0.1]}
    said = Listening()
    request = Request(str(photos), load_recipe("quick", edits), out=tmp_path / "run", device="cpu")
    with open_session(request, said) as session:
        assert session.recipe.model.backbone == Run(tmp_path / "run").recipe.model.backbone == "tiny"
        assert session.recipe.model.weights == "shipped"
        assert list(session.run.environment["backbone_losses"]) == ["tiny"]
        assert "backbone" in session.watch.seconds
    assert any(line.startswith("model.backbone is tiny: cross-validated loss on ") for line in said.said)
    run = regraft.train(photos, backbone="auto", out=tmp_path / "run", resume=True, progress=False)
    assert run.metrics.stages[0].backbone_losses.keys() == {"tiny"}


@pytest.mark.parametrize("edits", [{"model.weights": "none"}, {"model.alpha": 0.5}])
def test_weights_and_width_go_with_a_name(photos, tmp_path, edits):
    with pytest.raises(UsageError, match=r'model\.backbone = "auto" compares backbones with their own'):
        regraft.train(photos, out=tmp_path / "run", backbone="auto", set=edits, progress=False)
