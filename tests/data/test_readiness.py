"""Whether a folder can be trained on: one verdict, for `check` and for every training."""

import io
import os
import random
from pathlib import Path

import pytest
from default_cases import few_by_default
from drawn_photos import draw_photo

import regraft
from regraft.data.left_out import account_for
from regraft.data.readiness import assess, imbalance, training_obstacles
from regraft.data.records import ImageFolder, Record
from regraft.data.scan import scan_folder
from regraft.errors import FolderError
from regraft.progress import Silent
from regraft.recipes.recipe import load_recipe
from regraft.training.session import plan_training


def require_trainable(folder: ImageFolder) -> list[str]:
    readiness = assess(folder)
    readiness.require()
    return list(readiness.warnings)


def folder_of(counts: dict[str, int], **fields) -> ImageFolder:
    """A scanned folder without files: `counts` images of each "class" or "split/class"."""
    class_names = tuple(sorted({Path(place).name for place in counts}))
    records = [
        Record(
            Path("photos", place, f"{number}.jpg"),
            class_names.index(Path(place).name),
            place.split("/")[0] if "/" in place else "",
            *("JPEG", 64, 48, 1, f"{place}{number}", bytes(32)),
        )
        for place, count in counts.items()
        for number in range(count)
    ]
    return ImageFolder(Path("photos"), class_names, tuple(records), **fields)


def test_one_class_cannot_be_trained_on():
    with pytest.raises(FolderError, match=r'two or more classes; found "cat" alone\. Add a folder of photos for each'):
        require_trainable(folder_of({"cat": 3}))


def test_a_class_without_a_training_image_cannot_be_trained_on():
    with pytest.raises(FolderError, match='Class "dog" has no readable training image'):
        require_trainable(folder_of({"train/cat": 3, "train/dog": 0, "val/dog": 2}))
    assert len(training_obstacles(folder_of({"cat": 0}))) == 2


def test_a_good_folder_gives_no_warning():
    assert require_trainable(folder_of({"cat": 20, "dog": 3})) == []


def test_one_image_and_imbalance_are_warned_about():
    warnings = require_trainable(folder_of({"cat": 30, "dog": 3, "fox": 1}))
    assert len(warnings) == 2
    assert 'Class "fox" has one training image' in warnings[0]
    assert 'Class "cat" has 30 training images and "fox" 1' in warnings[1]


def test_imbalance_is_largest_over_smallest_of_those_present():
    assert imbalance({"cat": 12, "dog": 3, "fox": 0}) == 4
    assert imbalance({}) == 1


def test_two_writings_of_one_name_are_one_class_and_said(photo_folder):
    root = photo_folder({"train/Cat": 2, "train/cat": 1, "train/dog": 3, "val/CAT": 1, "val/dog ": 1})
    folder = scan_folder(root)
    assert folder.class_names == ("Cat", "dog")
    assert [(record.path.parent.name, record.class_index) for record in folder.records] == [
        *[("Cat", 0)] * 2,
        ("cat", 0),
        *[("dog", 1)] * 3,
        ("CAT", 0),
        ("dog ", 1),
    ]
    [warning] = [text for text in assess(folder).warnings if "differ only in" in text]
    assert "train/Cat = train/cat = val/CAT, train/dog = val/dog " in warning


def test_a_name_with_unseen_letters_is_warned_about_and_shown_escaped(photo_folder):
    folder = scan_folder(photo_folder({"cat": 2, "\u202etac": 2}))
    [warning] = assess(folder).warnings
    assert warning.startswith("1 class with letters in the name that nobody sees ('\\u202etac' has U+202E)")


