"""What makes way for a contact sheet: a contact sheet."""

from pathlib import Path

import pytest
from drawn_photos import draw_photo
from PIL import Image

from regraft.errors import UsageError
from regraft.experiments.sheet import check_sheet, save_sheet

SHEET = Image.new("RGB", (4, 4))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_sheet_makes_way_for_a_new_one_by_force(name: str, tmp_path: Path):
    save_sheet(SHEET, tmp_path / name, force=False)
    save_sheet(SHEET.resize((8, 8)), tmp_path / name, force=True)
    with Image.open(tmp_path / name) as picture:
        assert picture.size == (8, 8)
    with pytest.raises(UsageError, match="exists already"):
        save_sheet(SHEET, tmp_path / name, force=False)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_photo_of_the_users_does_not(name: str, tmp_path: Path):
    draw_photo(0, seed=0).save(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(UsageError) as caught:
        check_sheet(tmp_path / name, force=True)
    assert str(caught.value) == (
        f"{tmp_path}/{name} is no sheet of augment-preview, so force=True does not replace it; move it away, or choose "
        "another out."
    )
    assert (tmp_path / name).read_bytes() == before


def test_what_comes_while_the_sheet_is_drawn_is_kept(tmp_path: Path):
    (tmp_path / "a.png").write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        save_sheet(SHEET, tmp_path / "a.png", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "precious"


def test_what_cannot_be_made_is_known_at_once(tmp_path: Path):
    with pytest.raises(OSError, match="File name too long"):
        check_sheet(tmp_path / "no" / f"{'x' * 300}.png", force=False)
    check_sheet(tmp_path / "a.png", force=False)
    assert list(tmp_path.iterdir()) == []
