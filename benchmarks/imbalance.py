"""What class weights, balanced sampling, the focal loss, costs and operating points do where one class is rare.

    python benchmarks/imbalance.py trashnet6/ --rare glass --image-size 128 --epochs 3

For each seed, FOLDER is parted into train, val and test (60, 20, 20 %, duplicates together) by links, and photos of the
rare class are dropped from train and val until the largest class has --ratio times as many. All of the test photos are
kept, so that its recall can be measured; where a number depends on how frequent a class is (accuracy, mean cost), they
count as much as if it were as rare there too. The arms are trained as `regraft compare` trains them; the head of each
run is its first stage. The operating point is that of `regraft threshold` on a `quick` run of its own.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import regraft
from regraft.data.records import Record
from regraft.data.roles import hold_out
from regraft.data.sources import scan_remembered
from regraft.evidence.decision import decide, decision_of_costs
from regraft.machine.arrays import read_arrays
from regraft.progress import Silent

ARMS = {
    "plain": {},
    "class weights": {"finetune.class_weights": "balanced"},
    "balanced sampling": {"finetune.sampling": "balanced"},
    "focal loss": {"finetune.loss": "focal"},
}
HEADS = ("plain", "class weights")  # the heads of the other arms are the same as these

Row = Mapping[str, float]


def make_set(source: Path, root: Path, rare: str, ratio: float, seed: int) -> tuple[str, ...]:
    """Links to the photos of `source` in root/{train,val,test}/<class>, with few of the rare one; the class names."""
    folder = scan_remembered(source, Silent())
    rest, test = hold_out(folder.records, 0.2, seed=seed)
    train, val = hold_out(rest, 0.25, seed=seed)
    random, names = np.random.default_rng(seed), folder.class_names
    for split, records in {"train": train, "val": val, "test": test}.items():
        kept = records if split == "test" else thinned(records, names.index(rare), ratio, random)
        for record in kept:
            target = root / split / names[record.class_index]
            target.mkdir(parents=True, exist_ok=True)
            (target / record.path.name).symlink_to(record.path.absolute())
    return names


def thinned(records: Sequence[Record], rare: int, ratio: float, random: np.random.Generator) -> list[Record]:
    counts = Counter(record.class_index for record in records)
    count = max(2, round(max(counts.values()) / ratio))
    own = [place for place, record in enumerate(records) if record.class_index == rare]
    dropped = set(random.permutation(own)[count:].tolist())
    return [record for place, record in enumerate(records) if place not in dropped]


def numbers(truth: np.ndarray, answers: np.ndarray, rare: int, ratio: float, costs: np.ndarray) -> dict[str, float]:
    """By labels alone: recall and precision of the rare class, and what all of them come to."""
    counts = np.bincount(truth)
    weights = np.where(truth == rare, np.delete(counts, rare).max() / ratio / counts[rare], 1.0)
    is_right, is_given = truth == answers, answers == rare
    recalls = [is_right[truth == label].mean() for label in range(len(counts))]
    hits = (weights * (is_right & is_given)).sum()
    return {
        "recall": float(recalls[rare]),
        "precision": float(hits / max((weights * is_given).sum(), 1e-9)),
        "balanced": float(np.mean(recalls)),
        "accuracy": float(np.average(is_right, weights=weights)),
        "cost": float(np.average(costs[truth, answers], weights=weights)),
    }


def measure(options: argparse.Namespace, seed: int, rows: dict[str, list[Row]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, rare = Path(folder), options.rare
        names = make_set(options.folder, root / "photos", rare, options.ratio, seed)
        position = names.index(rare)
        table = {f"{rare}->{name}": options.ratio for name in names if name != rare}
        by_cost, even = decision_of_costs(table, names), decision_of_costs(dict.fromkeys(table, 1.0), names)
        costs = np.array(by_cost.costs)
        common = {
            "seed": seed, "image_size": options.image_size, "backbone": options.backbone, "progress": False,
        }  # fmt: skip
        regraft.compare(
            root / "photos", arm=ARMS, seeds=1, epochs=options.epochs, out=root / "compared",
            set={"finetune.unfreeze": options.unfreeze}, **common,
        )  # fmt: skip

        def add(name: str, truth: np.ndarray, answers: np.ndarray) -> None:
            rows[name].append(numbers(truth, answers, position, options.ratio, costs))
            print(seed, name, {key: round(value, 3) for key, value in rows[name][-1].items()}, flush=True)

        for arm in ARMS:
            file = root / "compared/runs" / arm.replace(" ", "_") / f"seed-{seed}" / "stages.npz"
            arrays = read_arrays(file)
            for stage, probabilities in zip(arrays["names"].tolist(), arrays["probabilities"], strict=True):
                if stage == "head" and arm not in HEADS:
                    continue
                add(f"{stage}, {arm}", arrays["truth"], decide(probabilities, None))
                if arm == "plain":
                    add(f"{stage}, least expected cost", arrays["truth"], decide(probabilities, by_cost))
                    assert (decide(probabilities, even) == decide(probabilities, None)).all()
        run = regraft.train(root / "photos", recipe="quick", out=root / "run", **common)
        found = regraft.threshold(run, recall={rare: options.recall}, progress=False)
        model = regraft.load(run, runtime="tensorflow")
        files = sorted((root / "photos/test").glob("*/*"))
        truth = np.array([names.index(file.parent.name) for file in files])
        labels = np.array([names.index(each.label) for each in model.predict(files)])
        add(f"head, operating point ({found.chosen.recall.photos} photos of it to go by)", truth, labels)
        shutil.rmtree(root / "run")


def as_table(rows: Mapping[str, Sequence[Row]]) -> str:
    lines = [
        "| trained and decided by | recall of the rare class, mean (range) | its precision | balanced accuracy "
        "| accuracy | mean cost |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in rows.items():
        mean = {key: float(np.mean([row[key] for row in found])) for key in found[0]}
        recalls = [100 * row["recall"] for row in found]
        spread = f"{100 * mean['recall']:.1f} % ({min(recalls):.1f}–{max(recalls):.1f})"
        shares = (f"{100 * mean[key]:.1f} %" for key in ("precision", "balanced", "accuracy"))
        lines.append(f"| {name} | {spread} | {' | '.join(shares)} | {mean['cost']:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rare", required=True, help="the class to make rare")
    parser.add_argument(
        "--ratio", type=float, default=15.0, help="photos of the largest class to those of the rare one"
    )
    parser.add_argument("--recall", type=float, default=0.8, help="that the operating point is to reach")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--unfreeze", type=float, default=0.6)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    options = parser.parse_args()
    rows: dict[str, list[Row]] = defaultdict(list)
    for seed in range(options.seeds):
        measure(options, seed, rows)
    print(as_table(rows))


if __name__ == "__main__":
    main()
