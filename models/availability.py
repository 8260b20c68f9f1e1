"""Whether the pretrained weights of a backbone are on this machine, found out without loading anything."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from regraft.models.backbones import BACKBONES
from regraft.models.hub.networks import is_installed
from regraft.models.published import PUBLISHED, keras_folder

Availability = Literal["here", "to install", "to download", "fresh"]
"""Where pretrained weights are now; "fresh" is a backbone that has none."""

KERAS_HOST = "storage.googleapis.com"
HUB_HOST = "www.kaggle.com"


def installed_backbones() -> list[str]:
    """The names of those whose pretrained weights are here."""
    return [name for name in BACKBONES if whereabouts(name)[1] == "here"]


def whereabouts(name: str) -> tuple[str, Availability]:
    """Where the pretrained weights of a key of `BACKBONES` come from, and whether they are here."""
    pretrained = BACKBONES[name].pretrained
    if pretrained is None:
        return "none", "fresh"
    if pretrained.file:
        return "shipped", "here"
    if package := pretrained.package:
        try:
            is_here = version(package.name) == package.version
        except PackageNotFoundError:
            is_here = False
        return f"pip {package.requirement}", "here" if is_here else "to install"
    if hub := BACKBONES[name].hub:
        if not is_installed():
            return f"KerasHub, from {HUB_HOST}", "to install"
        return f"KerasHub, from {HUB_HOST}", "here" if hub.is_downloaded else "to download"
    known = PUBLISHED.get(name)
    is_here = known is not None and bool(known.file) and (keras_folder() / known.file).is_file()
    return f"Keras, from {KERAS_HOST}", "here" if is_here else "to download"
