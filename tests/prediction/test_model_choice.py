"""Which network answers: the one asked for, the fastest near enough, and never one that is not near."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import run_regraft
from listening import Listening
from trained_runs import TrainedRun

from regraft.errors import RunError, UsageError, as_keywords, as_options
from regraft.exports.export import ProofResult, kind_of, read_export
from regraft.inference.trained import Look
from regraft.machine import processes
from regraft.prediction import model_choice
from regraft.prediction.answerer import Wanted
from regraft.prediction.journal import Writer
from regraft.prediction.model_choice import FEW, WORTH_MEASURING, ModelChoice, Source, choose, open_source
from regraft.progress import Silent

MANY = 10**9


@pytest.fixture
def source(litert: Path, trained: TrainedRun, tmp_path: Path) -> Source:
    """A run with three exports: one exact, one near, one far."""
    run = tmp_path / "run"
    shutil.copytree(trained.folder, run, ignore=shutil.ignore_patterns("saved_model"))
    for name, precision, difference in (("a", "float32", 1e-6), ("b", "float16", 9e-4), ("c", "int8", 0.2)):
        shutil.copytree(litert, run / "exports" / name)
        export = read_export(run / "exports" / name)
        proof = ProofResult(images=1, largest_difference=difference, same_label=1, tolerance=None)
        replace(export, precision=precision, proof=proof).write()
    return open_source(run)


def name_of(choice: ModelChoice) -> str:
    return Path(choice.folder).name


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What each network is said to reach; the one that is far off would be the fastest."""
    speeds = {"a": 100.0, "b": 150.0, "c": 900.0, "run": 20.0}
    monkeypatch.setattr(model_choice, "may_have_accelerator", lambda: False)
    monkeypatch.setattr(model_choice, "time_choices", lambda choices: {each: speeds[name_of(each)] for each in choices})
    return speeds


def test_auto_takes_the_fastest_that_is_near_enough_and_keeps_what_it_measured(source: Source, rates: dict[str, float]):
    listening = Listening()
    assert name_of(choose(source, count=MANY, progress=listening)) == "b"
    (said,) = listening.said
    assert said == (
        "Images per second here, from memory: litert, float32 100, litert, float16 150. Taking litert, float16."
    )
    kept = json.loads((source.folder / "exports/runtimes.json").read_text())
    assert sorted(kept.values()) == [100.0, 150.0]
    rates["a"] = 999.0  # is not measured again
    assert name_of(choose(source, count=MANY, progress=listening)) == "b"
    assert name_of(choose(source, count=1, progress=listening)) == "b"
    assert len(listening.said) == 1


def test_what_a_kill_left_of_rates_that_were_kept_is_removed(source: Source, rates: dict[str, float]):
    (source.folder / "exports/.writing-regraft-abcdefgh.json").write_text("[")
    assert name_of(choose(source, count=MANY, progress=Silent())) == "b"
    assert list((source.folder / "exports").glob(".writing-regraft-*")) == []


def test_a_tolerance_decides_what_is_near_enough(source: Source, rates: dict[str, float]):
    assert name_of(choose(source, count=MANY, tolerance=0.5, progress=Silent())) == "c"
    assert name_of(choose(source, count=MANY, tolerance=1e-5, progress=Silent())) == "a"
    assert name_of(choose(source, count=MANY, tolerance=0.0, progress=Silent())) == "run"


def test_a_measurement_is_made_where_inputs_and_network_are_large_enough(source: Source, rates: dict[str, float]):
    largest = max(export.bytes for export in source.exports)
    enough = int(WORTH_MEASURING / largest) + 1
    assert name_of(choose(source, count=enough - 1, progress=Silent())) == "a"
    assert name_of(choose(source, count=enough, progress=Silent())) == "b"


def test_a_precision_that_is_in_no_list_comes_last(source: Source):
    export = source.exports[0]
    unlisted = replace(source, is_run=False, exports=(replace(export, precision="int4"), export))
    assert choose(unlisted, tolerance=1.0, progress=Silent()).precision == export.precision


def test_a_run_without_exports_that_answers_many_is_told_of_a_faster_way(source: Source):
    listening = Listening()
    choose(replace(source, exports=()), count=FEW, progress=listening)
    (said,) = listening.said
    expected = f"Mostly faster than TensorFlow: regraft export {source.folder} --format litert"
    assert as_options(said) == expected
    assert as_keywords(said) == expected.replace("--format litert", 'format="litert"')


def test_what_is_asked_for_is_taken_however_far_it_is(source: Source):
    assert name_of(choose(source, runtime="litert", precision="int8", progress=Silent())) == "c"
    assert name_of(choose(source, runtime="litert", progress=Silent())) == "a"
    assert choose(source, runtime="tensorflow", progress=Silent()).is_run
    only = open_source(source.folder / "exports/c")
    assert name_of(choose(only, progress=Silent())) == "c"


