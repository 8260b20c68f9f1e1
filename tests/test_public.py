"""The public names: what `import regraft` shows, how it is called, what it says of itself, and how little it costs."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import regraft
from regraft.errors import RegraftError, UsageError

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
PINNED = Path(__file__).with_name("public_interface.txt")
FUNCTIONS = [name for name in regraft.__all__ if inspect.isfunction(getattr(regraft, name))]


def interface() -> str:
    """Every public name with its signature and the first line of its docstring, and those of its public methods."""
    lines = []
    for name in sorted(regraft.__all__):
        value = getattr(regraft, name)
        if inspect.isfunction(value):
            lines += [described(name, value)]
        elif inspect.isclass(value):
            lines += [f"class {name}: {first_line(value)}", *members(value)]
    return "\n".join(lines) + "\n"


def members(kind: type) -> list[str]:
    found = []
    for name, value in sorted(vars(kind).items()):
        if name.startswith("_") or name == "model_config":
            continue
        if isinstance(value, property):
            found.append(f"    {name}: {first_line(value)}")
        elif isinstance(value, classmethod) or inspect.isfunction(value):
            found.append(f"    {described(name, getattr(kind, name))}")
    return found


def described(name: str, function) -> str:
    return f"{name}{inspect.signature(function)}: {first_line(function)}"


def first_line(value) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0]


def test_public_names_signatures_and_words_are_as_pinned():
    """To change them on purpose: `python tests/test_public.py > tests/public_interface.txt`."""
    assert interface() == PINNED.read_text("utf-8")


def test_every_public_name_is_there_and_nothing_else_is_shown():
    assert dir(regraft) == sorted(regraft.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'trains'"):
        regraft.trains  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_of_a_public_function_is_explained_once(name):
    function = getattr(regraft, name)
    explained = explained_in(inspect.getdoc(function) or "")
    assert sorted(explained) == sorted(inspect.signature(function).parameters)


def explained_in(docstring: str) -> list[str]:
    """The arguments that the block "Args:" of a docstring explains, in its order."""
    block = re.search(r"^Args:\n((?:    .*\n|\n)*)", f"{docstring}\n", re.MULTILINE)
    lines = re.findall(r"^    (\w+(?:, \w+)*):[ \n]", block[1] if block else "", re.MULTILINE)
    return [name for line in lines for name in line.split(", ")]


def test_only_words_before_a_colon_in_the_block_explain_an_argument():
    docstring = (
        "One word on out.\n\nArgs:\n    low, high: rates, without\n        end: none.\n    out:\n\nRaises:\n    A: b."
    )
    assert explained_in(docstring) == ["low", "high", "out"]
    assert explained_in("One word on out.\n\nRaises:\n    out: no argument.") == []


def test_the_page_on_python_has_every_public_name():
    page = PAGE.read_text("utf-8")
    assert [name for name in regraft.__all__ if not re.search(rf"\bregraft\.{name}\b", page)] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_argument_that_does_not_exist_is_refused_with_the_nearest(name):
    function = getattr(regraft, name)
    known = list(inspect.signature(function).parameters)[-1]
    with pytest.raises(UsageError) as caught:
        function("photos", **{f"{known}s": 1})
    assert str(caught.value) == f'regraft.{name} has no argument "{known}s". Did you mean "{known}"?'


def test_an_argument_that_is_missing_is_named():
    with pytest.raises(UsageError, match=r"^regraft.train: missing a required argument: 'photos'.$"):
        regraft.train()


def test_the_interface_is_typed_for_others():
    assert Path(regraft.__file__).with_name("py.typed").is_file()


@pytest.mark.parametrize("statement", ["import regraft", "import regraft; regraft.train; regraft.RegraftError"])
def test_importing_starts_nothing_heavy(statement):
    heavy = ("tensorflow", "keras", "numpy", "scipy", "PIL", "pydantic", "click", "rich")
    code = f"{statement}\nimport sys; print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_error_of_a_user_is_caught_by_one_name():
    assert regraft.RegraftError is RegraftError
    assert issubclass(regraft.WeightsError, regraft.RegraftError)


if __name__ == "__main__":
    sys.stdout.write(interface())
