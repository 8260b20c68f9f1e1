"""`metadata.csv` beside the photos says their labels, in the root or in the folders of splits."""

from collections import Counter
from pathlib import Path

import pytest
from drawn_photos import draw_photo
from PIL import Image

from regraft.data.sources import SourceChoices, scan_remembered
from regraft.data.tables.column_names import ColumnChoices
from regraft.errors import FolderError
from regraft.progress import Silent


def write_flat(folder: Path, names: list[str], *, start: int = 0, header: str = "file_name,label") -> None:
    """Photos 0.jpg, 1.jpg, ... and a metadata.csv that gives them these labels."""
    folder.mkdir(parents=True)
    lines = [header]
    for number, name in enumerate(names, start):
        draw_photo(number % 3, seed=number).save(folder / f"{number}.jpg")
        lines.append(f"{number}.jpg,{name}")
    (folder / "metadata.csv").write_text("\n".join(lines), "utf-8")


def test_metadata_in_the_root_is_the_table(tmp_path: Path):
    write_flat(tmp_path / "photos", ["cat", "dog", "cat"])
    folder = scan_remembered(tmp_path / "photos", Silent())
    assert folder.table == tmp_path / "photos" / "metadata.csv"
    assert [folder.class_names[one.class_index] for one in folder.records] == ["cat", "dog", "cat"]
    assert folder.remarks == ("Labels are those of metadata.csv.",)


def test_metadata_in_splits_gives_their_photos_these_roles(tmp_path: Path):
    write_flat(tmp_path / "photos/train", ["cat", "dog", "cat"])
    write_flat(tmp_path / "photos/test", ["dog", "cat"], start=3)
    folder = scan_remembered(tmp_path / "photos", Silent())
    found = Counter((one.split, folder.class_names[one.class_index]) for one in folder.records)
    assert found == {("train", "cat"): 2, ("train", "dog"): 1, ("test", "dog"): 1, ("test", "cat"): 1}
    assert folder.remarks == ("Labels are those of test/metadata.csv, train/metadata.csv.",)


def test_metadata_without_labels_is_none_unless_a_column_is_told(tmp_path: Path):
    write_flat(tmp_path / "photos", ["cat,a", "dog,b"], header="file_name,animal,caption")
    with pytest.raises(FolderError, match="outside class folders"):
        scan_remembered(tmp_path / "photos", Silent())
    told = SourceChoices(ColumnChoices(label="animal"))
    assert scan_remembered(tmp_path / "photos", Silent(), choices=told).class_names == ("cat", "dog")


def test_captions_are_no_classes(tmp_path: Path):
    write_flat(tmp_path / "photos", ["a cat on a mat", "a dog"], header="file_name,text")
    with pytest.raises(FolderError, match="outside class folders"):
        scan_remembered(tmp_path / "photos", Silent())


def test_copies_and_spellings_are_found_across_splits(tmp_path: Path):
    for split, name, label in (("train", "a.png", "cat"), ("train", "b.png", "dog"), ("test", "c.png", "Cat")):
        folder = tmp_path / split
        folder.mkdir(exist_ok=True)
        shade = 90 if name in "a.png c.png" else 200
        Image.new("RGB", (40, 40), (shade, shade, shade)).save(
            folder / name, compress_level=1 if split == "train" else 9
        )
        with (folder / "metadata.csv").open("a", encoding="utf-8") as file:
            file.write(f"{'' if file.tell() else 'file_name,label' + chr(10)}{name},{label}\n")
    folder = scan_remembered(tmp_path, Silent())
    assert folder.class_names == ("Cat", "dog")
    by_name = {one.path.name: one for one in folder.records}
    assert by_name["a.png"].pixels == by_name["c.png"].pixels != ""
    assert by_name["a.png"].class_index == by_name["c.png"].class_index == 0
