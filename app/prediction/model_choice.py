"""Which network of a run or an export answers, and on which runtime: the one asked for, or the fastest here."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from regraft.errors import RunError, UsageError, option
from regraft.evidence.decision import Decision, decision_of
from regraft.exports.export import (
    RATES,
    Export,
    check_files,
    digests_of,
    find_exports,
    kind_of,
    passed_over,
    read_export,
)
from regraft.exports.format import find_format, first_format
from regraft.exports.runtimes import check_runtime, is_installed
from regraft.exports.table import PRECISIONS
from regraft.exports.tolerance import LABELS, LEAST_KEPT, Tolerance, is_near
from regraft.inference.trained import Look
from regraft.machine import processes
from regraft.machine.devices import check_device, may_have_accelerator
from regraft.machine.drafts import sweep
from regraft.machine.files import digest_file, write_text
from regraft.machine.threads import cores
from regraft.prediction.answerer import Answerer, Wanted, answerer_of_export, answerer_of_run
from regraft.progress import Progress, Silent
from regraft.runs.run import Run, open_run

TOLERANCE = 1e-3
"""How far a probability of what `auto` takes may be from the trained model's, as its proof says."""

FEW = 500
"""Fewer inputs are not worth a word about what would be faster, nor answering several together."""

WORTH_MEASURING = 2.5e10
"""Inputs x bytes of the network: fewer are not worth a measurement, which takes two seconds.

Two cores take some fifteen seconds for as many, of a MobileNetV2 2,800 photos, and what starts soonest is mostly the
fastest, or nearly.
"""

_SECONDS = 1.5
"""What a measurement may take, beside the start of Python."""

_HEAVY = 1.0
"""Seconds: a runtime that takes longer to start is not measured where another one can answer on this processor."""


@dataclass(frozen=True)
class Asked:
    """What a user asks to compute with: arguments of `choose`."""

    runtime: str = "auto"
    precision: str | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Source:
    """What the user named: a run with its exports, or one export."""

    folder: Path
    class_names: tuple[str, ...]
    calibration_file: Path
    is_run: bool
    exports: tuple[Export, ...]
    decision: Decision | None = None


@dataclass(frozen=True)
class ModelChoice:
    """What answers, in words that another process understands.

    Attributes:
        folder: of a run, whose Keras model is taken, or of an export.
        is_run: which of both.
        runtime: its name.
        precision: of the export; "" for the Keras model, which has that of its device.
        device: of TensorFlow.
        batch_size: how many views are answered together; None is as its format says.
    """

    folder: str
    is_run: bool
    runtime: str
    precision: str
    device: str
    batch_size: int | None = None

    @property
    def words(self) -> str:
        """Such as "litert, int8"."""
        return f"{self.runtime}, {self.precision}" if self.precision else self.runtime

    def open(self, wanted: Wanted, *, workers: int | None = None) -> Answerer:
        """The network, opened to answer what is `wanted` on up to `workers` threads."""
        if self.is_run:
            return answerer_of_run(Path(self.folder), self.device, wanted, workers=workers)
        return answerer_of_export(read_export(Path(self.folder)), wanted, workers=workers, batch_size=self.batch_size)

    def digest(self) -> str:
        """Of all the files by which it answers."""
        folder = Path(self.folder)
        total = hashlib.blake2b(digest_size=16)
        for name, digest in _answering_digests(folder, is_run=self.is_run).items():
            total.update(os.fsencode(name) + b"\0")
            total.update(bytes.fromhex(digest))
        return total.hexdigest()


def _answering_digests(folder: Path, *, is_run: bool) -> dict[str, str]:
    """The files that an answer can depend on, with their digests: of an export all but what is measured and told."""
    if not is_run:
        return digests_of(folder)
    run = Run(folder)
    named = (run.model_file, run.labels_file, run.recipe_file, run.calibration_file, run.decision_file)
    return {file.name: digest_file(file) for file in named if file.is_file()}


def open_source(folder: Path, progress: Progress | None = None) -> Source:
    """What is in `folder`: a finished run, or an export. `progress` is told which exports are passed over, and why.

    Raises:
        RunError: neither, or it is damaged.
        UsageError: it was written by a newer Regraft.
    """
    progress = progress or Silent()
    if kind_of(folder) == "export":
        export = read_export(folder, progress)
        return Source(export.folder, export.labels, export.calibration_file, False, (export,), export.decision)
    run = open_run(folder)
    exports = find_exports(run, progress)
    return Source(folder, run.class_names, run.calibration_file, True, tuple(exports), decision_of(run))


def choose(
    source: Source,
    *,
    runtime: str = "auto",
    precision: str | None = None,
    device: str = "auto",
    look: Look | None = None,
    tolerance: Tolerance = TOLERANCE,
    count: int = 0,
    progress: Progress,
) -> ModelChoice:
    """What is to answer.

    Args:
        source: the run or export.
        runtime: "auto" or one of `regraft.exports.table.RUNTIMES`.
        precision: of the export; None takes float32, or with "auto" any that is near enough to the trained model.
        device: anything but "auto" and "cpu" needs TensorFlow.
        look: anything but one plain look needs the Keras model.
        tolerance: of "auto": what `regraft.exports.tolerance.is_near` is asked.
        count: how many inputs there are; a measurement is made for many.
        progress: who is told.

    Raises:
        UsageError: there is no such runtime or precision, it is not installed, or nothing was exported for it.
    """
    _check_precision(precision)
    if runtime != "auto":
        check_runtime(runtime)
    check_device(device)
    if look not in (None, Look()) or not device.startswith(("auto", "cpu")):
        return _only_keras(source, runtime, device)
    while True:
        choice = _choose(source, runtime, precision, device, tolerance, count, progress)
        damage = _damage(source, choice)
        if not damage:
            return choice
        progress.say(passed_over(damage))
        rest = tuple(export for export in source.exports if str(export.folder) != choice.folder)
        source = replace(source, exports=rest)


def _damage(source: Source, choice: ModelChoice) -> RunError | None:
    """What is wrong with the files of the export that is to answer for a run, for which something else may."""
    if not source.is_run or choice.is_run:
        return None
    try:
        check_files(next(export for export in source.exports if str(export.folder) == choice.folder))
    except RunError as error:
        return error
    return None


def _choose(
    source: Source,
    runtime: str,
    precision: str | None,
    device: str,
    tolerance: Tolerance,
    count: int,
    progress: Progress,
) -> ModelChoice:
    candidates = [export for export in source.exports if precision in (None, export.precision)]
    if runtime == "auto":
        return _fastest(source, candidates, device, precision, tolerance, count, progress)
    if runtime == "tensorflow" and source.is_run:
        return _keras(source, device)
    for export in candidates:
        if export.runtime == runtime and (precision or len(source.exports) == 1 or export.precision == "float32"):
            return _of(export, device, count)
    asked = [option("runtime", runtime), *([option("precision", precision)] if precision else [])]
    missing = [option("format", first_format(runtime).name), *asked[1:]]
    has = ", ".join(export.name for export in source.exports) or "none"
    raise UsageError(
        f"{' '.join(asked)} needs an export that {source.folder} has not (it has: {has}): "
        f"regraft export RUN {' '.join(missing)}"
    )


def _check_precision(precision: str | None) -> None:
    if precision and precision not in PRECISIONS:
        raise UsageError(f'{option("precision")} must be one of {", ".join(PRECISIONS)}; received "{precision}".')


def _only_keras(source: Source, runtime: str, device: str) -> ModelChoice:
    if runtime not in ("auto", "tensorflow") or not source.is_run:
        views, draws, uncertainty, device = map(option, ("views", "draws", "uncertainty", "device"))
        raise UsageError(
            f"{views}, {draws}, {uncertainty} of an ensemble and {device} need the run itself on "
            f"{option('runtime', 'tensorflow')}."
        )
    return _keras(source, device)


def _keras(source: Source, device: str) -> ModelChoice:
    return ModelChoice(str(source.folder), True, "tensorflow", "", device)


def _of(export: Export, device: str, count: int) -> ModelChoice:
    together = find_format(export.format).many if count >= FEW else None
    return ModelChoice(str(export.folder), False, export.runtime, export.precision, device, together)


def _shown(tolerance: Tolerance) -> str:
    return f"{100 * LEAST_KEPT:g} % of the labels" if tolerance == LABELS else f"{tolerance:g}"


def _distance(export: Export, tolerance: Tolerance) -> str:
    proof = export.proof
    return f"{proof.same_label} of {proof.images}" if tolerance == LABELS else f"{proof.largest_difference:.2g}"


def _is_heavy(choice: ModelChoice) -> bool:
    return first_format(choice.runtime).start_seconds > _HEAVY


