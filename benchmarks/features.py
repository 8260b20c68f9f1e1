"""Frozen features by each runtime, and `quick` beside the twenty lines that one would write without it.

    python benchmarks/features.py rates --backbone efficientnet_lite0        # generated photos
    python benchmarks/features.py bare PHOTOS --backbone mobilenet_v2 --weights FILE --rounds 3

`rates`: seconds to write and open the network, features a second of ready views, alternating with TensorFlow in batches
of 32, and from how many photos on it pays. `bare`: wall seconds and accuracy on photos held out of `regraft train
--recipe quick` with an empty cache, and of a process that resizes with tf.data, asks the backbone in batches of 32 and
fits scikit-learn's logistic regression on standardized features; alternating.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

RATES_OF = 256
REPORTED = 0.2


def main() -> None:
    options = _parse()
    {"rates": _rates, "bare": _bare, "bare-once": _bare_once}[options.what](options)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rates", "bare", "bare-once"))
    parser.add_argument("photos", nargs="?")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--taps", default="0", help="of `rates`: how many")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


# --- rates ---


def _rates(options: argparse.Namespace) -> None:
    from regraft.exports.frozen_features import PAYS_FROM, open_features
    from regraft.exports.runtimes import can_be_made
    from regraft.inference.views import make_infer
    from regraft.machine.devices import open_device
    from regraft.machine.threads import map_ordered
    from regraft.models.classifier import feature_extractor
    from regraft.recipes.recipe import load_recipe
    from regraft.training.building import build_model

    device = open_device("cpu")
    edits = {"model.backbone": options.backbone, "model.weights": options.weights, "head.taps": int(options.taps)}
    model, _ = build_model(load_recipe("quick", edits | {"data.image_size": 224}), 6, device)
    views = np.random.default_rng(options.seed).uniform(0, 255, (RATES_OF, 224, 224, 3)).astype(np.float32)
    infer = make_infer(feature_extractor(model), device)
    ways: dict[str, Callable[[], object]] = {
        "tensorflow": lambda: [infer(views[start : start + 32]) for start in range(0, RATES_OF, 32)]
    }
    writing = {"tensorflow": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        for runtime in filter(can_be_made, PAYS_FROM):
            place = Path(folder, runtime)
            place.mkdir()
            started = time.perf_counter()
            network = open_features(model, runtime, place)
            ways[runtime] = lambda network=network: list(map_ordered(lambda view: network(view[None]), views))
            network(views[:1])
            writing[runtime] = time.perf_counter() - started
        for way in ways.values():
            way()
        seconds = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                seconds[name].append(_seconds(way))
    _print_rates(seconds, writing)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _print_rates(seconds: dict[str, list[float]], writing: dict[str, float]) -> None:
    print("| runtime | written and opened, s | features/s | of TensorFlow's (range) | pays from, photos |")
    print("|---|---|---|---|---|")
    plain = seconds["tensorflow"]
    for name, took in seconds.items():
        ratios = [one / other for one, other in zip(plain, took, strict=True)]
        saved = (statistics.median(plain) - statistics.median(took)) / RATES_OF
        pays = f"{writing[name] / saved:,.0f}" if saved > 0 else "–"
        print(
            f"| {name} | {writing[name]:.1f} | {RATES_OF / statistics.median(took):.0f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) | {pays} |"
        )


# --- bare ---


def _bare(options: argparse.Namespace) -> None:
    ways = {"bare": _run_bare, "quick": _run_quick}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            accuracy = way(options)
            found[name].append((time.perf_counter() - started, accuracy))
            print(name, *found[name][-1], file=sys.stderr, flush=True)
    ratios = [quick[0] / bare[0] for bare, quick in zip(found["bare"], found["quick"], strict=True)]
    for name, rows in found.items():
        print(f"{name}: {statistics.median(row[0] for row in rows):.1f} s, accuracy {100 * rows[0][1]:.1f} %")
    print(f"quick takes {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) of the bare time")


def _run_bare(options: argparse.Namespace) -> float:
    words = [sys.executable, __file__, "bare-once", options.photos, "--backbone", options.backbone]
    return float(_output([*words, "--weights", options.weights, "--seed", str(options.seed)]))


def _run_quick(options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "regraft", "train", options.photos, "--recipe", "quick", "--json"]
        words += ["--backbone", options.backbone, "--weights", options.weights, "--seed", str(options.seed)]
        answer = _output([*words, "--out", f"{folder}/run"], REGRAFT_CACHE=f"{folder}/cache")
        return float(json.loads(answer)["accuracy"])


def _output(words: Sequence[str], **environment: str) -> str:
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, env=os.environ | environment
    )
    return done.stdout


def _bare_once(options: argparse.Namespace) -> None:
    """What one would write: prints the accuracy on the fifth of the photos that is held out."""
    import tensorflow as tf
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from regraft.models.backbones import BACKBONES
    from regraft.models.classifier import build_classifier, feature_extractor
    from regraft.models.weights import load_backbone

    files = sorted(path for path in Path(options.photos).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    names = [path.parent.name for path in files]
    backbone = load_backbone(options.backbone, options.weights, image_size=224)
    row = BACKBONES[options.backbone]
    extract = feature_extractor(build_classifier(backbone, preprocessing=row.preprocessing, class_count=2))

    def view(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.image.resize(image, [224, 224])

    dataset = tf.data.Dataset.from_tensor_slices([str(path) for path in files])
    dataset = dataset.map(view, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)
    features = extract.predict(dataset, verbose=0)
    parts = train_test_split(features, names, test_size=REPORTED, stratify=names, random_state=options.seed)
    train, held, train_names, held_names = parts
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(train, train_names)
    print(model.score(held, held_names))


if __name__ == "__main__":
    main()
