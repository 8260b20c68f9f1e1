"""The role of each image: who is trained on, who chooses, who is reported on, so that no number flatters itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from regraft.data.records import SPLITS, ImageFolder, Record
from regraft.data.wording import plural
from regraft.errors import FolderError, UsageError

NEAR_BITS = 15
"""Two photos are near-duplicates where at most this many of the 256 bits of their appearance differ.

Measured on trashnet6, flowers5_128 and hymenoptera: a JPEG saved again at quality 60 differs by 2 to 5 bits
(median), one of half the size by 4 to 7, two unrelated photos by about 125; each pair found shows one scene.
"""

DETAIL_BITS = 36
"""An appearance is compared only where its bits change this often down and across the 16x16 grid.

Flat pictures (an object on plain paper, handwritten digits) have nearly the same few bits whatever they
show: scikit-learn's 1,797 digits drawn at 64x64 give over 5,000 pairs without this and none with it.
"""

_MOST_NEIGHBOURS = 64
_SCATTERED = np.arange(256) * 85 % 256
_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint16)


@dataclass(frozen=True, slots=True)
class Roles:
    """Which images do what in one run; no image, and no duplicate of it, has two roles.

    Attributes:
        fit: the images that weights are trained on.
        select: the selection photos, which choose between stages; empty where none are needed.
        report: the images behind the reported numbers, which nothing else sees.
        report_name: "test" or "val".
        notes: plain sentences, which images are behind which number, what was left out, what is missing.
    """

    fit: tuple[Record, ...]
    select: tuple[Record, ...]
    report: tuple[Record, ...]
    report_name: str
    notes: tuple[str, ...]


def plan_roles(
    folder: ImageFolder, *, val_fraction: float, select_fraction: float, needs_selection: bool, seed: int
) -> Roles:
    """The roles of the images of `folder`.

    A test split is reported on where there is one, else val, else `val_fraction` of the images, which do
    not depend on `needs_selection`. The selection photos are val where it is not reported on, else, if
    they are needed, `select_fraction` of the training images.

    Raises:
        UsageError: a fraction is not in (0, 1).
        FolderError: there is nothing to report on, or a class is left without a training image.
    """
    _check_fraction("val_fraction", val_fraction)
    _check_fraction("select_fraction", select_fraction)
    given_fit, given_select, report = _given_or_held_out(folder, val_fraction, seed)
    select = _without_duplicates(given_select, report)
    fit = _without_duplicates(given_fit, select + report)
    notes = _left_out_notes(len(given_fit) - len(fit), len(given_select) - len(select))
    if needs_selection and not select:
        fit, select = hold_out(fit, select_fraction, seed=seed)
    _check_classes(folder, fit, report)
    report_name = "test" if folder.split("test") else "val"
    role_notes = _role_notes(folder, fit, select, report, needs_selection=needs_selection)
    return Roles(fit, select, report, report_name, (*role_notes, *notes, *_absence_notes(folder, report)))


def hold_out(records: Sequence[Record], fraction: float, *, seed: int) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """`records` in two parts (kept, held), each in path order; about `fraction` of every class is held.

    Duplicates stay together, so a class is within half of its last group of the exact share. A class of two
    or more groups has images on both sides (unless all of them are shared with other classes); a class of
    one group is kept. The parts depend on what the files contain and on `seed`, not on their order or place.

    Raises:
        UsageError: `fraction` is not in (0, 1).
    """
    _check_fraction("fraction", fraction)
    by_content = sorted(records, key=lambda record: (record.fingerprint, record.class_index))
    groups = group_duplicates(by_content)
    is_held = _choose_groups(_class_counts(by_content, groups), fraction, seed)[groups]
    parts: tuple[list[Record], list[Record]] = ([], [])
    for record, held in zip(by_content, is_held, strict=True):
        parts[int(held)].append(record)
    kept, held_out = (tuple(sorted(part, key=lambda record: record.path)) for part in parts)
    return kept, held_out


def group_duplicates(records: Sequence[Record]) -> np.ndarray:
    """int64 [N]: the group of each record, numbered as they first appear; duplicates share one.

    Exact duplicates have equal fingerprints or `pixels`; near ones are within `NEAR_BITS` of each other and have
    `DETAIL_BITS`. In huge sets of look-alikes each photo is compared with 1,024 others at most.
    """
    pairs = np.concatenate(
        [
            _equal_to_first([record.fingerprint for record in records]),
            _equal_to_first([record.pixels or record.fingerprint for record in records]),
            _near_pairs(records),
        ]
    )
    links = coo_array((np.ones(len(pairs), np.int8), pairs.T), shape=(len(records), len(records)))
    return connected_components(links, directed=False)[1].astype(np.int64)


def are_detailed(records: Sequence[Record]) -> np.ndarray:
    """Whether the appearance of each record, bool [N], has `DETAIL_BITS`, so that it tells photos apart."""
    return _detail(np.unpackbits(_appearances(records), axis=1)) >= DETAIL_BITS


def _equal_to_first(keys: Sequence[str]) -> np.ndarray:
    """int64 [N, 2]: each place, and the first one with the same key."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return np.stack([np.arange(len(keys)), first[inverse]], axis=1)


