"""The model card: what it says is true, and its code, run as it stands, gives the run's probabilities."""

import ast
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import draw_photo
from PIL import Image
from trained_runs import TrainedRun

from regraft.augment.fits import Fit
from regraft.evidence.decision import LeastCost, OperatingPoint
from regraft.exports.card import inline_code, model_card
from regraft.exports.export import read_export
from regraft.inference.trained import open_trained
from regraft.inference.views import softmax
from regraft.runs.run import Run

HOSTILE = ("c`d", "e\u2028f", "g\u202eh", "<b>x</b> | *y*", "``", "a\x85b")
"""Class names that end lines, code and cells, or turn what follows around."""


def code_of(card: str) -> str:
    return card.split("```python\n")[1].split("```\n")[0]


def run_card(folder: Path, photo: Path) -> dict[str, Any]:
    """What the code of the card in `folder` leaves, with a photo in the place of photo.jpg."""
    names: dict[str, Any] = {}
    code = code_of((folder / "README.md").read_text("utf-8"))
    assert '"photo.jpg"' in code
    exec(code.replace('"photo.jpg"', repr(str(photo))), names)
    return names


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of many sizes, odd and even, small and large; turned; as JPEG and PNG; grey and transparent."""
    folder = tmp_path_factory.mktemp("card_photos")
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[str, tuple[int, int], dict[str, Any]]] = [
        *(("jpg", size, {"quality": 90}) for size in [(50, 40), (63, 48), (301, 202), (600, 403)]),
        *(("png", size, {}) for size in [(33, 70), (20, 15), (64, 65)]),
        ("jpg", (111, 80), {"quality": 95, "exif": exif}),
    ]
    for number, (suffix, size, options) in enumerate(kinds):
        draw_photo(number % 3, seed=number, size=size, classes=3).save(folder / f"{number}.{suffix}", **options)
    draw_photo(0, seed=9, size=(90, 71), classes=3).convert("L").save(folder / "grey.jpg")
    transparent = draw_photo(1, seed=10, size=(60, 60), classes=3)
    transparent.putalpha(draw_photo(2, seed=11, size=(60, 60), classes=3).convert("L"))
    transparent.save(folder / "transparent.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def probabilities(trained: TrainedRun) -> Callable[[list[Path]], np.ndarray]:
    """float32 [N, 3] of files: what the trained Keras model answers in training's own pipeline."""
    opened = open_trained(trained.folder)
    return lambda paths: softmax(opened.model.predict_on_batch(np.stack([opened.reader.read(path) for path in paths])))


