"""Whether an ensemble is worth its cost: gains with intervals, images per second, a sentence, files and a picture."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.ensembles.combination import CurvePoint, accuracy_by_size, disagreement
from regraft.evidence.calibration import expected_calibration_error
from regraft.evidence.drawing import COLORS, legend_below, make_figure, plain_axes
from regraft.evidence.intervals import accuracy_difference
from regraft.evidence.losses import losses_of
from regraft.evidence.paired import Difference, training_difference, verdict
from regraft.evidence.report import ReportSection
from regraft.inference.views import make_infer, softmax
from regraft.machine.devices import Device
from regraft.machine.files import atomic_file, write_csv
from regraft.runs.run import Run

if TYPE_CHECKING:
    import keras

SAME_BUDGET = "single model of the same budget"
_ROUNDS = 5
_BATCH = 32
_FREE = 0.9  # an ensemble that keeps so much of the speed costs nothing worth speaking of


@dataclass(frozen=True)
class Answers:
    """Logits for the selection photos, S of them, and then for the reported ones, R.

    Attributes:
        members: float32 [M, S + R, C].
        ensemble: float32 [S + R, C], before any temperature.
        rival: float32 [S + R, C] of a single model of the same budget, if there is one.
        select_truth: int [S].
        report_truth: int [R].
        report_groups: int [R], the same for photos of one group; None where they have none.
    """

    members: np.ndarray
    ensemble: np.ndarray
    rival: np.ndarray | None
    select_truth: np.ndarray
    report_truth: np.ndarray
    report_groups: np.ndarray | None = None

    def select(self, logits: np.ndarray) -> np.ndarray:
        """The part for the selection photos."""
        return logits[: len(self.select_truth)]

    def report(self, logits: np.ndarray) -> np.ndarray:
        """The part for the reported photos."""
        return logits[len(self.select_truth) :]

    def select_losses(self, logits: np.ndarray) -> np.ndarray:
        """float64 [S]."""
        return losses_of(self.select(logits), self.select_truth)

    def correct(self, logits: np.ndarray) -> np.ndarray:
        """float64 [R]: 1 where the answer is right, else 0."""
        return 1.0 * (self.report(logits).argmax(axis=1) == self.report_truth)

    def figures(self, logits: np.ndarray, temperature: float = 1.0) -> dict[str, float]:
        """Accuracy, log loss and calibration error on the reported images."""
        tempered = self.report(logits) / temperature
        return {
            "accuracy": float(self.correct(logits).mean()),
            "log_loss": float(losses_of(tempered, self.report_truth).mean()),
            "calibration_error": expected_calibration_error(self.report_truth, softmax(tempered)),
        }

    @property
    def best(self) -> int:
        """The member with the lowest loss on the selection photos; without any, the one that reports best."""
        if len(self.select_truth):
            return int(np.argmin([self.select_losses(each).mean() for each in self.members]))
        return int(np.argmax([self.correct(each).mean() for each in self.members]))


@dataclass(frozen=True)
class Verdict:
    """What an ensemble came to on the reported images.

    Attributes:
        sentence: whether it is worth its cost.
        ensemble, before_temperature, best_member, mean_member, rival: accuracy, log loss and calibration error.
        best: which member is the best, by the selection photos.
        gains: the ensemble's accuracy less that of the best member, the mean member and the rival, by these names.
        curve: accuracy by the number of members.
        disagreement: float [M, M].
        speed: images per second of a member and of the ensemble, and the median ratio of the two with its range.
    """

    sentence: str
    ensemble: Mapping[str, float]
    before_temperature: Mapping[str, float]
    best_member: Mapping[str, float]
    mean_member: Mapping[str, float]
    rival: Mapping[str, float] | None
    best: int
    temperature: float
    gains: Mapping[str, Difference]
    curve: Sequence[CurvePoint]
    disagreement: np.ndarray
    speed: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `metrics.json`."""
        return {
            "verdict": self.sentence,
            "ensemble": dict(self.ensemble),
            "before_temperature": dict(self.before_temperature),
            "temperature": self.temperature,
            "best_member": {"number": self.best + 1, **self.best_member},
            "mean_member": dict(self.mean_member),
            "same_budget": dict(self.rival) if self.rival else None,
            "gains": {
                name: {"mean": gain.mean, "low": gain.low, "high": gain.high, "words": verdict(gain)}
                for name, gain in self.gains.items()
            },
            "mean_disagreement": _mean_disagreement(self.disagreement),
            "curve": [vars(point) for point in self.curve],
            "speed": dict(self.speed),
        }