def _appearances(records: Sequence[Record]) -> np.ndarray:
    return np.frombuffer(b"".join(record.appearance for record in records), np.uint8).reshape(-1, 32)


def _near_pairs(records: Sequence[Record]) -> np.ndarray:
    """int64 [P, 2]: by the pigeonhole principle, 16 bands of 16 bits find all pairs within 15 bits."""
    hashes = _appearances(records)
    bits = np.unpackbits(hashes, axis=1)
    detailed = np.flatnonzero(_detail(bits) >= DETAIL_BITS)
    # Neighbouring bits agree too often (skies, tables): a band of far-away bits collides less by chance.
    bands = np.packbits(bits[np.ix_(detailed, _SCATTERED)], axis=1).view(np.uint16)
    pairs = [np.empty((0, 2), np.int64)]
    for band in bands.T:
        for left, right in _equal_pairs(band):
            differing = _BITS_OF_BYTE[hashes[detailed[left]] ^ hashes[detailed[right]]].sum(axis=1)
            near = differing <= NEAR_BITS
            pairs.append(np.stack([detailed[left[near]], detailed[right[near]]], axis=1))
    return np.concatenate(pairs)


def _detail(bits: np.ndarray) -> np.ndarray:
    """How often bits [N, 256] change down or across their 16x16 grid, whichever is less."""
    bits = bits.reshape(-1, 16, 16)
    down = (bits[:, 1:] != bits[:, :-1]).sum(axis=(1, 2))
    across = (bits[:, :, 1:] != bits[:, :, :-1]).sum(axis=(1, 2))
    return np.minimum(down, across)


def _equal_pairs(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of positions with equal values, in batches; at most `_MOST_NEIGHBOURS` pairs per position."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    for offset in range(1, min(_MOST_NEIGHBOURS + 1, len(values))):
        at = np.flatnonzero(ordered[offset:] == ordered[:-offset])
        if not at.size:
            return
        yield order[at], order[at + offset]


def _class_counts(records: Sequence[Record], groups: np.ndarray) -> np.ndarray:
    """int64 [groups, classes]: how many images of each class a group holds."""
    classes = np.array([record.class_index for record in records], np.int64)
    shape = (int(np.append(groups, -1).max()) + 1, int(np.append(classes, -1).max()) + 1)
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (groups, classes), 1)
    return counts