def test_only_files_that_cannot_be_read_are_named_by_their_format(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"IMG_{number}.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300))
    folder = scan_folder(tmp_path)
    [obstacle] = training_obstacles(folder)
    assert obstacle.startswith(f"Expected photos; none of the 6 files in {tmp_path} can be read: ")
    assert "HEIF" in obstacle or "damaged" in obstacle  # without the plugin, or with it


def test_a_wrapper_is_seen_through_and_its_classes_suggested(photo_folder):
    root = photo_folder({"photos/cat": 2, "photos/dog": 2})
    [obstacle] = training_obstacles(scan_folder(root))
    assert obstacle == (
        f'Expected two or more classes; found "photos" alone. It holds the folders cat, dog: name {root}/photos '
        f"instead of {root} if these are meant."
    )


def test_val_that_is_a_copy_of_train_is_not_trainable_for_check_and_train_alike(photo_folder):
    root = photo_folder({"train/cat": 3, "train/dog": 3, "val/cat": 0, "val/dog": 0}, size=(320, 240))
    for path in root.glob("train/*/*.jpg"):
        (root / "val" / path.parent.name / path.name).write_bytes(path.read_bytes())
    report = regraft.check(root, progress=False)
    assert (report.verdict, report.is_trainable) == ("not trainable", False)
    with pytest.raises(FolderError) as caught:
        plan_training(scan_folder(root), load_recipe("balanced"), Silent())
    assert caught.value.text == report.problems[0].text


def test_check_asks_what_the_default_recipes_ask(photo_folder):
    recipes = [load_recipe(name) for name in ("balanced", "thorough", "quick")]
    for recipe in recipes:
        chosen = (recipe.data.val_fraction, recipe.data.select_fraction, recipe.seed, recipe.data.split_seed)
        assert chosen == (0.2, 0.1, 0, None)
    folder = scan_folder(photo_folder({"cat": 4, "dog": 4}))
    assert assess(folder).roles == plan_training(folder, recipes[0], Silent())


# --- trees of every kind ---


def contents() -> dict[str, list[bytes]]:
    """Bytes of files by what they are."""
    photos, plain = [], []
    for number in range(12):
        data = io.BytesIO()
        draw_photo(number % 3, seed=number, size=(48, 40), classes=3).save(data, "JPEG", quality=85)
        photos.append(data.getvalue())
    for jpeg in photos[:3]:
        plain.append(jpeg[:2] + b"\xff\xfe\x00\x04xy" + jpeg[2:])  # the same pixels
    return {
        "photo": photos + plain,
        "bad": [b"", photos[0][:300], b"text", b"\0\0\0\x18ftypheic" + bytes(300), b"\0\0\0\x18ftypmp42" + bytes(20)],
    }


FILES = contents()
SUFFIXES = (".jpg", ".JPG", "", ".HEIC", ".txt", ".jpg")


def grow_tree(root: Path, seed: int) -> None:
    """Writes a folder as people have it: splits or none, copies, wrappers, odd names, broken and foreign files."""
    draw = random.Random(seed)
    classes = draw.sample(
        ["cat", "dog", "Cat", "fox ", "fox", "caf\u00e9", "cafe\u0301", "train", "test 1"], draw.randint(1, 3)
    )
    splits = draw.choice(
        [[""], [""], ["train"], ["train", "val"], ["train", "Val", "test"], ["photos"], ["seg_train", "seg_test"]]
    )
    for split in splits:
        for name in classes:
            folder = (
                root / split / draw.choice([name, name, name, name.upper()]) / draw.choice(["", "", "train", "deep"])
            )
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(draw.choice([0, 1, 2, 3, 5])):
                kind = draw.choices(["photo", "bad"], [8, 1])[0]
                (folder / f"{number}{draw.choice(SUFFIXES)}").write_bytes(draw.choice(FILES[kind]))
    for place in draw.sample(
        ["@eaDir/a.jpg", "lost+found/x", ".hidden", "cover.png", "notes.txt", "saved_models/r/f"], 2
    ):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(draw.choice(FILES["photo"]))
    if (run := root / "saved_models" / "r").is_dir():
        for name in ("recipe.toml", "environment.json", "labels.txt"):
            (run / name).touch()
    if draw.random() < 0.2:
        (root / "loop").symlink_to(root, target_is_directory=True)


def everything_below(root: Path) -> set[Path]:
    return {Path(folder) / name for folder, _, names in os.walk(root) for name in names}


def scan_or_none(root: Path) -> ImageFolder | None:
    try:
        return scan_folder(root)
    except FolderError:
        return None


@pytest.mark.parametrize("block", few_by_default(range(10), 0))
def test_check_and_training_never_differ_and_no_file_is_lost(tmp_path, block):
    seen = set()
    for seed in range(20 * block, 20 * block + 20):
        root = tmp_path / str(seed)
        grow_tree(root, seed)
        if (folder := scan_or_none(root)) is None:
            with pytest.raises(FolderError):
                regraft.check(root, progress=False)
            seen.add("refused")
            continue
        seen.add(outcome_of(root, folder))
        lost = everything_below(root) - accounted_for(folder, everything_below(root))
        assert not lost, (seed, lost)
    assert seen >= {"trainable", "not trainable"}


def outcome_of(root: Path, folder: ImageFolder) -> str:
    """What check says, after comparing it with what training does."""
    report = regraft.check(root, progress=False)
    try:
        plan_training(folder, load_recipe("balanced"), Silent())
        plan_training(folder, load_recipe("quick"), Silent(), needs_selection=False)
    except FolderError as error:
        assert not report.is_trainable
        assert report.problems[0].text == error.text
        return "not trainable"
    assert report.is_trainable
    return "trainable"


def accounted_for(folder: ImageFolder, files: set[Path]) -> set[Path]:
    """The files that are used, or that lie at or below what the result lists as not used; each but once."""
    asides = [aside.path for aside in (*folder.unreadable, *folder.not_images, *folder.ours)]
    unused = [*asides, *folder.hidden, *folder.loose, *folder.links]
    assert len(set(unused)) == len(unused)
    used = {record.path for record in folder.records}
    below = {file for file in files if any(file.is_relative_to(path) for path in unused)}
    assert not used & below
    assert bool(unused) == bool(account_for(folder))
    return used | below


def test_classes_that_look_alike_in_other_letters_are_warned_about(photo_folder):
    found = assess(scan_folder(photo_folder({"cat": 3, "\u0441at": 3})))
    assert found.warnings == (
        "1 group of classes whose names look the same, in other letters ('cat' = '\\u0441at'): "
        "read as different classes; name them alike if they are one.",
    )
