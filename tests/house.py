"""The rules of the house as functions of a checkout: each returns what breaks it, read from the syntax trees alone."""

from __future__ import annotations

import ast
import functools
import graphlib
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

FOLDERS = {"regraft": "app", "regraft.models": "models", "regraft.augment": "augment"}

LAYERS = (
    *("errors", "progress", "machine", "data", "recipes", "runs", "evidence", "inference", "exports", "prediction"),
    *("training", "ensembles", "experiments", "curation", "serving", "api", "cli"),
)
"""The parts of the application in the order in which they stand on each other: imports only go up this list."""

ENTRANCES = ("__init__", "__main__")
"""What may import from any layer: the public names and `python -m regraft`."""

STRANGERS = (("prediction", "training"),)
"""Parts that do not know each other."""

VERBS = frozenset(["train", "predict", "evaluate", "export", "compare", "ensemble", "check", "load", "serve", "review"])

SCRIPTS = (
    *("regraft.exports.prove_export", "regraft.training.worker", "regraft.prediction.time_network"),
    "regraft.machine.lifeline",
)
"""What runs in a process of its own."""

MAY_SPEAK = ("regraft.cli", "regraft.progress", *SCRIPTS)
"""The command line prints; progress.py draws bars for whoever asks for them."""

SPEECH = frozenset(
    ["print", "input", "exit", "quit", "SystemExit", "sys.exit", "os._exit", "os.abort"]
    + [f"sys.{stream}" for stream in ("stdout", "stderr", "__stdout__", "__stderr__")]
)
"""What prints, exits or is a stream."""

PROCESS_STARTERS = frozenset(
    [f"subprocess.{name}" for name in ("Popen", "run", "call", "check_call", "check_output", "getoutput")]
    + [f"os.{name}" for name in ("system", "popen", "fork", "forkpty", "startfile")]
    + ["subprocess.getstatusoutput", "multiprocessing", "pty", "concurrent.futures.ProcessPoolExecutor"]
)
WAYS_TO_PROCESSES = (
    *("os.exec", "os.spawn", "os.posix_spawn", "multiprocessing.", "pty.", "concurrent.futures.process"),
    "asyncio.create_subprocess",
)
"""What names that start processes begin with."""

DRAWERS = frozenset(["utils", "util", "helpers", "helper", "common", "misc"])

MOST_LINES = 400
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 8
MOST_ENTRIES = 20


def source_files(root: Path) -> dict[str, Path]:
    """Every module of the three packages, by its installed name."""
    return {
        ".".join((package, *path.relative_to(root / folder).with_suffix("").parts)): path
        for package, folder in FOLDERS.items()
        for path in sorted((root / folder).rglob("*.py"))
    }


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file; copies of a file share it, so that what is known of a tree is known of all copies."""
    return _parsed(path.read_text("utf-8"))


@functools.cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def imported_names(path: Path) -> list[str]:
    """Dotted names of all imports of a file, also of those inside functions."""
    return _imported_names(tree_of(path))


@functools.cache
def _imported_names(tree: ast.Module) -> list[str]:
    return list(_each_imported_name(tree))


def _each_imported_name(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names)


def foreign_imports(root: Path, package: str, libraries: set[str]) -> list[str]:
    """Imports of a package's modules from outside the standard library, `libraries` and the package itself."""
    allowed = libraries | set(sys.stdlib_module_names)
    return [
        f"{path.name}: {name}"
        for path in (root / FOLDERS[package]).rglob("*.py")
        for name in imported_names(path)
        if name.partition(".")[0] not in allowed and not f"{name}.".startswith(f"{package}.")
    ]


def imports_against_the_layers(root: Path) -> list[str]:
    """Imports within the application that go down the list of layers, or between strangers."""
    return [
        f"{module} imports {name}"
        for module, path in source_files(root).items()
        if (mine := layer_of(module)) is not None
        for name in imported_names(path)
        if (theirs := layer_of(name)) is not None and not may_import(mine, theirs)
    ]


def layer_of(dotted: str) -> str | None:
    """The layer of a module of the application; None for the entrances, the models, the augmentation and others."""
    first, _, rest = dotted.partition(".")
    part = rest.partition(".")[0]
    apart = (*ENTRANCES, "__version__", "models", "augment")
    return part if first == "regraft" and part and part not in apart else None


def may_import(mine: str, theirs: str) -> bool:
    if mine not in LAYERS or theirs not in LAYERS or tuple(sorted((mine, theirs))) in STRANGERS:
        return False
    return LAYERS.index(theirs) <= LAYERS.index(mine)


