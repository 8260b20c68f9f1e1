"""Runs that exist as one: what goes together, and which photos may judge."""

import csv
import shlex
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from command_line import run_regraft
from trained_runs import FAST, TrainedRun

from regraft.data.records import ImageFolder, Record
from regraft.ensembles.from_runs import check_runs, common_roles, ensemble_runs
from regraft.ensembles.plan import Plan, resumed_plan
from regraft.errors import UsageError, as_options
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
        (
            ["ant", "bee"],
            {"data.fit": "pad"},
            "look at photos differently: data.fit is crop and pad; train anew.",
        ),
    ],
)
def test_runs_that_do_not_go_together_are_named_with_the_difference(tmp_path, labels, edits, difference):
    one = make_run(tmp_path / "one", ["ant", "bee"], {})
    other = make_run(tmp_path / "other", labels, {}, **edits)
    with pytest.raises(UsageError) as caught:
        check_runs([one, other])
    assert str(caught.value) == f"{tmp_path}/one and {tmp_path}/other {difference}"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_whoever_is_named_first_costs_are_those_of_all_runs(tmp_path: Path, order: tuple[int, int]):
    costs = {"ant->bee": 10.0}
    named = (
        make_run(tmp_path / "costly", ["ant", "bee"], {}, cost=costs),
        make_run(tmp_path / "plain", ["ant", "bee"], {}),
    )
    runs, words = [named[place] for place in order], [('"ant->bee" 10', "none")[place] for place in order]
    with pytest.raises(UsageError) as caught:
        check_runs(runs)
    assert str(caught.value) == (
        f"{runs[0].folder} and {runs[1].folder} decide by different costs: {words[0]} and {words[1]}; train them with "
        "the same."
    )
    check_runs([named[0], make_run(tmp_path / "twin", ["ant", "bee"], {}, cost=costs)])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(
    "weights",
    [{"finetune.class_weights": "balanced"}, {"head.class_weights": {"ant": 2.0}}, {"finetune.sampling": "balanced"}],
)
def test_costs_and_class_weights_do_not_go_together(tmp_path: Path, weights: dict, order: tuple[int, int]):
    named = (
        make_run(tmp_path / "costly", ["ant", "bee"], {}, cost={"ant->bee": 10.0}),
        make_run(tmp_path / "weighted", ["ant", "bee"], {}, **weights),
    )
    told = (
        f"{tmp_path}/costly has costs and {tmp_path}/weighted class weights or balanced sampling, which ensemble "
        "cannot take out of the scores of all its members again, as costs need it; train without one of the two."
    )
    with pytest.raises(UsageError) as caught:
        check_runs([named[place] for place in order])
    assert str(caught.value) == told
    check_runs([named[1], make_run(tmp_path / "plain", ["ant", "bee"], {})])


def test_the_snapshots_of_a_run_with_both_keep_its_class_weights_and_are_refused(tmp_path: Path):
    edits = {"cost": {"ant->bee": 10.0}, "finetune.class_weights": "balanced"}
    with pytest.raises(UsageError, match=f"^{tmp_path}/both has costs and {tmp_path}/both class weights "):
        check_runs([make_run(tmp_path / "both", ["ant", "bee"], {}, **edits)])


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


def test_copies_with_another_label_do_not_judge(tmp_path: Path):
    runs = [make_run(tmp_path / name, ["ant", "bee"], {"a": "report", "b": "select", "c": "fit"}) for name in "xy"]
    folder = folder_of("abc")
    copies = [replace(one, path=Path(f"copies/{one.path}"), class_index=1) for one in folder.records]
    roles = common_roles(runs, replace(folder, records=(*copies, *folder.records)))
    assert [str(record.path) for record in (*roles.report, *roles.select)] == ["a", "b"]


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