def judge_ensemble(
    answers: Answers,
    *,
    temperature: float,
    rule: str,
    is_averaged: bool,
    speed: Mapping[str, float],
    seed: int,
) -> Verdict:
    """Measures an ensemble against its best member, its mean member and a single model of the same budget.

    Args:
        answers: of all of them.
        temperature: what the ensemble's logits are going to be divided by.
        rule: how answers are combined, for the curve.
        is_averaged: whether weights were averaged, so that there is no curve of combined answers.
        speed: see `compare_speed`.
        seed: of the subsets in the curve.
    """
    right = answers.correct(answers.ensemble)
    baselines = {}
    if len(answers.members) > 1:
        baselines["best member"] = answers.correct(answers.members[answers.best])
        baselines["mean member"] = np.mean([answers.correct(each) for each in answers.members], axis=0)
    if answers.rival is not None:
        baselines[SAME_BUDGET] = answers.correct(answers.rival)
    gains = {name: gain_over(right, base, answers.report_groups) for name, base in baselines.items()}
    members = [answers.figures(each) for each in answers.members]
    reported = np.stack([answers.report(each) for each in answers.members])
    return Verdict(
        sentence=say_whether_worth(gains, speed["ratio"]),
        ensemble=answers.figures(answers.ensemble, temperature),
        before_temperature=answers.figures(answers.ensemble),
        best_member=members[answers.best],
        mean_member={key: float(np.mean([row[key] for row in members])) for key in members[0]},
        rival=None if answers.rival is None else answers.figures(answers.rival),
        best=answers.best,
        temperature=temperature,
        gains=gains,
        curve=[] if is_averaged else accuracy_by_size(reported, answers.report_truth, rule=rule, seed=seed),
        disagreement=disagreement(reported),
        speed=speed,
    )


def gain_over(right: np.ndarray, base: np.ndarray, groups: np.ndarray | None = None) -> Difference:
    """The ensemble's accuracy less a baseline's on the same photos, with a 95 % interval.

    Args:
        right: float [R], 1 where the ensemble is right.
        base: float [R], the same of the baseline; fractions where it is a mean over members.
        groups: int [R], the same for photos of one group, which say less than so many single ones.
    """
    if np.isin(base, (0.0, 1.0)).all():
        mean, low, high = accuracy_difference(right > 0, base > 0, groups)
        return Difference(mean, low, high, low, high, seeds=1)
    return training_difference([right - base], fixed_split=True, train_count=1, groups=groups)


def say_whether_worth(gains: Mapping[str, Difference], ratio: float) -> str:
    """One sentence: worth it, not worth it, or harmless; or that there is nothing to compare with.

    Args:
        gains: see `Verdict`; the rival counts where there is one, else the best member.
        ratio: the part of a member's speed that the ensemble keeps.
    """
    if not gains:
        return "A single model: there is nothing to compare it with."
    name = SAME_BUDGET if SAME_BUDGET in gains else "best member"
    gain = gains[name]
    against = f"a {name}" if name == SAME_BUDGET else "its best member alone"
    cost = "costs nothing at inference" if ratio >= _FREE else f"answers at {100 * ratio:.0f} % of the speed"
    found = f"against {against}: {verdict(gain)}"
    if gain.low > 0:
        return f"Worth it: {found}; it {cost}."
    if gain.high < 0:
        return f"Not worth it: {found}; it {cost}."
    if ratio >= _FREE:
        return f"Harmless: {found}; it {cost}."
    return f"Not worth its cost on this evidence: {found}; it {cost}."


def compare_speed(single: keras.Model, ensemble: keras.Model, device: Device, image_size: int) -> dict[str, float]:
    """Images per second of both from memory, in turns, and the ratio of the second to the first: median, low, high."""
    images = np.random.default_rng(0).uniform(0, 255, (_BATCH, image_size, image_size, 3)).astype(np.float32)
    calls = [make_infer(model, device) for model in (single, ensemble)]
    for call in calls:
        call(images)
    rounds = np.array([[_seconds(call, images) for call in calls] for _ in range(_ROUNDS)])
    ratios = rounds[:, 0] / rounds[:, 1]
    member, whole = _BATCH / np.median(rounds, axis=0)
    return {
        "member": round(float(member), 1),
        "ensemble": round(float(whole), 1),
        "ratio": round(float(np.median(ratios)), 3),
        "ratio_low": round(float(ratios.min()), 3),
        "ratio_high": round(float(ratios.max()), 3),
    }