def import_cycles(root: Path) -> list[str]:
    names = source_files(root)
    graph = {name: modules_among(names, set(imported_names(path))) for name, path in names.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def modules_among(modules: Iterable[str], wanted: set[str]) -> set[str]:
    """The modules that are imported, whole or a name of theirs."""
    return {module for module in modules if module in wanted or any(name.startswith(f"{module}.") for name in wanted)}


def used_names(path: Path) -> list[str]:
    """Dotted names of all that a file uses, whatever it calls them: `sp.run` after `import subprocess as sp`.

    A type with its parameters, such as `subprocess.Popen[bytes]`, is left out.
    """
    return _used_names(tree_of(path))


@functools.cache
def _used_names(tree: ast.Module) -> list[str]:
    return list(_each_used_name(tree))


def _each_used_name(tree: ast.Module) -> Iterator[str]:
    known = dict(names_by_import(tree))
    types = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Name | ast.Attribute) and id(node) not in types:
            yield dotted_name(node, known)


def dotted_name(node: ast.expr, known: Mapping[str, str]) -> str:
    """How the node is written, with the name that stands first as it was imported."""
    first, dot, rest = ast.unparse(node).partition(".")
    return f"{known.get(first, first)}{dot}{rest}"


def names_by_import(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What an import calls something in the file, and its dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname, alias.name) for alias in node.names if alias.asname)
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def speakers(root: Path) -> list[str]:
    """Where something prints, exits or reaches for a stream that may not."""
    return [
        f"{name}: {used}"
        for name, path in source_files(root).items()
        if not f"{name}.".startswith(tuple(f"{speaker}." for speaker in MAY_SPEAK))
        for used in sorted(set(used_names(path)))
        if used.removeprefix("builtins.") in SPEECH
    ]


def process_starters(root: Path) -> list[str]:
    """Where a module outside machine/processes.py starts another process."""
    return [
        f"{name}: {used}"
        for name, path in source_files(root).items()
        if name != "regraft.machine.processes"
        for used in sorted({*used_names(path), *imported_names(path)})
        if used in PROCESS_STARTERS or used.startswith(WAYS_TO_PROCESSES)
    ]


def callers(root: Path, function: str) -> list[str]:
    """Modules that call the function or class of this dotted name."""
    return [name for name, path in source_files(root).items() if function in called_names(tree_of(path))]


def called_names(tree: ast.Module) -> set[str]:
    known = dict(names_by_import(tree))
    return {dotted_name(node.func, known) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def is_tested_in(root: Path, module: str, where: str) -> bool:
    """Whether `where` tests the module: a file below tests/ that imports it, or FILE::BEGINNING of a test in it."""
    file, _, test = where.partition("::")
    path = root / "tests" / f"{file}.py"
    if not path.is_file():
        return False
    if test:
        return any(isinstance(node, ast.FunctionDef) and node.name.startswith(test) for node in tree_of(path).body)
    return bool(modules_among([module], set(imported_names(path))))


def packages_missing_from_the_wheel(root: Path) -> list[str]:
    """Folders with modules that `packages` in pyproject.toml does not name, and names without a folder."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    there = {
        ".".join((package, *path.parent.relative_to(root / folder).parts))
        for package, folder in FOLDERS.items()
        for path in (root / folder).rglob("*.py")
    }
    return sorted(listed ^ there)


def data_missing_from_the_wheel(root: Path) -> list[str]:
    """Files among the modules, such as style sheets, that no pattern of `package-data` in pyproject.toml names."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]
    there = (
        (".".join((package, *path.parent.relative_to(root / folder).parts)), path)
        for package, folder in FOLDERS.items()
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc")
    )
    return [
        f"{package}: {path.name}"
        for package, path in there
        if not any(path.match(pattern) for pattern in patterns.get(package, ()))
    ]


def names_of_verbs(root: Path) -> list[str]:
    """Modules and packages directly in app/ that would overwrite a public function of the same name."""
    return sorted(entry.stem for entry in (root / "app").iterdir() if entry.stem in VERBS)


def too_large(root: Path) -> list[str]:
    """Modules, functions and parameter lists beyond what a reader takes in at once, but for those with a reason."""
    found = [
        f"{name}: {lines} lines"
        for name, path in source_files(root).items()
        if (lines := len(path.read_text("utf-8").splitlines())) >= MOST_LINES
    ]
    for name, path in source_files(root).items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found += [f"{name}.{node.name}: {what}" for what in excess(node)]
    return found


def excess(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    lines = (function.end_lineno or 0) - function.lineno + 1
    if lines > MOST_FUNCTION_LINES:
        yield f"{lines} lines"
    arguments = function.args
    own = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    count = len([each for each in own if each.arg not in ("self", "cls")])
    if count > MOST_PARAMETERS:
        yield f"{count} parameters"
