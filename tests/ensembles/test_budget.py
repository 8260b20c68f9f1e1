"""What fits into a time, by hand; and a budget whose pilot and clock are set by hand."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, patch

import numpy as np
import pytest
from command_line import run_regraft

from regraft.ensembles import budget, independent, pilot
from regraft.ensembles.budget import choose_kind, parse_budget
from regraft.ensembles.members import Member
from regraft.ensembles.pilot import Pilot
from regraft.ensembles.plan import Plan
from regraft.errors import UsageError
from regraft.progress import Silent
from regraft.runs.run_metrics import RunMetrics


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features that other tests do not read: at another place in a batch, their last bit may be another."""
    with patch.dict(os.environ, REGRAFT_CACHE=str(tmp_path_factory.mktemp("cache"))):
        yield


PILOT = Pilot(start=5.0, epoch=10.0, judge=1.0, finish=20.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1.5h", 5400), ("2m30s", 150), (" 1h ", 3600)]
)
def test_budgets_are_read_in_hours_minutes_and_seconds(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "0m", "soon", "-5m", "5m-", "1d"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError) as caught:
        parse_budget(text)
    assert str(caught.value) == f'budget must be a time such as 90s, 20m or 1h30m; received "{text}".'


@pytest.mark.parametrize(
    ("seconds", "kind", "members", "epochs"),
    [
        (45, "heads", 10, 0),  # (45 / 1.15 - 26) / 10 = 1.3 epochs
        (60, "single", 1, 2),  # 2.6
        (110, "single", 1, 6),  # 6.9
        (310, "single", 1, 24),  # 24.3: three times the recipe's
        (400, "snapshot", 2, 32),  # 32.2: two cycles of 16
        (600, "independent", 2, 24),  # (600 / 1.15 - 20) / (5 + 240 + 3) = 2.02 trainings
        (3600, "independent", 10, 24),  # not more than ten
    ],
)
def test_what_is_trained_follows_from_the_time(seconds, kind, members, epochs):
    choice = choose_kind(PILOT, 8, seconds)
    assert (choice.kind, choice.members, choice.epochs) == (kind, members, epochs)
    assert choice.reason


