"""The sections of a recipe: every choice of a run, what it may be and what it is when it is left out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from regraft.augment.fits import Fit
from regraft.augment.table import AUGMENTATIONS
from regraft.data.rendering import Range, check_background, check_range
from regraft.data.unreadable import MAX_PIXELS, MOST_PIXELS
from regraft.models.backbones import JOIN, parts_of
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.models.regularizers import REGULARIZERS
from regraft.models.schedule_table import SCHEDULES
from regraft.recipes.class_tables import ClassWeights
from regraft.recipes.ranges import fields_of

if TYPE_CHECKING:
    from regraft.data.sources import SourceChoices

Fraction = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
SECOND_ORDER = ("lbfgs", "newton-cg")
"""What solves the head on all images at once."""


class Section(BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _not_one(folds: int) -> int:
    if folds == 1:
        raise ValueError("must be 0, for none, or at least 2")
    return folds


class DataChoices(Section):
    """Which pixels and which images.

    `image_size` (pixels a side) is the backbone's own where it is left out. `fit` is how a photo becomes a square, see
    `Fit`, or "auto", where training finds out by the photos. `crop_fraction` of the short side, where `fit` is not
    "crop" of each side, is what a deterministic view keeps. `select_fraction` of the training images become selection
    photos where the folder has no split to spare for that. With `folds`, each photo is judged once, by one of so many
    models that were trained on the other folds, and the run's own model is trained on all. `split_seed` draws the
    roles; left out, the recipe's seed does. `background` and `range` are those of `Rendering`. A photo of over
    `max_pixels` is not read. Of a table, `root` is where relative paths start, by default its folder; `path_column`,
    `label_column` and `group` name columns, which are otherwise found by their usual names. `group_pattern` finds
    groups in paths, see `regraft.data.groups.with_groups`.
    """

    image_size: Annotated[int, Field(ge=8, le=2048)] | None = None
    fit: Literal["auto", Fit] = "crop"
    crop_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    val_fraction: Fraction = 0.2
    select_fraction: Fraction = 0.1
    folds: Annotated[int, Field(ge=0, le=20), AfterValidator(_not_one)] = 0
    split_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    background: Annotated[str, AfterValidator(check_background)] = "white"
    range: Annotated[Range, BeforeValidator(check_range)] = "auto"
    max_pixels: Annotated[int, Field(ge=1, le=MOST_PIXELS)] = MAX_PIXELS
    root: Annotated[str, AfterValidator(os.path.abspath)] | None = None
    path_column: str | None = None
    label_column: str | None = None
    group: str | None = None
    group_pattern: str | None = None

    @property
    def source(self) -> SourceChoices:
        """How photos get their labels and groups."""
        from regraft.data.sources import SourceChoices  # decoders, which a recipe need not wait for
        from regraft.data.tables.column_names import ColumnChoices

        columns = ColumnChoices(self.root, self.path_column, self.label_column, self.group)
        return SourceChoices(columns, self.group_pattern, max_pixels=self.max_pixels)

    @property
    def known_fit(self) -> Fit:
        """`fit`, which a training that has begun has found out. Raises ValueError where it is still "auto"."""
        if self.fit == "auto":
            raise ValueError('data.fit is "auto": the photos have not been asked yet')
        return self.fit


def _side_by_side(value: Any) -> Any:
    """One text for a list of names, or for a text with + between."""
    if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
        value = JOIN.join(value)
    return JOIN.join(parts_of(value)) if isinstance(value, str) else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class ModelChoices(Section):
    """The network. `weights` left out are the backbone's own pretrained ones.

    The backbones of a list, or a text of names with + between, look at each photo side by side, and the head reads all
    of them; `weights` are then one for all, or a list with one for each.

    `backbone` "auto" is the one of those here that suits the photos, of which the features of all photos take no longer
    than `feature_seconds`. `accept_license` says that you have read and accept the licence of the weights, where
    `regraft train` asks for that.
    """

    backbone: Annotated[str, BeforeValidator(_side_by_side)] = "efficientnet_lite0"
    weights: Annotated[str | tuple[str, ...] | None, BeforeValidator(_as_tuple)] = None
    alpha: Annotated[float, Field(gt=0, le=4)] = 1.0
    feature_seconds: Annotated[float, Field(gt=0)] = 300.0
    pooling: Literal["avg", "max"] = "avg"
    accept_license: bool = False


class TableSection(Section):
    """A section whose keys come from a table."""

    @property
    def values(self) -> dict[str, Any]:
        """The value of each key."""
        return self.model_dump()


def _augment_options() -> dict[str, tuple[Any, str]]:
    return {key: option for row in AUGMENTATIONS.values() for key, option in row.options.items()}


def _regularize_options() -> dict[str, tuple[Any, str]]:
    options = {key: option for row in REGULARIZERS.values() for key, option in row.options.items()}
    return {key: (option.default, option.allowed) for key, option in options.items()}


AugmentChoices: Any = create_model(
    "AugmentChoices",
    __base__=TableSection,
    __doc__="How much a training image may vary; the keys are those of `regraft.augment.table`.",
    **fields_of(_augment_options()),
)

RegularizeChoices: Any = create_model(
    "RegularizeChoices",
    __base__=TableSection,
    __doc__="The regularization layers; the keys are those of `regraft.models.regularizers`.",
    **fields_of(_regularize_options()),
)


Taps = Literal["auto"] | int | tuple[str, ...]


def _check_taps(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise ValueError('must be "auto", how many of the last taps, or a list of their names')


class HeadChoices(Section):
    """The new dense head on frozen features.

    `taps` are earlier layers of the backbone that it reads beside the last: their names, how many of the last taps, or
    "auto", which cross-validation decides. `mirrored` has it learn from mirrored views too, whose features take as long
    again. `l2` are strengths to choose from, by `folds`-fold cross-validation, of a sample where photos are many. The
    second-order solvers ("lbfgs", "newton-cg") take the whole training set at once, for at most `max_iterations`; the
    others go through it `epochs` times in batches of `batch_size`, with the solver's own `learning_rate` where it is
    left out. `class_weights` are those of fine-tuning where they are left out.
    """

    solver: Literal[*SECOND_ORDER, *OPTIMIZERS] = "lbfgs"  # type: ignore[valid-type]
    taps: Annotated[Taps, BeforeValidator(_check_taps)] = "auto"
    mirrored: bool = False
    l2: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0,
    )  # fmt: skip
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    max_iterations: Annotated[int, Field(ge=1)] = 500
    learning_rate: Annotated[float, Field(gt=0, le=1000)] | None = None
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 100
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    class_weights: ClassWeights | None = None


def _first_order(name: Any) -> Any:
    if name in SECOND_ORDER:
        raise ValueError(
            "a second-order method needs all images at each step and a convex loss, which only the head has "
            f"(head.solver); use one of {', '.join(OPTIMIZERS)} for the network"
        )
    return name


class OptimizerChoices(Section):
    """What takes the steps of fine-tuning. What is left out is the optimizer's own; 0 turns `clip_*` and `ema` off.

    `clip_norm` bounds the norm of all gradients together, `clip_value` each number. `accumulate` batches make one step.
    `ema` is the momentum of the averaged weights that are then kept. `layer_decay` multiplies the learning rate once
    for each block of the backbone between a layer and the head.
    """

    name: Annotated[Literal[*OPTIMIZERS], BeforeValidator(_first_order)] = "adam"  # type: ignore[valid-type]
    learning_rate: Annotated[float, Field(gt=0, le=100)] | None = None
    momentum: Rate | None = None
    nesterov: bool | None = None
    beta_1: Rate | None = None
    beta_2: Rate | None = None
    weight_decay: Annotated[float, Field(ge=0, lt=1)] | None = None
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    clip_value: Annotated[float, Field(ge=0)] = 0.0
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    ema: Rate = 0.0
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _has_its_options(self) -> OptimizerChoices:
        takes = OPTIMIZERS[self.name].takes
        for key in ("momentum", "nesterov", "beta_1", "beta_2"):
            if getattr(self, key) is not None and key not in takes:
                able = ", ".join(name for name, row in OPTIMIZERS.items() if key in row.takes)
                raise ValueError(f"{self.name} has no {key} (these have: {able}); leave it out")
        return self

    @model_validator(mode="after")
    def _clips_once(self) -> OptimizerChoices:
        if self.clip_norm and self.clip_value:
            raise ValueError(
                f"clip_norm and clip_value exclude each other; received {self.clip_norm:g} and {self.clip_value:g}"
            )
        return self


class ScheduleChoices(Section):
    """How the learning rate moves over the epochs; see `regraft.models.schedule_table`.

    Each takes the keys it needs: `cycles` is that of cyclic; `decay` the factor of step, exponential and plateau, every
    `step_epochs`, or after `patience` epochs without a lower loss.
    """

    name: Literal[*SCHEDULES] = "cosine"  # type: ignore[valid-type]
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.5
    cycles: Annotated[int, Field(ge=1, le=1000)] = 1
    step_epochs: Annotated[float, Field(gt=0)] = 2.0
    decay: Fraction = 0.5
    patience: Annotated[int, Field(ge=1)] = 2


class FineTuneChoices(Section):
    """Training of the unfrozen part of the network. 0 epochs: no fine-tuning.

    `unfreeze` is the last part of the backbone's layers that is trained: left out, 0.6 of pretrained and all of fresh
    weights. `batch_norm` "frozen" keeps statistics and scales, "adaptive" trains both, "reestimated" keeps them while
    training and then computes the statistics anew on the training photos; "auto" is frozen for pretrained weights and
    adaptive for fresh ones, whose statistics mean nothing yet. `l2_sp` pulls the backbone towards the weights it began
    with. `patience` epochs without a lower loss on the selection photos end the training, and the weights of the best
    epoch are kept; 0 trains to the end. `snapshots` keeps the weights at the end of each of the
    last so many cycles, where the schedule is cyclic, or epochs. `class_weights` is what a photo counts in the loss:
    "none" the same, "balanced" as much as makes classes of any size equal, or a table of classes with their weights,
    in which those that are left out weigh 1. `sampling` "balanced" shows photos of each class equally often instead,
    those of small classes again and again. `loss` "focal" is cross-entropy times (1 - p) ** `focal_gamma`, so that
    photos that are answered well already count less.
    """

    epochs: Annotated[int, Field(ge=0, le=10_000)] = 8
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    label_smoothing: Rate = 0.1
    unfreeze: Annotated[float, Field(ge=0, le=1)] | None = None
    batch_norm: Literal["auto", "frozen", "adaptive", "reestimated"] = "auto"
    l2_sp: Annotated[float, Field(ge=0)] = 0.0
    patience: Annotated[int, Field(ge=0)] = 0
    snapshots: Annotated[int, Field(ge=0)] = 0
    class_weights: ClassWeights = "none"
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 2.0

    @model_validator(mode="after")
    def _balances_once(self) -> FineTuneChoices:
        if self.sampling == "balanced" and self.class_weights != "none":
            raise ValueError("sampling = balanced and class_weights both make up for uneven classes; leave one out")
        return self

    @property
    def balance(self) -> ClassWeights:
        """What photos of each class count in effect, by weights or by being shown more often."""
        return "balanced" if self.sampling == "balanced" else self.class_weights
