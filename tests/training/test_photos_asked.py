"""What is left to the photos, and what is remembered of their answer."""

from regraft.data.roles import Roles
from regraft.machine.devices import open_device
from regraft.progress import Silent
from regraft.recipes.recipe import load_recipe
from regraft.training.photos_asked import ask_for_backbone


def test_a_backbone_that_is_named_is_not_asked_for():
    recipe = load_recipe("quick", {"model.backbone": "vgg16"})
    assert ask_for_backbone(recipe, open_device("cpu"), Roles((), (), (), "", ()), 2, Silent()) == (recipe, {})