def test_a_budget_too_short_for_an_epoch_says_what_it_would_take():
    with pytest.raises(UsageError) as caught:
        choose_kind(PILOT, 8, 30)
    # 1.15 * (5 + 1 + 20 + 10) = 41.4
    assert str(caught.value) == (
        "budget is too short for one epoch: after the pilot 30 s are left, and an epoch with export and report takes "
        '41 s (an epoch alone 10). Give 11 s more, or take kind="heads", which trains no network.'
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--budget", "soon"), "--budget must be a time such as 90s, 20m or 1h30m"),
        (("--budget", "5m", "--members", 3), "--budget chooses the members itself"),
        (("--budget", "5m", "--kind", "heads"), "--budget chooses the kind itself; leave --kind out."),
        (("--budget", "5m", "--kind", "many"), "--kind must be one of independent, snapshot, heads, ema, swa, soup; "),
        (
            ("--budget", "5m", "--combine", "sum"),
            '--combine must be one of mean, logits, weights, greedy; received "sum".',
        ),
        (("--budget", "5m", "--soup", "cold"), '--soup must be one of greedy, uniform; received "cold".'),
        (("--budget", "5m", "--jobs", 2), "--budget trains one member at a time"),
        (("--budget", "5m", "--recipe", "quick"), "--budget needs a recipe that fine-tunes"),
    ],
)
def test_options_that_do_not_go_with_a_budget_are_refused(mixed_photos: Path, tmp_path: Path, words, message):
    answer = run_regraft("ensemble", mixed_photos, "--backbone", "tiny", *words, "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.stderr.startswith(f"regraft: {message}")
    assert not (tmp_path / "out").exists()


class Weights:
    """A model that has nothing but weights."""

    weights = ("trained",)

    def get_weights(self) -> list[str]:
        return [*self.weights]

    def set_weights(self, weights: list[str]) -> None:
        self.weights = weights


def logits_losing(losses: list[float]) -> np.ndarray:
    """Logits [N, 2] under which label 0 has these losses."""
    right = np.exp(-np.array(losses))
    return np.log(np.stack([right, 1 - right], axis=1))


class Clock:
    """A clock that stands still until a test turns it, in place of the module `time`."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Turned by hand; and a pilot that finds things to take as long as `PILOT` says."""
    hand_turned = Clock()
    for module in (budget, independent):
        monkeypatch.setattr(module, "time", hand_turned)
    monkeypatch.setattr(budget, "run_pilot", lambda *_, **__: PILOT)
    return hand_turned


@pytest.mark.slow
def test_a_budget_too_short_leaves_nothing_behind(mixed_photos: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(pilot, "_PILOT_SECONDS", 0.0)  # a real pilot, of the fewest steps
    words = ("--backbone", "tiny", "--set", "head.l2=[0.1]", "--budget", "1s", "--out", tmp_path / "out")
    answer = run_regraft("ensemble", mixed_photos, *words)
    assert answer.code == 2
    assert answer.stderr.splitlines()[-1].startswith("regraft: --budget is too short for one epoch: after the pilot ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("clock", "without_export")
@pytest.mark.parametrize(
    ("text", "kinds", "reason"),
    [
        ("45s", {"heads"}, "one epoch fits into it, which moves no network far"),
        ("60s", {"single"}, "2 epochs fit into it, not more than one training of 3"),
        ("90s", {"snapshot"}, "5 epochs fit into it, more than a training of 3 and less than two: 2 cycles of 2"),
        # Which of the three it keeps, the selection photos say: by hand in the tests that follow.
        ("2m", {"independent", "soup", "heads"}, "2 trainings of 3 epochs fit into it"),
    ],
)
def test_what_the_pilot_finds_decides_and_is_explained(
    mixed_photos: Path, tmp_path: Path, text: str, kinds: set[str], reason: str
):
    words = ("--backbone", "tiny", "--epochs", 1, "--set", "finetune.batch_size=8", "--set", "head.l2=[0.1]")
    answer = run_regraft("ensemble", mixed_photos, *words, "--budget", text, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.stderr
    facts = answer.values["ensemble"]
    assert facts["kind"] in kinds
    assert (facts["budget"], facts["budget_reason"]) == (text, reason)
    assert f"--budget {text}: " in answer.stderr
    assert reason in answer.stderr


@pytest.mark.parametrize(
    ("soup", "kind"),
    [
        ([0.5, 0.5, 0.5, 0.5], "soup"),  # as good as the members combined
        ([0.2, 0.2, 0.2, 0.2], "soup"),  # better
        ([0.5, 0.5, 0.5, 0.9], "soup"),  # worse by 0.1 ± 0.1
        ([0.6, 0.6, 0.6, 0.8], "independent"),  # worse by 0.15 ± 0.05
    ],
)
def test_members_become_a_soup_unless_that_is_clearly_worse(monkeypatch, soup: list[float], kind: str):
    """The members combined lose 0.5 nats on each of four selection photos; the soup loses `soup`."""
    model, members = Weights(), []
    monkeypatch.setattr(independent, "_train_first", lambda *_: SimpleNamespace(metrics=RunMetrics(stage="fine-tuned")))
    members.extend(Member(name, model, logits_losing([0.5] * 4), 1.0) for name in ("member-1", "member-2"))
    monkeypatch.setattr(independent, "open_member", lambda *_: members[0])
    monkeypatch.setattr(independent, "_train_others", lambda *_: members)
    monkeypatch.setattr(independent, "average_members", lambda *_: model.set_weights(["average"]) or {"tasted": 1})
    monkeypatch.setattr(independent, "logits_for", lambda *_: logits_losing(soup))
    session = SimpleNamespace(roles=SimpleNamespace(select=[SimpleNamespace(class_index=0)] * 4), progress=Silent())
    plan, made = independent.independent_within(Plan(None, members=2), session, 0.0)
    assert (plan.kind, plan.members, made.members) == (kind, 2, members)
    assert made.facts["soup_loss"] == pytest.approx(np.mean(soup))
    assert made.facts["combined_loss"] == pytest.approx(0.5)
    assert (made.model is model) == (kind == "soup")
    assert model.weights == (["average"] if kind == "soup" else ["trained"])


def test_where_the_first_member_keeps_its_head_heads_take_the_place_of_networks(monkeypatch):
    monkeypatch.setattr(independent, "_train_first", lambda *_: SimpleNamespace(metrics=RunMetrics(stage="head")))
    monkeypatch.setattr(independent, "make_heads", lambda *_: "ten heads")
    plan, made = independent.independent_within(Plan(None, members=2), SimpleNamespace(progress=Silent()), 0.0)
    assert (plan.kind, plan.members, made) == ("heads", 10, "ten heads")


def test_where_time_was_left_for_one_member_it_is_a_single_model(monkeypatch):
    model = Weights()
    member = Member("member-1", model, logits_losing([0.5]), 1.0)
    monkeypatch.setattr(independent, "_train_first", lambda *_: SimpleNamespace(metrics=RunMetrics(stage="fine-tuned")))
    monkeypatch.setattr(independent, "open_member", lambda *_: member)
    monkeypatch.setattr(independent, "_train_others", lambda *_: [member])
    plan, made = independent.independent_within(Plan(None, members=2), SimpleNamespace(progress=Silent()), 0.0)
    assert (plan.kind, plan.members, made.members, made.model) == ("single", 1, [member], model)


@pytest.mark.parametrize(("seconds", "trained"), [(74, 1), (75, 2), (129, 2), (130, 3), (185, 4)])
def test_members_are_trained_while_there_is_time_for_one_more(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: int, trained: int
):
    """Each takes 50 seconds, and 20 + 5 a member are kept for what follows: 50 + 25, then 50 + 50 + 30, and so on."""
    begun = []

    def train_members(plan, session, recipes, **_):
        clock.now += 50
        begun.extend(recipes)
        return [*recipes]

    monkeypatch.setattr(independent, "train_members", train_members)
    monkeypatch.setattr(independent, "member_recipe", lambda *_: None)
    monkeypatch.setattr(independent, "open_member", lambda session, run: run)
    session = SimpleNamespace(progress=Mock())
    members = independent._train_others(SimpleNamespace(count=4), session, "member-1", 50.0, seconds)
    assert members == ["member-1", "member-2", "member-3", "member-4"][:trained]
    assert begun == members[1:]
    told = [call.args[0] for call in session.progress.say.call_args_list]
    assert told == ([] if trained == 4 else [f"Time is left for {trained} of 4 members."])
