"""How many photos per second the input pipeline augments, and what each augmentation costs beside Keras's layer.

    python benchmarks/augment.py                       # on 240 generated JPEGs of 500x375 pixels
    python benchmarks/augment.py hymenoptera/train     # on the JPEGs of a folder

Prints two tables. The first goes from the files' bytes to batches: plain decoding, resizing and centre crop, the
default training policy and others, all taking turns. The second takes images of the input size from memory to
batches: the processor's time, which other programs disturb less, with each op and with Keras's layers for the same job,
which map whole batches as Keras advises. Every figure is the median over the rounds, with the lowest and highest.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from regraft.data.scan import scan_folder
from regraft.machine.devices import open_device

Step = Callable[..., Any]

BATCH, GENERATED, IN_MEMORY = 32, 240, 256


@dataclass(frozen=True)
class Photos:
    """Bytes of JPEGs of EXIF orientation 1, and their pixels, one entry per photo."""

    encoded: list[bytes]
    heights: list[int]
    widths: list[int]


@dataclass(frozen=True)
class Rival:
    """An augmentation, by the options that turn it on, and the Keras layers that do the same job."""

    options: Mapping[str, Any]
    keras_layers: Callable[[], list[Any]] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", help="a folder of JPEGs; left out, they are generated")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row, in each round")
    options = parser.parse_args()
    keep_to(options.cores)
    photos = read_photos(options.photos) if options.photos else draw_photos(GENERATED)
    open_device("cpu")
    kilobytes = np.mean([len(encoded) for encoded in photos.encoded]) / 1000
    print(f"{len(photos.encoded)} JPEGs of {kilobytes:.0f} kB on average, {options.cores} cores\n")
    print_pipelines(photos, options)
    print_ops(photos, options)


def keep_to(cores: int) -> None:
    """Leaves this process `cores` processors. TensorFlow, which starts later, makes as many threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def draw_photos(count: int, width: int = 500, height: int = 375) -> Photos:
    """Noise with the spectrum of photos (amplitudes fall with frequency), about as many bytes as photos have."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1.0
    to_rgb = np.array([[1, 0.4, 0.2], [1, 0, -0.2], [1, -0.4, 0.2]])  # mostly grey, as the colours of photos are
    encoded = []
    for _ in range(count):
        spectrum = np.exp(2j * np.pi * rng.random((3, *frequency.shape))) / frequency**1.2
        noise = np.fft.irfft2(spectrum, (height, width))
        pixels = 128 + 45 * np.einsum("cd,dhw->hwc", to_rgb, noise / noise.std(axis=(1, 2), keepdims=True))
        file = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    return Photos(encoded, [height] * count, [width] * count)


def read_photos(folder: str) -> Photos:
    """The JPEGs of a folder that need no turning."""
    records = [record for record in scan_folder(folder).records if record.format == "JPEG" and record.mode == "RGB"]
    records = [record for record in records if record.complete and record.orientation == 1]
    heights, widths = [record.height for record in records], [record.width for record in records]
    return Photos([record.path.read_bytes() for record in records], heights, widths)


def print_pipelines(photos: Photos, options: argparse.Namespace) -> None:
    """Images per second from bytes to batches."""
    import keras
    import tensorflow as tf

    from regraft.augment.view import make_view

    size, layers = options.image_size, keras.layers
    view = make_view(size, 1.0)

    def plain(encoded: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return view(tf.io.decode_jpeg(encoded, channels=3))

    def resized(to: int) -> Step:
        resize = layers.Resizing(to, to, crop_to_aspect_ratio=True)
        return lambda encoded, *_: resize(tf.io.decode_jpeg(encoded, channels=3))

    off = {"flip": False, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    jitter = [layers.RandomFlip("horizontal"), color_jitter()]
    steps: dict[str, tuple[Step, Step | None]] = {
        "plain: decode, resize, centre crop": (plain, None),
        "**default training policy**": (train_view(size), None),
        "random-resized crop alone": (train_view(size, **off), None),
        "random crop alone": (train_view(size, **off, crop="random"), None),
        "strong: default, RandAugment, erasing": (train_view(size, randaugment=9.0, erase=0.5), None),
        "Keras: decode, Resizing, RandomCrop": (resized(round(1.15 * size)), on_batch([layers.RandomCrop(size, size)])),
        "Keras: decode, Resizing, RandomFlip, RandomColorJitter": (resized(size), on_batch(jitter)),
    }
    plain_jpeg = [True] * len(photos.encoded)
    source = tf.data.Dataset.from_tensor_slices((photos.encoded, photos.heights, photos.widths, plain_jpeg)).repeat()
    rows = {name: pipeline(source, *step, options.cores) for name, step in steps.items()}
    seconds = take_turns(rows, options, time.perf_counter)
    print("| from bytes to batches | images/s | share of plain |\n|---|---|---|")
    base = next(iter(seconds.values()))
    for name, taken in seconds.items():
        print(f"| {name} | {spread(1 / taken, '.0f')} | {spread(base / taken, '.2f')} |")
    print(flush=True)


def print_ops(photos: Photos, options: argparse.Namespace) -> None:
    """Microseconds of one core for an image of the input size, with each op and with none."""
    import tensorflow as tf

    from regraft.augment.view import make_view

    view = make_view(options.image_size, 1.0)
    some = [view(tf.io.decode_jpeg(encoded, channels=3)) for encoded in photos.encoded[:IN_MEMORY]]
    images = tf.data.Dataset.from_tensor_slices(tf.stack(some)).cache().repeat()
    rows = {"nothing": pipeline(images, None, None, options.cores)}
    for name, rival in rivals().items():
        rows[f"{name} ours"] = pipeline(images, *our_steps(rival.options), options.cores)
        if rival.keras_layers:
            rows[f"{name} keras"] = pipeline(images, None, on_batch(rival.keras_layers()), options.cores)
    taken = take_turns(rows, options, time.process_time)
    cost = {name: 1e6 * seconds for name, seconds in taken.items()}
    print("| op | core-µs an image | added by the op | with Keras's layers | times ours |\n|---|---|---|---|---|")
    print(f"| none: passing images on | {spread(cost['nothing'], '.0f')} | – | – | – |")
    for name, rival in rivals().items():
        ours, theirs = cost[f"{name} ours"], cost.get(f"{name} keras")
        keras_cells = "– | –" if theirs is None else f"{spread(theirs, '.0f')} | {spread(theirs / ours, '.1f')}"
        added = np.median(ours - cost["nothing"])
        print(f"| {name}: {described(rival.options)} | {spread(ours, '.0f')} | {added:.0f} | {keras_cells} |")


def rivals() -> dict[str, Rival]:
    """Every augmentation at a usual strength, with what Keras has for it."""
    from keras import layers

    def erasing() -> Any:
        return layers.RandomErasing(factor=(0.5, 0.5), scale=(0.14, 0.63))  # sides of 0.02 to 0.4 of the area

    return {
        "flip": Rival({"flip": True}, lambda: [layers.RandomFlip("horizontal")]),
        "flip_vertical": Rival({"flip_vertical": True}, lambda: [layers.RandomFlip("vertical")]),
        "rotate": Rival({"rotate": 15.0}, lambda: [layers.RandomRotation(15 / 360)]),
        "translate": Rival({"translate": 0.1}, lambda: [layers.RandomTranslation(0.1, 0.1)]),
        "zoom": Rival({"zoom": 0.1}, lambda: [layers.RandomZoom(0.1)]),
        "shear": Rival({"shear": 0.1}, lambda: [layers.RandomShear(x_factor=0.1)]),
        "affine": Rival(
            {"rotate": 15.0, "translate": 0.1, "zoom": 0.1, "shear": 0.1},
            lambda: [
                layers.RandomZoom(0.1),
                layers.RandomShear(x_factor=0.1),
                layers.RandomRotation(15 / 360),
                layers.RandomTranslation(0.1, 0.1),
            ],
        ),
        "brightness": Rival({"brightness": 0.2}, lambda: [layers.RandomBrightness(0.2)]),
        "color": Rival({"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.02}, lambda: [color_jitter()]),
        "pca": Rival({"pca": 0.1}),
        "erase": Rival({"erase": 0.5}, lambda: [erasing()]),
        "randaugment": Rival({"randaugment": 9.0}, lambda: [layers.RandAugment(num_ops=2, factor=0.9)]),
        "trivial_augment": Rival({"trivial_augment": True}),
        "mixup": Rival({"mixup": 0.2}, lambda: [layers.MixUp(0.2)]),
        "cutmix": Rival({"cutmix": 1.0}, lambda: [layers.CutMix(1.0)]),
    }


def described(options: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}={str(value).lower()}`" for key, value in options.items())


def color_jitter() -> Any:
    """Keras's colour jitter with the ranges of the default policy."""
    from keras import layers

    return layers.RandomColorJitter((0, 255), 0.2, 0.2, (0.4, 0.6), 0.02)


