"""Accuracy, wall time and peak memory of `regraft train` over several seeds, as a user would run it.

Each run is a process of its own with an empty cache, so that the time holds everything: start-up, scan, features,
training, report, export and its proof. Configurations alternate within a seed. Finished runs are kept in --out (one
JSON object per line) and not repeated, so the script can be stopped and started again. With --keep, the run
directories stay, as PHOTOS-BACKBONE-WEIGHTS-RECIPE-EDITS-SEED, for `regraft ensemble` to combine; what is there of a
run that was not finished is removed.

    python benchmarks/accuracy.py trashnet6/ --backbone mobilenet_v2 \
        --weights mobilenet_v2_notop.weights.h5 --weights none --recipe quick --recipe balanced --seeds 3 \
        --out trashnet6.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

KEYS = ("photos", "backbone", "weights", "recipe", "edits", "seed")


def main() -> None:
    options = _parse()
    done = _read(options.out)
    for seed in range(options.seeds):
        for weights in options.weights or [""]:
            for recipe in options.recipe or ["balanced"]:
                work = {
                    "photos": Path(options.photos).name,
                    "backbone": options.backbone,
                    "weights": Path(weights).name or "default",
                    "recipe": recipe,
                    "edits": options.edits,
                    "seed": seed,
                }
                if not any(all(row[key] == work[key] for key in KEYS) for row in done):
                    row = work | _measure(options, weights, recipe, seed)
                    done.append(row)
                    with options.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                    print(json.dumps(row), file=sys.stderr, flush=True)
    print(_table(done))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", action="append", metavar="imagenet|none|PATH", help="repeatable")
    parser.add_argument("--recipe", action="append", help="repeatable")
    parser.add_argument("--set", dest="edits", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def _measure(options: argparse.Namespace, weights: str, recipe: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        if options.keep:
            run = options.keep / _name(options, weights, recipe, seed)
            shutil.rmtree(run, ignore_errors=True)
        command = [sys.executable, "-m", "regraft", "train", options.photos, "--backbone", options.backbone]
        command += ["--recipe", recipe, "--seed", str(seed), "--json", "--out", str(run)]
        command += ["--weights", weights] if weights else []
        command += [word for edit in options.edits for word in ("--set", edit)]
        environment = {**os.environ, "REGRAFT_CACHE": f"{folder}/cache"}
        started = time.perf_counter()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            if status:
                raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
            output.seek(0)
            summary = json.load(output)
    shown = {key: summary[key] for key in ("stage", "accuracy", "images", "stages", "seconds_by_phase")}
    return {**shown, "wall_seconds": round(seconds, 1), "peak_mib": usage.ru_maxrss // 1024}


def _name(options: argparse.Namespace, weights: str, recipe: str, seed: int) -> str:
    words = [
        Path(options.photos).name,
        options.backbone,
        Path(weights).stem,
        Path(recipe).stem,
        *options.edits,
        str(seed),
    ]
    return "-".join(re.sub(r"[^\w.=]+", "_", word) for word in words if word)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _table(rows: list[dict[str, Any]]) -> str:
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = (row["photos"], row["backbone"], row["weights"], " ".join([row["recipe"], *row["edits"]]))
        groups.setdefault(key, []).append(row)
    lines = [
        "| photos | backbone | weights | recipe | accuracy, mean (range) | kept | seconds, median (range) | peak MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_line(key, group) for key, group in groups.items()])


def _line(key: tuple[str, ...], group: list[dict[str, Any]]) -> str:
    accuracies = [100 * row["accuracy"] for row in group]
    seconds = [row["wall_seconds"] for row in group]
    stages = sorted({row["stage"] for row in group})
    kept = ", ".join(f"{stage} {sum(row['stage'] == stage for row in group)}/{len(group)}" for stage in stages)
    return (
        f"| {' | '.join(key)} | {statistics.mean(accuracies):.1f} % ({min(accuracies):.1f}–{max(accuracies):.1f}) "
        f"| {kept} | {statistics.median(seconds):.0f} ({min(seconds):.0f}–{max(seconds):.0f}) "
        f"| {max(row['peak_mib'] for row in group):,} |"
    )


if __name__ == "__main__":
    main()
