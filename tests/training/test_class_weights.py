"""What a photo of each class counts: by hand, and in what is trained."""

from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder

from regraft import train
from regraft.evidence.decision import LeastCost, decision_of
from regraft.inference.trained import open_trained
from regraft.models.classifier import HEAD
from regraft.recipes.recipe import load_recipe
from regraft.training.class_weights import weights_of_classes
from regraft.training.resolving import resolve
from regraft.training.session import Request, open_session

LABELS = np.array([0] * 6 + [1] * 2)
NAMES = ("ant", "bee", "cat")


@pytest.mark.parametrize("asked", ["none", None])
def test_without_weights_there_are_none(asked):
    assert weights_of_classes(asked, LABELS, NAMES) is None


def test_balanced_weights_make_the_classes_that_have_photos_equal():
    """8 / (2 * 6) and 8 / (2 * 2), whose mean over the photos is 1; a class without photos gets none of it."""
    weights = weights_of_classes("balanced", LABELS, NAMES)
    np.testing.assert_allclose(weights, [2 / 3, 2.0, 1.0])
    assert weights[LABELS].mean() == pytest.approx(1.0)


def test_a_table_weighs_1_what_it_leaves_out():
    """6 photos of 1 and 2 of 5: 16 / 8 on average."""
    np.testing.assert_allclose(weights_of_classes({"bee": 5.0}, LABELS, NAMES), [0.5, 2.5, 0.5])


def test_the_head_weighs_as_fine_tuning_does_unless_it_is_told_otherwise(photo_folder: PhotoFolder, tmp_path: Path):
    photos = photo_folder({"train/ant": 6, "train/bee": 2, "val/ant": 1, "val/bee": 1})
    edits = {"model.backbone": "tiny", "finetune.class_weights": "balanced"}
    found = []
    for number, head in enumerate(({}, {"head.class_weights": {"ant": 3.0}})):
        request = Request(str(photos), load_recipe("quick", edits | head), out=tmp_path / str(number), device="cpu")
        with open_session(request) as session:
            found.append((session.head_weights, session.finetune_weights))
            assert session.run.recipe.head.class_weights == (head.get("head.class_weights") or "balanced")
    sampled = {"finetune.sampling": "balanced", "finetune.class_weights": "none"}
    assert resolve(load_recipe("quick", edits | sampled)).head.class_weights == "balanced"
    np.testing.assert_allclose(found[0], [[2 / 3, 2.0]] * 2)
    np.testing.assert_allclose(found[1], [[3 / 2.5, 1 / 2.5], [2 / 3, 2.0]])


@pytest.mark.parametrize("key", ["head.class_weights.bees=2", "finetune.class_weights.bees=2"])
def test_a_class_that_is_not_there_ends_training_before_it_begins(photo_folder: PhotoFolder, tmp_path: Path, key):
    photos, out = photo_folder({"ant": 4, "bee": 4}), tmp_path / "run"
    answer = run_regraft("train", photos, "--backbone", "tiny", "--set", key, "--out", out)
    assert answer.code == 2
    (line,) = answer.stderr.splitlines()[-1:]
    assert 'weighs the class "bees", which is not there (there are ant, bee). Did you mean "bee"?' in line
    assert not out.exists()


@pytest.mark.usefixtures("without_export")
def test_by_costs_a_head_takes_its_class_weights_back_so_that_they_count_once(photo_folder, tmp_path: Path):
    """Of 12 and 4 training photos, balanced weights are 2/3 and 2; two runs, without and with costs."""
    photos = photo_folder({"train/ant": 12, "train/bee": 4, "val/ant": 4, "val/bee": 4})
    found = []
    for number, costs in enumerate(({}, {"cost.bee->ant": 50.0})):
        edits = {"head.l2": [0.1], "head.taps": 0, "head.class_weights": "balanced", "data.select_fraction": 0.01}
        out = tmp_path / str(number)
        train(photos, recipe="quick", backbone="tiny", set=edits | costs, out=out, device="cpu", progress=False)
        found.append(open_trained(out, device="cpu"))
    plain, by_costs = (trained.model.get_layer(HEAD).get_weights() for trained in found)
    np.testing.assert_allclose(by_costs[0], plain[0], atol=1e-6)
    np.testing.assert_allclose(by_costs[1], plain[1] - np.log([2 / 3, 2.0]), atol=1e-5)
    first, second = (trained.run for trained in found)
    assert decision_of(first) is None
    assert decision_of(second) == LeastCost(((0.0, 1.0), (50.0, 0.0)))
    assert (first.metrics.decision, first.metrics.mean_cost) == ("", None)
    assert second.metrics.decision == "the least expected cost (bee->ant 50, other mistakes 1)"
    assert second.metrics.mean_cost <= second.metrics.mean_cost_most_probable
    rows = (second.folder / "predictions.csv").read_text("utf-8").splitlines()[1:]
    labels = [row.split(",")[2] for row in rows]
    assert [labels.count(name) for name in ("ant", "bee")] == second.metrics.confusion.sum(axis=0).tolist()
