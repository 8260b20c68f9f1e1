"""Ray, where it is installed: the cluster that RAY_ADDRESS names, or one of this machine alone."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from regraft.errors import RegraftError, RunError, UsageError, option
from regraft.machine import processes, signals
from regraft.machine.processes import MOST_RESTARTS
from regraft.machine.threads import cores

ENGINES = ("local", "ray")
_SECONDS_TO_CLEAR = 15.0


def check_engine(name: str) -> None:
    """Raises UsageError where there is no such engine, or it is Ray and that is not installed."""
    if name not in ENGINES:
        raise UsageError(f'{option("engine")} must be {" or ".join(ENGINES)}; received "{name}".')
    if name == "ray":
        import_ray()


def import_ray() -> Any:
    """The module. Raises UsageError where Ray is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if "RAY_ADDRESS" not in os.environ:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # a local Ray listens on the loopback alone
    try:
        import ray
    except ImportError:
        needs = f'{option("engine", "ray")} needs Ray, which is not installed: pip install "regraft[ray]".'
        raise UsageError(needs) from None
    return ray


@contextmanager
def ray_cluster(ray: Any, jobs: int) -> Iterator[None]:
    """The cluster of RAY_ADDRESS, or one of this machine alone that ends with the block, or with this process."""
    # Ray gives its workers one thread for linear algebra, and another number of threads gives other last bits.
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(cores()))}
    options: dict[str, Any] = {"log_to_driver": False, "runtime_env": {"env_vars": threads}}
    if "RAY_ADDRESS" in os.environ:
        with _started(ray, options):
            yield
        return
    with _own_folder(ray) as folder, _started(ray, options | _local(jobs, folder)):
        yield


def _local(jobs: int, folder: str) -> dict[str, Any]:
    return {"num_cpus": jobs, "include_dashboard": False, "_temp_dir": folder}


@contextmanager
def _started(ray: Any, options: dict[str, Any]) -> Iterator[None]:
    try:
        with signals.kept():  # Ray takes SIGTERM for itself
            ray.init(**options)
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_folder(ray: Any) -> Iterator[str]:
    """A folder for what Ray writes; it goes, and who still runs for it, after the block or when this process ends."""
    folder = tempfile.mkdtemp(prefix="ray-", dir=os.environ.get("RAY_TMPDIR"))  # short, as it holds sockets
    # In a session of its own: a signal to this process and all its children does not reach it.
    words = (folder, Path(ray.__file__).parent)
    keeper = processes.start("ray_keeper", *words, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield folder
    finally:
        with suppress(subprocess.TimeoutExpired):
            keeper.communicate(timeout=_SECONDS_TO_CLEAR)


def remote(ray: Any, function: Callable[..., Any]) -> Any:
    """`function` as a task of one core, which Ray begins anew elsewhere where its worker dies."""
    return ray.remote(num_cpus=1, max_retries=MOST_RESTARTS)(function)


def result_of(ray: Any, reference: Any, lost: str) -> Any:
    """What the task behind `reference` returned.

    Args:
        ray: the module.
        reference: what calling the task gave.
        lost: what is said where every worker died, such as "Shard 3 lost its worker".

    Raises:
        RegraftError: the task raised it.
        RunError: its workers died.
    """
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RegraftError):
            raise error.cause.after("") from None
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"{lost} {MOST_RESTARTS + 1} times ({reason}).") from None
