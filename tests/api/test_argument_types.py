"""Arguments of the public functions that are not of their type or outside their range."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import regraft
from regraft.api import argument_types

HOW_PHOTOS_ARE_NAMED = "a folder, a table, a data frame or a list of (path, label)"

FUNCTIONS = [name for name in regraft.__all__ if inspect.isfunction(getattr(regraft, name))]
PHOTOS = Path("missing")  # no call gets as far as looking


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_annotation_of_a_public_function_has_its_check(name):
    for parameter in inspect.signature(getattr(regraft, name)).parameters.values():
        for part in argument_types.parts_of(parameter.annotation):
            assert part in argument_types._EXPECTED, (parameter.name, part)


def test_an_annotation_is_taken_apart_at_its_own_bars():
    parts = argument_types.parts_of("PathLike | Run | Sequence[PathLike | Mapping[str, int | None]] | None")
    assert parts == ["PathLike", "Run", "Sequence", "None"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train", {"photos": None}, f"photos must be {HOW_PHOTOS_ARE_NAMED}; received None."),
        ("train", {"photos": ""}, f"photos must be {HOW_PHOTOS_ARE_NAMED}; received ''."),
        ("train", {"photos": ["a", "b"]}, f"photos must be {HOW_PHOTOS_ARE_NAMED}; received ['a', 'b']."),
        ("train", {"photos": PHOTOS, "recipe": None}, "recipe must be a path or a Recipe; received None."),
        ("train", {"photos": PHOTOS, "out": 3}, "out must be a path; received 3."),
        ("train", {"photos": PHOTOS, "device": 0}, "device must be a string; received 0."),
        ("train", {"photos": PHOTOS, "seed": 1.5}, "seed must be a whole number; received 1.5."),
        ("train", {"photos": PHOTOS, "seed": True}, "seed must be a whole number; received True."),
        ("train", {"photos": PHOTOS, "resume": 1}, "resume must be True or False; received 1."),
        (
            "train",
            {"photos": PHOTOS, "set": ["a=1"]},
            "set must be recipe keys with their values, such as {\"finetune.epochs\": 3}; received ['a=1'].",
        ),
        (
            "compare",
            {"photos": PHOTOS, "vary": "seed=1,2"},
            'vary must be recipe keys with a list of values each, such as {"optimizer.name": ["adam", "sgd"]}; '
            "received 'seed=1,2'.",
        ),
        (
            "compare",
            {"photos": PHOTOS, "arm": {"a": 3}},
            'arm must be names with what each changes, such as {"plain": {}, "mixed": {"augment.mixup": 0.2}}; '
            "received {'a': 3}.",
        ),
        ("compare", {"photos": PHOTOS, "show": 3}, "show must be a function; received 3."),
        (
            "ensemble",
            {"sources": None},
            f"sources must be {HOW_PHOTOS_ARE_NAMED} or a Run or several in a list; received None.",
        ),
        ("predict", {"model": "run", "inputs": {}}, "inputs must be a path or several in a list; received {}."),
        ("predict", {"model": "run", "inputs": "a", "unknown_at": "b"}, "unknown_at must be a number; received 'b'."),
        ("check", {"photos": np.zeros(3)}, f"photos must be {HOW_PHOTOS_ARE_NAMED}; received ndarray."),
        (
            "check",
            {"photos": PHOTOS, "progress": "no"},
            "progress must be True or False or an object with the methods of regraft.Progress; received 'no'.",
        ),
    ],
)
def test_what_is_not_of_its_type_is_named_with_what_was_expected(name, arguments, message):
    with pytest.raises(regraft.UsageError) as caught:
        getattr(regraft, name)(**arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("predict", {"top": 0}, "top must be at least 1; received 0."),
        ("predict", {"shard_rows": 0}, "shard_rows must be at least 1; received 0."),
        ("predict", {"max_bytes": 0}, "max_bytes must be at least 1; received 0."),
        ("predict", {"max_pixels": 0}, "max_pixels must be from 1 to 357913940; received 0."),
        ("predict", {"max_pixels": 357_913_941}, "max_pixels must be from 1 to 357913940; received 357913941."),
        ("predict", {"jobs": -1}, "jobs must be at least 0; received -1."),
        ("predict", {"tolerance": -0.1}, 'tolerance must be "labels" or a number of at least 0; received -0.1.'),
        ("predict", {"tolerance": float("nan")}, 'tolerance must be "labels" or a number of at least 0; received nan.'),
        ("augment_preview", {"rows": 0}, "rows must be from 1 to 100; received 0."),
        ("augment_preview", {"rows": 101}, "rows must be from 1 to 100; received 101."),
        ("augment_preview", {"draws": 21}, "draws must be from 1 to 20; received 21."),
    ],
)
def test_a_number_outside_its_range_is_refused_before_anything_is_written(name, arguments, message, tmp_path: Path):
    first = (tmp_path, tmp_path) if name == "predict" else (tmp_path,)
    with pytest.raises(regraft.UsageError) as caught:
        getattr(regraft, name)(*first, out=tmp_path / "out", **arguments)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [np.int64(3), 3])
def test_a_whole_number_may_be_of_numpy(value, tmp_path: Path):
    with pytest.raises(regraft.FolderError, match=r"^No such folder: "):
        regraft.train(tmp_path / "missing", recipe="quick", seed=value)


def test_a_picture_among_the_inputs_of_a_table_is_refused_with_where_pictures_go(tmp_path: Path):
    for odd, received in ((Image.new("RGB", (8, 8)), "Image"), (None, "None"), (regraft.Run(tmp_path), "Run")):
        with pytest.raises(regraft.UsageError) as caught:
            regraft.predict(tmp_path, ["a.jpg", odd], out=tmp_path / "out.csv")
        told = f"inputs[1] must be a path; received {received}. model.predict answers pictures and arrays."
        assert str(caught.value) == told


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: regraft.train("http://x/photos"), 'photos must be a path on this machine; addresses such as "http:'),
        (lambda: regraft.train("p", out=Path("gs://b/run")), "out must be a path on this machine"),
        (lambda: regraft.check(Path("gs://b/p")), 'photos must be a path on this machine; addresses such as "gs:/b/p"'),
        (lambda: regraft.predict("s3://b/run", ["a.jpg"], out="a.csv"), "model must be a path on this machine"),
        (lambda: regraft.ensemble(["gs://b/r1", "gs://b/r2"]), "source must be a path on this machine"),
    ],
)
def test_an_address_is_no_path_in_any_place(call, words: str):
    with pytest.raises(regraft.UsageError, match=f"^{words}"):
        call()


def test_weights_may_be_an_address_that_kerashub_downloads_and_no_other(tmp_path: Path):
    with pytest.raises(
        regraft.WeightsError, match=r"^weights must be imagenet, none or a file that exists; received \"hf"
    ):
        regraft.train(tmp_path, backbone="vgg16", weights="hf://somebody/vgg", out=tmp_path / "run")
    with pytest.raises(regraft.UsageError, match=r"^weights must be a path on this machine"):
        regraft.train(tmp_path, backbone="vgg16", weights="s3://bucket/vgg", out=tmp_path / "run")
