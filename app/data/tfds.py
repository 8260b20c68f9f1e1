"""A dataset of tensorflow-datasets as a folder of photos, one sub-folder per class.

It is written out once, with the bytes of its images as they are; from then on everything that works on a folder
works on it: check, duplicates, fingerprints, orientation, caches.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from regraft.errors import FolderError, did_you_mean, option
from regraft.machine.cache import cache_folder
from regraft.machine.devices import start_tensorflow
from regraft.machine.drafts import draft_folder
from regraft.progress import Progress

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_NAME = re.compile(r"\w+(/[\w.-]+)?(:[\w.*]+)?")
_SPLITS = {"train": ("train",), "val": ("validation", "val", "valid"), "test": ("test",)}
_SUFFIX_OF_MAGIC = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"GI": ".gif", b"BM": ".bmp", b"RI": ".webp"}
_UNSAFE_IN_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]|^\.')
_RETRIES = 5  # of a download: gives up after 6 seconds instead of the 204 of the library's own 10


def write_out(name: str, *, data_dir: Path | None, progress: Progress) -> Path:
    """The folder that holds the dataset `name` as <class>/<number>.<suffix>, written to the cache where it is not yet.

    With a train split and others, the classes are below train, val and test. The folder is named after the
    dataset, its version and its files, so a dataset that was built anew is written out anew.

    Args:
        name: NAME[:VERSION] or NAME/CONFIG[:VERSION].
        data_dir: where tensorflow-datasets keeps what it has prepared; None for its own default.
        progress: hears of the download and of the images written.

    Raises:
        FolderError: there is no such dataset, it cannot be downloaded, it is not one of single images with one
            class each, or the cache cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise FolderError(f'Expected tfds:NAME, tfds:NAME/CONFIG or tfds:NAME:VERSION; received "tfds:{name}".')
    builder = _open_builder(name, data_dir)
    if not builder.is_prepared():
        progress.say(f"tfds:{name} is not in {builder.data_path} yet: downloading and preparing it, once.")
        _prepare(builder, name)
    root = _root_of(builder)
    if not root.is_dir():
        _write_tree(builder, root, progress)
    return root


def _open_builder(name: str, data_dir: Path | None) -> tfds.core.DatasetBuilder:
    tfds = _import_silently()
    place = os.path.expanduser(data_dir) if data_dir else None  # noqa: PTH111  # Path raises for no such user
    try:
        return tfds.builder(name, data_dir=place, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        known = [*(_prepared_names(data_dir) if data_dir else ()), *tfds.list_builders(with_community_datasets=False)]
        raise FolderError(
            f'tensorflow-datasets has no "{name}", and {data_dir or "its data folder"} holds none; '
            f"{option('data_dir')} names the folder of datasets you built.{did_you_mean(name, known)}"
        ) from None
    except Exception as error:  # raised by the dataset's own code, so it can be anything
        raise FolderError(f"tfds:{name} cannot be opened: {_one_line(error)}.") from error


def _import_silently() -> Any:
    start_tensorflow()
    import tensorflow_datasets as tfds
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    return tfds


def _prepared_names(data_dir: Path) -> Iterator[str]:
    """Such as "birds", "birds:1.0.0" and "birds/small:1.0.0", for what was built below `data_dir`."""
    for depth in ("*/*", "*/*/*"):
        for file in sorted(data_dir.glob(f"{depth}/dataset_info.json")):
            *names, version = file.parent.relative_to(data_dir).parts
            yield from ("/".join(names), f"{'/'.join(names)}:{version}")


def _prepare(builder: tfds.core.DatasetBuilder, name: str) -> None:
    try:
        with redirect_stdout(io.StringIO()), _few_retries():
            builder.download_and_prepare()
    except Exception as error:  # raised by the dataset's own code, so it can be anything
        raise FolderError(
            f"tfds:{name} cannot be prepared: {_one_line(error)}. "
            f"Prepare it on a machine that can, copy its data folder here and name that with {option('data_dir')}."
        ) from error


@contextmanager
def _few_retries() -> Iterator[None]:
    from tensorflow_datasets.core.download import downloader

    usual, downloader.MAX_RETRIES = downloader.MAX_RETRIES, _RETRIES
    try:
        yield
    finally:
        downloader.MAX_RETRIES = usual


def _one_line(error: Exception) -> str:
    request = getattr(error, "request", None)  # where `requests` failed; its message is a dump of objects
    if request is not None:
        return f"{urlsplit(request.url).hostname} cannot be reached"
    return textwrap.shorten(str(error) or type(error).__name__, 300, placeholder=" ...").rstrip(".:")


def _root_of(builder: tfds.core.DatasetBuilder) -> Path:
    states = sorted((file.name, file.stat().length, file.stat().mtime) for file in builder.data_path.iterdir())
    digest = hashlib.blake2b(repr(states).encode(), digest_size=4).hexdigest()
    return cache_folder() / "tfds" / f"{builder.info.full_name.replace('/', '-')}-{digest}"


def _write_tree(builder: tfds.core.DatasetBuilder, root: Path, progress: Progress) -> None:
    import tensorflow as tf

    keys, splits = _find_features(builder), _plan_splits(builder)
    if unused := sorted(set(builder.info.splits) - set(splits)):
        progress.say(f"tfds:{builder.name}: not used are the splits {', '.join(unused)}.")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with draft_folder(root.parent) as tree:
            _write_splits(builder, keys, {split: tree / folder for split, folder in splits.items()}, progress)
            _put_in_place(tree, root)
    except (tf.errors.OpError, NotImplementedError) as error:  # damaged, or ArrayRecord, which tf.data cannot read
        raise FolderError(
            f"{builder.data_path} cannot be read: {_one_line(error)}. Prepare it again, as TFRecord files."
        ) from error
    except OSError as error:
        raise FolderError(f"The cache {root.parent} cannot be written: {error.strerror or error}.") from error


def _put_in_place(tree: Path, root: Path) -> None:
    """Names the finished tree, once all of it is on the disk: thousands of small files, so all at once."""
    if hasattr(os, "sync"):  # not on Windows
        os.sync()
    try:
        tree.rename(root)
    except OSError:
        if not root.is_dir():  # else another process has just written the same
            raise


def _find_features(builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    """The names of the image and of the class: what the dataset itself calls input and target, or the only ones."""
    from tensorflow_datasets import features as kinds

    features = dict(getattr(builder.info.features, "items", dict)())
    images = sorted(key for key, kind in features.items() if _is_image(kind))
    labels = sorted(key for key, kind in features.items() if isinstance(kind, kinds.ClassLabel) and kind.num_classes)
    declared: tuple[Any, ...] = builder.info.supervised_keys or ()
    if len(declared) >= 2 and declared[0] in images and declared[1] in labels:
        return declared[0], declared[1]
    for found, what in ((images, "image"), (labels, "class")):
        if len(found) != 1:
            raise FolderError(
                f"tfds:{builder.name} must have one {what} for each example; "
                f"found {', '.join(found) or 'none'}. Choose a dataset for image classification."
            )
    return images[0], labels[0]


def _is_image(feature: Any) -> bool:
    """Whether `feature` is an image of 8 or 16 bits, encoded or as plain pixels [H, W, 1 or 3]."""
    from tensorflow_datasets import features as kinds

    if isinstance(feature, kinds.Image):
        return feature.np_dtype in (np.uint8, np.uint16) and not isinstance(feature, kinds.LabeledImage)
    is_pixels = isinstance(feature, kinds.Tensor) and feature.np_dtype == np.uint8
    return is_pixels and len(feature.shape) == 3 and feature.shape[2] in (1, 3)


def _plan_splits(builder: tfds.core.DatasetBuilder) -> dict[str, str]:
    """Which splits are used, and the folder of each; "" for the only one."""
    sizes = {name: split.num_examples for name, split in builder.info.splits.items() if split.num_examples}
    known = {
        present[0]: folder
        for folder, names in _SPLITS.items()
        if (present := [name for name in names if name in sizes])
    }
    if len(sizes) == 1 or list(known) == ["train"]:
        return dict.fromkeys(known or sizes, "")
    if "train" not in known:
        raise FolderError(f'tfds:{builder.name} has no split "train"; found {", ".join(sizes) or "no images"}.')
    return known


def _write_splits(
    builder: tfds.core.DatasetBuilder, keys: tuple[str, str], folders: Mapping[str, Path], progress: Progress
) -> None:
    label = builder.info.features[keys[1]]
    class_folders = _folder_names([label.int2str(index) for index in range(label.num_classes)])
    sizes = {split: builder.info.splits[split].num_examples for split in folders}
    without_class = 0
    with progress.work("write", sum(sizes.values()), "images") as ticker:
        for split, folder in folders.items():
            digits = len(str(sizes[split] - 1))
            for number, (image, class_index) in enumerate(_examples(builder, split, keys)):
                if class_index >= 0:
                    _write_image(folder / class_folders[class_index] / f"{number:0{digits}d}", image)
                without_class += class_index < 0  # such as the test split of a competition
                ticker.advance()
    if without_class:
        progress.say(f"tfds:{builder.name}: {without_class:,} images have no class and were left out.")


def _write_image(stem: Path, image: bytes) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    # What cannot be told is called .jpg: the scan will open it and say what is wrong with it.
    stem.with_name(stem.name + _SUFFIX_OF_MAGIC.get(image[:2], ".jpg")).write_bytes(image)


def _examples(builder: tfds.core.DatasetBuilder, split: str, keys: tuple[str, str]) -> Iterator[tuple[bytes, int]]:
    """(encoded image, class index) of each example, in the order of the dataset's files."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    image, label = keys
    encoded = isinstance(builder.info.features[image], tfds.features.Image)
    decoders = tfds.decode.PartialDecoding(
        {image: True, label: True}, decoders={image: tfds.decode.SkipDecoding()} if encoded else None
    )
    options = tf.data.Options()
    options.autotune.enabled = False  # deleting an autotuned iterator can block for tens of seconds
    reading = tfds.ReadConfig(options=options, try_autocache=False)
    dataset = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders, read_config=reading)
    for example in dataset.as_numpy_iterator():
        yield example[image] if encoded else _to_png(example[image]), int(example[label])


def _to_png(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, 1 or 3] as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _folder_names(class_names: Sequence[str]) -> list[str]:
    """A name that any file system takes for each class, numbered where two would share one."""
    names = [_UNSAFE_IN_NAMES.sub("-", name).rstrip(". ") or "-" for name in class_names]
    if len({name.casefold() for name in names}) == len(names):
        return names
    return [f"{index}-{name}" for index, name in enumerate(names)]
