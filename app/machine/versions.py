"""The versions of everything a result may depend on."""

from __future__ import annotations

import platform
from importlib.metadata import version

from regraft import __version__

_PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pillow")


def describe_versions() -> dict[str, str]:
    """Version by name: of Regraft, of Python, and of the libraries that compute."""
    packages = {name: version(name) for name in _PACKAGES}
    return {"regraft": __version__, "python": platform.python_version(), **packages}
