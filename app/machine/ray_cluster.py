"""Ray, where it is installed: the cluster that RAY_ADDRESS names, or one of this machine alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from regraft.errors import RegraftError, RunError, UsageError, option
from regraft.machine import signals
from regraft.machine.processes import MOST_RESTARTS
from regraft.machine.threads import cores

ENGINES = ("local", "ray")


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
    """The cluster of RAY_ADDRESS, or one of this machine alone that ends with the block."""
    # Ray gives its workers one thread for linear algebra, and another number of threads gives other last bits.
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(cores()))}
    options: dict[str, Any] = {"log_to_driver": False, "runtime_env": {"env_vars": threads}}
    if "RAY_ADDRESS" not in os.environ:
        options |= {"num_cpus": jobs, "include_dashboard": False}
    try:
        with signals.kept():  # Ray takes SIGTERM for itself
            ray.init(**options)
        yield
    finally:
        ray.shutdown()


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
