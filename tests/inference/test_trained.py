"""Opening the model of a run: what is damaged is named, and code in it is not run."""

from pathlib import Path

import keras
import pytest

from regraft.errors import RunError
from regraft.inference.trained import load_model
from regraft.runs.digests import write_digests
from regraft.runs.run import Run


def small_model(*more: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), *more])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of two classes without a model."""
    (tmp_path / "labels.txt").write_text("ant\nbee\n")
    return Run(tmp_path)


def refusal(run: Run) -> str:
    with pytest.raises(RunError) as caught:
        load_model(run)
    return str(caught.value)


def test_code_in_a_model_is_not_run_and_said_to_be_there(run: Run, monkeypatch: pytest.MonkeyPatch):
    trace = run.folder / "it was run"
    monkeypatch.setenv("REGRAFT_TEST_TRACE", str(trace))
    code = lambda x: (open(__import__("os").environ["REGRAFT_TEST_TRACE"], "w").close(), x)[1]  # noqa: E731, PTH123
    small_model(keras.layers.Lambda(code)).save(run.model_file)
    trace.unlink()
    told = f"{run.model_file} has a Lambda layer, which is code of whoever made the file, and not run."
    assert refusal(run).startswith(told)
    assert not trace.exists()


def test_a_model_with_a_flipped_bit_is_named_and_not_opened(run: Run):
    small_model().save(run.model_file)
    write_digests(run.folder)
    assert load_model(run).output_shape == (None, 2)
    damaged = bytearray(run.model_file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    run.model_file.write_bytes(damaged)
    assert refusal(run).startswith(f"{run.model_file} is not what the run was finished with")


def test_a_model_of_an_earlier_version_is_opened_without_a_digest_and_damage_is_damage(run: Run):
    small_model().save(run.model_file)
    assert load_model(run).output_shape == (None, 2)
    run.model_file.write_bytes(run.model_file.read_bytes()[:500])
    assert refusal(run) == f"{run.model_file} is damaged; train again."


def test_a_model_with_layers_of_kerashub_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise TypeError("its parent module keras_hub.src.models.dinov2 cannot be imported")

    small_model().save(run.model_file)
    monkeypatch.setattr(keras.saving, "load_model", refuse)
    monkeypatch.setattr("regraft.inference.trained.is_installed", lambda: False)
    assert refusal(run) == (
        f'{run.model_file} has layers of KerasHub, which is not installed: pip install "regraft[hub]"'
    )