def _choose_groups(counts: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """The held groups, bool [groups], of `counts` [groups, classes].

    The classes with the fewest groups of their own go first: the others can still put their own groups on
    the side that a shared group left empty.
    """
    held, decided = np.zeros((2, len(counts)), bool)
    is_shared = (counts > 0).sum(axis=1) > 1
    own_groups = (counts[~is_shared] > 0).sum(axis=0)
    for class_index in np.argsort(own_groups, kind="stable"):
        members = np.flatnonzero(counts[:, class_index])
        undecided = np.random.default_rng([seed, class_index]).permutation(members[~decided[members]])
        if len(members) > 1:
            _choose_for_class(held, counts[:, class_index], members, undecided, fraction)
        decided[members] = True
    return held


def _choose_for_class(
    held: np.ndarray, sizes: np.ndarray, members: np.ndarray, undecided: np.ndarray, fraction: float
) -> None:
    """Sets `held` for the `undecided` groups of one class, each taken where it brings the share nearer."""
    missing = fraction * sizes.sum() - sizes[held].sum()
    for group in undecided:
        if abs(missing - sizes[group]) < abs(missing):
            held[group] = True
            missing -= sizes[group]
    is_one_sided = held[members].all() or not held[members].any()
    if is_one_sided and len(undecided):
        smallest = undecided[np.argmin(sizes[undecided])]
        held[smallest] = not held[smallest]


def _given_or_held_out(folder: ImageFolder, val_fraction: float, seed: int) -> tuple[tuple[Record, ...], ...]:
    train, val, test = (folder.split(name) for name in SPLITS)
    if test:
        return train, val, test
    if val:
        return train, (), val
    fit, report = hold_out(folder.records, val_fraction, seed=seed)
    return fit, (), report


def _without_duplicates(records: tuple[Record, ...], others: tuple[Record, ...]) -> tuple[Record, ...]:
    groups = group_duplicates(others + records)
    is_new = ~np.isin(groups[len(others) :], groups[: len(others)])
    return tuple(record for record, new in zip(records, is_new, strict=True) if new)


def _check_fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise UsageError(f"{name} must be between 0 and 1, both excluded; received {value}.")


def _check_classes(folder: ImageFolder, fit: Sequence[Record], report: Sequence[Record]) -> None:
    if not report:
        raise FolderError("Expected images to report on; no class has two different photos. Add photos.")
    if absent := _absent_classes(folder, fit):
        raise FolderError(
            f"Each class needs a training image; {absent} has none that is not also, exactly or nearly, "
            "among the images that are reported or chosen on. Add photos of it."
        )


def _absent_classes(folder: ImageFolder, records: Sequence[Record]) -> str:
    present = {record.class_index for record in records}
    return ", ".join(f'"{name}"' for index, name in enumerate(folder.class_names) if index not in present)


def _role_notes(
    folder: ImageFolder,
    fit: Sequence[Record],
    select: Sequence[Record],
    report: Sequence[Record],
    *,
    needs_selection: bool,
) -> list[str]:
    notes = [f"Reported on {_images(report, folder)}, which nothing else sees."]
    if select:
        use = "Choices are made on" if needs_selection else "There is nothing to choose: not used are"
        notes.append(f"{use} {_images(select, folder)}.")
    return [*notes, f"Trained on {plural(len(fit), 'image')}."]


def _images(records: Sequence[Record], folder: ImageFolder) -> str:
    split = records[0].split
    whence = f"of {split}" if split in ("val", "test") else f"held out of {split or folder.name}"
    return f"{plural(len(records), 'image')} {whence}"


def _left_out_notes(fit_count: int, select_count: int) -> list[str]:
    counts = (("training", fit_count, "reported or chosen on"), ("val", select_count, "reported on"))
    return [
        f"Left out of {name}: {plural(count, 'image')}, as exact or near-duplicates of images {use}."
        for name, count, use in counts
        if count
    ]


def _absence_notes(folder: ImageFolder, report: Sequence[Record]) -> list[str]:
    absent = _absent_classes(folder, report)
    return [f"No image of {absent} is reported on: nothing is known about how well it is told."] if absent else []
