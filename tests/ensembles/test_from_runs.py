"""Runs that exist as one: what goes together, and which photos may judge."""

import csv
from itertools import count
from pathlib import Path

import pytest
from command_line import run_regraft
from trained_runs import FAST, TrainedRun

from regraft.data.records import ImageFolder, Record
from regraft.ensembles.from_runs import check_runs, common_roles, ensemble_runs
from regraft.ensembles.plan import Plan
from regraft.errors import UsageError
from regraft.inference.views import ViewReader
from regraft.machine.files import write_json
from regraft.recipes.recipe import load_recipe
from regraft.runs.run import Run
from regraft.training.session import Request


def make_run(folder: Path, labels: list[str], roles: dict[str, str], *, stage: str = "fine-tuned", **edits) -> Run:
    """A run directory with a recipe, labels, a roster and metrics."""
    run = Run(folder)
    run.start(load_recipe("balanced", {"data.image_size": 64, **edits}), tuple(labels), {"root": "photos"})
    with run.roster_file.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "class", "role", "fingerprint"])
        writer.writerows([f"/photos/{name}", labels[0], role, name] for name, role in roles.items())
    write_json(run.metrics_file, {"stage": stage, "learned_from_select": stage == "head", "reported_on": "val"})
    return run


def folder_of(names: str) -> ImageFolder:
    records = tuple(Record(Path(name), 0, "", "JPEG", 8, 8, 1, name, bytes(32)) for name in names)
    return ImageFolder(Path("photos"), ("ant", "bee"), records)


def fingerprints(records) -> str:
    return "".join(record.fingerprint for record in records)


def test_an_ensemble_cannot_be_a_member(tmp_path: Path):
    one = make_run(tmp_path / "one", ["ant", "bee"], {})
    other = make_run(tmp_path / "other", ["ant", "bee"], {}, stage="ensemble")
    for run in (one, other):
        run.model_file.touch()
    plan = Plan(Request("", load_recipe("balanced"), out=tmp_path / "out"))
    with pytest.raises(UsageError) as caught:
        ensemble_runs([one.folder, other.folder], plan)
    told = f"{other.folder} is an ensemble already, which cannot be a member; name runs of one model."
    assert str(caught.value) == told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "edits", "difference"),
    [
        (["ant", "fly"], {}, "tell different classes apart: only one of them has bee, fly."),
        (["bee", "ant"], {}, "have their labels in another order: number 1 is ant and bee."),
        (
            ["ant", "bee"],
            {"data.image_size": 96},
            "look at photos differently: data.image_size is 64 and 96; train anew.",
        ),
        (
            ["ant", "bee"],
            {"data.crop_fraction": 0.9},
            "look at photos differently: data.crop_fraction is 1.0 and 0.9; train anew.",
        ),
    ],
)
def test_runs_that_do_not_go_together_are_named_with_the_difference(tmp_path, labels, edits, difference):
    one = make_run(tmp_path / "one", ["ant", "bee"], {})
    other = make_run(tmp_path / "other", labels, {}, **edits)
    with pytest.raises(UsageError) as caught:
        check_runs([one, other])
    assert str(caught.value) == f"{tmp_path}/one and {tmp_path}/other {difference}"


def test_photos_judge_where_no_member_has_learned_from_them(tmp_path):
    one = make_run(tmp_path / "one", ["ant"], {"a": "report", "b": "report", "c": "select", "d": "fit", "e": "select"})
    other = make_run(tmp_path / "other", ["ant"], {"a": "report", "b": "fit", "c": "report", "d": "fit", "e": "select"})
    roles = common_roles([one, other], folder_of("abcdef"))
    assert fingerprints(roles.report) == "a"
    assert fingerprints(roles.select) == "ce"
    assert fingerprints(roles.fit) == "bdf"
    assert roles.notes == (
        "Reported on 1 image that no member has learned from or chosen by.",
        "Choices are made on 2 images that no member has learned from.",
    )


def test_a_head_that_learned_from_the_photos_that_chose_it_may_not_choose_by_them(tmp_path):
    roles = {"a": "report", "b": "select", "c": "fit"}
    runs = [make_run(tmp_path / stage, ["ant"], roles, stage=stage) for stage in ("head", "fine-tuned")]
    assert common_roles(runs, folder_of("abc")).select == ()
    assert fingerprints(common_roles(runs[1:], folder_of("abc")).select) == "b"


