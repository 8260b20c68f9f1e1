"""What is said of a file that gives no pixels."""

import pytest

from regraft.data.unreadable import STATUSES, damaged, too_many_bytes, too_many_pixels, too_much_memory


def test_what_is_too_large_names_the_option_that_raises_the_limit():
    pixels = too_many_pixels(200_000_000, 178_956_970)
    assert str(pixels) == "too large: 200 million pixels, the limit is 179 (--max-pixels)"
    most = too_many_pixels(400_000_000, 178_956_970)
    assert str(most) == "too large: 400 million pixels, the limit is 179 (--max-pixels goes up to 358)"
    memory = too_much_memory(2_300_000_000, 1_200_000_000)
    assert str(memory) == "too large: 2.3 GB of memory to decode it, the limit is 1.2 GB (--max-memory)"
    assert str(too_many_bytes(3000, 2000)) == "3,000 bytes, the limit is 2,000"
    assert {each.status for each in (pixels, most, memory, too_many_bytes(3, 2))} == {"too_large"}


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        (OSError("image file is truncated"), "damaged: image file is truncated", "truncated"),
        (SyntaxError("broken PNG"), "damaged: broken PNG", "unreadable"),
        (KeyError(), "damaged: KeyError", "unreadable"),
    ],
)
def test_damage_is_told_in_the_decoders_words(error, reason, status):
    found = damaged(error)
    assert (str(found), found.status) == (reason, status)
    assert found.status in STATUSES
