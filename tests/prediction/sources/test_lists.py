"""Lists of paths on stdin."""

import io
from pathlib import Path

import pytest
from input_photos import paths_of

from regraft.data.tables import text
from regraft.errors import UsageError
from regraft.prediction.sources import lists


def test_a_dash_gives_the_lines_of_stdin(tmp_path: Path):
    lines = ["a b.jpg\n", " padded .jpg\r\n", "\n", "c,d.jpg"]
    assert paths_of(["first.jpg", "-", "last.jpg"], lines) == [
        "first.jpg",
        "a b.jpg",
        " padded .jpg",
        "c,d.jpg",
        "last.jpg",
    ]


def test_names_on_stdin_may_end_with_null_bytes(tmp_path: Path):
    chunks = ["a b.jpg\0new\n", "line.jpg\0", "last.jpg"]
    assert paths_of(["-"], chunks, null=True) == ["a b.jpg", "new\nline.jpg", "last.jpg"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_text_file_of_paths_is_a_list(tmp_path: Path, encoding: str, end: str):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "list.txt").write_bytes((mark + end.join(["é 1.JPG", "", "č.png", "dog/2.jpg"])).encode(encoding))
    assert paths_of([str(tmp_path / "list.txt")]) == ["é 1.JPG", "č.png", "dog/2.jpg"]


def test_a_text_that_begins_with_no_photo_is_one_file(tmp_path: Path):
    for name, words in (("notes.txt", "These are my photos:\na.jpg\n"), ("empty.txt", ""), ("blank.txt", "\n \n")):
        (tmp_path / name).write_text(words)
        assert paths_of([str(tmp_path / name)]) == [str(tmp_path / name)]


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
def test_utf_16_without_its_mark_is_suspected(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes("path\na.jpg\n".encode("utf-16-le"))
    with pytest.raises(UsageError, match=rf"{name} looks like UTF-16 without a byte order mark; save it as UTF-8\.$"):
        paths_of([str(tmp_path / name)])


def test_lists_on_stdin_lose_their_mark_and_are_no_utf_16(tmp_path: Path):
    def stdin(data: bytes) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(data), "utf-8", errors="surrogateescape")

    assert paths_of(["-"], stdin("a.jpg\nb.jpg".encode("utf-8-sig"))) == ["a.jpg", "b.jpg"]
    with pytest.raises(UsageError, match=r"^The list on stdin is UTF-16; save it as UTF-8, or name its \.txt file"):
        paths_of(["-"], stdin("a.jpg\nb.jpg".encode("utf-16")))


@pytest.mark.parametrize("null", [False, True])
def test_what_has_no_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch, null: bool):
    class Endless:
        """A stream that is asked for more than it may be once it has given a little more than is a line."""

        given = 0

        def read(self, most: int) -> str:
            self.given += most
            assert self.given < 4000
            return "x" * most

        readline = read

    monkeypatch.setattr(text, "MOST_LETTERS", 1000)
    monkeypatch.setattr(lists, "MOST_LETTERS", 1000)
    with pytest.raises(UsageError, match=r"over 1,000 letters in line 1: it must be|has at most 1,000 letters; xxx"):
        paths_of(["-"], Endless(), null=null)
