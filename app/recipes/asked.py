"""What of a recipe was asked for by name, and not left as it is by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.recipes.recipe import NAMED, Recipe, dotted, read_values


def asked_keys(recipe: str | Recipe, edits: Mapping[str, Any], *, default: str) -> dict[str, Any]:
    """What is asked for by name, by dotted key: what a recipe of the user's own says, and the edits.

    Of a recipe that has a name, it is the name alone; nothing of the `default`, which nobody has to ask for.
    """
    if isinstance(recipe, Recipe):
        own = dotted(recipe.model_dump())
    elif recipe in NAMED:
        own = {} if recipe == default else {"recipe": recipe}
    else:
        own = dotted(read_values(recipe))
    return {**own, **edits}
