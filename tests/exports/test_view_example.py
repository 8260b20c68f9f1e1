"""The view as model cards write it, beside the view that training and proofs take."""

from pathlib import Path

import numpy as np
import pytest
from drawn_photos import STORED, draw_photo
from PIL import Image

from regraft.augment.fits import FITS, Fit
from regraft.augment.view import make_view
from regraft.exports.view_example import read_view

SIZES = [(50, 40), (41, 60), (64, 64), (63, 95), (129, 66), (65, 150), (20, 7), (1, 9)]
"""Width and height: odd and even margins, smaller than the view, just below and above twice its size."""


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("crop_fraction", [1.0, 0.9])
@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_view_of_training(size: tuple[int, int], crop_fraction: float, fit: Fit, tmp_path: Path):
    photo = draw_photo(1, seed=1, size=size)
    photo.save(tmp_path / "photo.png")
    expected = make_view(32, crop_fraction, fit)(np.asarray(photo)).numpy()
    view = read_view(str(tmp_path / "photo.png"), 32, crop_fraction, "none", fit)
    np.testing.assert_allclose(view, expected, atol=0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_turned_upright(orientation: int, tmp_path: Path):
    photo = draw_photo(1, seed=1, size=(50, 40))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "upright.png")
    Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(photo)))).save(tmp_path / "t.png", exif=exif)
    upright, turned = (read_view(str(tmp_path / name), 32, 1.0, "none") for name in ("upright.png", "t.png"))
    np.testing.assert_array_equal(turned, upright)


def test_two_pixels_of_four_are_half_way_between_their_neighbours(tmp_path: Path):
    Image.fromarray(np.array([[[0] * 3, [100] * 3]], np.uint8).repeat(2, axis=0)).save(tmp_path / "photo.png")
    # Centres of four new pixels in two old ones: -0.25, 0.25, 0.75 and 1.25; what lies outside is the border.
    expected = np.tile(np.array([0, 25, 75, 100], np.float32)[None, :, None], (4, 1, 3))
    np.testing.assert_array_equal(read_view(str(tmp_path / "photo.png"), 4, 1.0, "none"), expected)


@pytest.mark.parametrize(
    ("background", "shown"), [("white", [255, 127, 10]), ("black", [0, 0, 10]), ("none", [0, 0, 10])]
)
def test_the_background_is_seen_through_transparent_pixels(background: str, shown: list[int], tmp_path: Path):
    pixels = np.zeros((3, 3, 4), np.uint8)
    pixels[:, :, 3] = [0, 128, 255]  # black that nobody sees, black that is half seen, and dark grey
    pixels[:, 2, :3] = 10
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    view = read_view(str(tmp_path / "photo.png"), 3, 1.0, background)
    np.testing.assert_array_equal(view, np.tile(np.array(shown, np.float32)[None, :, None], (3, 1, 3)))
