"""A backbone with pretrained weights: from ImageNet, from this or another package, or from a file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras

from regraft.models.backbones import (
    BACKBONES,
    build_backbone,
    check_backbone,
    find_weights,
    parts_of,
    weights_of,
)
from regraft.models.efficientnet_lite import set_torch_weights
from regraft.models.errors import WeightsError, option
from regraft.models.published import keras_folder
from regraft.models.side_by_side import Part, side_by_side
from regraft.models.torch_stream import TorchStreamError, read_torch_stream


def load_backbone(
    name: str, weights: str | Sequence[str], *, image_size: int, alpha: float = 1.0, seed: int = 0
) -> keras.Model:
    """A headless network with its weights: float32 [N, image_size, image_size, 3] -> float [N, h, w, C].

    Args:
        name: a key of `BACKBONES`, or several, see `parts_of`.
        weights: "imagenet" (Keras downloads them once, or an installed package has them), "shipped" (inside this
            package), "none" (fresh), or the path of a `.h5` or `.weights.h5` file of this network without its top;
            for EfficientNet-Lite also that of a `.pth` file. Of a network of KerasHub, see `models.hub.loading`;
            of several backbones, `weights_of`.
        image_size: pixels a side.
        alpha: width multiplier, for the families that have one.
        seed: of fresh weights.

    Raises:
        BackboneError: the name, image size or alpha does not fit.
        WeightsError: the weights are not there, are damaged, or are those of another network.
    """
    check_backbone(name, image_size=image_size, alpha=alpha)
    if len(parts := parts_of(name)) > 1:
        each = [
            Part(part, load_backbone(part, own, image_size=image_size, seed=seed), BACKBONES[part].preprocessing)
            for part, own in zip(parts, weights_of(name, weights), strict=True)
        ]
        return side_by_side(each)
    (weights,) = weights_of(name, weights)
    path = find_weights(name, weights)
    if BACKBONES[name].hub and weights != "none":
        from regraft.models.hub.loading import load_hub

        return load_hub(name, str(path or weights), image_size=image_size, preprocessing=BACKBONES[name].preprocessing)
    if path is None and weights != "none":
        return _load_published(name, weights, image_size=image_size, alpha=alpha)
    backbone = build_backbone(name, image_size=image_size, alpha=alpha, seed=seed)
    pretrained = BACKBONES[name].pretrained
    if path and path.suffix == ".pth" and pretrained and pretrained.package:  # what the packages hold
        _load_torch(backbone, name, path)
    elif path:
        _load_file(backbone, name, path)
    return backbone


def weights_digest(model: keras.Model) -> str:
    """32 hexadecimal digits that change with any weight of `model`: BLAKE2b over all arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for array in model.get_weights():
        digest.update(str(array.shape).encode() + array.tobytes())
    return digest.hexdigest()


def _load_torch(backbone: keras.Model, name: str, path: Path) -> None:
    try:
        set_torch_weights(backbone, read_torch_stream(path))
    except (OSError, TorchStreamError, WeightsError) as error:
        raise WeightsError(f"{path} does not fit {name}: {_first_line(error)}.") from error


def _load_file(backbone: keras.Model, name: str, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            backbone.load_weights(path)
    except Exception as error:  # h5py and Keras raise OSError, ValueError, KeyError, ... for a bad file
        raise WeightsError(_what_is_wrong(error, name, path)) from error


def _what_is_wrong(error: Exception, name: str, path: Path) -> str:
    import h5py

    if not h5py.is_hdf5(path):
        return f"{path} is not an HDF5 weights file (damaged or of another kind), so {name} cannot load it."
    if isinstance(error, OSError):
        return f"{path} is damaged (cut short?), so {name} cannot load it."
    if path.suffix != ".h5":
        return f"{path} must end in .weights.h5 (or .h5, of older Keras) for {name} to load it; rename it."
    return (
        f"{path} does not fit {name} without its top: "
        f"it is of another network, width (model.alpha) or with its top ({_first_line(error)})."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160].rstrip(".") if str(error).strip() else type(error).__name__


def _load_published(name: str, weights: str, *, image_size: int, alpha: float) -> keras.Model:
    try:
        with contextlib.redirect_stdout(_DownloadReport()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return BACKBONES[name].build((image_size, image_size, 3), alpha=alpha, weights=weights)
    except Exception as error:  # Keras wraps every failed download in a bare Exception
        raise WeightsError(_how_to_get(error, name)) from error


class _DownloadReport(io.TextIOBase):
    """Passes Keras's report of a download on to stderr, as stdout belongs to the results.

    The announcement waits for the first progress, so that a download that cannot begin says nothing.
    """

    def __init__(self) -> None:
        self._announcement = ""

    def write(self, text: str) -> int:
        if not self._announcement:
            self._announcement = text
        elif text.strip():
            sys.stderr.write(self._announcement + text)
            self._announcement = "\n"
        return len(text)


def _how_to_get(error: Exception, name: str) -> str:
    url = re.search(r"https?://\S+?\.h5", str(error))
    if not url:
        return f"The ImageNet weights of {name} do not load ({_first_line(error)})."
    file_name = url.group().rsplit("/", 1)[-1]
    return (
        f"The ImageNet weights of {name} could not be downloaded from {url.group()}. "
        f"Put {file_name} into {keras_folder()}, or name a file with {option('weights', 'PATH')}, or use "
        f"{option('backbone', 'tiny')}."
    )
