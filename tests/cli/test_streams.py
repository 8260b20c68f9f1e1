"""Standard streams that are closed, of other encodings, full, or whose reader has gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_photos import draw_photo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="closes descriptors as a shell on Linux does")

REGRAFT = f"{sys.executable} -m regraft"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """What bash says to the line, in which `regraft` is the command."""
    script = f'set -o pipefail; regraft() {{ {REGRAFT} "$@"; }}\n{line}'
    words = ["bash", "-c", script]
    return subprocess.run(words, capture_output=True, check=False, env=os.environ | environment)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for class_index, name in enumerate(("ant", "bee")):
        Path("photos", name).mkdir(parents=True)
        for number in range(2):
            draw_photo(class_index, seed=number, size=(20, 16)).save(f"photos/{name}/{number}.jpg")
    return tmp_path / "photos"


def test_a_closed_stdout_loses_the_words_and_nothing_else(photos: Path):
    answer = shell("regraft check photos >&-; echo rc=$?")
    assert (answer.stdout, answer.stderr) == (b"rc=0\n", b"")


def test_a_closed_stderr_loses_the_progress_and_nothing_else(photos: Path):
    answer = shell("regraft check photos --json 2>&-; echo rc=$?")
    assert answer.stdout.startswith(b'{"')
    assert answer.stdout.endswith(b"rc=0\n")


def test_closed_descriptors_are_taken_by_no_file_that_is_opened_later():
    code = "from regraft.cli.streams import open_streams; open_streams(); import os"
    code += "; os.write(9, str(os.open(os.devnull, 0) > 2).encode())"
    answer = shell(f'{sys.executable} -c "{code}" 9>&1 <&- >&- 2>&-')
    assert answer.stdout == b"True"


def test_a_list_on_a_closed_stdin_is_empty(litert: Path):
    answer = shell(f"regraft predict {litert} - <&-")
    assert b"Traceback" not in answer.stderr
    assert answer.stderr.count(b"\n") <= 1


def test_a_reader_that_stops_reading_ends_the_command_with_141_and_no_word():
    for words in ("backbones", "train --help"):
        answer = shell(f"(sleep 0.2; regraft {words}) | true")
        assert (answer.returncode, answer.stdout, answer.stderr) == (141, b"", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_below_stdout_is_one_line():
    answer = shell("regraft backbones > /dev/full")
    full = b"regraft: No space left on device. Check the path, its permissions and the space on the disk.\n"
    assert (answer.returncode, answer.stderr) == (2, full)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_below_stderr_loses_the_progress_and_nothing_else(litert: Path, photos: Path):
    answer = shell(f"regraft predict {litert} photos/ant/0.jpg --out answers.csv 2> /dev/full; echo rc=$?")
    assert (answer.stdout, answer.stderr) == (b"rc=0\n", b"")
    assert Path("answers.csv").read_text().count("\n") == 2


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["ascii", "C"],
)
def test_letters_that_the_terminal_lacks_are_spelled_out(photos: Path, environment):
    (photos / "ant/0.jpg").rename(photos / "ant/é.jpg")
    answer = shell("regraft check photos; regraft check é", **environment)
    assert b"photos: ready" in answer.stdout
    assert answer.stderr.count(b"\n") == 1
    assert b"No such folder: \\xe9." in answer.stderr or "No such folder: é.".encode() in answer.stderr


def test_a_name_that_is_not_utf8_comes_out_as_it_is(photos: Path):
    Path(os.fsdecode(b"caf\xe9")).mkdir()
    (photos / "ant").rename(Path(os.fsdecode(b"caf\xe9/ant")))
    (photos / "bee").rename(Path(os.fsdecode(b"caf\xe9/bee")))
    assert b"caf\xe9: ready" in shell("regraft check caf*").stdout
