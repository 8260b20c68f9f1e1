"""What the Python interface and the command line cost before they do anything, and one answer of an open model.

`import regraft`, `regraft --help` and Python alone take turns as processes of their own, and the difference to Python
alone is shown. Then a MobileNetV2 (or another backbone; its weights do not matter for speed) is trained on generated
photos, exported to LiteRT and opened by `regraft.load`, which answers one JPEG of 500x375 pixels again and again.

    python benchmarks/interface.py --rounds 15
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import regraft

START = {
    "python alone": ["-c", "pass"],
    "import regraft": ["-c", "import regraft"],
    "regraft --help": ["-P", "-m", "regraft", "--help"],
}


def main() -> None:
    options = _parse()
    _show_starts(options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        _show_answers(Path(folder), options.backbone, options.rounds)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--backbone", default="mobilenet_v2")
    return parser.parse_args()


def _show_starts(rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in START}
    for _ in range(rounds + 1):  # the first warms the disk's cache
        for name, words in START.items():
            seconds[name].append(_seconds(lambda words=words: _run(words)))
    print("| process | milliseconds, median (range) | over Python alone |\n|---|---|---|")
    for name, values in seconds.items():
        over = [1000 * (own - bare) for own, bare in zip(values[1:], seconds["python alone"][1:], strict=True)]
        print(f"| {name} | {_spread([1000 * value for value in values[1:]])} | {_spread(over)} |")


def _run(words: Sequence[str]) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


def _show_answers(folder: Path, backbone: str, rounds: int) -> None:
    photos = _draw_photos(folder / "photos")
    run = regraft.train(
        folder / "photos", recipe="quick", backbone=backbone, weights="none", set={"head.l2": [0.1]},
        out=folder / "run", progress=False,
    )  # fmt: skip
    regraft.export(run, "litert", progress=False)
    started = time.perf_counter()
    model = regraft.load(run, runtime="litert")
    first = 1000 * (time.perf_counter() - started)
    image, encoded = Image.open(photos[0]).convert("RGB"), photos[0].read_bytes()
    given = {"a path": photos[0], "bytes": encoded, "a PIL image": image, "an array": np.asarray(image)}
    print(f"\n{model}: opened in {first:.0f} ms, in a process that has TensorFlow already\n")
    print("| one photo as | milliseconds, median (range) |\n|---|---|")
    for name, photo in given.items():
        model.predict(photo)
        values = [1000 * _seconds(lambda photo=photo: model.predict(photo)) for _ in range(10 * rounds)]
        print(f"| {name} | {_spread(values)} |")


def _draw_photos(folder: Path) -> list[Path]:
    rng, paths = np.random.default_rng(0), []
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            small = Image.fromarray(rng.integers(0, 256, (15, 20, 3), np.uint8))
            paths.append(folder / name / f"{number}.jpg")
            small.resize((500, 375), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


if __name__ == "__main__":
    main()
