"""Whether a runtime or format can be used here, and the network of an export, opened."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, packages_distributions, version

import numpy as np

from regraft.errors import RunError, UsageError, option
from regraft.exports.export import Export, check_files
from regraft.exports.format import Format, Network, find_format, first_format
from regraft.exports.table import FORMATS, RUNTIMES
from regraft.machine.plain_names import plain_name


def is_installed(runtime: str) -> bool:
    """Whether the runtime could be imported; does not import it."""
    return _is_there(first_format(runtime).module)


def can_be_made(format: str) -> bool:
    """Whether all is installed that writes the format in float32 and computes it."""
    form = find_format(format)
    needs = form.needs.get("float32")
    return all(map(_is_there, (form.module, *(needs.modules if needs else ()))))


def version_of(format: str) -> str:
    """The version of what computes the format, whatever the distribution that brings its module is called."""
    form = find_format(format)
    try:
        return version(form.package)
    except PackageNotFoundError:  # such as onnxruntime-gpu
        return "".join(f"{name} {version(name)}" for name in packages_distributions().get(form.module, ()))


def check_runtime(runtime: str) -> None:
    """Raises UsageError where there is no such runtime, or it is not installed."""
    if runtime not in RUNTIMES:
        raise UsageError(f'{option("runtime")} must be one of auto, {", ".join(RUNTIMES)}; received "{runtime}".')
    if not is_installed(runtime):
        raise UsageError(
            f"{option('runtime', runtime)} needs {first_format(runtime).package}, which is not installed: "
            f'pip install "regraft[{runtime}]", or choose another {option("runtime")}.'
        )


def check_format(name: str, precision: str) -> Format:
    """The format, ready to be written in that precision.

    Raises:
        UsageError: there is no such format or precision, or what it takes is not installed.
    """
    form = find_format(name)
    if precision not in form.precisions:
        known = ", ".join(form.precisions)
        raise UsageError(f'{option("precision")} of {name} must be one of {known}; received "{precision}".')
    needs = form.needs.get(precision)
    if needs and (missing := [module for module in needs.modules if not _is_there(module)]):
        raise UsageError(
            f"{option('format', name)} {option('precision', precision)} needs {', '.join(missing)}, which is not "
            f'installed: pip install "regraft[{needs.extras}]".'
        )
    if not _is_there(form.module):
        runtime = FORMATS[name]
        raise UsageError(f'{option("format", name)} needs its runtime to be proven: pip install "regraft[{runtime}]".')
    return form


def open_network(export: Export, batch_size: int | None = None) -> Network:
    """The network of `export`, ready to answer `batch_size` views at a time, by default as many as its format says.

    Raises:
        UsageError: its runtime is not installed.
        RunError: one of its files is damaged; or, when it answers, its labels are not as many as its answers.
    """
    check_runtime(export.runtime)
    check_files(export)
    form = find_format(export.format)
    with plain_name(export.folder) as folder:
        try:
            network = form.open(form.network(folder), export, batch_size or form.batch_size)
        except Exception as error:  # each runtime has its own types for a damaged file
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            shown = reason.replace(str(folder), str(export.folder))
            raise RunError(f"{form.network(export.folder)} is damaged ({shown}); export the run again.") from error

    def answer(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        probabilities, embedding = network(images)
        if probabilities.shape[1:] != (len(export.labels),):
            raise RunError(
                f"{form.network(export.folder)} gives {list(probabilities.shape[1:])} scores, and {export.folder} has "
                f"{len(export.labels)} labels; export the run again."
            )
        return probabilities, embedding

    return answer


def borrowed(opened: Callable[[], Network], *spare: Network) -> Network:
    """A network that many threads may call: each call borrows one of what `opened` gives, or has given.

    There are never more of them than calls at a time.
    """
    kept = [*spare]

    def network(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        try:
            own = kept.pop()
        except IndexError:
            own = opened()
        try:
            return own(images)
        finally:
            kept.append(own)

    return network


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
