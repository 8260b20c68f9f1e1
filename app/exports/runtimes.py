"""Whether a runtime or format can be used here, and the network of an export, opened."""

from __future__ import annotations

import importlib.util

from regraft.errors import RunError, UsageError, option
from regraft.exports.export import Export
from regraft.exports.format import Format, Network, find_format, first_format
from regraft.exports.table import FORMATS, RUNTIMES


def is_installed(runtime: str) -> bool:
    """Whether the runtime could be imported; does not import it."""
    return _is_there(first_format(runtime).module)


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


def open_network(export: Export) -> Network:
    """The network of `export`, ready to answer.

    Raises:
        UsageError: its runtime is not installed.
        RunError: its file is damaged.
    """
    check_runtime(export.runtime)
    form = find_format(export.format)
    network = form.network(export.folder)
    try:
        return form.open(network, export)
    except Exception as error:  # each runtime has its own types for a damaged file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(f"{network} is damaged ({reason}); export the run again.") from error


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
