"""tensorflow-datasets written out as folders: the bytes, the splits, the classes, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_photos import draw_photo
from listening import Listening
from PIL import Image

from regraft.data.sources import load_source
from regraft.data.tfds import _folder_names, write_out
from regraft.errors import FolderError
from regraft.machine.cache import cache_folder
from regraft.progress import Silent

MakeDataset = Callable[..., Path]


def encode(photo: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, form)
    return buffer.getvalue()


def photos(count: int, *, seed: int = 0) -> list[tuple[bytes, str]]:
    """(bytes, class name) of `count` photos: ants are JPEG, bees are PNG, in turn."""
    kinds = [("ant", "JPEG"), ("bee", "PNG")]
    return [
        (encode(draw_photo(number % 2, seed=seed + number, size=(24, 16)), kinds[number % 2][1]), kinds[number % 2][0])
        for number in range(count)
    ]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tfds() -> Any:
    from regraft.machine.devices import start_tensorflow

    start_tensorflow()
    import tensorflow_datasets

    tensorflow_datasets.disable_progress_bar()
    return tensorflow_datasets


@pytest.fixture
def make_dataset(tfds: Any, tmp_path: Path) -> MakeDataset:
    """Builds a dataset "insects" as a user would and returns its data_dir. Its code is not registered."""

    def make(
        splits: Mapping[str, list[tuple[Any, Any]]],
        *,
        class_names: tuple[str, ...] = ("ant", "bee"),
        features: Mapping[str, Any] | None = None,
        supervised: tuple[str, str] | None = None,
        config: str = "",
    ) -> Path:
        spec = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=class_names),
        }
        spec |= features or {}
        extra = {key: "1" for key in spec if key not in ("image", "label")}

        with tfds.core.registered.skip_registration():

            class Insects(tfds.core.GeneratorBasedBuilder):
                VERSION = tfds.core.Version("1.2.0")
                BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)] if config else []

                def _info(self) -> Any:
                    return tfds.core.DatasetInfo(
                        builder=self, features=tfds.features.FeaturesDict(spec), supervised_keys=supervised
                    )

                def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
                    return {name: self._generate_examples(rows) for name, rows in splits.items()}

                def _generate_examples(self, rows: list[tuple[Any, Any]]) -> Iterator[Any]:
                    for number, (image, label) in enumerate(rows):
                        pixels = io.BytesIO(image) if isinstance(image, bytes) else image
                        yield number, {"image": pixels, "label": label} | extra

        Insects(data_dir=tmp_path / "data").download_and_prepare()
        return tmp_path / "data"

    return make


def tree(root: Path) -> dict[str, list[bytes]]:
    """The sorted contents of every class folder below `root`, by its path."""
    folders = sorted({file.parent for file in root.rglob("*") if file.is_file()})
    return {
        folder.relative_to(root).as_posix(): sorted(file.read_bytes() for file in folder.iterdir())
        for folder in folders
    }


def write(name: str, data_dir: Path, progress: Silent | None = None) -> Path:
    return write_out(name, data_dir=data_dir, progress=progress or Silent())


def test_the_bytes_of_every_image_arrive_unchanged_in_the_folder_of_its_class(make_dataset: MakeDataset) -> None:
    rows = photos(5)
    root = write("insects", make_dataset({"train": rows}))
    assert tree(root) == {
        "ant": sorted(data for data, name in rows if name == "ant"),
        "bee": sorted(data for data, name in rows if name == "bee"),
    }


def test_files_are_numbered_with_zeros_in_front_and_end_like_their_format(make_dataset: MakeDataset) -> None:
    root = write("insects", make_dataset({"train": photos(12)}))
    names = sorted(file.name for file in root.rglob("*.*"))
    assert [name.partition(".")[0] for name in names] == [f"{number:02d}" for number in range(12)]
    assert {file.suffix for file in (root / "ant").iterdir()} == {".jpg"}
    assert {file.suffix for file in (root / "bee").iterdir()} == {".png"}


def test_splits_become_train_val_and_test_and_others_are_named_and_left_out(make_dataset: MakeDataset) -> None:
    rows = {
        "train": photos(4),
        "validation": photos(2, seed=10),
        "test": photos(2, seed=20),
        "extra": photos(2, seed=30),
    }
    listener = Listening()
    root = write("insects", make_dataset(rows), listener)
    expected = {"train": "train", "val": "validation", "test": "test"}
    assert tree(root) == {
        f"{folder}/{kind}": sorted(data for data, name in rows[split] if name == kind)
        for folder, split in expected.items()
        for kind in ("ant", "bee")
    }
    assert listener.said == ["tfds:insects: not used are the splits extra."]


def test_a_lone_split_needs_no_split_folder_whatever_its_name(make_dataset: MakeDataset) -> None:
    root = write("insects", make_dataset({"everything": photos(4)}))
    assert sorted(tree(root)) == ["ant", "bee"]


def test_a_second_call_reuses_the_folder_and_leaves_nothing_else_behind(make_dataset: MakeDataset) -> None:
    data_dir = make_dataset({"train": photos(4)})
    root = write("insects", data_dir)
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*")}
    assert write("insects:1.2.0", data_dir) == root
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*")} == before
    assert root.parent == cache_folder() / "tfds"
    assert list(root.parent.iterdir()) == [root]
    assert root.name.startswith("insects-1.2.0-")


def test_a_dataset_that_was_built_anew_is_written_out_anew(make_dataset: MakeDataset) -> None:
    first = write("insects", make_dataset({"train": photos(4)}))
    for file in sorted((first.parents[2] / "data").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    second = write("insects", make_dataset({"train": photos(6)}))
    assert second != first
    assert sum(len(images) for images in tree(second).values()) == 6


def test_a_write_that_breaks_off_leaves_no_folder(make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = make_dataset({"train": photos(4)})

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(FolderError, match=r"The cache .* cannot be written: No space left on device\."):
            write("insects", data_dir)
    assert list((cache_folder() / "tfds").iterdir()) == []
    assert sum(len(images) for images in tree(write("insects", data_dir)).values()) == 4


def test_a_config_has_its_own_folder(make_dataset: MakeDataset) -> None:
    root = write("insects/small", make_dataset({"train": photos(4)}, config="small"))
    assert root.name.startswith("insects-small-1.2.0-")


def test_the_features_a_dataset_declares_win_over_others_of_their_kind(tfds: Any, make_dataset: MakeDataset) -> None:
    other = {"colour": tfds.features.ClassLabel(num_classes=3)}
    data_dir = make_dataset({"train": photos(4)}, features=other, supervised=("image", "label"))
    assert sorted(tree(write("insects", data_dir))) == ["ant", "bee"]


def test_two_classes_for_an_image_are_refused_by_name(tfds: Any, make_dataset: MakeDataset) -> None:
    data_dir = make_dataset({"train": photos(4)}, features={"colour": tfds.features.ClassLabel(num_classes=3)})
    with pytest.raises(FolderError, match=r"tfds:insects must have one class for each example; found colour, label\."):
        write("insects", data_dir)


def test_a_dataset_without_images_is_refused(tfds: Any, make_dataset: MakeDataset) -> None:
    data_dir = make_dataset({"train": [("no pixels", "ant")]}, features={"image": tfds.features.Text()})
    with pytest.raises(FolderError, match="must have one image for each example; found none"):
        write("insects", data_dir)


@pytest.mark.parametrize("channels", [1, 3])
def test_plain_pixels_become_png_files_with_the_same_pixels(
    tfds: Any, make_dataset: MakeDataset, channels: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 5, channels), np.uint8)
    features = {"image": tfds.features.Tensor(shape=(6, 5, channels), dtype=np.uint8)}
    rows = list(zip(pixels, ("ant", "bee"), strict=True))
    root = write("insects", make_dataset({"train": rows}, features=features))
    read = [
        np.asarray(Image.open(next((root / name).glob("*.png")))).reshape(6, 5, channels) for name in ("ant", "bee")
    ]
    np.testing.assert_array_equal(read, pixels)


def test_images_without_a_class_are_counted_and_left_out(make_dataset: MakeDataset) -> None:
    rows = [(photos(1, seed=9)[0][0], -1), *photos(4)]
    listener = Listening()
    root = write("insects", make_dataset({"train": rows}), listener)
    assert sum(len(images) for images in tree(root).values()) == 4
    assert listener.said == ["tfds:insects: 1 images have no class and were left out."]


def test_class_names_become_folder_names(make_dataset: MakeDataset) -> None:
    names = ("chevrolet c/k", "..hidden")
    rows = [(data, names[number % 2]) for number, (data, _) in enumerate(photos(4))]
    assert sorted(tree(write("insects", make_dataset({"train": rows}, class_names=names)))) == [
        "-.hidden",
        "chevrolet c-k",
    ]


def test_class_names_that_would_share_a_folder_are_numbered() -> None:
    assert _folder_names(["a/b", "a-b", "c"]) == ["0-a-b", "1-a-b", "2-c"]
    assert _folder_names(["Ant", "ant"]) == ["0-Ant", "1-ant"]


def test_a_damaged_dataset_is_refused_by_name(make_dataset: MakeDataset) -> None:
    data_dir = make_dataset({"train": photos(4)})
    file = next(data_dir.rglob("*.tfrecord*"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(FolderError, match=r"insects/1\.2\.0 cannot be read: .*Prepare it again, as TFRecord files\.$"):
        write("insects", data_dir)
    assert list((cache_folder() / "tfds").iterdir()) == []


def test_splits_without_a_train_split_are_refused(make_dataset: MakeDataset) -> None:
    data_dir = make_dataset({"test": photos(2), "validation": photos(2)})
    with pytest.raises(FolderError, match=r'tfds:insects has no split "train"; found .*test'):
        write("insects", data_dir)


def test_the_folder_is_scanned_like_any_other(make_dataset: MakeDataset) -> None:
    data_dir = make_dataset({"train": photos(4), "test": photos(2, seed=10)})
    folder = load_source("tfds:insects", data_dir=data_dir, progress=Silent())
    assert folder.class_names == ("ant", "bee")
    assert [(record.split, record.format) for record in folder.records] == [
        ("test", "JPEG"), ("test", "PNG"), ("train", "JPEG"), ("train", "JPEG"), ("train", "PNG"), ("train", "PNG"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "hint"), [("insect", "insects"), ("insects:9.9.9", "insects:1.2.0"), ("cifar_10", "cifar10")]
)
def test_an_unknown_name_is_answered_with_the_nearest(make_dataset: MakeDataset, name: str, hint: str) -> None:
    data_dir = make_dataset({"train": photos(2)})
    with pytest.raises(FolderError) as caught:
        write(name, data_dir)
    assert str(caught.value) == (
        f'tensorflow-datasets has no "{name}", and {data_dir} holds none; '
        f'data_dir names the folder of datasets you built. Did you mean "{hint}"?'
    )


@pytest.mark.parametrize("name", ["", "a b", "huggingface:x/y/z", "mnist,batch=3", "../insects"])
def test_what_is_not_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FolderError, match=r"Expected tfds:NAME.*; received"):
        write(name, tmp_path)


def test_a_version_the_library_does_not_have_is_refused_in_one_line(tfds: Any, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"^tfds:mnist:9\.9\.9 cannot be opened: .*only: [\d., ]+$"):
        write("mnist:9.9.9", tmp_path)


def test_without_a_network_one_line_says_what_to_do(
    tfds: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = pytest.importorskip("requests")

    def no_network(session: Any, request: Any, **options: Any) -> None:
        raise requests.ConnectionError("Max retries exceeded", request=request)

    monkeypatch.setattr(requests.Session, "send", no_network)
    listener = Listening()
    message = (
        r"^tfds:mnist cannot be prepared: [\w.]+ cannot be reached\. "
        r"Prepare it on a machine that can, copy its data folder here and name that with data_dir\.$"
    )
    with pytest.raises(FolderError, match=message):
        write("mnist", tmp_path, listener)
    assert [said.partition(" is not in ")[0] for said in listener.said] == ["tfds:mnist"]
    assert capsys.readouterr() == ("", "")