def _fastest(
    source: Source,
    exports: Sequence[Export],
    device: str,
    precision: str | None,
    tolerance: Tolerance,
    count: int,
    progress: Progress,
) -> ModelChoice:
    able = [export for export in exports if is_installed(export.runtime)]
    near = [export for export in able if is_near(export.proof, tolerance)]
    if not source.is_run and not near:
        near = able  # the user named it, so there is nothing to choose
        if exports and not near:
            check_runtime(exports[0].runtime)
    choices = [_of(export, device, count) for export in near]
    if source.is_run and not precision:
        choices.append(_keras(source, device))
    if not may_have_accelerator():
        choices = [choice for choice in choices if not _is_heavy(choice)] or choices
    if not choices:
        found = ", ".join(f"{export.name} {_distance(export, tolerance)}" for export in able) or "none"
        raise UsageError(
            f"No export of {source.folder} is within {_shown(tolerance)} of the trained model (there is: {found}); "
            f"name one with {option('runtime')}, or allow more with {option('tolerance')}."
        )
    if len(choices) == 1:
        if count >= FEW and source.is_run and not exports:
            advice = f"regraft export {shlex.quote(str(source.folder))} {option('format', 'litert')}"
            progress.say(f"Mostly faster than TensorFlow: {advice}")
        return choices[0]
    kept, chosen = _read_rates(source), {choice.folder for choice in choices}
    is_little = count * max(export.bytes for export in near if str(export.folder) in chosen) < WORTH_MEASURING
    if not kept and is_little:
        return min(choices, key=_rank)
    keys = {choice: _key(choice) for choice in choices}  # reads every network
    if all(key in kept for key in keys.values()):
        return max(choices, key=lambda choice: kept[keys[choice]])
    if is_little:
        return min(choices, key=_rank)
    return _measure(source, keys, kept, progress)


def _rank(choice: ModelChoice) -> tuple[float, int]:
    """The less the sooner it answers; of one runtime the more exact first, and what `PRECISIONS` lacks last."""
    order = {name: place for place, name in enumerate(PRECISIONS)}
    return first_format(choice.runtime).start_seconds, order.get(choice.precision or "float32", len(order))


def _measure(
    source: Source, keys: Mapping[ModelChoice, str], kept: Mapping[str, float], progress: Progress
) -> ModelChoice:
    """Times the choices in a process of their own, so that nothing of them stays in memory, and keeps what it found."""
    rates = {choice: kept[key] for choice, key in keys.items() if key in kept}
    missing = sorted((choice for choice in keys if choice not in rates), key=_rank)
    light = [choice for choice in missing if not _is_heavy(choice)]
    for together in (light, *([choice] for choice in missing if _is_heavy(choice))):
        rates |= time_choices(together) if together else {}
    words = ", ".join(f"{choice.words} {rates[choice]:.0f}" for choice in keys if choice in rates)
    best = max(sorted(keys, key=_rank), key=lambda choice: rates.get(choice, 0.0))
    progress.say(f"Images per second here, from memory: {words}. Taking {best.words}.")
    _keep_rates(source, {**kept, **{keys[choice]: rate for choice, rate in rates.items()}})
    return best


def time_choices(choices: Sequence[ModelChoice], seconds: float = _SECONDS) -> dict[ModelChoice, float]:
    """Views per second, from memory, of those that there is time for; 0 for what does not run here.

    Empty where the process that measures them ran out of time.
    """
    order = json.dumps({"choices": [vars(choice) for choice in choices], "seconds": seconds})
    options: dict[str, Any] = {"input": order, "capture_output": True, "text": True, "timeout": 300}
    try:
        done = processes.run("time_network", environment={"TF_CPP_MIN_LOG_LEVEL": "3"}, **options)
    except subprocess.SubprocessError:
        return {}  # a busy moment decides nothing for good
    rates = {}
    for line in done.stdout.splitlines():
        place, rate = line.split()
        rates[choices[int(place)]] = 0.0 if rate == "begins" else float(rate)  # what kills the process has no rate
    return rates


def _rates_file(source: Source) -> Path:
    return (Run(source.folder).exports if source.is_run else source.folder) / RATES


def _key(choice: ModelChoice) -> str:
    """What a rate depends on: the network, the machine, the runtime's version."""
    machine = f"{platform.node()} {platform.machine()} {cores()}"
    package = first_format(choice.runtime).package
    return f"{choice.digest()} {choice.words} {choice.device} {version(package)} on {machine}"


def _read_rates(source: Source) -> dict[str, float]:
    """What was measured before; what is no rate is left out."""
    try:
        kept = json.loads(_rates_file(source).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    rates = kept.items() if isinstance(kept, dict) else ()
    return {key: rate for key, rate in rates if isinstance(rate, float) and math.isfinite(rate)}


def _keep_rates(source: Source, rates: Mapping[str, float]) -> None:
    file = _rates_file(source)
    try:
        sweep(file.parent)
        write_text(file, json.dumps(rates, indent=2) + "\n")
    except OSError:
        return  # a read-only export is measured each time
