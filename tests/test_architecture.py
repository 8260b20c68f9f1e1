"""The rules of the house, read from the syntax trees: who may import whom, who may speak, what must exist."""

import ast
import graphlib
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"regraft": "app", "regraft.models": "models", "regraft.augment": "augment"}
MAY_SPEAK = {
    "regraft.cli.main",
    "regraft.cli.console",
    "regraft.exports.prove_export",
    "regraft.training.worker",
    "regraft.prediction.time_network",
}  # run as scripts
TESTED_ELSEWHERE = {
    "regraft.__main__": "test_main",
    "regraft.prediction.answerer": "test_predict",
    "regraft.runs.checkpoints": "test_finetune",
    "regraft.errors": "test_recipe",
    "regraft.exports.writers": "test_portable",
    "regraft.training.first_order": "test_head",
    "regraft.prediction.item_bytes": "test_inputs",
    "regraft.inference.judge": "test_train",
    "regraft.exports.card": "test_portable",
    "regraft.prediction.over_ray": "test_job",
    "regraft.progress": "test_features",
    "regraft.exports.proof": "test_saved_model",
    "regraft.exports.prove_export": "test_saved_model",
    "regraft.machine.ray_cluster": "test_many_runs",
    "regraft.data.records": "test_scan",
    "regraft.exports.runtimes": "test_saved_model",
    "regraft.prediction.tfrecord": "test_inputs",
    "regraft.prediction.time_network": "test_model_choice",
    "regraft.training.worker": "test_many_runs",
    "regraft.machine.versions": "test_session",
    "regraft.inference.trained": "test_predict",
    "regraft.augment.view_names": "test_many_views",
    "regraft.models.errors": "test_weights",
    "regraft.models.optimizer_table": "test_optimizers",
    "regraft.models.schedule_table": "test_schedules",
    "regraft.models.tiny": "test_backbones",
}
HEAVY = ("tensorflow", "keras", "matplotlib", "scipy", "sklearn", "pydantic")
MOST_BYTES = 2 * 1024 * 1024


def source_files() -> dict[str, Path]:
    """Every module of the three packages, by its installed name."""
    return {
        ".".join((package, *path.relative_to(ROOT / folder).with_suffix("").parts)): path
        for package, folder in FOLDERS.items()
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names of all imports of a file, also of those inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def foreign_imports(package: str, libraries: set[str]) -> list[str]:
    """Imports of a package's modules from outside the standard library, `libraries` and the package itself."""
    allowed = libraries | set(sys.stdlib_module_names)
    return [
        f"{path.name}: {name}"
        for path in (ROOT / FOLDERS[package]).rglob("*.py")
        for name in imported_names(path)
        if name.partition(".")[0] not in allowed and not f"{name}.".startswith(f"{package}.")
    ]


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_augment_needs_tensorflow_alone():
    assert foreign_imports("regraft.augment", {"tensorflow", "keras", "numpy"}) == []


def test_models_need_keras_alone_and_run_on_every_backend():
    assert foreign_imports("regraft.models", {"keras", "numpy", "h5py"}) == []


def test_application_modules_import_one_another_without_cycles():
    names = source_files()
    graph = {name: modules_among(names, set(imported_names(path))) for name, path in names.items()}
    graphlib.TopologicalSorter(graph).prepare()


def modules_among(modules: Iterable[str], wanted: set[str]) -> set[str]:
    """The modules that are imported, whole or a name of theirs."""
    return {module for module in modules if module in wanted or any(name.startswith(f"{module}.") for name in wanted)}


def test_nothing_imports_the_folders_by_their_own_names():
    files = [path for folder in (*FOLDERS.values(), "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    roots = [f"{path}: {name}" for path in files for name in imported_names(path) if is_folder_name(name)]
    assert roots == []


def is_folder_name(dotted: str) -> bool:
    return dotted.partition(".")[0] in FOLDERS.values()


def test_only_the_command_line_prints_or_exits():
    speakers = [
        f"{name}: {ast.unparse(node)}"
        for name, path in source_files().items()
        if name not in MAY_SPEAK
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if speaks(node)
    ]
    # Keras reports its downloads on stdout; this sends them where progress belongs.
    assert speakers == ["regraft.models.weights: sys.stderr"]


def speaks(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in ("print", "exit", "quit", "input", "SystemExit")
    spoken = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "sys.exit", "os._exit"}
    return isinstance(node, ast.Attribute) and ast.unparse(node) in spoken


def test_no_module_is_a_drawer_for_everything():
    assert not {"utils", "util", "helpers", "helper", "common", "misc"} & {path.stem for path in tracked_files()}


@pytest.mark.parametrize("name", [name for name in source_files() if not name.endswith(".__init__")])
def test_every_module_has_its_test_file(name):
    expected = TESTED_ELSEWHERE.get(name, f"test_{name.rpartition('.')[2]}")
    assert list((ROOT / "tests").rglob(f"{expected}.py"))


def test_every_exception_to_the_test_file_rule_is_still_a_module():
    assert set(TESTED_ELSEWHERE) <= set(source_files())


def test_every_package_is_listed_for_the_wheel():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    nested = {
        ".".join((package, *path.parent.relative_to(ROOT / folder).parts))
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(listed) == nested


def test_the_command_line_starts_without_the_heavy_libraries():
    code = f"import sys, regraft, regraft.cli.main; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_file_of_the_repository_is_over_two_megabytes():
    assert [path.name for path in tracked_files() if path.is_file() and path.stat().st_size > MOST_BYTES] == []
