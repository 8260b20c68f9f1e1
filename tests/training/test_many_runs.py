"""Training many runs: the same weights however they are trained, and what a kill or a mistake costs."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from regraft.errors import ExportError, FolderError, RegraftError, RunError, UsageError, as_options, option
from regraft.inference.trained import open_trained
from regraft.progress import Silent
from regraft.recipes.recipe import Recipe, load_recipe
from regraft.training import many_runs as module
from regraft.training.many_runs import check_engine, from_line, from_order, to_line, to_order, train_runs
from regraft.training.purpose import SINGLE, Purpose
from regraft.training.session import Request


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features that other tests do not read: at another place in a batch, their last bit may be another."""
    with patch.dict(os.environ, REGRAFT_CACHE=str(tmp_path_factory.mktemp("cache"))):
        yield


def recipe(seed: int, **edits: object) -> Recipe:
    values = {
        "model.backbone": "tiny", "seed": seed, "data.split_seed": 3, "finetune.epochs": 2, "finetune.batch_size": 8,
        "head.l2": [0.1], "data.select_fraction": 0.2,
    }  # fmt: skip
    return load_recipe("balanced", values | edits)


def requests(photos: Path, folder: Path, *seeds: int) -> list[Request]:
    return [Request(str(photos), recipe(seed)).single(recipe(seed), folder / f"run-{seed}") for seed in seeds]


def weights(run) -> list[np.ndarray]:
    return open_trained(run.folder).model.get_weights()


@pytest.fixture(scope="module")
def one_by_one(mixed_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[np.ndarray]]:
    """The weights of two runs that were trained in this process."""
    runs = train_runs(requests(mixed_photos, tmp_path_factory.mktemp("runs"), 3, 4), Silent())
    return [weights(run) for run in runs]


