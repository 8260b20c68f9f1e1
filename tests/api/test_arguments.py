"""What the public functions make of their arguments, and of what happens while they work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from trained_runs import TrainedRun

import regraft
from regraft.api.arguments import COMMAND, public
from regraft.errors import as_options


def test_what_the_file_system_refuses_is_one_line_that_names_the_place():
    @public
    def write(out: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), out)

    with pytest.raises(regraft.RegraftError) as caught:
        write("answers.csv")
    assert str(caught.value) == (
        "answers.csv: No space left on device. Check the path, its permissions and the space on the disk."
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_a_reader_who_leaves_is_no_mistake():
    @public
    def write(out: str) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    with pytest.raises(BrokenPipeError):
        write("answers.csv")


def test_a_call_is_recorded_as_it_was_written_where_there_is_no_command_line():
    @public
    def look(photos: str, *, seed: int | None = None, progress: bool = True) -> tuple[str, ...]:
        return COMMAND.get()

    assert look("pets", seed=3, progress=False) == ("regraft.look('pets', seed=3)",)
    assert COMMAND.get() == ()
    outer = COMMAND.set(("regraft", "look", "pets"))
    try:
        assert look("pets") == ("regraft", "look", "pets")
    finally:
        COMMAND.reset(outer)


def test_an_example_in_a_message_is_of_the_language_it_is_read_in():
    with pytest.raises(regraft.UsageError) as caught:
        regraft.compare("photos")
    start = "There is nothing to compare: name at least two values, as in "
    assert str(caught.value) == f'{start}vary={{"optimizer.name": ["sgd", "adam"]}}.'
    assert as_options(caught.value.text) == f"{start}--vary optimizer.name=sgd,adam."


def test_an_ensemble_of_nothing_says_what_to_name():
    with pytest.raises(regraft.UsageError, match=r"^sources must name a folder of photos or several runs; received"):
        regraft.ensemble([])


@pytest.mark.parametrize("name", ["evaluate", "export", "ensemble"])
def test_an_export_where_a_run_is_needed_is_called_one(name, tmp_path: Path, litert: Path, trained: TrainedRun):
    given = [litert, litert] if name == "ensemble" else litert
    words = "is not a run directory" if name == "ensemble" else "is an export; name the run that it was made of."
    with pytest.raises(regraft.RegraftError, match=words):
        getattr(regraft, name)(given, progress=False)


def test_an_open_model_answers_a_table_with_the_network_it_was_opened_with(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []
    monkeypatch.setattr(
        "regraft.prediction.predict.predict", lambda folder, names, out, options, **_: asked.append(options)
    )
    model = regraft.load(trained.folder, runtime="tensorflow", device="cpu")
    for given in (model, trained.folder):
        regraft.predict(given, trained.photos, out=tmp_path / "a.csv", progress=False)
    regraft.predict(model, trained.photos, out=tmp_path / "a.csv", runtime="tensorflow", device="cpu", progress=False)
    used = [(options.runtime, options.precision, options.device) for options in asked]
    assert used == [("tensorflow", None, "cpu"), ("auto", None, "auto"), ("tensorflow", None, "cpu")]
    with pytest.raises(regraft.UsageError) as caught:
        regraft.predict(model, trained.photos, out=tmp_path / "a.csv", runtime="litert", progress=False)
    assert str(caught.value).endswith("is open already; leave runtime, precision, device out, or name its folder.")
