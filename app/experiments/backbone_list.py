"""The backbones there are: what is known of each, whether its weights are here, and how fast it is on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from regraft.models.availability import Availability, whereabouts
from regraft.models.backbones import BACKBONES, Backbone, find_backbone, parts_of
from regraft.models.published import PUBLISHED
from regraft.progress import Progress

if TYPE_CHECKING:
    from regraft.machine.devices import Device

_BATCH, _BATCHES = 32, 5


@dataclass(frozen=True)
class BackboneInfo:
    """A backbone, and what is known of it. What nobody has published is None.

    Attributes:
        name: as `backbone` takes it.
        image_size: pixels a side that its weights were trained with.
        takes_alpha: whether it has the width multiplier `model.alpha`.
        millions: of parameters, with its top of 1,000 classes.
        megabytes: of the weights, with their top.
        top1: percent of ImageNet's validation photos that it names right.
        license: of the weights.
        source: where the weights come from: "shipped", "pip PACKAGE", "Keras, from HOST", "KerasHub, from HOST" or
            "none".
        weights: whether they are here.
        images_per_second: measured on this machine, None where it was not.
    """

    name: str
    image_size: int
    takes_alpha: bool
    millions: float | None
    megabytes: float | None
    top1: float | None
    license: str | None
    source: str
    weights: Availability
    images_per_second: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Its attributes, as JSON values."""
        return asdict(self)


def list_backbones(names: Sequence[str] = ()) -> list[BackboneInfo]:
    """What is known of these backbones, by default of all; it imports no framework.

    Raises:
        BackboneError: there is none of such a name; the message names the nearest.
    """
    wanted = [part for name in names for part in parts_of(name)] or BACKBONES
    return [_describe(name, find_backbone(name)) for name in wanted]


def measure_backbones(infos: Sequence[BackboneInfo], device: Device, progress: Progress) -> list[BackboneInfo]:
    """The same, each with the photos per second that it makes into features on `device`.

    Timed are batches of 32 at its own image size, after one that warms up: the median of five. Weights are fresh, as
    their values do not change how long it takes.
    """
    measured = []
    with progress.work("measure", len(infos), "backbones") as ticker:
        for info in infos:
            rate = _rate(info, device)
            measured.append(replace(info, images_per_second=round(rate, 1)))
            ticker.advance(note=f"{info.name} {rate:.0f} images/s")
    return measured


def _describe(name: str, row: Backbone) -> BackboneInfo:
    known = PUBLISHED.get(name)
    source, weights = whereabouts(name)
    return BackboneInfo(
        name,
        row.image_size,
        row.takes_alpha,
        millions=known.millions if known else None,
        megabytes=round(known.megabytes, 1) if known else None,
        top1=known.top1 if known else None,
        license=known.license if known else None,
        source=source,
        weights=weights,
    )


def _rate(info: BackboneInfo, device: Device) -> float:
    import keras
    import numpy as np

    from regraft.inference.views import make_infer
    from regraft.models.backbones import build_backbone

    size = info.image_size
    infer = make_infer(build_backbone(info.name, image_size=size), device)
    views = np.random.default_rng(0).uniform(-1, 1, (_BATCH, size, size, 3)).astype(np.float32)
    infer(views)
    seconds = []
    for _ in range(_BATCHES):
        started = time.perf_counter()
        infer(views)
        seconds.append(time.perf_counter() - started)
    keras.backend.clear_session()
    return _BATCH / statistics.median(seconds)
