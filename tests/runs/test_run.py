"""Run directories: where a new one may go, and what is said about those that are there."""

import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import refusals

from regraft.errors import RunError, as_options
from regraft.machine.files import write_json
from regraft.recipes.recipe import load_recipe
from regraft.runs.digests import write_digests
from regraft.runs.run import Run, command_to_resume, new_run, open_run, resumable_run

RECIPE = load_recipe("quick", {"seed": 3})
CLASSES = ("ant", "bee")


def started(folder: Path, class_names: tuple[str, ...] = CLASSES) -> Run:
    run = new_run(folder, "unused")
    run.start(RECIPE, class_names, {"seed": 3})
    return run


def finished(folder: Path) -> Run:
    run = started(folder)
    run.model_file.touch()
    write_json(run.metrics_file, {"accuracy": 1.0})
    return run


message_of = partial(refusals.message_of, RunError)


def test_a_started_run_says_what_it_was_started_with(tmp_path: Path):
    started(tmp_path / "deep" / "run")
    run = resumable_run(tmp_path / "deep" / "run")
    assert (run.recipe, run.class_names, run.environment) == (RECIPE, CLASSES, {"seed": 3})
    assert run.checkpoints.is_dir()
    assert not run.is_finished


def test_any_printable_class_name_comes_back(tmp_path: Path):
    names = ("a b", "naïve", "next\x85line", "line\u2028separator", "tab\there", "λ")
    assert resumable_run(started(tmp_path / "run", names).folder).class_names == names


def test_a_finished_run_opens_with_its_numbers(tmp_path: Path):
    finished(tmp_path / "run")
    assert open_run(tmp_path / "run").metrics.as_dict() == {"accuracy": 1.0}


