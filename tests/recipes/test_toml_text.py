"""TOML as people write it, and values that are too much for a message or for Python."""

from pathlib import Path

import pytest

from regraft.errors import UsageError
from regraft.recipes.recipe import load_recipe
from regraft.recipes.toml_text import brief, read_toml, value_of

DEEP, LONG = "[" * 3_000, "9" * 5_000


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("[0.1, 2]", [0.1, 2]), ("sgd", "sgd"), (DEEP, DEEP), (LONG, LONG), ("a = 1", "a = 1")],
)
def test_a_value_is_toml_or_else_the_text_itself(text: str, value: object):
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"seed = {DEEP}", "it is nested too deeply"),
        (f"seed = {LONG}", "a number in it has thousands of digits"),
        ("seed = = 3", "Invalid value (at line 1, column 8)"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_a_file_that_is_no_toml_is_named_with_the_reason(tmp_path: Path, content: str | bytes, reason: str):
    file = tmp_path / "a.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        read_toml(file)
    assert str(caught.value) == f"{file} cannot be read as TOML: {reason}."


@pytest.mark.parametrize("value", [DEEP, LONG])
@pytest.mark.parametrize("key", ["head.l2", "finetune.epochs", "model.pooling", "no.such.key"])
def test_a_recipe_refuses_what_is_too_much_in_one_line_of_readable_length(key: str, value: str):
    with pytest.raises(UsageError) as caught:
        load_recipe("quick", {key: value_of(value)})
    assert len(str(caught.value)) < 400
    assert len(str(caught.value).splitlines()) == 1


def test_a_long_value_is_told_by_both_its_ends():
    assert brief("a" * 1_000 + "z") == "a" * 105 + " ... " + "a" * 14 + "z"
    assert brief(10**5_000) == "int"
    assert brief(" a\nb ") == "a b"
    assert brief(" = 3") == " = 3"
