"""What is to be predicted, from whatever the user names, as one stream in order."""

from pathlib import Path

import pytest
from input_photos import paths_of, write_photos

from regraft.data.photos import Limits, UnreadablePhoto
from regraft.errors import UsageError
from regraft.prediction.sources.expand import expand_inputs
from regraft.prediction.sources.reader import ItemReader


def test_a_file_is_taken_as_it_is_also_where_it_is_missing(tmp_path: Path):
    (there,) = write_photos(tmp_path, "b.jpg")
    missing, odd = str(tmp_path / "a.jpg"), str(tmp_path / "notes.md")
    Path(odd).touch()
    assert paths_of([there, missing, odd, there]) == [there, missing, odd, there]


def test_a_single_text_is_one_path_and_never_its_letters(tmp_path: Path):
    (there,) = write_photos(tmp_path, "b.jpg")
    assert paths_of(there) == paths_of(Path(there)) == paths_of([Path(there)]) == [there]
    assert paths_of("missing.jpg") == ["missing.jpg"]
    assert paths_of("-", ["a.jpg\n"]) == ["a.jpg"]


@pytest.mark.parametrize("given", [b"a.jpg", 7, None])
def test_what_is_no_path_is_refused(given: object):
    name = type(given).__name__
    with pytest.raises(UsageError, match=f"An input must be a path, as a str or os.PathLike; received {name}."):
        paths_of(["a.jpg", given])


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("{empty}", "The folder {empty} holds no images."),
        ("{empty}/*.jpg", "No file matches {empty}/*.jpg."),
        ("-", "There is nothing to predict: name photos, folders, patterns, or - for a list on stdin."),
    ],
)
def test_nothing_to_predict_is_refused(tmp_path: Path, given: str, complaint: str):
    with pytest.raises(UsageError) as caught:
        paths_of([given.format(empty=tmp_path)])
    assert str(caught.value) == complaint.format(empty=tmp_path)


def test_an_address_is_a_row_also_where_it_looks_like_a_pattern(tmp_path: Path):
    given = ["https://x/a.jpg?w=3", "s3://b/*.jpg", "https://x/folder/", "gs:/b/[1].png"]
    items = list(expand_inputs(given))
    assert [item.path for item in items] == given
    with ItemReader(Limits()) as reader:
        for item in items:
            with pytest.raises(UnreadablePhoto, match=r"^addresses are not read; download it first"):
                reader.read(item)


@pytest.mark.parametrize("name", ["s3://b/list.csv", "https://x/a.zip", "gs://b/list.txt"])
def test_an_address_of_what_holds_photos_or_paths_is_a_mistake(name: str):
    with pytest.raises(UsageError, match=f"^{name}: addresses are not read; download it first"):
        list(expand_inputs([name]))
