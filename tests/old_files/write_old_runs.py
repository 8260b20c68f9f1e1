"""Trains, exports and predicts with the code of the commit that README.md names: `write_old_runs.py PHOTOS OUT`.

A script of its own, as that code cannot live in one process with today's. It leaves a run, two ensembles, exports of
the run and of one ensemble, and beside each, as `NAME.csv`, what it answers to PHOTOS.
"""

from __future__ import annotations

import sys
from pathlib import Path

from regraft.cli import main

TRAINING = ("--backbone", "tiny", "--set", "head.l2=[0.1]", "--set", "data.select_fraction=0.3", "--recipe", "quick")


def run(*words: object) -> None:
    sys.argv = ["regraft", *map(str, words)]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise


def write_runs(photos: str, out: Path) -> None:
    run("train", photos, *TRAINING, "--out", out / "quick")
    run("ensemble", photos, *TRAINING, "--kind", "heads", "--members", 2, "--no-rival", "--out", out / "heads")
    short = ("--backbone", "tiny", "--epochs", 1, "--set", "finetune.batch_size=8", "--set", "head.l2=[1e6]")
    run("ensemble", photos, *short, "--kind", "independent", "--members", 2, "--no-rival", "--out", out / "independent")
    for format in ("saved_model", "litert", "onnx", "openvino"):
        run("export", out / "quick", "--format", format, "--out", out / format)
    run("export", out / "heads", "--format", "litert", "--out", out / "heads_litert")
    for name in ("saved_model", "litert", "onnx", "openvino", "heads_litert"):
        run("predict", out / name, photos, "--out", out / f"{name}.csv", "--all-probabilities")
    for name in ("quick", "heads", "independent"):
        words = ("--all-probabilities", "--runtime", "tensorflow")
        run("predict", out / name, photos, "--out", out / f"{name}.csv", *words)


if __name__ == "__main__":
    write_runs(sys.argv[1], Path(sys.argv[2]))
