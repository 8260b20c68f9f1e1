"""Whatever somebody or a disk makes of an `export.json`: it is taken as it was written, or refused in one line."""

import contextlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regraft.errors import RegraftError, RunError
from regraft.exports.description import digest_values, is_inside
from regraft.exports.export import Export, ProofResult, read_export

ODD_VALUES = [
    *(None, True, -1, 0, 1, 10**30, 1.5, float("nan"), float("inf"), "", "float32", "\ud800", "a\nb", "\x1f"),
    *([], [[]], [1], ["a", "a"], ["a", None], {}, {"a": {}}, {"a": 1}, {"../a": "0" * 32}, [[[[[[[]]]]]]]),
]


def write(folder: Path, version: int) -> dict[str, Any]:
    """An export of a few bytes in `folder`, and what its export.json says."""
    (folder / "model.onnx").write_bytes(b"network")
    proof = ProofResult(images=3, largest_difference=1e-6, same_label=3, tolerance=1e-4, bytes=7)
    Export(folder, "onnx", "float32", ("a", "é"), 32, 0.875, 5, "0" * 32, proof).write()
    values = json.loads((folder / "export.json").read_text("utf-8"))
    if version == 1:
        values = {name: values[name] for name in values.keys() - {"files", "digest"}} | {"format_version": 1}
    return values


def mutated(values: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """The same with one to three values, also those inside others, exchanged, added or left out; signed anew."""
    changed: dict[str, Any] = json.loads(json.dumps(values))
    for _ in range(draw.randint(1, 3)):
        inner = draw.choice([each for each in (changed, changed.get("proof"), changed.get("files")) if _is_full(each)])
        name = draw.choice([*inner, "something"])
        if draw.random() < 0.3:
            inner.pop(name, None)
        else:
            inner[name] = draw.choice(ODD_VALUES)
    if "digest" in changed and draw.random() < 0.9:
        with contextlib.suppress(ValueError):  # strict JSON cannot say everything
            changed["digest"] = digest_values(changed)
    return changed


def _is_full(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def damaged_bytes(text: bytes, draw: random.Random) -> bytes:
    """The same with a few bytes exchanged, left out or cut off."""
    data = bytearray(text)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(data))
        if draw.random() < 0.3:
            del data[place : place + draw.randint(1, 40)]
        else:
            data[place] = draw.randrange(256)
    return bytes(data[: draw.randrange(len(data))] if draw.random() < 0.2 else data)


def descriptions(folder: Path, version: int, pairs: int) -> Iterator[bytes]:
    values, draw = write(folder, version), random.Random(version)
    for _ in range(pairs):
        yield json.dumps(mutated(values, draw)).encode()
        yield damaged_bytes(json.dumps(values, indent=2, ensure_ascii=False).encode(), draw)


@pytest.mark.parametrize("pairs", [50, pytest.param(1500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("version", [1, 2])
def test_a_damaged_description_is_refused_in_one_line_or_says_what_it_must(version: int, pairs: int, tmp_path: Path):
    refused = 0
    for text in descriptions(tmp_path, version, pairs):
        (tmp_path / "export.json").write_bytes(text)
        try:
            export = read_export(tmp_path)
        except RegraftError as error:
            refused += 1
            assert "\n" not in str(error)
            assert str(tmp_path) in str(error)
        else:
            assert export.labels == ("a", "é")
            assert export.format in ("onnx", "litert", "openvino", "saved_model")
            assert export.image_size > 0
            assert 0 < export.crop_fraction <= 1
            export.as_dict()
    print(f"{2 * pairs} damaged descriptions of version {version}: {refused} refused")
    assert refused > pairs


def test_an_export_that_does_not_say_how_photos_are_fitted_crops_them(tmp_path: Path):
    values = write(tmp_path, 1)
    del values["fit"]
    (tmp_path / "export.json").write_text(json.dumps(values))
    assert read_export(tmp_path).fit == "crop"
    (tmp_path / "export.json").write_text(json.dumps({**values, "fit": "stretch"}))
    assert read_export(tmp_path).fit == "stretch"
    (tmp_path / "export.json").write_text(json.dumps({**values, "fit": "squeeze"}))
    with pytest.raises(RunError, match=r"export\.json is damaged \(fit must be one of crop, stretch, pad\)"):
        read_export(tmp_path)


def test_version_2_notices_every_change_that_was_not_signed(tmp_path: Path):
    values = write(tmp_path, 2)
    for name, other in {"image_size": 33, "crop_fraction": 0.5, "embedding": 4, "precision": "int8"}.items():
        (tmp_path / "export.json").write_text(json.dumps({**values, name: other}))
        with pytest.raises(RunError, match=r"export\.json is damaged \(it changed since it was written\)"):
            read_export(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps(dict(reversed(values.items()))))  # says the same
    assert read_export(tmp_path).labels == ("a", "é")


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/../b", "/a", "a//b", "a/", "./a", "a\0"])
def test_the_names_of_files_stay_inside(name: str):
    assert not is_inside(name)
    assert is_inside("variables/variables.index")
