"""A folder of photos, one sub-folder per class: what is in it, found without TensorFlow or touching a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from regraft.data.class_names import check_class_names, group_by_key, key_of
from regraft.data.inspection import inspect_photos, record_of
from regraft.data.layout import LAYOUT
from regraft.data.photos import MAX_PIXELS, Photo
from regraft.data.records import ImageFolder, SetAside
from regraft.data.rendering import Spread
from regraft.data.same_pixels import mark_same_pixels
from regraft.data.tables.label_table import is_table
from regraft.data.walk import ClassFolder, Walk
from regraft.data.wording import count_reasons, name_some, plural, show_path
from regraft.errors import FolderError
from regraft.progress import Progress, Silent

_NO_CLASS = -1  # of an empty folder in val or test that train does not have


def scan_folder(
    root: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
    max_pixels: int | None = None,
) -> ImageFolder:
    """What is in `root`, laid out as root/<class>/ or root/{train,val,test}/<class>/.

    Class folders are searched to any depth, through links too; a photo is a file whose name or first bytes are an
    image's. Folders whose names are writings of one name (`Cat`, `cat`) are one class. Splits are recognised, in upper
    or lower case, by a train or training folder that holds folders. A class folder without a file names a class too,
    except in val and test; one that cannot be entered names none. Records come in path order, whatever the `workers`
    (threads; by default one per core).

    `cache` is a file that remembers readable photos by path, size and time of change, so that the next scan
    need not decode them; where it cannot be used, the scan does without. A photo of over `max_pixels` (by default
    `regraft.data.photos.MAX_PIXELS`) is unreadable.

    Raises:
        FolderError: no such folder, no images, another layout, or splits that name different classes.
    """
    root = Path(root)
    _check_is_folder(root)
    walk = Walk(root)
    walk.find_classes()
    class_names = _name_classes(walk)
    _check_has_images(walk)
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    photos = inspect_photos([file.path for file in walk.images], limit, workers, progress or Silent(), cache)
    return _image_folder(walk, class_names, photos, limit, workers)


def deep_spreads(folder: ImageFolder) -> list[Spread]:
    """The lowest and highest value of each training image in deep grey whose file does not say its range."""
    records = folder.split("train") if folder.splits else folder.records
    return [(one.lowest, one.highest) for one in records if one.lowest is not None and one.highest is not None]


def _check_is_folder(root: Path) -> None:
    if not root.exists():
        raise FolderError(f"No such folder: {root}. Expected {LAYOUT}.")
    if not root.is_dir():
        raise FolderError(f"Expected a folder laid out as {LAYOUT}; {root} is a file.")


def _name_classes(walk: Walk) -> dict[str, str]:
    """The names of the classes, each as it is written among the training photos, by their keys."""
    naming = [folder for folder in walk.class_folders if folder.split in ("", "train") or folder in walk.filled]
    names = group_by_key(folder.name for folder in naming)
    check_class_names([name for group in names.values() for name in group], walk.root)
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for folder in walk.class_folders:
        keys[folder.split].add(key_of(folder.name))
    lacking = {split: [names[key][0] for key in names if key not in present] for split, present in keys.items()}
    if any(lacking.values()):
        said = "; ".join(f"{split} lacks {name_some(missing)}" for split, missing in lacking.items() if missing)
        raise FolderError(f"Expected the same class folders in every split of {walk.root}; {said}.{_barred(walk)}")
    return {key: group[0] for key, group in group_by_key(f.name for f in naming if f.split in ("", "train")).items()}


def _barred(walk: Walk) -> str:
    """Which folders cannot be entered, in words: one of them may be a class that is lacking."""
    barred = [f"{show_path(aside.path, walk.root)}: {aside.reason}" for aside in walk.unreadable if aside.path.is_dir()]
    return f" Cannot enter {name_some(barred)}." if barred else ""


def _check_has_images(walk: Walk) -> None:
    if walk.images or walk.unreadable:
        return
    if walk.loose:
        tables = [aside.path for aside in walk.not_images if is_table(aside.path)]
        instead = f" Or name the table of their labels: {tables[0]}." if tables else ""
        raise FolderError(
            f"Expected {LAYOUT}; {walk.root} has {plural(len(walk.loose), 'image')} outside class folders. "
            f"Move each into a folder named after its class.{instead}"
        )
    found = count_reasons(aside.reason for aside in (*walk.not_images, *walk.ours))
    said = f", where what was found is: {found}" if found else ""
    raise FolderError(f"No images in {walk.root}{said}. Expected {LAYOUT}.")


def _image_folder(
    walk: Walk, class_names: Mapping[str, str], photos: Sequence[Photo | str], max_pixels: int, workers: int | None
) -> ImageFolder:
    records, unreadable = [], list(walk.unreadable)
    names = sorted(class_names.values())
    index_of = {key: names.index(name) for key, name in class_names.items()}
    index_of_folder = {folder: index_of.get(key_of(folder.name), _NO_CLASS) for folder in walk.class_folders}
    for file, photo in zip(walk.images, photos, strict=True):
        if isinstance(photo, str):
            unreadable.append(SetAside(file.path, photo))
        else:
            records.append(record_of(photo, file.path, index_of_folder[file.folder], file.folder.split))
    inhabited = {(record.split, record.class_index) for record in records}
    return ImageFolder(
        root=walk.root,
        class_names=tuple(names),
        records=tuple(mark_same_pixels(records, max_pixels=max_pixels, workers=workers)),
        unreadable=_by_path(unreadable),
        not_images=tuple(walk.not_images),
        empty_folders=tuple(
            folder.path for folder, index in index_of_folder.items() if (folder.split, index) not in inhabited
        ),
        hidden=tuple(sorted(walk.hidden)),
        loose=tuple(walk.loose),
        ours=_by_path(walk.ours),
        links=tuple(sorted(walk.links)),
        alike=_alike(index_of_folder),
        remarks=(walk.remark,) if walk.remark else (),
    )


def _by_path(asides: Sequence[SetAside]) -> tuple[SetAside, ...]:
    return tuple(sorted(asides, key=lambda aside: aside.path))


def _alike(index_of_folder: Mapping[ClassFolder, int]) -> tuple[tuple[Path, ...], ...]:
    """The folders of each class that is written in several ways, the first of each writing."""
    writings: defaultdict[int, dict[str, Path]] = defaultdict(dict)
    for folder, class_index in index_of_folder.items():
        if class_index != _NO_CLASS:
            writings[class_index].setdefault(folder.name, folder.path)
    return tuple(tuple(writings[index].values()) for index in sorted(writings) if len(writings[index]) > 1)