def begun(folder: Path, plan: Plan, runs: list[Path] | None) -> Run:
    """An ensemble that was begun and got no further."""
    began = {"source": "photos"} if runs is None else {"members": [str(run) for run in runs]}
    run = Run(folder)
    environment = {"verb": "ensemble", **began}
    run.start(load_recipe("balanced"), ("ant", "bee"), environment, ensemble_plan=plan.describe())
    return run


ASKED = Plan(Request("photos", load_recipe("balanced")))


@pytest.mark.parametrize("runs", [None, [Path("/runs/a b"), Path("/runs/c")]])
def test_a_begun_ensemble_goes_on_as_it_was_begun(tmp_path: Path, runs: list[Path] | None):
    began = replace(ASKED, kind="soup", members=2, soup="uniform", calibrate=False)
    run = begun(tmp_path / "out", began, runs)
    asked = replace(ASKED, request=replace(ASKED.request, out=run.folder, resume=True))
    plan = resumed_plan(asked, runs)
    assert (plan.kind, plan.members, plan.soup, plan.calibrate) == ("soup", 2, "uniform", False)


@pytest.mark.parametrize(
    ("began", "named", "command"),
    [
        (None, [Path("/runs/a b"), Path("/runs/c")], "regraft ensemble photos"),
        ([Path("/runs/a b"), Path("/runs/c")], None, "regraft ensemble '/runs/a b' /runs/c"),
        (
            [Path("/runs/a b"), Path("/runs/c")],
            [Path("/runs/c"), Path("/runs/d")],
            "regraft ensemble '/runs/a b' /runs/c",
        ),
    ],
)
def test_an_ensemble_that_was_begun_of_something_else_names_the_command_that_goes_on(tmp_path, began, named, command):
    run = begun(tmp_path / "out", ASKED, began)
    asked = replace(ASKED, request=replace(ASKED.request, out=run.folder, resume=True))
    with pytest.raises(UsageError) as caught:
        resumed_plan(asked, named)
    go_on = f"{command} --resume --out {run.folder}"
    assert str(caught.value) == f"{run.folder} was begun by another command; go on: {go_on}"


@pytest.mark.parametrize(
    ("edits", "words"),
    [({"kind": "soup"}, "--kind soup"), ({"members": 3}, "--members 3"), ({"rival": False}, "--no-rival")],
)
def test_an_ensemble_does_not_go_on_as_another_one(tmp_path: Path, edits: dict, words: str):
    run = begun(tmp_path / "out", replace(ASKED, kind="heads", members=10), None)
    asked = replace(ASKED, request=replace(ASKED.request, out=run.folder, resume=True), **edits)
    with pytest.raises(UsageError) as caught:
        resumed_plan(asked, None)
    assert as_options(caught.value.text) == (
        f"{run.folder} was begun without {words}; leave it out, or choose another --out."
    )


@pytest.mark.slow
def test_an_ensemble_of_runs_that_is_interrupted_says_how_to_go_on_and_does(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_export
):
    twin = shutil.copytree(trained.folder, tmp_path / "its twin")
    words = ("ensemble", trained.folder, twin)
    whole = run_regraft(*words, "--out", tmp_path / "whole", "--json").values

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupting:
        interrupting.setattr("regraft.ensembles.from_runs.combine_and_finish", interrupt)
        cut = run_regraft(*words, "--out", tmp_path / "cut")
    command = shlex.join(map(str, ["regraft", *words, "--resume", "--out", tmp_path / "cut"]))
    assert (cut.code, cut.stderr.splitlines()[1:]) == (130, [f"regraft: interrupted; go on: {command}"])
    assert refusal(*words[1:], "--out", tmp_path / "cut").startswith(
        f"{tmp_path / 'cut'} exists already; continue it with"
    )
    resumed = run_regraft(*shlex.split(command)[1:], "--json")
    assert resumed.code == 0, resumed.stderr
    for key in ("accuracy", "log_loss", "confusion", "images"):
        assert resumed.values[key] == whole[key]
