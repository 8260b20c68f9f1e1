"""Addresses of the network are told from paths."""

from pathlib import Path

import pytest

from regraft.machine.addresses import is_address


@pytest.mark.parametrize(
    "text", ["https://x/a.jpg", "S3://b/a", "gs:/b/a", "s3a://x", "file:///a.jpg", "data:image/png;base64,AAAA"]
)
def test_an_address_is_one_also_as_a_path_shortens_it(text: str):
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["a.jpg", "/a/b", "c:/photos", "tfds:mnist/c", "tfds:mnist:1.0.0", "a:b", "", "-", "://"]
)
def test_a_path_is_none(text: str):
    assert not is_address(text)


def test_a_folder_that_is_named_like_one_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("s3:").mkdir()
    assert not is_address("s3:/a.jpg")
