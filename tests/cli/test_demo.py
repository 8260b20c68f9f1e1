"""The demo: real digits, and every verb on them as a user would type it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import parse_command, run_regraft
from PIL import Image
from sklearn.datasets import load_digits

import regraft.cli.demo
from regraft.cli.demo import run_demo, write_digits
from regraft.errors import RegraftError
from regraft.machine import processes
from regraft.runs.run_metrics import RunMetrics


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "digits"
    assert write_digits(folder) == 1_797
    return folder


def test_every_digit_is_in_the_folder_of_its_class(digits: Path):
    files = sorted(digits.rglob("*.*"), key=lambda path: path.name)
    assert [int(path.parent.name) for path in files] == load_digits().target.tolist()


def test_a_digit_is_dark_ink_on_white_paper_and_the_right_way_up(digits: Path):
    with Image.open(digits / "0/0000.png") as image:
        assert (image.size, image.mode) == ((32, 32), "L")
        drawn = np.asarray(image.resize((8, 8), Image.Resampling.BOX), float)
    np.testing.assert_allclose(drawn, 255 - load_digits().images[0] / 16 * 255, atol=40)
    assert np.corrcoef(drawn.ravel(), load_digits().images[0].ravel())[0, 1] < -0.98


def test_the_digits_are_ready_to_be_trained_on(digits: Path):
    report = run_regraft("check", digits, "--json").values
    assert (report["verdict"], report["images"], len(report["counts"])) == ("ready", 1_797, 10)


class Recorder:
    """In place of `machine.processes`: notes the commands, and fails at the verb `fails_at`."""

    def __init__(self, fails_at: str = "") -> None:
        self.lines: list[str] = []
        self.fails_at = fails_at

    def run(self, program: str, *words: str) -> SimpleNamespace:
        self.lines.append(" ".join([program, *words]))
        return SimpleNamespace(returncode=1 if words[0] == self.fails_at else 0)


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    summary = RunMetrics(accuracy=0.9722, accuracy_low=0.95, accuracy_high=0.984, images=360)
    monkeypatch.setattr(regraft.cli.demo, "Run", lambda folder: SimpleNamespace(metrics=summary))
    monkeypatch.setattr(regraft.cli.demo, "processes", recorder)
    monkeypatch.setattr(regraft.cli.demo, "write_digits", lambda folder: (folder / "0.png").touch())
    monkeypatch.chdir(tmp_path)
    return recorder


def test_the_demo_runs_every_verb_in_the_order_of_a_users_work_and_says_each_first(recorder: Recorder):
    said: list[str] = []
    run_demo(Path("demo"), said.append)
    assert [line.split()[1] for line in recorder.lines] == ["check", "train", "evaluate", "export", "predict"]
    told = "\n".join(said)
    for line in recorder.lines:
        parse_command(line)
        assert f"\n$ {line}" in told


def test_the_demo_ends_with_its_accuracy_and_where_to_look(recorder: Recorder):
    said: list[str] = []
    run_demo(Path("demo"), said.append)
    run = recorder.lines[2].removeprefix("regraft evaluate ")
    answers = recorder.lines[4].rpartition(" ")[2]
    assert run.startswith("demo/run-")
    assert "97.2 % (95.0 to 98.4) on 360 scans it never saw" in said[-1]
    assert all(place in said[-1] for place in (f"{run}/report.html", f"{run}/saved_model", answers))


def test_a_second_demo_writes_beside_the_first(recorder: Recorder):
    run_demo(Path("demo"), lambda _: None)
    assert recorder.lines[1].count("demo/run-2") == 1  # a time stamp, where a fixed name would be in the way
    assert "--force" not in " ".join(recorder.lines)


def test_a_folder_of_somebody_else_is_left_alone(recorder: Recorder, tmp_path: Path):
    photo = tmp_path / "mine/digits/0/0000.png"
    photo.parent.mkdir(parents=True)
    photo.write_text("precious")
    with pytest.raises(RegraftError) as caught:
        run_demo(Path("mine"), lambda _: None)
    assert str(caught.value) == "mine holds what regraft demo did not make; choose another --out."
    with pytest.raises(RegraftError, match=r"0000\.png is no folder; choose another --out\."):
        run_demo(photo, lambda _: None)
    assert [path for path in (tmp_path / "mine").rglob("*") if path.is_file()] == [photo]
    assert (photo.read_text(), recorder.lines) == ("precious", [])


def test_the_digits_are_not_written_again(recorder: Recorder, tmp_path: Path):
    run_demo(Path("demo"), lambda _: None)
    (tmp_path / "demo/digits/0.png").write_text("theirs now")
    run_demo(Path("demo"), lambda _: None)
    assert (tmp_path / "demo/digits/0.png").read_text() == "theirs now"


def test_a_step_that_fails_stops_the_demo(recorder: Recorder):
    recorder.fails_at = "train"
    with pytest.raises(RegraftError) as caught:
        run_demo(Path("demo"), lambda _: None)
    assert str(caught.value) == "The demo stopped: regraft train ended with exit code 1."
    assert len(recorder.lines) == 2


def test_the_commands_of_the_demo_are_processes_of_their_own():
    assert regraft.cli.demo.processes is processes