def test_the_code_of_the_card_gives_the_probabilities_of_the_run(
    litert: Path, photos: list[Path], probabilities, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(litert)
    answers = [run_card(litert, photo) for photo in photos]
    expected = probabilities(photos)
    np.testing.assert_allclose([answer["answer"]["probabilities"][0] for answer in answers], expected, atol=1e-3)
    assert [answer["label"] for answer in answers] == [("bee", "cat", "dog")[row.argmax()] for row in expected]


@pytest.mark.slow
@pytest.mark.parametrize(("form", "precision", "tolerance"), [("onnx", "float32", 1e-3), ("openvino", "float32", 1e-3)])
def test_the_code_of_every_card_gives_the_probabilities_of_the_run(
    form: str, precision: str, tolerance: float, trained: TrainedRun, photos: list[Path], probabilities, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    answer = run_regraft(
        "export", trained.folder, "--format", form, "--precision", precision, "--out", tmp_path / "export"
    )
    assert answer.code == 0, answer.stderr
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)  # as the code does, for this test alone
    monkeypatch.chdir(tmp_path / "export")
    answers = [run_card(tmp_path / "export", photo)["answer"]["probabilities"][0] for photo in photos]
    np.testing.assert_allclose(answers, probabilities(photos), atol=tolerance)


def test_the_card_says_how_good_it_is(litert: Path, trained: TrainedRun):
    card = (litert / "README.md").read_text("utf-8")
    assert f"| accuracy of the trained model | {100 * trained.metrics['accuracy']:.1f} % (" in card
    assert card.startswith("# `mixed`, as litert-float32\n")


def test_the_card_of_a_run_that_was_judged_in_folds_says_who_had_seen_what(litert: Path, trained: TrainedRun):
    run = Run(trained.folder)
    run.__dict__["metrics"] = replace(run.metrics, folds=({"fold": 1}, {"fold": 2}))
    card = model_card(run, read_export(litert))
    assert "each judged by one of 2 models that had not seen it |" in card
    assert ", on photos that it has learned from |" in card


def test_hostile_class_names_are_shown_as_text_and_numbered_right(
    litert: Path, trained: TrainedRun, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "export"
    shutil.copytree(litert, folder)
    described = json.loads((folder / "export.json").read_text("utf-8")) | {"labels": HOSTILE[:3]}
    (folder / "export.json").write_text(json.dumps(described), "utf-8")
    card = model_card(Run(trained.folder), replace(read_export(litert), labels=HOSTILE[:3]))
    (folder / "README.md").write_text(card, "utf-8")
    monkeypatch.chdir(folder)
    answer = run_card(folder, photos[0])
    assert answer["label"] == HOSTILE[answer["answer"]["probabilities"][0].argmax()]


def test_the_labels_are_a_block_that_no_name_ends_or_leaves(litert: Path, trained: TrainedRun):
    card = model_card(Run(trained.folder), replace(read_export(litert), labels=HOSTILE))
    assert all(letter.isprintable() or letter == "\n" for letter in card)
    fences = [line for line in card.split("\n") if line.startswith("```")]
    assert fences == ["```", "```", "```python", "```"]
    assert ast.literal_eval(card.split("```\n")[1]) == list(HOSTILE)


@pytest.mark.parametrize(
    ("fit", "part", "words"),
    [
        ("crop", 0.9, "take the centre square with 0.9 of the short side and scale it bilinearly"),
        ("stretch", 1.0, "take all of it and scale it bilinearly"),
        ("stretch", 0.9, "each side by itself. Keeping the aspect ratio instead costs accuracy"),
        ("pad", 0.9, "take the centre with 0.9 of each side and scale it bilinearly"),
        ("pad", 1.0, "to a long side of 32, and put it in the middle of a square of the colour 124, 116, 104."),
    ],
)
def test_the_card_says_how_a_photo_is_fitted(litert: Path, trained: TrainedRun, fit: Fit, part: float, words: str):
    export = replace(read_export(litert), fit=fit, crop_fraction=part)
    assert words in model_card(Run(trained.folder), export).replace("\n", " ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pets", "`pets`"),
        ("a`b", "``a`b``"),
        ("`a``b", "``` `a``b ```"),
        (" a ", "`  a  `"),
        ("<b>*a*", "`<b>*a*`"),
        ("a\nb\u202ec", "`a\\nb\\u202ec`"),
    ],
)
def test_names_stand_in_text_letter_for_letter(text: str, shown: str):
    assert inline_code(text) == shown


def test_the_card_names_the_precision_that_openvino_would_choose_otherwise(litert: Path, trained: TrainedRun):
    export = replace(read_export(litert), format="openvino")
    code = code_of(model_card(Run(trained.folder), export))
    assert re.search(r'compile_model\(.*"INFERENCE_PRECISION_HINT": precision', code)
    assert code.index('sys.modules["openvino_telemetry"] = None') < code.index("import openvino\n")


@pytest.mark.parametrize(
    ("backbone", "weights", "said"),
    [("swin_tiny", "swin_tiny_patch4_window7_224", "MIT"), ("tiny", "none", "none, as they were fresh")],
)
def test_the_card_says_the_licence_of_the_weights(
    litert: Path, trained: TrainedRun, tmp_path: Path, backbone: str, weights: str, said: str
):
    run = Run(Path(shutil.copytree(trained.folder, tmp_path / "run")))
    recipe = run.recipe_file.read_text("utf-8")
    recipe = re.sub(r"(?m)^backbone = .*$", f'backbone = "{backbone}"', recipe)
    run.recipe_file.write_text(re.sub(r"(?m)^weights = .*$", f'weights = "{weights}"', recipe), "utf-8")
    assert f"| licence of the weights it began with | {said} |" in model_card(run, read_export(litert))


COSTS = LeastCost(((0.0, 1.0, 1.0), (9.0, 0.0, 1.0), (1.0, 1.0, 0.0)))


@pytest.mark.parametrize("decision", [OperatingPoint(1, 0.25), COSTS])
def test_the_code_of_the_card_decides_as_the_export_does(trained: TrainedRun, litert: Path, decision):
    export = replace(read_export(litert), decision=decision)
    card = model_card(Run(trained.folder), export)
    assert f"| label | {inline_code(decision.words(export.labels))} |" in card
    function = code_of(card)[code_of(card).index("def decide(") :].split("\n\n\n")[0]
    names = {"np": np, "export": {"labels": list(export.labels), "decision": decision.as_dict(export.labels)}}
    exec(function, names)
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 100).astype(np.float32)
    found = [names["decide"]({"probabilities": row[None]}) for row in rows]
    assert found == decision.answers(rows).tolist()
    assert 'label = export["labels"][decide(answer)]' in code_of(card)