def _seconds(call: Any, images: np.ndarray) -> float:
    start = time.perf_counter()
    call(images)
    return time.perf_counter() - start


def _mean_disagreement(matrix: np.ndarray) -> float | None:
    count = len(matrix)
    return float(matrix.sum() / (count * (count - 1))) if count > 1 else None


def write_ensemble(run: Run, found: Verdict, shares: np.ndarray, *, members: Sequence[str]) -> bytes:
    """Writes disagreement.csv and, where answers are combined, members_curve.csv and .png, which it returns."""
    write_csv(run.folder / "disagreement.csv", ["member", *members], [
        [name, *(f"{value:.6f}" for value in row)] for name, row in zip(members, found.disagreement, strict=True)
    ])  # fmt: skip
    if not found.curve:
        return b""
    names = ["members", "subsets", "accuracy", "accuracy_low", "accuracy_high", "log_loss"]
    rows = [
        [vars(point)[name] if name in names[:2] else f"{vars(point)[name]:.6f}" for name in names]
        for point in found.curve
    ]
    write_csv(run.folder / "members_curve.csv", names, rows)
    picture = draw_curve(found)
    with atomic_file(run.folder / "members_curve.png") as temporary:
        temporary.write_bytes(picture)
    return picture


def draw_curve(found: Verdict) -> bytes:
    """PNG: accuracy by the number of members, mean and range over subsets, with the single models beside it."""
    from matplotlib.ticker import MaxNLocator

    figure = make_figure(6.4, 3.8)
    axes = figure.add_subplot()
    counts = [point.members for point in found.curve]
    axes.plot(
        counts,
        [100 * point.accuracy for point in found.curve],
        color=COLORS[0],
        marker="o",
        label="mean of all subsets",
    )
    low, high = ([100 * getattr(point, key) for point in found.curve] for key in ("accuracy_low", "accuracy_high"))
    axes.fill_between(counts, low, high, color=COLORS[0], alpha=0.13, label="their range")
    axes.axhline(100 * found.best_member["accuracy"], color=COLORS[4], linestyle="--", label="best member")
    if found.rival:
        axes.axhline(100 * found.rival["accuracy"], color=COLORS[1], label="single model, same budget")
    plain_axes(axes, "accuracy on photos nothing else has seen, %")
    axes.set_xlabel("members")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, 2)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def report_sections(found: Verdict, facts: Mapping[str, Any], picture: bytes) -> list[ReportSection]:
    """What the report says of an ensemble."""
    gains = [f"Against the {name}: {verdict(gain)}." for name, gain in found.gains.items()]
    rows = [_row(row["name"], row, row["share"]) for row in facts["member_rows"]]
    if found.rival:
        rows.append(_row(SAME_BUDGET, found.rival))
    rows.append(_row("ensemble", found.before_temperature))
    if found.temperature != 1.0:
        rows.append(_row(f"ensemble, at temperature {found.temperature:.2f}", found.ensemble))
    columns = {"": "left", "Share": "right", "Accuracy": "right", "Log loss": "right", "Calibration error": "right"}
    speed = found.speed
    sentences = [
        found.sentence,
        *gains,
        f"A member answers {speed['member']:,.0f} images per second from memory, the ensemble "
        f"{speed['ensemble']:,.0f}: {speed['ratio']:.2f} of it ({speed['ratio_low']:.2f} to "
        f"{speed['ratio_high']:.2f}).",
    ]
    return [ReportSection("The ensemble", sentences, columns, rows, picture, "Accuracy by the number of members.")]


def _row(name: str, figures: Mapping[str, Any], share: float | None = None) -> list[str]:
    return [
        name,
        "–" if share is None else f"{share:.2f}",
        f"{100 * figures['accuracy']:.1f} %",
        f"{figures['log_loss']:.3f}",
        f"{100 * figures['calibration_error']:.1f} %",
    ]
