"""Lists of paths on stdin."""

from pathlib import Path

from input_photos import paths_of


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
