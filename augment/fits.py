"""The ways to fit a photo into the square that the network sees, by name, without TensorFlow."""

from typing import Literal, get_args

Fit = Literal["crop", "stretch", "pad"]
"""How a photo becomes a square.

"crop": the centre square, whose side is a part of the short side. "stretch": the centre with that part of each side,
scaled to the square, so that its aspect ratio is lost. "pad": the same centre with its aspect ratio kept, and margins
of one colour, `MARGIN`, equal on both sides.
"""

FITS: tuple[Fit, ...] = get_args(Fit)

MARGIN = (124, 116, 104)
"""RGB of the margins of a padded photo: ImageNet's mean, as timm (`crop_mode="border"`) and LLaVA (`expand2square`)
fill them.

To a backbone that was pretrained there, it is about the zero with which its own convolutions pad.
"""


def sides_in_square(height: int, width: int, image_size: int) -> tuple[int, int]:
    """Height and width in pixels of a padded photo of these sides in its square: the long one is `image_size`.

    The other one is rounded, half up, and is then one longer where the margins would not be equal, so that a mirrored
    photo gives exactly the mirrored view. All are whole numbers, so that whoever computes them agrees.
    """
    longest = max(height, width)
    shown = [max((2 * image_size * side + longest) // (2 * longest), 1) for side in (height, width)]
    return shown[0] + (image_size - shown[0]) % 2, shown[1] + (image_size - shown[1]) % 2
