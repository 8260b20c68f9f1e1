"""How large a photo is in its square."""

import pytest

from regraft.augment.fits import FITS, sides_in_square

# (height, width, side of the square) and (height, width) in it. 24 * 32 / 40 = 19.2, one more for equal margins.
SIDES = [
    ((40, 40, 32), (32, 32)),
    ((30, 40, 32), (24, 32)),
    ((40, 30, 32), (32, 24)),
    ((24, 40, 32), (20, 32)),
    ((10, 64, 32), (6, 32)),  # 5, one more
    ((10, 64, 31), (5, 31)),  # 4.84
    ((9, 64, 32), (6, 32)),  # 4.5, rounded up to 5, one more
    ((1, 178_000_000, 2048), (2, 2048)),
    ((1, 1, 8), (8, 8)),
    ((1, 500, 9), (1, 9)),
]


@pytest.mark.parametrize(("given", "shown"), SIDES)
def test_a_padded_photo_keeps_its_aspect_ratio_and_has_equal_margins(given, shown):
    assert sides_in_square(*given) == shown
    assert [(given[2] - side) % 2 for side in shown] == [0, 0]


def test_the_fits_are_named():
    assert FITS == ("crop", "stretch", "pad")
