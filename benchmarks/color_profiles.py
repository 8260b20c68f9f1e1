"""What it costs that colour profiles are not applied: photos in other colour spaces, read as if they were sRGB.

    python benchmarks/color_profiles.py hymenoptera/ --weights mobilenet_v2_notop.weights.h5

A head is solved on the photos of train. Then those of val are answered as they are, with the profiles that some have
applied, and as files of other colour spaces would hold them. Prints one row for each.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from regraft.data.duplicates import group_together
from regraft.data.photos import read_upright_rgb
from regraft.data.records import Record
from regraft.data.scan import scan_folder
from regraft.data.sources import labels_of
from regraft.machine.devices import open_device
from regraft.machine.threads import map_ordered
from regraft.training.head import solve_head
from regraft.training.strength import choose_l2

DEVICE = open_device("cpu")

import tensorflow as tf  # noqa: E402

from regraft.augment.view import make_view  # noqa: E402
from regraft.inference.views import infer_all, make_infer, softmax  # noqa: E402
from regraft.models.backbones import BACKBONES  # noqa: E402
from regraft.models.classifier import build_classifier, feature_extractor  # noqa: E402
from regraft.models.weights import load_backbone  # noqa: E402

Recolor = Callable[[Path], np.ndarray]
STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)

# Linear RGB to XYZ of D65: of sRGB, and of each space its inverse is taken. ProPhoto's own white, D50, is adapted.
SRGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
SPACES = {
    "Display P3": (
        [[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0.0, 0.0451134, 1.0439444]],
        lambda linear: np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055),
    ),
    "Adobe RGB": (
        [[0.5767309, 0.1855540, 0.1881852], [0.2973769, 0.6273491, 0.0752741], [0.0270343, 0.0706872, 0.9911085]],
        lambda linear: linear ** (256 / 563),
    ),
    "ProPhoto RGB": (
        [[0.7555835, 0.1127003, 0.0821709], [0.2736092, 0.7217127, 0.0046781], [-0.0096520, 0.0029828, 1.0954250]],
        lambda linear: linear ** (1 / 1.8),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="imagenet")
    options = parser.parse_args()
    folder = scan_folder(options.photos)
    row = BACKBONES[options.backbone]
    backbone = load_backbone(options.backbone, options.weights, image_size=row.image_size)
    model = build_classifier(backbone, preprocessing=row.preprocessing, class_count=len(folder.class_names))
    infer = make_infer(feature_extractor(model), DEVICE)
    pixels = tf.TensorSpec([None, None, 3], tf.uint8)
    view = tf.function(make_view(row.image_size, 1.0), autograph=False, input_signature=[pixels])

    def features(records: Sequence[Record], recolor: Recolor) -> np.ndarray:
        def views() -> Iterator[np.ndarray]:
            return map_ordered(lambda record: view(tf.constant(recolor(record.path))).numpy(), records)

        return np.stack(list(infer_all(infer, views())))  # type: ignore[arg-type]

    train, val = folder.split("train"), folder.split("val")
    classes = len(folder.class_names)
    plain, labels = features(train, read_upright_rgb), labels_of(train)
    groups = group_together(train)
    options = {"class_count": classes, "candidates": STRENGTHS, "groups": groups, "folds": 5, "seed": 0}
    l2 = choose_l2(plain, labels, **options).l2
    head = solve_head(plain, labels, class_count=classes, l2=l2)
    as_it_is = softmax(head.logits(features(val, read_upright_rgb)))
    others = sum(has_other_profile(one.path) for one in val)
    print(f"{others} of the {len(val)} photos of val have a profile of another space.\n")
    print("| photos of val | accuracy | other label | mean change of the score |\n|---|---|---|---|")
    show("as they are, profiles ignored", as_it_is, as_it_is, labels_of(val))
    show("profiles applied", softmax(head.logits(features(val, with_profile))), as_it_is, labels_of(val))
    for name in SPACES:
        answers = softmax(head.logits(features(val, lambda path, name=name: to_space(read_upright_rgb(path), name))))
        show(f"all in {name}, read as sRGB", answers, as_it_is, labels_of(val))


def show(name: str, answers: np.ndarray, as_it_is: np.ndarray, truth: np.ndarray) -> None:
    other = int((answers.argmax(axis=1) != as_it_is.argmax(axis=1)).sum())
    accuracy, change = (answers.argmax(axis=1) == truth).mean(), np.abs(answers - as_it_is).max(axis=1).mean()
    print(f"| {name} | {100 * accuracy:.1f} % | {other} of {len(truth)} | {change:.4f} |", flush=True)


def to_space(pixels: np.ndarray, name: str) -> np.ndarray:
    """The bytes that a file in this space holds for sRGB `pixels`, uint8 [H, W, 3]."""
    matrix, encode = SPACES[name]
    values = np.arange(256) / 255
    table = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = np.clip(table[pixels] @ (np.linalg.inv(np.array(matrix)) @ SRGB).T, 0, 1)
    return np.rint(255 * encode(linear)).astype(np.uint8)


def profile_of(path: Path) -> ImageCms.ImageCmsProfile | None:
    with Image.open(path) as image:
        data = image.info.get("icc_profile")
    return ImageCms.ImageCmsProfile(io.BytesIO(data)) if data else None


def has_other_profile(path: Path) -> bool:
    profile = profile_of(path)
    return profile is not None and "sRGB" not in ImageCms.getProfileDescription(profile)


def with_profile(path: Path) -> np.ndarray:
    pixels = read_upright_rgb(path)
    if not has_other_profile(path):
        return pixels
    image = ImageCms.profileToProfile(Image.fromarray(pixels), profile_of(path), ImageCms.createProfile("sRGB"))
    return np.asarray(image)


if __name__ == "__main__":
    main()
