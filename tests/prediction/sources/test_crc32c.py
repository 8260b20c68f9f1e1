"""The checksum of TFRecord files."""

import numpy as np
import pytest

from regraft.prediction.sources.crc32c import crc32c


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_the_checksums_are_those_of_the_standard(data: bytes, checksum: int):
    """RFC 3720, appendix B.4, and the check value of the catalogue of CRCs."""
    assert crc32c(data) == checksum


def test_the_joined_checksum_is_that_of_byte_after_byte():
    data = np.random.default_rng(0).bytes(1100)
    for length in (*range(80), 255, 256, 257, 1023, 1024, 1100):
        value = 0xFFFFFFFF
        for byte in data[:length]:
            value ^= byte
            for _ in range(8):
                value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        assert crc32c(data[:length]) == value ^ 0xFFFFFFFF


def test_a_flipped_bit_anywhere_changes_the_checksum_of_a_large_photo():
    data = bytearray(np.random.default_rng(1).bytes(300_001))
    whole = crc32c(bytes(data))
    for place in (0, 3, 4, 150_000, 300_000):
        data[place] ^= 0x10
        assert crc32c(bytes(data)) != whole
        data[place] ^= 0x10