def flip_a_bit(export: Path) -> None:
    network = bytearray((export / "model.tflite").read_bytes())
    network[len(network) // 2] ^= 0x40
    (export / "model.tflite").write_bytes(network)


def test_a_broken_export_is_passed_over_and_named_and_another_or_the_run_answers(source: Source):
    flip_a_bit(source.folder / "exports/a")
    listening = Listening()
    assert name_of(choose(source, progress=listening)) == "b"
    (source.folder / "exports/b/model.tflite").write_bytes(b"")
    assert choose(source, progress=listening).is_run
    damaged = "model.tflite is damaged (it changed since it was written); export the run again."
    assert listening.said == [f"Passed over: {source.folder}/exports/{name}/{damaged}" for name in "aab"]
    (source.folder / "exports/b/export.json").write_bytes(b"")
    assert [export.folder.name for export in open_source(source.folder).exports] == ["a", "c"]


def test_a_broken_export_that_was_asked_for_is_named_and_not_answered_by_another(source: Source):
    flip_a_bit(source.folder / "exports/c")
    listening = Listening()
    with pytest.raises(UsageError, match=r'precision="int8" needs an export that .* has not'):
        choose(source, runtime="litert", precision="int8", progress=listening)
    assert len(listening.said) == 1
    only = open_source(source.folder / "exports/c")
    with pytest.raises(RunError, match=r"c/model\.tflite is damaged"):
        choose(only, progress=Silent()).open(Wanted())


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "fast"}', '{"a": NaN}', '{"a": {"b": 1}}', "[" * 100_000])
def test_damaged_rates_are_no_rates(source: Source, rates: dict[str, float], text: str):
    (source.folder / "exports/runtimes.json").write_text(text)
    assert name_of(choose(source, count=MANY, progress=Silent())) == "b"


@pytest.mark.parametrize("look", [Look("ten"), Look(draws=2), Look(members=True)])
def test_a_closer_look_takes_the_run_itself(source: Source, look: Look):
    assert choose(source, look=look, count=MANY, progress=Silent()).is_run
    with pytest.raises(UsageError, match=r'views, .* and device need the run itself on runtime="tensorflow"'):
        choose(source, runtime="litert", look=look, progress=Silent())


@pytest.mark.parametrize("device", ["cpu:x", "cpu:-1", "autos", "cuda", ""])
def test_a_device_that_there_is_not_is_refused_whatever_computes(source: Source, device: str):
    with pytest.raises(UsageError, match="must be auto, cpu, cpu:N"):
        choose(source, device=device, progress=Silent())


def test_what_was_not_exported_is_named_with_the_command_that_does(source: Source):
    with pytest.raises(UsageError) as caught:
        choose(source, runtime="onnx", precision="int8", progress=Silent())
    assert str(caught.value) == (
        f'runtime="onnx" precision="int8" needs an export that {source.folder} has not (it has: litert-float32, '
        'litert-float16, litert-int8): regraft export RUN format="onnx" precision="int8"'
    )
    assert as_options(caught.value.text).endswith("regraft export RUN --format onnx --precision int8")
    with pytest.raises(UsageError, match=r'precision must be one of float32, .*; received "fp16"'):
        choose(source, precision="fp16", progress=Silent())


def test_a_runtime_that_does_not_run_here_is_not_taken(source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "dies.py").write_text("print('0 begins')\nraise SystemExit(1)\n")
    monkeypatch.setitem(processes.PROGRAMS, "time_network", ("nowhere.py",))
    choice = choose(source, progress=Silent())
    assert model_choice.time_choices([choice]) == {}
    monkeypatch.setitem(processes.PROGRAMS, "time_network", (str(tmp_path / "dies.py"),))
    assert model_choice.time_choices([choice]) == {choice: 0.0}


