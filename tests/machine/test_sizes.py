"""Amounts of bytes, written and read by people."""

import pytest

from regraft.machine.sizes import parse_size, show_size


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        *(("0", 0), ("17", 17), ("4096", 4096), ("3B", 3), ("500MB", 500_000_000), ("2 gb", 2_000_000_000)),
        *(("1.5GiB", 1_610_612_736), ("2G", 2_147_483_648), ("512 m", 536_870_912), (" 1.5kB ", 1500)),
        *(("1T", 1_099_511_627_776), ("1TB", 1_000_000_000_000)),
    ],
)
def test_a_size_is_a_number_with_or_without_a_unit(text: str, amount: int):
    assert parse_size(text) == amount


@pytest.mark.parametrize(
    "text", ["", "GB", "-1", "1e9", "1e400", "5 apples", "4 G G", "9" * 5_000, "１GB", "nan", "inf", "plenty"]
)
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(ValueError, match=r'^Expected a size such as "500MB" or "4G"; received "'):
        parse_size(text)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 bytes"), (12, "12 bytes"), (1_500, "2 kB"), (944_000, "944 kB"), (3_400_000, "3.4 MB"), (1.2e9, "1.2 GB")],
)
def test_sizes_are_shown_in_the_unit_that_leaves_few_digits(amount: float, text: str):
    assert show_size(int(amount)) == text
