"""Which backbone suits the photos: the fastest, unless a slower one is clearly better."""

from pathlib import Path

import numpy as np
import pytest
from drawn_photos import PhotoFolder
from listening import Listening

import regraft
from regraft.data.scan import scan_folder
from regraft.errors import FolderError, UsageError
from regraft.machine.devices import open_device
from regraft.models import weights
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
        "efficientnet_lite0 0.150; vgg16: features of all would take 90 s (model.feature_seconds)."
    )


def test_where_none_suits_the_reasons_are_named(photos, monkeypatch):
    slow = r"tiny: features of all would take 70 s \(model\.feature_seconds\); vgg16: features of all would take 900 s"
    with pytest.raises(UsageError, match=slow):
        chosen(photos, monkeypatch, tiny=(70.0, None), vgg16=(900.0, None))
    with pytest.raises(UsageError, match=r"no backbone that is here suits\. Name one, or install one"):
        chosen(photos, monkeypatch)


def test_one_that_does_not_fit_the_recipe_is_left_out(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(backbone_choice, "installed_backbones", lambda: ["tiny", "mobilenet", "vgg16"])
    monkeypatch.setattr(weights, "keras_folder", lambda: tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    edits = {"model.backbone": "auto", "data.image_size": 32, "head.folds": 2, "head.l2": [0.1], "head.taps": 4}
    recipe, records, device = load_recipe("quick", edits), scan_folder(photos).records, open_device("cpu")
    with pytest.raises(
        UsageError, match=r"tiny: head\.taps: tiny has 3 taps; received 4; mobilenet: The ImageNet weights"
    ):
        choose_backbone(recipe, device, records, images=24, class_count=2, progress=Silent())


def test_photos_that_became_unreadable_are_named(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(backbone_choice, "installed_backbones", lambda: ["tiny"])
    records, recipe = scan_folder(photos).records, load_recipe("quick", {"model.backbone": "auto"})
    for record in records:
        record.path.write_bytes(b"")
    with pytest.raises(FolderError, match="became unreadable"):
        choose_backbone(recipe, open_device("cpu"), records, images=24, class_count=2, progress=Silent())


def test_they_are_compared_on_the_photos_that_all_held_out(photos, monkeypatch):
    """Where one is too large for all folds it has the first alone, on which this one is better, if not on all."""
    mixed = np.concatenate([GOOD[:8], BAD[8:]])
    found = chosen(photos, monkeypatch, tiny=(1.0, mixed), vgg16=(5.0, FAIR[:8]))
    assert found.backbone == "tiny"
    assert found.losses == {"tiny": GOOD[:8].mean(), "vgg16": FAIR[:8].mean()}


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


@pytest.mark.slow
def test_members_have_the_backbone_that_the_ensemble_found(photos, tmp_path, monkeypatch, without_export):
    monkeypatch.setattr(backbone_choice, "installed_backbones", lambda: ["tiny"])
    edits = {"data.image_size": 32, "head.folds": 2, "head.l2": [0.1], "finetune.batch_size": 8}
    run = regraft.ensemble(
        photos, members=2, backbone="auto", epochs=1, set=edits, rival=False, out=tmp_path / "run", progress=False
    )
    assert run.metrics.ensemble.kind == "independent"
    for number in (1, 2):
        member = Run(tmp_path / f"run/members/member-{number}").recipe
        assert (member.model.backbone, member.model.weights) == ("tiny", "shipped")
