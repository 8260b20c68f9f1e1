"""A contact sheet of what training sees: photos beside several draws of the augmentation policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from regraft.augment.fits import FITS
from regraft.augment.policy import AugmentPolicy, make_batch_op, make_train_view
from regraft.augment.table import AUGMENTATIONS
from regraft.data.photos import UnreadablePhoto
from regraft.data.records import ImageFolder, Record, SetAside
from regraft.data.sources import is_plain_jpeg, scan_remembered, upright_size
from regraft.errors import FolderError
from regraft.experiments.sheet import save_sheet
from regraft.inference.views import ViewReader
from regraft.progress import Progress
from regraft.recipes.choices import ModelChoices
from regraft.recipes.recipe import Recipe, edit_recipe
from regraft.training.resolving import with_range

_SHOWN_PX, _GAP_PX, _NAME_PX, _TITLE_PX = 160, 8, 20, 44
_INK, _GREY, _PAPER = "#111827", "#6b7280", "#ffffff"


@dataclass(frozen=True)
class _Row:
    """One row of the sheet: what stands above it, its pictures uint8 [S, S, 3], and what stands below each."""

    name: str
    pictures: Sequence[np.ndarray]
    words: Sequence[str]


@dataclass(frozen=True)
class Preview:
    """What is on a contact sheet.

    Attributes:
        sheet: the file.
        photos: the photo of each row.
        draws: how many draws of each photo there are.
        policy: the augmentation in words.
        set_aside: files of the folder that cannot be read.
    """

    sheet: Path
    photos: tuple[Path, ...]
    draws: int
    policy: str
    set_aside: tuple[SetAside, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "sheet": str(self.sheet),
            "photos": [str(path) for path in self.photos],
            "draws": self.draws,
            "policy": self.policy,
            "set_aside": [{"path": str(file.path), "reason": file.reason} for file in self.set_aside],
        }


def write_preview(
    root: Path,
    recipe: Recipe,
    out: Path,
    progress: Progress,
    *,
    photos: int,
    draws: int,
    image_size: int | None = None,
    force: bool = False,
) -> Preview:
    """Writes the sheet to `out`, whose suffix says the format, and returns what is on it.

    A row is a photo: first as prediction sees it, then as training may see it, a draw for each epoch. Where images are
    mixed with one another, the last row shows them, with the shares of their labels.

    Args:
        root: a folder of photos.
        recipe: its [augment] is drawn from, its seed that of the choice of photos and of the draws.
        out: the file.
        progress: who is told.
        photos, draws: rows and columns, at least 1.
        image_size: pixels a side, by default what the recipe trains on.
        force: whether an earlier sheet makes way.

    Raises:
        FolderError: the folder holds no photo, or one became unreadable.
        UsageError: something is in the way, as of `check_sheet`.
    """
    folder = scan_remembered(root, progress, choices=recipe.data.source)
    chosen = choose_photos(folder, photos, recipe.seed)
    augment = recipe.augment.values
    recipe = with_range(_with_known_backbone(_with_known_fit(recipe, progress), progress), folder)
    policy, reader = (
        AugmentPolicy(recipe.data.known_fit, **augment),
        ViewReader.of_recipe(recipe, image_size=image_size),
    )
    rows = [
        _photo_row(record, place, folder, policy, reader, recipe.seed, draws) for place, record in enumerate(chosen)
    ]
    if mixed := _mixed_row(chosen, folder, policy, reader, recipe.seed, draws):
        rows.append(mixed)
    title = f"{folder.name}: {describe(augment)}"
    sheet = _draw_sheet(rows, title, columns=1 + draws)
    save_sheet(sheet, out, force=force)
    return Preview(out, tuple(record.path for record in chosen), draws, describe(augment), tuple(folder.unreadable))


def _with_known_fit(recipe: Recipe, progress: Progress) -> Recipe:
    """The recipe as it is, or with "crop" where training would ask the photos, which takes a network."""
    if recipe.data.fit != "auto":
        return recipe
    progress.say(f"data.fit is auto: training finds out which; here photos are shown as by {FITS[0]}.")
    return edit_recipe(recipe, {"data.fit": FITS[0]})


def _with_known_backbone(recipe: Recipe, progress: Progress) -> Recipe:
    """The recipe as it is, or with the default backbone where training would ask the photos; it tells the size."""
    if recipe.model.backbone != "auto":
        return recipe
    usual = ModelChoices().backbone
    progress.say(f"model.backbone is auto: training finds out which; here photos have the size of {usual}.")
    return edit_recipe(recipe, {"model.backbone": usual})


def choose_photos(folder: ImageFolder, count: int, seed: int) -> list[Record]:
    """`count` photos, as many as there are at most, spread over the classes."""
    if not folder.records:
        raise FolderError(f"{folder.root} holds no photo to show.")
    random = np.random.default_rng(seed)
    by_class: list[list[Record]] = [[] for _ in folder.class_names]
    for index in random.permutation(len(folder.records)):
        by_class[folder.records[index].class_index].append(folder.records[index])
    turns = [records[turn] for turn in range(count) for records in by_class if turn < len(records)]
    return sorted(turns[:count], key=lambda record: record.class_index)


def describe(augment: Mapping[str, Any]) -> str:
    """The policy in words: the options of what is turned on, such as "flip, brightness 0.2"."""
    words = []
    for row in AUGMENTATIONS.values():
        if row.is_on(augment):
            shown = {key: augment[key] for key in row.options if augment[key]}
            words += [key if value is True else f"{key} {value}" for key, value in shown.items()]
    return ", ".join(words) or "nothing is varied"


def _photo_row(
    record: Record, place: int, folder: ImageFolder, policy: AugmentPolicy, reader: ViewReader, seed: int, draws: int
) -> _Row:
    pictures = [_read(record, reader), *_drawn(record, place, policy, reader, seed, draws)]
    words = ["as predicted", *(f"epoch {epoch}" for epoch in range(1, draws + 1))]
    return _Row(f"{folder.class_names[record.class_index]}   {record.path.name}", pictures, words)


def _read(record: Record, reader: ViewReader) -> np.ndarray:
    try:
        return _to_uint8(reader.read(record.path))
    except UnreadablePhoto as error:
        raise FolderError(f"{record.path} became unreadable: {error}. Run the command again.") from None


def _drawn(
    record: Record, place: int, policy: AugmentPolicy, reader: ViewReader, seed: int, draws: int
) -> Iterator[np.ndarray]:
    """What training would show of the photo, were it at this place of each epoch."""
    view = tf.function(make_train_view(policy, reader.image_size), autograph=False)
    encoded = tf.io.read_file(str(reader.tensorflow_path(record)))
    height, width = (tf.constant(side, tf.int32) for side in upright_size(record))
    plain = tf.constant(is_plain_jpeg(record))
    for epoch in range(draws):
        epoch_seed = tf.constant([seed, epoch], tf.int32)
        yield _to_uint8(view(encoded, height, width, plain, tf.random.fold_in(epoch_seed, place)).numpy())


def _mixed_row(
    chosen: Sequence[Record], folder: ImageFolder, policy: AugmentPolicy, reader: ViewReader, seed: int, draws: int
) -> _Row | None:
    mix = make_batch_op(policy)
    if mix is None:
        return None
    members = [chosen[number % len(chosen)] for number in range(draws + 1)]
    images = np.stack([_read(record, reader) for record in members]).astype(np.float32)
    labels = tf.one_hot([record.class_index for record in members], len(folder.class_names))
    pixels, shares = mix(tf.constant(images), labels, tf.constant([seed, 0], tf.int32))
    words = [_shares(row, folder.class_names) for row in shares.numpy()]
    return _Row("mixed within a batch", [_to_uint8(image) for image in pixels.numpy()], words)


def _shares(row: np.ndarray, class_names: Sequence[str]) -> str:
    best = [index for index in np.argsort(-row, kind="stable")[:2] if row[index] > 0.005]
    return ", ".join(f"{100 * row[index]:.0f} % {class_names[index]}" for index in best)


def _draw_sheet(rows: Sequence[_Row], title: str, *, columns: int) -> Image.Image:
    row_px = _NAME_PX + _SHOWN_PX + _NAME_PX + _GAP_PX
    width = _GAP_PX + columns * (_SHOWN_PX + _GAP_PX)
    sheet = Image.new("RGB", (width, _TITLE_PX + len(rows) * row_px + _GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_GAP_PX, 12), title, width - 2 * _GAP_PX, size=16, fill=_INK)
    for number, row in enumerate(rows):
        top = _TITLE_PX + number * row_px
        _write(draw, (_GAP_PX, top), row.name, width - 2 * _GAP_PX, size=13, fill=_INK)
        for column, (picture, words) in enumerate(zip(row.pictures, row.words, strict=True)):
            left = _GAP_PX + column * (_SHOWN_PX + _GAP_PX)
            shown = Image.fromarray(picture).resize((_SHOWN_PX, _SHOWN_PX), Image.Resampling.BICUBIC)
            sheet.paste(shown, (left, top + _NAME_PX))
            _write(draw, (left, top + _NAME_PX + _SHOWN_PX + 2), words, _SHOWN_PX, size=12, fill=_GREY)
    return sheet


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, room: int, *, size: int, fill: str) -> None:
    """One line, shortened to `room` pixels; what the font lacks is shown as its replacement."""
    font = ImageFont.load_default(size)
    text = text.encode("utf-8", "replace").decode()
    shown = text
    while draw.textlength(shown, font) > room and len(shown) > 1:
        shown = f"{text[: len(shown) - 2]}…"
    draw.text(place, shown, fill=fill, font=font)


def _to_uint8(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
