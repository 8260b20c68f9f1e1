"""Ensembles beside single models of the same budget: accuracy, calibration, seconds of training, images per second.

    python benchmarks/ensemble.py flowers5_128/ --backbone mobilenet --weights V1_025.h5 --set model.alpha=0.25 \
        --image-size 128 --epochs 4 --members 5 --heads 10 --seeds 3 --out flowers_ensembles

For each seed, on one split: a single model of E epochs, a single model of M x E epochs (the same budget), M snapshots
of one cyclic run of M x E epochs, M independent members of E epochs, their greedy soup, heads on the frozen
backbone's features, and ten views of each photo by the single model. What is finished is not trained again, so it
can be interrupted. Writes results.jsonl and results.md into --out. Speeds are measured in turns, from memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 7
BATCH = 30
NAMES = {
    "single": "single, {e} epochs",
    "same-budget": "single, same budget ({b} epochs)",
    "snapshot": "snapshot x{m}",
    "independent": "independent x{m}",
    "soup": "soup of the independent",
    "views": "single, ten views (TTA)",
    "one head": "one head, frozen backbone",
    "heads": "heads x{h}, frozen backbone",
}


def regraft(*words: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "regraft", *map(str, words), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def finished(out: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the run in `out` came to, made first if it is not there."""
    if not (out / "metrics.json").is_file():
        make()
    return json.loads((out / "metrics.json").read_text("utf-8"))


def measure_seed(options: argparse.Namespace, passed: Sequence[str], seed: int) -> list[dict[str, Any]]:
    folder, epochs, members = options.out / f"seed-{seed}", options.epochs, options.members
    folder.mkdir(parents=True, exist_ok=True)

    def ensemble(name: str, *words: object) -> dict[str, Any]:
        out = folder / name
        resume = ("--resume",) if (out / "recipe.toml").is_file() else ()
        return finished(
            out, lambda: regraft("ensemble", options.folder, *passed, "--seed", seed, *words, "--out", out, *resume)
        )

    independent = ensemble("independent", "--kind", "independent", "--members", members, "--epochs", epochs)
    snapshot = ensemble(
        "snapshot", "--kind", "snapshot", "--members", members, "--epochs", members * epochs, "--no-rival"
    )
    heads = ensemble("heads", "--kind", "heads", "--members", options.heads, "--recipe", "quick")
    runs = [folder / "independent/members" / f"member-{number}" for number in range(1, members + 1)]
    soup = finished(folder / "soup", lambda: regraft("ensemble", *runs, "--kind", "soup", "--out", folder / "soup"))
    views = finished(
        folder / "views", lambda: regraft("evaluate", runs[0], "--views", "ten", "--out", folder / "views")
    )
    seconds = [json.loads((run / "metrics.json").read_text("utf-8"))["seconds"] for run in runs]
    rival = json.loads((folder / "independent/members/same-budget/metrics.json").read_text("utf-8"))
    cyclic = json.loads((folder / "snapshot/members/cyclic/metrics.json").read_text("utf-8"))
    frozen = heads["seconds_by_phase"]
    grafted = frozen["features"] + frozen["head"]
    speeds = compare_speeds(folder, runs[0])
    first = json.loads((runs[0] / "metrics.json").read_text("utf-8"))
    rows = {
        "single": (first, seconds[0]),
        "same-budget": (rival, rival["seconds"]),
        "snapshot": (snapshot, cyclic["seconds"]),
        "independent": (independent, sum(seconds)),
        "soup": (soup, sum(seconds)),
        "views": (views, seconds[0]),
        "one head": (heads["ensemble"]["same_budget"], grafted + frozen["augmented features"]),
        "heads": (heads, grafted + frozen["augmented features"] + frozen["heads"]),
    }
    return [
        {
            "seed": seed,
            "row": name,
            **{key: figures[key] for key in ("accuracy", "log_loss", "calibration_error")},
            "seconds": spent,
            **speeds[name],
        }
        for name, (figures, spent) in rows.items()
    ]


def compare_speeds(folder: Path, single: Path) -> dict[str, dict[str, float]]:
    """Images per second from memory, in turns, and the share of the single model's, median with its range."""
    from regraft.inference.trained import Look, open_trained

    rng = np.random.default_rng(0)
    opened = {
        "single": open_trained(single),
        "snapshot": open_trained(folder / "snapshot"),
        "independent": open_trained(folder / "independent"),
        "soup": open_trained(folder / "soup"),
        "heads": open_trained(folder / "heads"),
        "views": open_trained(single, look=Look("ten")),
    }
    size = opened["single"].reader.image_size
    shapes = {name: (BATCH // 10, 10) if name == "views" else (BATCH,) for name in opened}
    images = {name: rng.uniform(0, 255, (*shapes[name], size, size, 3)).astype(np.float32) for name in opened}
    seconds: dict[str, list[float]] = {name: [] for name in opened}
    for turn in range(ROUNDS + 1):
        for name, trained in opened.items():
            start = time.perf_counter()
            trained.infer(images[name])
            if turn:  # the first traces
                seconds[name].append((time.perf_counter() - start) / shapes[name][0])
    base = np.array(seconds["single"])
    speeds = {}
    for name, spent in seconds.items():
        shares = base / np.array(spent)
        speeds[name] = {
            "images_per_second": 1 / statistics.median(spent),
            "share": float(np.median(shares)),
            "share_low": float(shares.min()),
            "share_high": float(shares.max()),
        }
    return speeds | {"same-budget": speeds["single"], "one head": speeds["single"]}


def table(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> str:
    names = {"e": options.epochs, "m": options.members, "b": options.epochs * options.members, "h": options.heads}
    lines = [
        "| | accuracy, mean (range) | log loss | calibration error | training, s | images/s | of the single's |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, title in NAMES.items():
        own = [row for row in rows if row["row"] == key]
        accuracy = [100 * row["accuracy"] for row in own]
        low, high = min(row["share_low"] for row in own), max(row["share_high"] for row in own)
        cells = [
            title.format(**names),
            f"{statistics.mean(accuracy):.1f} % ({min(accuracy):.1f}–{max(accuracy):.1f})",
            f"{statistics.mean(row['log_loss'] for row in own):.3f}",
            f"{100 * statistics.mean(row['calibration_error'] for row in own):.1f} %",
            f"{statistics.median(row['seconds'] for row in own):.0f}",
            f"{statistics.median(row['images_per_second'] for row in own):.0f}",
            f"{statistics.median(row['share'] for row in own):.2f} ({low:.2f}–{high:.2f})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=4, help="of a member")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--heads", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options, passed = parser.parse_known_args()  # the rest goes to regraft ensemble
    rows = [row for seed in range(options.seeds) for row in measure_seed(options, passed, seed)]
    (options.out / "results.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    text = table(rows, options)
    (options.out / "results.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