def assert_same(found, expected) -> None:
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def wait_for(path: Path, seconds: float = 250) -> None:
    """Returns when there is such a file, or raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not path.is_file():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.02)


@pytest.mark.parametrize("purpose", [SINGLE, Purpose(holds_selection=True, exports=False, finish="finish_trial")])
def test_a_request_survives_the_way_to_another_process(mixed_photos, tmp_path, purpose):
    (request,) = requests(mixed_photos, tmp_path, 3)
    request = replace(request, purpose=purpose)
    again = from_order(json.loads(json.dumps(to_order(request))))
    assert again == request
    assert to_order(again) == to_order(request)


@pytest.mark.parametrize(
    ("jobs", "engine", "message"),
    [
        (0, "local", "jobs must be at least 1; received 0."),
        (1, "dask", 'engine must be local or ray; received "dask".'),
    ],
)
def test_engines_that_do_not_exist_are_refused(jobs, engine, message):
    with pytest.raises(UsageError) as caught:
        check_engine(jobs, engine)
    assert str(caught.value) == message


def test_ray_that_is_not_installed_is_named():
    with (
        patch.dict(sys.modules, ray=None),
        pytest.raises(
            UsageError, match=r'^engine="ray" needs Ray, which is not installed: pip install "regraft\[ray\]".$'
        ),
    ):
        check_engine(1, "ray")


def test_a_worker_ends_when_the_process_that_started_it_does():
    process = subprocess.Popen([sys.executable, "-P", "-m", "regraft.training.worker"], stdin=subprocess.PIPE)
    process.stdin.close()
    assert process.wait(timeout=60) != 0


@pytest.mark.parametrize(
    "error",
    [
        UsageError(f"{option('device')} must fit {option('resume', True)}"),  # begins and ends with a mark
        ExportError("Its labels differ."),
        RunError("No such folder: caf\udce9."),  # bytes of a file name that are no UTF-8
    ],
)
def test_what_went_wrong_survives_the_way_from_another_process(error: RegraftError):
    line = to_line(error)
    again = from_line(line)
    assert (type(again), again.text) == (type(error), error.text)
    assert line.isascii()
    assert line.isprintable()


@pytest.mark.parametrize("line", ["", "Epoch 1", "[]", "3", "{}", '{"type": "option", "text": "x"}', '{"type": 1}'])
def test_a_line_that_is_no_error_is_none(line: str):
    assert from_line(line) is None


def test_temporary_files_of_workers_go_with_a_folder_of_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """TensorFlow leaves some where it is killed."""
    made = []

    def start(*_: object, environment: dict[str, str], **__: object) -> None:
        made.append(Path(environment["TMPDIR"]))
        (made[0] / "__autograph_generated_file.py").touch()
        raise UsageError("no process today")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module.processes, "start", start)
    with pytest.raises(UsageError, match="no process today"):
        train_runs(requests(tmp_path / "photos", tmp_path / "runs", 3, 4), Silent(), jobs=2)
    assert made[0].is_relative_to(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.slow
def test_an_argument_in_a_worker_s_message_reaches_the_user_and_its_log_as_text(tmp_path):
    request = Request(str(tmp_path), recipe(3), device="abacus").single(recipe(3), tmp_path / "run-3")
    with pytest.raises(UsageError) as caught:
        train_runs([request, replace(request, out=tmp_path / "run-4")], Silent(), jobs=2)
    name = caught.value.text[:5]
    assert as_options(caught.value.text).startswith(f"{name}: --device must be ")
    log = (tmp_path / f"{name}.log").read_text("utf-8")
    assert log.splitlines()[-1].startswith("device must be ")
    assert "\x1f" not in log


@pytest.mark.slow
def test_processes_side_by_side_leave_the_same_weights(one_by_one, mixed_photos, tmp_path):
    runs = train_runs(requests(mixed_photos, tmp_path, 3, 4), Silent(), jobs=2)
    assert_same([weights(run) for run in runs], one_by_one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-3", "run-4"]  # no log is left


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_worker_costs_its_run_an_epoch_and_nothing_else(one_by_one, mixed_photos, tmp_path):
    said: list[str] = []

    class Listening(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    def kill_after_the_first_epoch() -> None:
        wait_for(tmp_path / "run-4/checkpoints/epoch_00001.npz")
        os.kill(workers[-1].process.pid, signal.SIGKILL)

    workers = []
    start = module._Worker.start

    def remember(worker) -> None:
        start(worker)
        workers.append(worker)

    killer = threading.Thread(target=kill_after_the_first_epoch)
    with patch.object(module._Worker, "start", remember):
        killer.start()
        runs = train_runs(requests(mixed_photos, tmp_path, 3, 4), Listening(), jobs=2)
        killer.join()
    assert said == ["run-4 was killed (signal 9) and goes on from its last epoch."]
    assert_same([weights(run) for run in runs], one_by_one)


@pytest.mark.slow
def test_what_goes_wrong_in_a_worker_is_said_in_one_line(mixed_photos, tmp_path):
    (bad,) = requests(tmp_path / "nowhere", tmp_path, 3)
    expected = f"run-3: No such folder: {tmp_path}/nowhere."
    with pytest.raises(FolderError) as caught:
        train_runs([bad, *requests(mixed_photos, tmp_path, 4)], Silent(), jobs=2)
    assert str(caught.value).startswith(expected)
    assert str(caught.value).endswith(f" See {tmp_path}/run-3.log.")


def test_what_goes_wrong_in_this_process_is_named_too(tmp_path):
    with pytest.raises(FolderError, match=r"^run-3: No such folder: "):
        train_runs(requests(tmp_path / "nowhere", tmp_path, 3), Silent())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_a_local_ray_leaves_the_same_weights_even_when_its_worker_is_killed(one_by_one, mixed_photos, tmp_path):
    pytest.importorskip("ray")
    killed: list[int] = []

    def kill_the_worker() -> None:
        wait_for(tmp_path / "run-4/checkpoints/epoch_00001.npz")
        for pid in _ray_workers():
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = threading.Thread(target=kill_the_worker)
    killer.start()
    [run] = train_runs(requests(mixed_photos, tmp_path, 4), Silent(), jobs=1, engine="ray")
    killer.join()
    assert killed
    assert_same([weights(run)], one_by_one[1:])


def _ray_workers() -> list[int]:
    """The processes that train for Ray at present."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "ray::_train_order" in line]
