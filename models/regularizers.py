"""Every regularization layer, in one table. Adding one is adding a row and the file it names.

The table needs no Keras, so a recipe can be checked in milliseconds; a row's code is imported when it is used. What
regularizes by the loss, the optimizer or the images stands elsewhere: label smoothing, L2-SP and early stopping in the
recipe's [finetune], weight decay and averaged weights in [optimizer], augmentation in [augment].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import keras

Place = Literal["backbone", "maps", "features", "head"]


class Option(NamedTuple):
    """One recipe key: the argument of the row's maker that it becomes, its default, and what is allowed in words."""

    argument: str
    default: Any
    allowed: str


@dataclass(frozen=True)
class Regularizer:
    """One row of the table.

    Attributes:
        options: recipe keys under [regularize]; the regularizer is off while the first has its default.
        make: module and function in `regraft.models`, called with the options as arguments and a `seed`.
        place: what it makes. "backbone": it takes a backbone and returns another with the same weights; "maps": a layer
            on [N, h, w, C] before the global pooling; "features": a layer on the pooled [N, C]; "head": it takes the
            number of classes and returns the layer that stands in for the dense head.
    """

    options: Mapping[str, Option]
    make: str
    place: Place

    @property
    def switch(self) -> str:
        """The key that turns it on."""
        return next(iter(self.options))

    def is_on(self, choices: Mapping[str, Any]) -> bool:
        """Whether these values of [regularize] ask for it."""
        return choices.get(self.switch, self.options[self.switch].default) != self.options[self.switch].default

    def build(self, *inputs: Any, choices: Mapping[str, Any], seed: int, **more: Any) -> Any:
        """What its maker returns for these values of [regularize] and what else it is given."""
        module, _, function = self.make.partition(":")
        arguments = {option.argument: choices.get(key, option.default) for key, option in self.options.items()}
        return getattr(import_module(f"regraft.models.{module}"), function)(*inputs, **arguments, seed=seed, **more)


_REGIONS = {
    "fractional_regions": Option("regions", "pseudorandom", "random|pseudorandom"),
    "fractional_overlapping": Option("overlapping", True, ""),
}

REGULARIZERS: dict[str, Regularizer] = {
    "dropout": Regularizer(
        {"dropout": Option("rate", 0.0, "[0, 1)")},
        make="dropout:make_dropout",
        place="features",
    ),
    "scaled_dropout": Regularizer(
        {"scaled_dropout": Option("rate", 0.0, "[0, 1)")},
        make="dropout:make_scaled_dropout",
        place="features",
    ),
    "spatial_dropout": Regularizer(
        {"spatial_dropout": Option("rate", 0.0, "[0, 1)")},
        make="dropout:make_spatial_dropout",
        place="maps",
    ),
    "dropconnect": Regularizer(
        {
            "dropconnect": Option("rate", 0.0, "[0, 1)"),
            "dropconnect_per_example": Option("per_example", False, ""),
            "dropconnect_inference": Option("inference", "mean", "mean|gaussian"),
        },
        make="dropconnect:make_dropconnect_head",
        place="head",
    ),
    "conv_dropconnect": Regularizer(
        {"conv_dropconnect": Option("rate", 0.0, "[0, 1)")},
        make="dropconnect:add_conv_dropconnect",
        place="backbone",
    ),
    "stochastic_depth": Regularizer(
        {"stochastic_depth": Option("survival", (1.0, 1.0), "(0, 1], not growing")},
        make="stochastic_depth:add_stochastic_depth",
        place="backbone",
    ),
    "fractional_pooling": Regularizer(
        {"fractional_pooling": Option("ratio", 0.0, "0 or (1, 2)"), **_REGIONS},
        make="fractional_pooling:replace_max_pools",
        place="backbone",
    ),
    "fractional_head_pooling": Regularizer(
        {"fractional_head_pooling": Option("ratio", 0.0, "0 or (1, 2)"), **_REGIONS},
        make="fractional_pooling:make_fractional_head_pooling",
        place="maps",
    ),
}
"""Every regularizer, in the order in which those of one place follow each other."""


def active(choices: Mapping[str, Any], place: Place) -> list[Regularizer]:
    """The regularizers of one place that these values of [regularize] ask for, in order."""
    return [row for row in REGULARIZERS.values() if row.place == place and row.is_on(choices)]


def regularize_backbone(backbone: keras.Model, choices: Mapping[str, Any], *, seed: int) -> keras.Model:
    """`backbone` with the regularizers of its graph, its weights as they were.

    Raises:
        BackboneError: the backbone has nothing that one of them could act on.
    """
    for row in active(choices, "backbone"):
        backbone = row.build(backbone, choices=choices, seed=seed)
    return backbone


def register_layers() -> None:
    """Imports every file that has layers of its own, so that Keras knows those of a saved model."""
    import_module("regraft.models.preprocessing")
    import_module("regraft.models.combine_members")
    import_module("regraft.models.window_attention")
    for row in REGULARIZERS.values():
        import_module(f"regraft.models.{row.make.partition(':')[0]}")
