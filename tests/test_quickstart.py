"""The notebook of the documentation runs from its first cell to its last."""

import re
from pathlib import Path

import pytest

import regraft

NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the notebook's libraries, which are not ours
def test_every_cell_of_the_notebook_runs(tmp_path: Path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert not [output for output in shown if output.output_type == "error"]
    assert ["<table>" in data.get("text/html", "") for data in shown_by(notebook, "comparison")] == [True]


def shown_by(notebook, expression: str) -> list[dict]:
    """What the cells that end with `expression` show of it."""
    cells = [cell for cell in notebook.cells if cell.source.splitlines()[-1] == expression]
    results = [output for cell in cells for output in cell.outputs if output.output_type == "execute_result"]
    return [output.data for output in results]


def test_the_notebook_uses_public_names_only():
    nbformat = pytest.importorskip("nbformat")
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    code = "\n".join(cells)
    assert set(re.findall(r"\bregraft\.(\w+)", code)) - {*regraft.__all__} == set()
    assert "from regraft" not in code


def test_the_notebook_is_kept_without_what_it_printed():
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []
