"""The table of formats and their modules: each has one, all of it agrees, and naming them imports nothing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from regraft.errors import UsageError
from regraft.exports.format import find_format, first_format
from regraft.exports.table import FORMATS, PRECISIONS, RUNTIMES

HEAVY = ("tensorflow", "keras", "onnx", "onnxruntime", "openvino", "ai_edge_litert", "scipy", "matplotlib")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_described_in_the_module_of_its_name(name: str):
    form = find_format(name)
    assert form.name == name
    assert (form.write is None) != (form.exporter is None)
    assert next(iter(form.precisions)) == "float32"
    assert set(form.needs) <= set(form.precisions) <= set(PRECISIONS)
    assert form.exporter or "answer = " in form.snippet  # the model card


def test_every_precision_is_of_some_format():
    assert {precision for name in FORMATS for precision in find_format(name).precisions} == set(PRECISIONS)


def test_runtimes_are_those_of_the_formats_and_each_has_its_extra():
    assert RUNTIMES == ("tensorflow", "litert", "onnx", "openvino")
    assert first_format("tensorflow").name == "saved_model"
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(RUNTIMES) - {"tensorflow"} <= set(project["optional-dependencies"])
    needs = [need for name in FORMATS for need in find_format(name).needs.values()]
    needed = {extra for need in needs for extra in need.extras.split(",")}
    assert needed <= set(project["optional-dependencies"])


def test_what_starts_faster_is_preferred():
    assert sorted(RUNTIMES, key=lambda runtime: first_format(runtime).start_seconds) == [
        *("litert", "onnx", "openvino", "tensorflow")
    ]


def test_a_format_that_does_not_exist_is_refused():
    with pytest.raises(UsageError) as caught:
        find_format("coreml")
    assert str(caught.value) == 'format must be one of saved_model, litert, onnx, openvino; received "coreml".'


def imported_by(code: str) -> set[str]:
    """The top-level names in `sys.modules` of a fresh Python that has run `code`."""
    told = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.split())


def test_the_table_alone_is_read_without_numpy_and_the_formats_without_what_they_need():
    assert "numpy" not in imported_by("import regraft.exports.table")
    find_all = f"from regraft.exports.format import find_format\nfor name in {[*FORMATS]}: find_format(name)"
    assert not set(HEAVY) & imported_by(find_all)
