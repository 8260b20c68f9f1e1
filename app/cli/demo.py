"""The whole job on real scans that come with scikit-learn, by the commands a user would type."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from regraft.cli.shown import accuracy_words
from regraft.errors import RegraftError, UsageError
from regraft.machine import processes
from regraft.machine.drafts import draft_folder, sweep
from regraft.machine.files import check_makeable, make_folder, write_text
from regraft.runs.run import Run

MARK = "regraft-demo.txt"
_MARK_TEXT = "regraft demo made this folder, and writes into it when it runs again.\n"
_SIDE_PX = 32
_DIGITS = 1797
_INK = 16  # the digits' grey levels go from 0 (paper) to 16 (ink)


def write_digits(folder: Path) -> int:
    """Writes scikit-learn's 1,797 handwritten digits as FOLDER/<digit>/<number>.png and returns how many.

    Each 8x8 scan is enlarged to 32x32, dark ink on white paper. Source: Alpaydin & Kaynak 1998, UCI repository.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (scan, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        grey = (255 - scan / _INK * 255).astype(np.uint8)
        path = folder / str(digit) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC).save(path)
    return len(digits.target)


def run_demo(out: Path, say: Callable[[str], None]) -> None:
    """Runs check, train, evaluate, export and predict on the digits below `out`, saying each command first.

    Raises:
        RegraftError: `out` holds what no demo made, or one of the commands failed; what it said is on stderr.
    """
    _take(out)
    photos, stamp = out / "digits", f"{datetime.now():%Y%m%d-%H%M%S}"
    run, answers = out / f"run-{stamp}", out / f"predictions-{stamp}.csv"
    if not photos.exists():
        with draft_folder(out) as draft:
            write_digits(draft)
            draft.rename(photos)  # not on the disk yet, for which 1,797 files take seconds
    say(f"{_DIGITS:,} handwritten digits are in {photos}/, one sub-folder per class.")
    for command in (
        ["check", photos],
        ["train", photos, "--backbone", "tiny", "--set", "augment.flip=false", "--out", run],
        ["evaluate", run],
        ["export", run],
        ["predict", run, photos, "--out", answers],
    ):
        _run([str(word) for word in command], say)
    metrics = Run(run).metrics
    accuracy = accuracy_words(metrics)
    say(
        f"\nAccuracy                             {accuracy} on {metrics.images} scans it never saw"
        f"\nEverything behind it                 {run}/report.html"
        f"\nThe export, for TensorFlow Serving   {run}/saved_model"
        f"\nOne row per photo                    {answers}"
        f"\nNow with your photos                 regraft train PHOTOS --backbone tiny"
    )


def _take(out: Path) -> None:
    """Makes the demo's folder, and marks it. Raises UsageError where something is in the way that no demo made."""
    if os.path.lexists(out) and not out.is_dir():
        raise UsageError(f"{out} is no folder; choose another --out.")
    check_makeable(out / MARK)
    make_folder(out)
    sweep(out)
    is_ours = (out / MARK).is_file() and (out / MARK).read_bytes() == _MARK_TEXT.encode()
    if not is_ours and any(out.iterdir()):
        raise UsageError(f"{out} holds what regraft demo did not make; choose another --out.")
    if not is_ours:
        write_text(out / MARK, _MARK_TEXT)


def _run(words: list[str], say: Callable[[str], None]) -> None:
    say(f"\n$ {shlex.join(['regraft', *words])}")
    finished = processes.run("regraft", *words)
    if finished.returncode:
        raise RegraftError(f"The demo stopped: regraft {words[0]} ended with exit code {finished.returncode}.")
