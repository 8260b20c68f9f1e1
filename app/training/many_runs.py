"""Training many runs: one after another, side by side in processes of their own, or over a Ray cluster.

However they are trained, the same requests leave the same weights, bit for bit. A process that is killed costs its run
the current epoch: it is started again and goes on from the last checkpoint.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import tempfile
import time
import tomllib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from regraft import errors
from regraft.errors import RegraftError, RunError, UsageError, option
from regraft.machine import processes, ray_cluster
from regraft.machine.cache import cache_folder
from regraft.machine.devices import start_tensorflow
from regraft.machine.drafts import draft_folder
from regraft.progress import Progress, Ticker
from regraft.recipes.recipe import make_recipe
from regraft.runs.run import Run
from regraft.training.purpose import Purpose
from regraft.training.session import Request
from regraft.training.train import train_photos

_SECONDS_BETWEEN_LOOKS = 0.2


def train_run(request: Request, progress: Progress | None = None) -> None:
    """Trains the run that `request` asks for, from its last checkpoint if it has one; a finished one is left alone."""
    run = Run(_folder(request))
    if run.is_finished:
        run.tidy_if_free()
        return
    if run.folder.is_dir() and not run.recipe_file.is_file():  # an earlier version that was killed before it began
        run.remove_start()
    start_tensorflow()
    train_photos(replace(request, resume=run.folder.exists()), progress)
    gc.collect()  # models are full of cycles


def train_runs(requests: Sequence[Request], progress: Progress, *, jobs: int = 1, engine: str = "local") -> list[Run]:
    """Trains every run that is not finished, at most `jobs` at a time, and returns them all in order.

    Args:
        requests: each with an `out` of its own.
        progress: who is told.
        jobs: 1 trains in this process. More start processes; each uses all cores, as a thread count of its own would
            change the last bits of what comes out.
        engine: "local", or "ray": on the cluster that RAY_ADDRESS names, whose machines must all see the photos and
            the run directories under the same paths, or on this machine where it names none.

    Raises:
        RegraftError: a run failed; the message names it. Finished runs and checkpoints stay.
        UsageError: Ray is not installed, or `jobs` or `engine` does not exist.
    """
    check_engine(jobs, engine)
    runs = [Run(_folder(request)) for request in requests]
    waiting = [request for request, run in zip(requests, runs, strict=True) if not run.is_finished]
    for run in runs:
        if run.is_finished:
            run.tidy_if_free()
    with progress.work("members", len(waiting), "runs") as ticker:
        if engine == "ray" and waiting:
            _train_over_ray(waiting, jobs, ticker)
        elif jobs > 1 and waiting:
            with draft_folder(Path(tempfile.gettempdir())) as scratch:
                _train_in_processes(waiting, jobs, scratch, progress, ticker)
        else:
            for request in waiting:
                with _named(request):
                    train_run(request)
                ticker.advance(note=_folder(request).name)
    return runs


def check_engine(jobs: int, engine: str) -> None:
    """Raises UsageError unless members can be trained this way."""
    if jobs < 1:
        raise UsageError(f"{option('jobs')} must be at least 1; received {jobs}.")
    ray_cluster.check_engine(engine)


def to_order(request: Request) -> dict[str, Any]:
    """`request` as plain values, for another process."""
    return {
        "source": str(Path(request.source).absolute()) if Path(request.source).exists() else request.source,
        "recipe": request.recipe.to_toml(),
        "out": str(_folder(request).absolute()),
        "device": request.device,
        "data_dir": str(request.data_dir.absolute()) if request.data_dir else None,
        "purpose": asdict(request.purpose),
        "command": list(request.command),
    }


def from_order(order: Mapping[str, Any]) -> Request:
    """The request that `to_order` turned into plain values."""
    read = {
        "recipe": make_recipe(tomllib.loads(order["recipe"])),
        "out": Path(order["out"]),
        "data_dir": Path(order["data_dir"]) if order["data_dir"] else None,
        "purpose": Purpose(**order["purpose"]),
        "command": tuple(order["command"]),
    }
    return Request(**{**order, **read})


def to_line(error: RegraftError) -> str:
    """`error` as one line of JSON, for the process that started this one."""
    known = next(kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
    return json.dumps({"type": known, "text": error.text})


def from_line(line: str) -> RegraftError | None:
    """The error that `to_line` made a line of; None where it is none."""
    try:
        values = json.loads(line)
        kind, text = getattr(errors, values["type"]), values["text"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return kind(text) if isinstance(kind, type) and issubclass(kind, RegraftError) else None


def _folder(request: Request) -> Path:
    if request.out is None:
        raise ValueError("each of many runs needs an `out` of its own.")
    return request.out


@contextmanager
def _named(request: Request) -> Iterator[None]:
    """Puts the name of the run before what went wrong with it."""
    try:
        yield
    except RegraftError as error:
        raise error.after(f"{_folder(request).name}: ") from error


@dataclass
class _Worker:
    """A process that trains one run, and how often it was started again.

    TensorFlow keeps files of code in the folder `scratch`, which whoever is killed leaves there.
    """

    request: Request
    scratch: Path
    restarts: int = 0
    process: subprocess.Popen[bytes] = field(init=False)
    answer: IO[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def log(self) -> Path:
        """What the process said."""
        return _folder(self.request).with_suffix(".log")

    def start(self) -> None:
        """Starts the process."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.answer = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads meanwhile may fill up
        try:
            with self.log.open("ab") as log:
                environment = {
                    "TF_FORCE_GPU_ALLOW_GROWTH": os.environ.get("TF_FORCE_GPU_ALLOW_GROWTH", "true"),
                    "TMPDIR": str(self.scratch.absolute()),
                    "REGRAFT_CACHE": str(cache_folder().absolute()),  # which may lie in the other one
                }
                self.process = processes.start(
                    "worker", stdin=subprocess.PIPE, stdout=self.answer, stderr=log, environment=environment
                )
        except BaseException:
            self.answer.close()
            raise
        pipe = cast("IO[bytes]", self.process.stdin)  # as it was asked for
        pipe.write(json.dumps(to_order(self.request)).encode() + b"\n")
        pipe.flush()

    def stop(self) -> None:
        """Ends the process, whatever it does."""
        processes.end(self.process)
        if self.process.stdin:
            self.process.stdin.close()
        self.answer.close()

    def is_done(self, progress: Progress) -> bool:
        """Whether the run is trained. Starts a process that was killed again, and raises what went wrong."""
        code = self.process.poll()
        if code is None:
            return False
        failure = self._failure()
        self.stop()
        if code == 0:
            self.log.unlink(missing_ok=True)
            return True
        name = _folder(self.request).name
        if failure:
            raise type(failure)(f"{name}: {failure.text} See {self.log}.")
        if code > 0 or self.restarts == processes.MOST_RESTARTS:
            raise RunError(f"{name}: {self._last_words(code)} See {self.log}.")
        self.restarts += 1
        progress.say(f"{name} was killed (signal {-code}) and goes on from its last epoch.")
        self.start()
        return False

    def _failure(self) -> RegraftError | None:
        """What the process, which has ended, says that a user can put right."""
        self.answer.seek(0)
        return from_line((self.answer.read().splitlines() or [b""])[-1].decode(errors="replace"))

    def _last_words(self, code: int) -> str:
        lines = self.log.read_text("utf-8", errors="replace").strip().splitlines() if code > 0 else []
        return lines[-1] if lines else f"its process ended with {code}, {self.restarts + 1} times."


def _train_in_processes(
    requests: Sequence[Request], jobs: int, scratch: Path, progress: Progress, ticker: Ticker
) -> None:
    waiting, running = deque(requests), list[_Worker]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_Worker(waiting.popleft(), scratch))
            for worker in list(running):
                if worker.is_done(progress):
                    running.remove(worker)
                    ticker.advance(note=_folder(worker.request).name)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        processes.end(*(worker.process for worker in running))
        for worker in running:
            worker.stop()


def _train_over_ray(requests: Sequence[Request], jobs: int, ticker: Ticker) -> None:
    ray = ray_cluster.import_ray()
    with ray_cluster.ray_cluster(ray, jobs):
        task = ray_cluster.remote(ray, _train_order)
        named = {task.remote(to_order(request)): request for request in requests}
        waiting = list(named)
        while waiting:
            done, waiting = ray.wait(waiting)
            for reference in done:
                with _named(named[reference]):
                    ray_cluster.result_of(ray, reference, "its worker was lost")
                ticker.advance(note=_folder(named[reference]).name)


def _train_order(order: Mapping[str, Any]) -> None:
    train_run(from_order(order))