def test_what_there_was_no_time_to_measure_is_measured_the_next_time(source: Source, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def time_the_first(choices: list[ModelChoice]) -> dict[ModelChoice, float]:
        asked.append([name_of(choice) for choice in choices])
        return {choices[0]: 100.0 if name_of(choices[0]) == "a" else 200.0}

    monkeypatch.setattr(model_choice, "time_choices", time_the_first)
    assert [name_of(choose(source, count=MANY, progress=Silent())) for _ in range(3)] == ["a", "b", "b"]
    assert asked == [["a", "b"], ["b"]]


def test_tensorflow_is_measured_only_where_there_may_be_an_accelerator(
    source: Source, rates: dict[str, float], monkeypatch: pytest.MonkeyPatch
):
    rates["run"] = 1000.0
    assert name_of(choose(source, count=MANY, progress=Silent())) == "b"
    monkeypatch.setattr(model_choice, "may_have_accelerator", lambda: True)
    assert choose(source, count=MANY, progress=Silent()).is_run


def test_many_photos_are_answered_together_where_the_format_says_so(source: Source, monkeypatch: pytest.MonkeyPatch):
    together = replace(model_choice.find_format("litert"), many=4)
    monkeypatch.setattr(model_choice, "find_format", lambda _: together)
    assert choose(source, runtime="litert", count=FEW, progress=Silent()).batch_size == 4
    assert choose(source, runtime="litert", count=FEW - 1, progress=Silent()).batch_size is None


def swap_labels(export: Path) -> None:
    """Exchanges the first two labels wherever they are written, as nobody should."""
    labels = (export / "labels.txt").read_text().splitlines()
    labels[:2] = labels[1::-1]
    (export / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    values = json.loads((export / "export.json").read_text())
    description = {name: values[name] for name in values.keys() - {"files", "digest"}}  # as it was before digests
    (export / "export.json").write_text(json.dumps({**description, "labels": labels, "format_version": 1}))


def test_a_digest_changes_with_what_an_answer_depends_on_and_with_nothing_else(source: Source):
    export, run = source.folder / "exports/a", ModelChoice(str(source.folder), True, "tensorflow", "", "cpu")
    choice = ModelChoice(str(export), False, "litert", "float32", "cpu")
    before = choice.digest(), run.digest()
    (export / "README.md").write_text("Other words.")
    (export / "runtimes.json").write_text("{}")
    (export / ".writing-regraft-abcdefgh.json").write_text("what a kill leaves that comes while rates are kept")
    assert (choice.digest(), run.digest()) == before
    swap_labels(export)
    labels = source.folder / "labels.txt"
    labels.write_text("".join(sorted(labels.read_text().splitlines(keepends=True), reverse=True)))
    assert choice.digest() != before[0]
    assert run.digest() != before[1]


def test_a_prediction_does_not_go_on_with_swapped_labels(
    source: Source, trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    export, out = source.folder / "exports/a", tmp_path / "answers.csv"
    words = ("predict", export, next(trained.photos.rglob("*.png")), "--out", out)
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", stop)
        assert run_regraft(*words).code == 130
    swap_labels(export)
    refused = run_regraft(*words, "--resume")
    assert refused.code == 2
    assert f"{out} was begun with digest" in refused.stderr


def test_a_folder_is_a_run_or_an_export_or_neither(source: Source, trained: TrainedRun, tmp_path: Path):
    assert kind_of(trained.folder) == kind_of(source.folder) == "run"
    assert kind_of(source.folder / "exports/a") == "export"
    assert kind_of(trained.folder / "saved_model") == kind_of(trained.folder / "saved_model/1") == "export"
    assert kind_of(tmp_path) is kind_of(tmp_path / "nowhere") is kind_of(source.folder / "recipe.toml") is None
    shutil.copytree(source.folder / "exports/a", source.folder, dirs_exist_ok=True)
    assert kind_of(source.folder) == "run"


@pytest.mark.slow
def test_the_measurement_is_made_in_processes_of_their_own(
    litert: Path, trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "run"
    shutil.copytree(trained.folder, run, ignore=shutil.ignore_patterns("saved_model"))
    shutil.copytree(litert, run / "exports/litert-float32")
    shutil.copytree(litert, run / "exports/again")
    replace(read_export(run / "exports/again"), precision="float16").write()
    names = tmp_path / "names.csv"
    photos = sorted(map(str, trained.photos.rglob("*.png")))
    names.write_text("\n".join(["path", *(photos * 100)[:100], ""]))
    monkeypatch.setattr(model_choice, "WORTH_MEASURING", 1)
    answer = run_regraft("predict", run, names, "--out", tmp_path / "out.csv")
    assert answer.code == 0, answer.stderr
    assert answer.stderr.startswith("Images per second here, from memory: litert, float")
    kept = json.loads((run / "exports/runtimes.json").read_text())
    assert len(kept) == 2
    assert min(kept.values()) > 0


@pytest.mark.slow
def test_the_saved_model_is_an_export_as_any_other(trained: TrainedRun, tmp_path: Path):
    photos = sorted(map(str, trained.photos.rglob("*.png")))
    words = ("--format", "jsonl", "--all-probabilities", "--embeddings")
    served = run_regraft("predict", trained.folder / "saved_model", *photos, *words)
    keras = run_regraft("predict", trained.folder, *photos, *words)
    assert served.code == 0, served.stderr
    for ours, theirs in zip(served.stdout.splitlines(), keras.stdout.splitlines(), strict=True):
        one, other = json.loads(ours), json.loads(theirs)
        assert one["label"] == other["label"]
        assert one["p_cat"] == pytest.approx(other["p_cat"], abs=1e-5)
        assert one["embedding"] == pytest.approx(other["embedding"], abs=1e-4)
