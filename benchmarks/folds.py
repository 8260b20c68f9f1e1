"""What folds cost and say: `train --recipe quick` with and without them, in turns, each with an empty cache.

python benchmarks/folds.py photos/ --folds 5 --rounds 3
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
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    options = parser.parse_args()
    ratios = []
    print("| round | quick, seconds | accuracy | with folds, seconds | accuracy | ratio |\n|---|---|---|---|---|---|")
    for number in range(1, options.rounds + 1):
        plain, took = _train(options)
        folded, took_folded = _train(options, "--folds", str(options.folds))
        ratios.append(took_folded / took)
        cells = (number, f"{took:.1f}", _accuracy(plain), f"{took_folded:.1f}", _accuracy(folded), f"{ratios[-1]:.2f}")
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print(f"\nRatio: {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")


def _train(options: argparse.Namespace, *more: str) -> tuple[dict[str, Any], float]:
    """What a run says of itself, and its seconds from the start of its process to the end."""
    with tempfile.TemporaryDirectory() as scratch:
        words = ["train", str(options.photos), "--recipe", "quick", "--backbone", options.backbone, "--json", *more]
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "regraft", *words, "--out", f"{scratch}/run"],
            env={**os.environ, "REGRAFT_CACHE": f"{scratch}/cache"},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout), time.perf_counter() - started


def _accuracy(metrics: dict[str, Any]) -> str:
    low, high = 100 * metrics["accuracy_low"], 100 * metrics["accuracy_high"]
    return f"{100 * metrics['accuracy']:.1f} % ({low:.1f} to {high:.1f}) of {metrics['images']:,}"


if __name__ == "__main__":
    main()
