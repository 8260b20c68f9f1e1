"""What a training is for: which photos it spares, what it leaves and under which verb, chosen before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from regraft.errors import UsageError
from regraft.recipes.recipe import Recipe


@dataclass(frozen=True)
class Purpose:
    """Everything in which trainings differ besides their recipe. The constants of this module are those there are.

    Attributes:
        verb: that of the command line, for the record; a run is resumed under its own.
        has_head: whether a solved head comes first, against which the later stage has to earn its place.
        holds_selection: there are selection photos even where nothing is fine-tuned, and nothing ever learns from them.
        keeps_last: the last stage is kept; else the better one.
        needs_last: there must be a last stage, also where training it fails; else the head alone is enough.
        exports: the run ends in an export, whose proof may be started early.
        finish: the function of `regraft.training.finish` that ends it.
    """

    verb: str = "train"
    has_head: bool = True
    holds_selection: bool = False
    keeps_last: bool = False
    needs_last: bool = False
    exports: bool = True
    finish: Literal["finish", "finish_member", "finish_trial"] = "finish"


FULL = Purpose()
"""A run that holds everything: model, export, report and numbers."""

PRETRAINING = Purpose(verb="pretrain", has_head=False)
"""A network from scratch, whose backbone serves other trainings."""

ENSEMBLE = Purpose(verb="ensemble", holds_selection=True)
"""A run that members are trained for and combined in."""

MEMBER = Purpose(holds_selection=True, keeps_last=True, needs_last=True, exports=False, finish="finish_member")
"""A member of an ensemble; it keeps its last stage, as heads would all be the same."""

SINGLE = Purpose(holds_selection=True, exports=False, finish="finish_member")
"""A single model beside the members of an ensemble, which keeps its better stage."""

TRIAL = Purpose(needs_last=True, exports=False, finish="finish_trial")
"""A run of a comparison, which leaves the answers of each stage, and no model."""

RANGE_TEST = Purpose(exports=False)
"""A few steps at rising learning rates, of which no run is left."""


def check_folds(recipe: Recipe, purpose: Purpose) -> None:
    """Raises UsageError where a recipe asks for folds and is not for `train`, or lets photos decide what they share."""
    data = recipe.data
    if not data.folds:
        return
    if purpose != FULL:
        raise UsageError(f"data.folds is for train, which judges one model; received {data.folds}. Leave it out.")
    if "auto" in (data.fit, recipe.model.backbone):
        raise UsageError(
            'With data.folds, data.fit and model.backbone cannot be "auto": photos would be judged by what they have '
            "decided. Name what is to be judged."
        )