def train_view(size: int, **changes: Any) -> Step:
    """The training view of a policy, on an element of the source and its position."""
    import tensorflow as tf

    from regraft.augment.policy import AugmentPolicy, make_train_view

    view = make_train_view(AugmentPolicy(**changes), size)
    return lambda *photo_and_position: view(*photo_and_position[:-1], tf.stack([0, photo_and_position[-1]]))


def our_steps(options: Mapping[str, Any]) -> tuple[Step | None, Step | None]:
    """What maps an image and what maps a batch, of the one row of the table that these options turn on."""
    import tensorflow as tf

    from regraft.augment.table import AUGMENTATIONS, defaults

    (row,) = (row for row in AUGMENTATIONS.values() if set(options) <= set(row.options))
    op = row.build({**defaults(), **dict.fromkeys(row.switches or row.options, 0), **options})
    if row.stage == "image":
        return (lambda image, position: op(image, tf.stack([0, position]))), None
    return None, lambda images, position: op(images, labels_of_batch(), tf.stack([0, position]))[0]


def on_batch(layers: list[Any]) -> Step:
    """Keras layers, one after the other, on a batch."""
    import tensorflow as tf

    mixing = any(type(layer).__name__ in ("MixUp", "CutMix") for layer in layers)

    def step(images: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        data = {"images": images, "labels": labels_of_batch()} if mixing else images
        for layer in layers:
            data = layer(data, training=True)
        return data["images"] if mixing else data

    return step


def labels_of_batch() -> Any:
    import tensorflow as tf

    return tf.one_hot(tf.range(BATCH) % 4, 4)


def pipeline(source: Any, on_image: Step | None, on_whole_batch: Step | None, cores: int) -> Iterator[Any]:
    """Endless batches of what the steps make of `source`; each is also given its position (int32)."""
    import tensorflow as tf

    positions = tf.data.Dataset.range(2**31 - 1).map(lambda position: tf.cast(position, tf.int32))

    def map_image(item: Any, position: tf.Tensor) -> tf.Tensor:
        items = item if isinstance(item, tuple) else (item,)
        return on_image(*items, position) if on_image else item

    dataset = tf.data.Dataset.zip(source, positions).map(map_image, num_parallel_calls=cores)
    dataset = dataset.batch(BATCH, drop_remainder=True)
    if on_whole_batch:
        dataset = tf.data.Dataset.zip(dataset, positions).map(on_whole_batch, num_parallel_calls=cores)
    options = tf.data.Options()
    options.autotune.enabled = False
    return iter(dataset.prefetch(1).with_options(options))


def take_turns(
    rows: Mapping[str, Iterator[Any]], options: argparse.Namespace, clock: Callable[[], float]
) -> dict[str, np.ndarray]:
    """Seconds an image of each row, in each round, by this clock."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(options.rounds + 1):
        for name, batches in rows.items():
            taken = time_of_image(batches, options.seconds, clock)
            if number:  # the first round warms up
                seconds[name].append(taken)
    return {name: np.array(taken) for name, taken in seconds.items()}


def time_of_image(batches: Iterator[Any], seconds: float, clock: Callable[[], float]) -> float:
    """Seconds an image; before the clock starts, what waits already is drawn."""
    wait_until_idle()
    for _ in range(4):
        next(batches)
    started, end, count = clock(), time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        next(batches)
        count += BATCH
    return (clock() - started) / count


def wait_until_idle() -> None:
    """Returns when this process does nothing any more: the row before fills its buffers first."""
    before = -1.0
    while time.process_time() - before > 0.005:
        before = time.process_time()
        time.sleep(0.1)


def spread(values: np.ndarray, form: str) -> str:
    """Median, lowest and highest."""
    low, middle, high = (format(value, form) for value in (values.min(), np.median(values), values.max()))
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    main()
