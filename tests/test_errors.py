"""One tree of errors, whose messages name arguments as each front end writes them."""

import json
import pickle
from pathlib import Path

import pytest

from regraft import errors
from regraft.errors import (
    ExportError,
    RegraftError,
    RunError,
    UsageError,
    as_options,
    option,
    refused_by_system,
    visible,
)


def test_every_error_is_a_regraft_error_with_the_exit_code_of_its_kind():
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert {kind.__name__ for kind in kinds} == {
        "RegraftError", "UsageError", "FolderError", "RunError", "ExportError", "BackboneError", "WeightsError",
    }  # fmt: skip
    assert all(issubclass(kind, RegraftError) for kind in kinds)
    assert [kind.exit_code for kind in kinds if kind is not ExportError] == [2] * 6
    assert ExportError.exit_code == 1


@pytest.mark.parametrize(
    ("marked", "in_python", "on_the_command_line"),
    [
        (option("device"), "device", "--device"),
        (option("unknown_at"), "unknown_at", "--unknown-at"),
        (option("kind", "ema"), 'kind="ema"', "--kind ema"),
        (option("unknown_at", 0.05), "unknown_at=0.05", "--unknown-at 0.05"),
        (option("force", True), "force=True", "--force"),
        (option("rival", False), "rival=False", "--no-rival"),
        (option("out", "a b/c=d"), 'out="a b/c=d"', "--out 'a b/c=d'"),
        (option("out", 'a"b'), "out='a\"b'", "--out 'a\"b'"),
    ],
)
def test_an_argument_is_written_as_each_front_end_does(marked, in_python, on_the_command_line):
    error = UsageError(f"{marked} must fit.")
    assert str(error) == f"{in_python} must fit."
    assert as_options(error.text) == f"{on_the_command_line} must fit."


def test_what_a_terminal_would_obey_is_written_out():
    assert visible("a\nb\tc\x1b[2J\x7f\x9b\u202egpj.exe\u2066\u2028") == (
        "a\\u000ab\\u0009c\\u001b[2J\\u007f\\u009b\\u202egpj.exe\\u2066\\u2028"
    )
    assert visible("née – 猫 👩‍🔬 [/x] ±") == "née – 猫 👩‍🔬 [/x] ±"
    assert visible("caf\udce9") == "caf\udce9"  # a byte of a file name, which is written as it is


def test_json_that_is_made_visible_says_the_same():
    values = {"a\u202eb\x9b": ["\n\x07", "\\u202e"]}
    assert json.loads(visible(json.dumps(values, ensure_ascii=False))) == values


def test_text_of_users_is_left_alone():
    error = UsageError("`device` and --device stay.")
    assert str(error) == as_options(error.text) == "`device` and --device stay."


def test_what_stands_before_a_message_keeps_its_arguments_and_its_kind():
    error = RunError(f"{option('jobs')} must be 1.").after("member-1: ")
    assert type(error) is RunError
    assert as_options(error.text) == "member-1: --jobs must be 1."


def test_errors_come_back_from_another_process_as_they_were():
    error = pickle.loads(pickle.dumps(RunError(f"{option('out')} exists.")))
    assert (type(error), str(error)) == (RunError, "out exists.")


def test_a_current_folder_that_was_removed_is_named_as_the_reason(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        Path.cwd()
    assert str(refused_by_system(caught.value)).startswith("The current folder is no longer there.")
    caught.value.filename = "a.csv"
    assert str(refused_by_system(caught.value)).startswith("a.csv: No such file or directory.")
