"""What verbs say of a folder of photos: check as a guard before a training, and the files that none of them uses."""

from pathlib import Path

import pytest
from command_line import run_regraft

FILM = b"\0\0\0\x14ftypqt  "


@pytest.fixture
def one_class(photo_folder) -> Path:
    """A folder that no training takes, with a film in it and a folder that a NAS left."""
    root = photo_folder({"cat": 2, "@eaDir": 1})
    (root / "cat" / "MVI_1.MOV").write_bytes(FILM)
    return root


def test_check_guards_a_training_with_its_exit_code(photo_folder, one_class):
    good = photo_folder({"cat": 2, "dog": 2}, name="good")
    for words, code in (([good], 0), ([good, "--json"], 0), ([one_class], 3), ([one_class, "--json"], 3)):
        assert run_regraft("check", *words).code == code
    assert run_regraft("check", one_class / "nowhere").code == 2


def test_check_refuses_what_training_refuses_where_val_is_a_copy_of_train(photo_folder):
    root = photo_folder({"train/cat": 3, "train/dog": 3, "val/cat": 0, "val/dog": 0}, size=(320, 240))
    for path in root.glob("train/*/*.jpg"):
        (root / "val" / path.parent.name / path.name).write_bytes(path.read_bytes())
    answer = run_regraft("check", root, "--json")
    assert (answer.code, answer.values["verdict"]) == (3, "not trainable")
    refusal = run_regraft("train", root, "--backbone", "tiny", "--image-size", "32")
    assert refusal.code == 2
    assert refusal.stderr.splitlines()[-1] == f"regraft: {answer.values['problems'][0]['text']}"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--backbone", "tiny"],
        ["train", "--backbone", "tiny", "--recipe", "quick"],
        ["pretrain", "--image-size", "32"],
        ["ensemble", "--backbone", "tiny", "--members", "2"],
        ["find-lr", "--backbone", "tiny"],
        ["compare", "--backbone", "tiny", "--vary", "augment.flip=true,false"],
    ],
    ids=lambda words: " ".join(words[:1] + words[3:]),
)
def test_every_training_accounts_for_its_folder_before_it_refuses_it(one_class, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = run_regraft(words[0], one_class, *words[1:])
    assert answer.code == 2
    line, refusal = answer.stderr.splitlines()
    assert line == (
        f"2 photos in {one_class}; left out: 1 file in a format that is not read (cat/MVI_1.MOV: a video), "
        "1 entry hidden or left by a system (@eaDir). All by name: regraft check --json."
    )
    assert refusal.startswith('regraft: Expected two or more classes; found "cat" alone.')
    assert not (tmp_path / "saved_models").exists()