def test_runs_with_different_splits_have_no_judge(tmp_path):
    one = make_run(tmp_path / "one", ["ant"], {"a": "report", "b": "fit"})
    other = make_run(tmp_path / "other", ["ant"], {"a": "fit", "b": "report"})
    with pytest.raises(UsageError, match=r"^No photo in photos is reported on by all of the runs.* data.split_seed"):
        common_roles([one, other], folder_of("ab"))


def refusal(*words: object) -> str:
    answer = run_regraft("ensemble", *words)
    assert answer.code == 2, answer.stderr
    return answer.stderr.splitlines()[-1].removeprefix("regraft: ")


def test_what_runs_cannot_become_is_refused(trained: TrainedRun, tmp_path: Path):
    run, out = trained.folder, ("--out", tmp_path / "out")
    assert refusal(run, *out) == "An ensemble needs at least two runs, or a folder of photos to train members on."
    assert refusal(run, run, *out) == "A run is named twice; each can be a member once."
    assert refusal(run, run, "--kind", "snapshot", *out) == (
        "--kind snapshot takes one run that has kept snapshots; received 2."
    )
    assert refusal(run, run, "--kind", "ema", *out) == (
        "--kind ema has to train; runs that exist go together as independent, snapshot, soup."
    )
    assert refusal(run, "--kind", "snapshot", *out) == (
        f"{run} has kept no snapshots; train with finetune.snapshots above 0."
    )
    assert refusal(run, run, "--budget", "20m", *out) == (
        "--budget trains on a FOLDER of photos; runs that exist need none."
    )
    assert not (tmp_path / "out").exists()


def test_unfinished_and_damaged_runs_are_named(trained: TrainedRun, tmp_path: Path):
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut/recipe.toml").write_text(trained.folder.joinpath("recipe.toml").read_text())
    (tmp_path / "cut/environment.json").write_text('{"verb": "train", "source": "photos"}')
    message = refusal(trained.folder, tmp_path / "cut", "--out", tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'cut'} is a run that did not finish; continue it: regraft train photos")


def test_whatever_decides_a_view_has_to_be_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A setting that this comparison has never heard of, and that differs from reader to reader."""
    numbers = count(1)
    plain = ViewReader.settings.fget
    monkeypatch.setattr(ViewReader, "settings", property(lambda reader: {**plain(reader), "novelty": next(numbers)}))
    runs = [make_run(tmp_path / name, ["ant", "bee"], {}) for name in ("one", "other")]
    with pytest.raises(UsageError, match=r"look at photos differently: data.novelty is \d and \d; train anew"):
        check_runs(runs)


@pytest.mark.slow
def test_a_soup_of_different_architectures_is_refused(mixed_photos: Path, tmp_path: Path, without_export):
    runs = []
    for name, more in (("one", ()), ("other", ("--backbone", "mobilenet", "--weights", "none"))):
        words = (*FAST, *more, "--image-size", 32, "--set", "data.split_seed=1", "--out", tmp_path / name)
        answer = run_regraft("train", mixed_photos, *words)
        assert answer.code == 0, answer.stderr
        runs.append(tmp_path / name)
    message = refusal(*runs, "--kind", "soup", "--soup", "uniform", "--out", tmp_path / "soup")
    assert message.startswith("A soup needs members of one architecture; one has ")
    assert message.endswith(" Use --kind independent, which combines answers.")
    assert refusal(*runs, "--combine", "greedy", "--out", tmp_path / "greedy").startswith(
        "--combine greedy needs selection photos, and these runs have none in common"
    )
    mixed = run_regraft("ensemble", *runs, "--out", tmp_path / "mixed", "--json")
    assert mixed.code == 0, mixed.stderr
    assert [row["name"] for row in mixed.values["ensemble"]["member_rows"]] == ["one", "other"]


@pytest.mark.slow
def test_the_snapshots_of_one_run_are_an_ensemble(mixed_photos: Path, tmp_path: Path, without_export):
    words = (
        *("--backbone", "tiny", "--epochs", 2, "--set", "schedule.name=cyclic", "--set", "schedule.cycles=2"),
        *("--set", "finetune.snapshots=2", "--set", "finetune.batch_size=8", "--set", "head.l2=[1e6]"),
    )
    assert run_regraft("train", mixed_photos, *words, "--out", tmp_path / "run").code == 0
    answer = run_regraft("ensemble", tmp_path / "run", "--kind", "snapshot", "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.stderr
    assert [row["name"] for row in answer.values["ensemble"]["member_rows"]] == ["cycle 1", "cycle 2"]
