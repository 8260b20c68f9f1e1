"""How often `predict --unknown-at` is wrong, and what it says of a class it has never seen.

    python benchmarks/unknown.py flowers5_128/ --backbone mobilenet --weights V1_025.h5 --set model.alpha=0.25 \
        --image-size 128 --seeds 3

For each seed and each class of FOLDER in turn (at most --left-out of them): the other classes are parted into photos
to train on (which `train` parts again, and calibrates on its reported part) and photos that are new to the run; a
`quick` run is trained, and answers the new photos and those of the class that was left out, at each error rate. The
error is the part of new photos whose true class is not in the prediction set; beside it stands the binomial 99 %
interval around the chosen rate.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import binom

from regraft.predict import expand_inputs, predict_files, unknown_rule
from regraft.progress import Silent
from regraft.trained import open_trained

RATES = (0.01, 0.05, 0.1)
NEW_PART = 0.3


def part_photos(source: Path, root: Path, left_out: str, seed: int) -> None:
    """Links into root/train/<class>, root/new/<class> and root/other."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        photos = sorted(path for path in folder.iterdir() if path.is_file())
        order = np.random.default_rng([seed, len(photos)]).permutation(len(photos))
        for place, number in enumerate(order):
            if folder.name == left_out:
                target = root / "other"
            else:
                target = root / ("new" if place < NEW_PART * len(photos) else "train") / folder.name
            target.mkdir(parents=True, exist_ok=True)
            (target / photos[number].name).symlink_to(photos[number].absolute())


def measure(options: argparse.Namespace, passed: list[str], left_out: str, seed: int) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        part_photos(options.folder, root, left_out, seed)
        command = [sys.executable, "-m", "regraft", "train", str(root / "train"), "--recipe", "quick", *passed]
        subprocess.run([*command, "--seed", str(seed), "--out", str(root / "run")], capture_output=True, check=True)
        trained = open_trained(root / "run")
        names = trained.run.class_names
        known, other = (
            list(predict_files(expand_inputs([str(root / part)], ()), trained, Silent())) for part in ("new", "other")
        )
        truths = [Path(answer.path).parent.name for answer in known]
        rows = []
        for rate in RATES:
            rule = unknown_rule(trained.run, rate)
            said = [rule.answer(answer.scores, names) for answer in known]
            said_of_other = [rule.answer(answer.scores, names)[0] for answer in other]
            wrong = [label not in ("unknown", truth) for (label, _), truth in zip(said, truths, strict=True)]
            rows.append(
                {
                    "rate": rate,
                    "photos": len(known),
                    "errors": sum(truth not in possible for (_, possible), truth in zip(said, truths, strict=True)),
                    "wrong": float(np.mean(wrong)),
                    "unknown_known": float(np.mean([label == "unknown" for label, _ in said])),
                    "unknown_other": float(np.mean([label == "unknown" for label in said_of_other])),
                }
            )
            print(left_out, seed, rows[-1], file=sys.stderr, flush=True)
        return rows


def table(rows: list[dict[str, float]]) -> str:
    lines = [
        "| chosen | error, all together (range) | 99 % interval of one trial | inside | wrong label given "
        '| "unknown", known classes | "unknown", left-out class |',
        "|---|---|---|---|---|---|---|",
    ]
    for rate in RATES:
        own = [row for row in rows if row["rate"] == rate]
        parts = [row["errors"] / row["photos"] for row in own]
        whole = sum(row["errors"] for row in own) / sum(row["photos"] for row in own)
        inside = sum(interval(row, rate)[0] <= row["errors"] <= interval(row, rate)[1] for row in own)
        low, high = (edge / own[0]["photos"] for edge in interval(own[0], rate))
        cells = [
            f"{rate:g}",
            f"{whole:.3f} ({min(parts):.3f}–{max(parts):.3f})",
            f"{low:.3f}–{high:.3f}",
            f"{inside} of {len(own)}",
            *(
                f"{100 * statistics.mean(row[key] for row in own):.1f} %"
                for key in ("wrong", "unknown_known", "unknown_other")
            ),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def interval(row: dict[str, float], rate: float) -> tuple[float, float]:
    low, high = binom.interval(0.99, int(row["photos"]), rate)
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--left-out", type=int, default=3, help="how many classes take their turn")
    parser.add_argument("--seeds", type=int, default=3)
    options, passed = parser.parse_known_args()  # the rest goes to regraft train
    names = sorted(path.name for path in options.folder.iterdir() if path.is_dir())[: options.left_out]
    print(
        table([row for seed in range(options.seeds) for name in names for row in measure(options, passed, name, seed)])
    )


if __name__ == "__main__":
    main()
