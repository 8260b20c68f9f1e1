"""Faults planted one at a time, and the tests that have to see them: `python tests/mutants.py [WORD ...]`.

A test that nothing can make fail promises nothing. Each row is a small fault that a person could make: one string of
one file is replaced in a copy of the checkout, and the tests named beside it are run there; they must fail. First all
of these tests must pass on the copy as it is. With words, only the mutants whose names hold one of them are planted.

Each mutant gets a process of its own, forked from one that has TensorFlow imported and nothing of this package.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from mutant_table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
_COPIED = ("app", "models", "augment", "tests", "docs", "pyproject.toml", "README.md", "CHANGELOG.md", "Makefile")
_PASSED, _FAILED = 0, 1  # exit codes of pytest; others mean that it did not come to testing
_COPIES = 2


@dataclass(frozen=True)
class Outcome:
    """What the tests said of a mutant.

    Attributes:
        mutant: the one that was planted.
        code: pytest's exit code: 1 where a test failed, which is what is wanted.
        output: what pytest wrote.
    """

    mutant: Mutant
    code: int
    output: str

    @property
    def is_seen(self) -> bool:
        """Whether a test failed. One that could not even be collected has seen nothing."""
        return self.code == _FAILED


def plant_all(mutants: Sequence[Mutant]) -> Iterator[Outcome]:
    """Plants every mutant in a copy of the checkout, two at a time, and yields what became of each, in order."""
    with tempfile.TemporaryDirectory(prefix="regraft-mutants-") as scratch, ThreadPoolExecutor(_COPIES) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(_COPIES):
            copies.put(_copy(Path(scratch) / str(number)))

        def plant(mutant: Mutant) -> Outcome:
            copy = copies.get()
            try:
                with _planted(copy, mutant):
                    return Outcome(mutant, *run_tests(copy, mutant.tests))
            finally:
                copies.put(copy)

        yield from pool.map(plant, mutants)


def harmless(mutants: Sequence[Mutant]) -> list[Mutant]:
    """One mutant that changes nothing for each file of tests: where its tests fail, they see more than mutants."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    files = sorted({test.partition("::")[0] for test in tests})
    of_file = {file: tuple(test for test in tests if test.partition("::")[0] == file) for file in files}
    return [Mutant(f"nothing, for {file}", "pyproject.toml", "[project]", "[project]", of_file[file]) for file in files]


def misplaced(mutants: Sequence[Mutant]) -> list[str]:
    """The mutants whose string is not, or not once, in their file, and those that name no test."""
    return [
        mutant.name
        for mutant in mutants
        if (ROOT / mutant.file).read_text("utf-8").count(mutant.good) != 1 or not mutant.tests
    ]


def run_tests(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Pytest's exit code and output for these tests of a copy, in a forked process. Slow tests count as well."""
    log = copy.parent / f"{copy.name}.log"
    child = os.fork()
    if child == 0:
        _become_pytest(copy, tests, log)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), log.read_text("utf-8", errors="replace")


def _become_pytest(copy: Path, tests: Sequence[str], log: Path) -> None:
    """Never returns."""
    code = 70
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.chdir(copy)
        os.environ["PYTHONPATH"] = str(copy / ".types")
        sys.path[:0] = [str(copy / ".types"), str(copy / "tests")]
        import pytest

        options = ["-q", "-x", "-p", "no:cacheprovider", "-m", "slow or not slow", "--timeout=200", "--no-header"]
        code = int(pytest.main([*options, f"--basetemp={copy.parent / f'{copy.name}-tmp'}", *tests]))
    finally:
        sys.stdout.flush()
        os._exit(code)


def _copy(folder: Path) -> Path:
    """The checkout without what git ignores, with the package where Python finds it."""
    folder.mkdir(parents=True)
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    package = folder / ".types" / "regraft"
    package.mkdir(parents=True)
    for entry in [folder / "models", folder / "augment", *(folder / "app").iterdir()]:
        (package / entry.name).symlink_to(entry)
    return folder


@contextmanager
def _planted(copy: Path, mutant: Mutant) -> Iterator[None]:
    file = copy / mutant.file
    sound = file.read_text("utf-8")
    file.write_text(sound.replace(mutant.good, mutant.bad), "utf-8")
    try:
        yield
    finally:
        file.write_text(sound, "utf-8")


def main(words: Sequence[str]) -> int:
    """Plants the mutants whose names hold one of `words`, or all; the number of those that nobody saw."""
    sys.dont_write_bytecode = True  # files change faster than the times by which stale bytecode is known
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras  # noqa: F401 - imported once here, for all that are forked
    import scipy.optimize  # noqa: F401
    import sklearn.model_selection  # noqa: F401
    import tensorflow  # noqa: F401

    mutants = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    if lost := misplaced(mutants):
        print(f"Not to be found in their files: {'; '.join(lost)}")
        return len(lost)
    survivors, started = 0, time.perf_counter()
    for outcome in plant_all(harmless(mutants)):
        if outcome.code != _PASSED:
            print(f"Without any mutant, these tests fail: {outcome.mutant.name}\n{outcome.output[-3000:]}")
            return 1
    for outcome in plant_all(mutants):
        survivors += not outcome.is_seen
        print(f"{'seen    ' if outcome.is_seen else 'SURVIVED'}  {outcome.mutant.name}", flush=True)
        if not outcome.is_seen:
            print(f"  pytest exit code {outcome.code}: {outcome.output[-600:]}")
    print(f"{len(mutants)} mutants, {survivors} survived, {time.perf_counter() - started:.0f} s.")
    return min(survivors, 99)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
