"""The README and the pages behind it say only what is so."""

import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest
from command_line import parse_command
from drawn_photos import draw_photo

from regraft.cli.main import regraft
from regraft.models.backbones import BACKBONES
from regraft.recipes.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def command_lines(text: str) -> list[str]:
    lines = [line for block in code_blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ").strip() for line in lines if re.match(r"(\$ )?regraft ", line)]


ALL_COMMANDS = [(page.name, line) for page in PAGES for line in command_lines(page.read_text("utf-8"))]
ALL_MENTIONS = [
    (page.name, line) for page in PAGES for line in re.findall(r"`(regraft [^`\n]+)`", page.read_text("utf-8"))
]


@pytest.mark.parametrize(("page", "line"), ALL_COMMANDS)
def test_every_command_in_a_code_block_parses(page: str, line: str):
    parse_command(line)


@pytest.mark.parametrize(("page", "line"), ALL_MENTIONS)
def test_every_command_in_a_sentence_has_a_verb_and_options_that_exist(page: str, line: str):
    with suppress(click.MissingParameter):  # "`regraft pretrain` trained it" names a verb and no folder
        parse_command(line)


def test_the_readme_shows_check_train_and_predict():
    assert [line.split()[1] for line in command_lines(README)] == ["check", "train", "predict"]


def test_the_table_of_verbs_lists_them_all():
    table = README.partition("| verb | what it does |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `([\w-]+)", table, re.MULTILINE)) == sorted(regraft.commands)


def test_the_verbs_said_to_answer_a_program_do():
    sentence = re.search(r"explains itself with `--help`; (.*?) answer a program with `--json`", README, re.DOTALL)
    assert sentence
    can = [name for name, verb in regraft.commands.items() if any("--json" in option.opts for option in verb.params)]
    assert re.findall(r"`([\w-]+)`", sentence[1]) == can


def test_each_promise_names_tests_that_exist():
    promises = README.partition("## What it promises")[2].partition("\n## ")[0].split("\n- ")[1:]
    assert [promise.partition(".")[0].strip("*") for promise in promises] == [
        *("Rows", "Resume", "Deletion", "Answers", "Network", "Memory"),
    ]
    for promise in promises:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", promise)
        assert named
        for file, test in named:
            assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text("utf-8")


def test_the_number_of_backbones_is_right():
    assert f"the {len(BACKBONES)} backbones" in README


def test_the_example_recipe_is_one_and_shows_the_defaults(tmp_path: Path):
    (block,) = [
        block for block in code_blocks((ROOT / "docs/runs.md").read_text("utf-8")) if block.startswith("recipe =")
    ]
    (tmp_path / "ours.toml").write_text(block, "utf-8")
    shown, default = load_recipe(str(tmp_path / "ours.toml")).model_dump(), Recipe().model_dump()
    assert shown.pop("recipe") == "ours"
    resolved = {
        ("data", "image_size"): 224,
        ("model", "weights"): "imagenet",
        ("optimizer", "learning_rate"): 3e-4,
        ("finetune", "unfreeze"): 0.6,
        ("head", "class_weights"): "none",
    }
    assert (shown.pop("cost"), default.pop("cost")) == ({"melanoma->mole": 10.0}, {})
    for (section, key), value in resolved.items():
        assert (shown[section].pop(key), default[section].pop(key)) == (value, None)
    assert shown == {key: value for key, value in default.items() if key != "recipe"}


@pytest.mark.skipif(not (ROOT / "Makefile").is_file() or not shutil.which("make"), reason="no make, or no Makefile")
@pytest.mark.parametrize(
    ("target", "last"),
    [("demo", "regraft demo"), ("test", "python -m pytest -n 2 --dist loadfile --no-loadscope-reorder")],
)
def test_make_knows_the_two_commands(target: str, last: str):
    words = ["make", "--dry-run", "--no-print-directory", target, f"PYTHON={sys.executable}"]
    planned = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"make {target}" in README
    assert planned.splitlines()[-1].endswith(last)


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path):
    for class_index, name in enumerate(("cat", "dog")):
        for folder, count in (("photos", 12), ("new_photos", 3)):
            (tmp_path / folder / name).mkdir(parents=True)
            for number in range(count):
                photo = draw_photo(class_index, seed=number + 100 * count, size=(80, 60), classes=2)
                photo.save(tmp_path / folder / name / f"{number:03}.jpg")
    program = Path(sys.executable).with_name("regraft")
    for line in command_lines(README):
        words = line.partition("#")[0].split()[1:]
        extra = ["--backbone", "tiny"] if words[0] == "train" else []
        finished = subprocess.run([program, *words, *extra], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stderr
    rows = (tmp_path / "answers.csv").read_text("utf-8").splitlines()
    assert len(rows) == 1 + 6
    assert all(",ok,," in row for row in rows[1:])
    assert (tmp_path / "saved_models/pets/report.html").is_file()
