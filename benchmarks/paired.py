"""One checkout against another: what `predict` and `train` take in both, in turns, as the ratio of each pair.

Both checkouts need `make types` and run under the Python of this process, each in processes of its own with the same
model and photos, and a cache of its own. Training starts with an empty cache each time. The first round of each job is
left out, as it warms the disk's cache.

    git worktree add ../before COMMIT && make -C ../before types && make types
    python benchmarks/paired.py ../before . --images 5000 --rounds 5
    python benchmarks/paired.py ../before . --train photos/ --weights mobilenet_v2.h5 --rounds 5
    python benchmarks/paired.py ../before . --train photos/ --phase export    # that phase alone, features cached
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (500, 375)


def main() -> None:
    options = _parse()
    with tempfile.TemporaryDirectory() as folder:
        scratch = options.scratch or Path(folder)
        if options.train:
            part = f", {options.phase}" if options.phase else ""
            jobs = {f"train --recipe quick {options.train.name}{part}": _training(options, scratch)}
        else:
            jobs = _predictions(options, scratch)
        print("| job | before, seconds: median (range) | after | after / before: median (range) |\n|---|---|---|---|")
        for name, job in jobs.items():
            print(f"| {name} | {_compare(job, options)} |", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--runtime", nargs="*", default=["litert"])
    parser.add_argument("--train", type=Path, help="time training on this folder instead of predicting")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--phase", help="of training, compared instead of the whole; the cache is kept")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of the recipe that is trained")
    parser.add_argument(
        "--scratch", type=Path, help="folder for cache and runs  [default: a new one, removed at the end]"
    )
    return parser.parse_args()


def _predictions(options: argparse.Namespace, scratch: Path) -> dict[str, Callable[[Path], float | None]]:
    """Predicting from a folder to CSV, on each runtime, with a model that the earlier checkout trained."""
    photos, run = _draw_photos(scratch / "photos", options.images), scratch / "run"
    small = _draw_photos(scratch / "small/one", 12).parent
    _draw_photos(small / "two", 12, seed=1)
    _regraft(
        options.before, scratch, "train", small, "--recipe", "quick", "--backbone", options.backbone,
        "--weights", "none", "--set", "head.l2=[0.1]", "--out", run,
    )  # fmt: skip
    for runtime in options.runtime:
        if runtime != "tensorflow":
            _regraft(options.before, scratch, "export", run, "--format", runtime)

    def job(runtime: str) -> Callable[[Path], None]:
        def predict(checkout: Path) -> None:
            out = scratch / "answers.csv"
            _regraft(checkout, scratch, "predict", run, photos, "--runtime", runtime, "--out", out)
            out.unlink()

        return predict

    return {f"predict {options.images:,} photos, {runtime}": job(runtime) for runtime in options.runtime}


def _training(options: argparse.Namespace, scratch: Path) -> Callable[[Path], float | None]:
    """A training, which returns the seconds of `--phase` if there is one."""

    def train(checkout: Path) -> float | None:
        out = scratch / "run"
        if not options.phase:
            shutil.rmtree(scratch / f"cache-{checkout.resolve().name}", ignore_errors=True)
        _regraft(
            checkout, scratch, "train", options.train, "--recipe", "quick", "--backbone", options.backbone,
            "--weights", options.weights, "--out", out, *(word for edit in options.set for word in ("--set", edit)),
        )  # fmt: skip
        seconds: dict[str, float] = json.loads((out / "metrics.json").read_text("utf-8"))["seconds_by_phase"]
        shutil.rmtree(out)
        return seconds[options.phase] if options.phase else None

    return train


def _compare(job: Callable[[Path], float | None], options: argparse.Namespace) -> str:
    pairs = []
    for number in range(options.rounds + 1):
        order = [options.before, options.after][:: 1 if number % 2 else -1]  # who begins is at an advantage, or not
        seconds = {checkout: _seconds(lambda checkout=checkout: job(checkout)) for checkout in order}
        pairs.append((seconds[options.before], seconds[options.after]))
    before, after = zip(*pairs[1:], strict=True)
    ratios = [mine / theirs for theirs, mine in pairs[1:]]
    return f"{_spread(before, 1)} | {_spread(after, 1)} | {_spread(ratios, 3)}"


def _regraft(checkout: Path, scratch: Path, *words: object) -> None:
    root = checkout.resolve()
    cache = scratch / f"cache-{root.name}"
    environment = {**os.environ, "PYTHONPATH": str(root / ".types"), "REGRAFT_CACHE": str(cache)}
    command = [sys.executable, "-P", "-m", "regraft", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")


def _draw_photos(folder: Path, count: int, *, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (15, 20, 3), np.uint8))
        small.resize(SIZE, Image.Resampling.BICUBIC).save(folder / f"{number:05d}.jpg", quality=90)
    return folder


def _seconds(call: Callable[[], float | None]) -> float:
    """What `call` says that it took, else what it took."""
    started = time.perf_counter()
    said = call()
    return time.perf_counter() - started if said is None else said


def _spread(values: Sequence[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


if __name__ == "__main__":
    main()
