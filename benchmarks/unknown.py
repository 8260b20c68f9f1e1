"""How often `predict --unknown-at` is wrong, and what it says of a class it has never seen.

    python benchmarks/unknown.py flowers5_128/ --backbone mobilenet_v2 --weights V2.weights.h5 --image-size 160 \
        --val-fraction 0.4 --seeds 3

For each seed and each class of FOLDER in turn (at most --left-out of them): the other classes are parted into photos
to train on (which `train` parts again, and calibrates on its reported part) and photos that are new to the run; a
`quick` run is trained, and answers the new photos and those of the class that was left out, at each error rate. The
error is the part of new photos whose true class is not in the prediction set; beside it stand the 99 % intervals around
the chosen rate: the binomial one, and the one that knows that the rule was calibrated on a sample, too.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import betabinom, binom

import regraft
from regraft.data.roles import hold_out
from regraft.data.sources import scan_remembered
from regraft.prediction.model_choice import open_source
from regraft.prediction.predict import unknown_rule
from regraft.prediction.sources.expand import expand_inputs
from regraft.progress import Silent

RATES = (0.01, 0.05, 0.1)
NEW_PART = 0.2


def part_photos(source: Path, root: Path, left_out: str, seed: int) -> None:
    """Links into root/train/<class>, root/new/<class> and root/other; near-duplicates stay on one side."""
    folder = scan_remembered(source, Silent())
    known = [record for record in folder.records if folder.class_names[record.class_index] != left_out]
    _, new = hold_out(known, NEW_PART, seed=seed)
    for record in folder.records:
        name = folder.class_names[record.class_index]
        target = root / "other" if name == left_out else root / ("new" if record in new else "train") / name
        target.mkdir(parents=True, exist_ok=True)
        (target / record.path.name).symlink_to(record.path.absolute())


def measure(options: argparse.Namespace, passed: list[str], left_out: str, seed: int) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        part_photos(options.folder, root, left_out, seed)
        command = [sys.executable, "-m", "regraft", "train", str(root / "train"), "--recipe", "quick", *passed]
        subprocess.run([*command, "--seed", str(seed), "--out", str(root / "run")], capture_output=True, check=True)
        source = open_source(root / "run")
        names, model = source.class_names, regraft.load(root / "run")
        files = {part: [item.file for item in expand_inputs([str(root / part)])] for part in ("new", "other")}
        known, other = (model.predict(files[part]) for part in ("new", "other"))
        truths = [Path(answer.path).parent.name for answer in known]
        rows = []
        for rate in RATES:
            rule = unknown_rule(source, rate)
            said = [rule.answer(answer.scores, names) for answer in known]
            said_of_other = [rule.answer(answer.scores, names)[0] for answer in other]
            wrong = [label not in ("unknown", truth) for (label, _), truth in zip(said, truths, strict=True)]
            rows.append(
                {
                    "rate": rate,
                    "photos": len(known),
                    "calibrated_on": rule.photos,
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
        "| chosen | error, all together (range) | 99 % interval: photos alone | inside | and calibration | inside "
        '| wrong label given | "unknown", known classes | "unknown", left-out class |',
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for rate in RATES:
        own = [row for row in rows if row["rate"] == rate]
        parts = [row["errors"] / row["photos"] for row in own]
        whole = sum(row["errors"] for row in own) / sum(row["photos"] for row in own)
        cells = [f"{rate:g}", f"{whole:.3f} ({min(parts):.3f}–{max(parts):.3f})"]
        for interval in (of_photos, of_photos_and_calibration):
            low, high = (edge / own[0]["photos"] for edge in interval(own[0]))
            inside = sum(interval(row)[0] <= row["errors"] <= interval(row)[1] for row in own)
            cells += [f"{low:.3f}–{high:.3f}", f"{inside} of {len(own)}"]
        cells += [
            f"{100 * statistics.mean(row[key] for row in own):.1f} %"
            for key in ("wrong", "unknown_known", "unknown_other")
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def of_photos(row: dict[str, float]) -> tuple[float, float]:
    """Errors of a rule that errs at exactly the chosen rate."""
    return binom.interval(0.99, int(row["photos"]), row["rate"])


def of_photos_and_calibration(row: dict[str, float]) -> tuple[float, float]:
    """Errors of a rule that was calibrated on so many photos itself: a beta-binomial distribution."""
    allowed = math.floor((row["calibrated_on"] + 1) * row["rate"] + 1e-9)
    return betabinom.interval(0.99, int(row["photos"]), allowed, row["calibrated_on"] + 1 - allowed)


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
