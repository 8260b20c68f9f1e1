"""How a photo is cropped and scaled, measured by the accuracy of a solved head on a frozen backbone.

    python benchmarks/views.py hymenoptera/ --backbone mobilenet_v2 --weights mobilenet_v2_notop.weights.h5

Prints one row per rule: cross-validated loss on the training split (what one may choose by) and accuracy on val.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np

from regraft.data.duplicates import group_together
from regraft.data.photos import read_upright_rgb
from regraft.data.records import Record
from regraft.data.scan import scan_folder
from regraft.data.sources import labels_of
from regraft.errors import FolderError
from regraft.machine.devices import open_device
from regraft.machine.threads import map_ordered
from regraft.training.head import solve_head
from regraft.training.strength import choose_l2

DEVICE = open_device("cpu")

import tensorflow as tf  # noqa: E402

from regraft.augment.view import center_part, make_view  # noqa: E402
from regraft.inference.views import Infer, infer_all, make_infer  # noqa: E402
from regraft.models.backbones import BACKBONES  # noqa: E402
from regraft.models.classifier import build_classifier, feature_extractor  # noqa: E402
from regraft.models.weights import load_backbone  # noqa: E402

View = Callable[[tf.Tensor], tf.Tensor]
STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="imagenet")
    options = parser.parse_args()
    folder = scan_folder(options.photos)
    if not folder.split("val"):
        raise FolderError("benchmarks/views.py needs a folder with train and val.")
    row = BACKBONES[options.backbone]
    backbone = load_backbone(options.backbone, options.weights, image_size=row.image_size)
    model = build_classifier(backbone, preprocessing=row.preprocessing, class_count=len(folder.class_names))
    infer = make_infer(feature_extractor(model), DEVICE)
    print("| view | cross-validated loss | accuracy on val |\n|---|---|---|")
    for name, view in _rules(row.image_size).items():
        loss, accuracy = _judge(folder.split("train"), folder.split("val"), view, infer, len(folder.class_names))
        print(f"| {name} | {loss:.4f} | {100 * accuracy:.1f} % |", flush=True)


def _rules(size: int) -> dict[str, View]:
    def antialiased(image: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(center_part(image, 1.0), [size, size], antialias=True)

    def stretched(image: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(image, [size, size])

    return {
        "whole short side, bilinear (ours)": make_view(size, 1.0),
        "0.875 of the short side, bilinear": make_view(size, 0.875),
        "whole short side, antialiased": antialiased,
        "stretched to a square, bilinear": stretched,
    }


def _judge(
    train: Sequence[Record], val: Sequence[Record], view: View, infer: Infer, class_count: int
) -> tuple[float, float]:
    compiled = tf.function(view, autograph=False, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    views = map_ordered(lambda record: compiled(read_upright_rgb(record.path)).numpy(), [*train, *val])
    features = np.stack([row for row in infer_all(infer, views) if isinstance(row, np.ndarray)])
    fit, held = np.split(features, [len(train)])
    groups = group_together(train)
    choice = choose_l2(
        fit, labels_of(train), class_count=class_count, candidates=STRENGTHS, groups=groups, folds=5, seed=0
    )
    head = solve_head(fit, labels_of(train), class_count=class_count, l2=choice.l2)
    return choice.losses[choice.l2], float((head.logits(held).argmax(axis=1) == labels_of(val)).mean())


if __name__ == "__main__":
    main()