def test_without_out_a_run_goes_under_saved_models_by_name_and_time(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = new_run(None, "flowers")
    assert run.folder.parent == Path("saved_models")
    assert run.folder.name.startswith("flowers-")
    assert not run.folder.exists()


def test_a_second_run_of_the_same_second_gets_its_own_folder(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = new_run(None, "flowers")
    first.folder.mkdir(parents=True)
    folders = {first.folder, new_run(None, "flowers").folder}
    assert len(folders) == 2


def test_an_existing_folder_is_refused(tmp_path: Path):
    assert message_of(new_run, tmp_path, "x") == f"{tmp_path} exists already; choose another out."


def test_a_finished_run_is_not_overwritten(tmp_path: Path):
    folder = finished(tmp_path / "run").folder
    assert message_of(new_run, folder, "x") == f"{folder} exists already; choose another out."


def test_an_unfinished_run_can_be_continued_instead(tmp_path: Path):
    folder = started(tmp_path / "run").folder
    text = message_of(new_run, folder, "x")
    assert text == f"{folder} exists already; continue it with resume=True, or choose another out."


def test_a_link_to_nowhere_is_not_written_through(tmp_path: Path):
    link = tmp_path / "run"
    link.symlink_to(tmp_path / "nowhere")
    assert message_of(new_run, link, "x").startswith(f"{link} exists already")


def test_a_place_under_a_file_cannot_hold_a_run(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    assert message_of(new_run, file / "a" / "run", "x") == f"{file / 'a' / 'run'} cannot be made: {file} is a file."


def test_a_start_under_a_file_fails_in_one_line(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    run = Run(file / "run")
    assert message_of(run.start, RECIPE, CLASSES, {}) == f"{run.folder} cannot be written: Not a directory."


def test_a_folder_that_appears_before_the_start_is_left_alone(tmp_path: Path):
    run = new_run(tmp_path / "run", "x")
    run.folder.mkdir()
    (run.folder / "mine.txt").touch()
    assert "exists already" in message_of(run.start, RECIPE, CLASSES, {})
    assert (run.folder / "mine.txt").is_file()


def test_a_start_on_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("regraft.runs.run.write_json", full)
    run = new_run(tmp_path / "run", "x")
    assert message_of(run.start, RECIPE, CLASSES, {}) == f"{run.folder} cannot be written: No space left on device."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("open_it", [open_run, resumable_run])
def test_a_folder_that_is_no_run_is_said_to_be_none(open_it, tmp_path: Path):
    assert message_of(open_it, tmp_path / "no") == f"There is no run directory {tmp_path / 'no'}."
    assert message_of(open_it, tmp_path) == f"{tmp_path} is not a run directory: it has no recipe.toml."


def test_an_unfinished_run_does_not_open_and_the_command_that_goes_on_can_be_copied(tmp_path: Path):
    folder = started(tmp_path / "my run").folder
    unfinished = f"{folder} is a run that did not finish; continue it: regraft train FOLDER --resume --out '{folder}'"
    with pytest.raises(RunError) as caught:
        open_run(folder)
    assert str(caught.value) == as_options(caught.value.text) == unfinished


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("recipe.toml", "seed = [", "recipe.toml is missing or damaged (cannot be read as TOML: "),
        (
            "recipe.toml",
            "sed = 3",
            'recipe.toml is missing or damaged (A recipe has no key "sed".',
        ),
        ("environment.json", "[]", "environment.json is missing or damaged; train again."),
        ("environment.json", "{", "environment.json is missing or damaged; train again."),
        ("environment.json", "[" * 5_000, "environment.json is missing or damaged; train again."),
        ("environment.json", '{"root": 3}', "environment.json is damaged: root is no text; train again."),
        ("environment.json", "{}", "environment.json does not say where the photos lay; train again."),
        ("metrics.json", "null", "metrics.json is missing or damaged; train again."),
        ("metrics.json", '{"accuracy": "good"}', "metrics.json is missing or damaged; train again."),
        ("metrics.json", '{"stages": [3]}', "metrics.json is missing or damaged; train again."),
        ("metrics.json", '{"per_class": [{"images": "3"}]}', "metrics.json is missing or damaged; train again."),
        ("metrics.json", '{"confusion": [[1, 2]]}', "metrics.json is missing or damaged; train again."),
        ("metrics.json", '{"export": {"images": "many"}}', "metrics.json is missing or damaged; train again."),
        ("metrics.json", '{"ensemble": {"kind": "heads"}}', "metrics.json is missing or damaged; train again."),
        ("labels.txt", b"\xff", "labels.txt is missing or damaged; train again."),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, content: str | bytes, reason: str):
    run = finished(tmp_path / "run")
    (run.folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    run = Run(run.folder)
    with pytest.raises(RunError) as caught:
        _ = run.recipe, run.environment, run.metrics, run.class_names, run.root
    assert str(caught.value).startswith(f"{run.folder}/{reason}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_run_that_lost_its_model_does_not_open(tmp_path: Path):
    run = finished(tmp_path / "run")
    run.model_file.unlink()
    assert message_of(open_run, run.folder) == f"{run.folder} has lost its model.keras; train again."


def test_a_finished_run_has_nothing_to_resume(tmp_path: Path):
    folder = finished(tmp_path / "run").folder
    assert message_of(resumable_run, folder) == f"{folder} is finished; there is nothing to resume."


def test_an_unfinished_run_without_checkpoints_gets_the_folder_back(tmp_path: Path):
    run = started(tmp_path / "run")
    run.checkpoints.rmdir()
    run.tidy()
    assert run.checkpoints.is_dir()


def test_a_run_that_lacks_only_its_export_is_finished_and_can_be_resumed(tmp_path: Path):
    run = finished(tmp_path / "run")
    write_json(run.metrics_file, {"accuracy": 1.0, "export": {"reason": "it has not been made yet"}})
    assert open_run(run.folder).lacks_export
    assert resumable_run(run.folder).is_finished


def test_two_do_not_write_one_run(tmp_path: Path):
    run, elsewhere = started(tmp_path / "run"), started(tmp_path / "other")
    with run.held():
        text = message_of(Run(run.folder).held().__enter__)
        assert text == f"Another process is writing {run.folder} at this moment; wait for it or stop it."
        with elsewhere.held():
            pass
    with run.held():
        pass


def test_a_run_that_a_killed_process_held_is_free(tmp_path: Path):
    run = started(tmp_path / "run")
    script = (
        "import os, signal, sys; from pathlib import Path; from regraft.runs.run import Run\n"
        "Run(Path(sys.argv[1])).held().__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(run.folder)], check=False)
    assert killed.returncode == -9
    with run.held():
        pass


def test_a_start_that_is_killed_leaves_no_run_and_the_next_one_sweeps_up(tmp_path: Path, monkeypatch):
    def die(*_: object) -> None:
        os._exit(137)

    child = os.fork()
    if not child:
        monkeypatch.setattr(Path, "rename", die)
        Run(tmp_path / "run").start(RECIPE, CLASSES, {})
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 137
    assert [path.name.startswith(".drafting-") for path in tmp_path.iterdir()] == [True]
    started(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_checkpoints_are_removed_file_by_file_and_others_files_stay(tmp_path: Path):
    run = started(tmp_path / "run")
    for name in ("epoch_00002.npz", "best.npz", "answers.npz", "notes.txt"):
        (run.checkpoints / name).touch()
    run.clear_checkpoints()
    assert [path.name for path in run.checkpoints.iterdir()] == ["notes.txt"]
    (run.checkpoints / "notes.txt").unlink()
    run.clear_checkpoints()
    assert not run.checkpoints.exists()


def test_taking_a_start_back_leaves_what_others_put_there(tmp_path: Path):
    run = started(tmp_path / "run")
    (run.folder / "notes.txt").touch()
    run.remove_start()
    assert [path.name for path in run.folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("text", ["[model", "\x00\xff", "seed = 'x'", "epochs = 1", "a = " + "[" * 3000])
def test_a_damaged_recipe_is_one_line(tmp_path: Path, text: str):
    run = started(tmp_path / "run")
    run.recipe_file.write_bytes(text.encode("latin-1"))
    assert "recipe.toml is missing or damaged" in message_of(lambda: Run(run.folder).recipe)


@pytest.mark.parametrize("text", ["", "[]", "3", "\xff", "[" * 100_000])
@pytest.mark.parametrize("name", ["environment", "metrics"])
def test_damaged_json_is_one_line(tmp_path: Path, name: str, text: str):
    run = finished(tmp_path / "run")
    (run.folder / f"{name}.json").write_bytes(text.encode("latin-1"))
    expected = f"{run.folder}/{name}.json is missing or damaged; train again."
    assert message_of(lambda: getattr(Run(run.folder), name)) == expected


def test_a_run_whose_labels_were_edited_does_not_open(tmp_path: Path):
    run = finished(tmp_path / "run")
    write_digests(run.folder)
    run.labels_file.write_text("bee\nant\n")
    assert message_of(open_run, run.folder).startswith(f"{run.labels_file} is not what the run was finished with")


def test_the_command_that_goes_on_can_be_copied(tmp_path: Path):
    words = shlex.split(command_to_resume("ensemble", ["my run", "it's"], Path("$new")))
    assert words == ["regraft", "ensemble", "my run", "it's", "--resume", "--out", "$new"]


def test_json_is_strict_and_keeps_letters(tmp_path: Path):
    write_json(tmp_path / "a.json", {"name": "naïve"})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "name": "naïve"\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", {"loss": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_a_run_may_be_named_by_a_string_and_says_where_there_is_none(tmp_path: Path):
    assert Run(str(tmp_path)).metrics_file == tmp_path / "metrics.json"  # type: ignore[arg-type]
    with pytest.raises(RunError) as caught:
        Run(tmp_path / "pets").metrics  # noqa: B018
    assert str(caught.value) == f"There is no run directory {tmp_path}/pets."


def test_a_run_from_before_a_key_was_there_means_what_it_did(tmp_path: Path):
    run = Run(tmp_path)
    run.recipe_file.write_text('recipe = "quick"\n[data]\nimage_size = 32\n[head]\nfolds = 3\n', "utf-8")
    assert (run.recipe.head.taps, run.recipe.data.fit, run.recipe.data.range) == (0, "crop", "type")
    assert run.recipe.head.folds == 3


def test_what_was_left_open_is_settled_in_the_recipe_of_the_run(tmp_path: Path):
    run = Run(tmp_path)
    run.recipe_file.write_text(load_recipe("quick", {"head.taps": "auto"}).to_toml(), "utf-8")
    run.environment_file.write_text('{"root": "photos"}', "utf-8")
    assert run.recipe.head.taps == "auto"
    run.settle(load_recipe("quick", {"head.taps": ["a", "b"]}), taps_losses={"0": 0.5})
    assert run.recipe.head.taps == Run(tmp_path).recipe.head.taps == ("a", "b")
    assert run.environment == {"root": "photos", "taps_losses": {"0": 0.5}}
