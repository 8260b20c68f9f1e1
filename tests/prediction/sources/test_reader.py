"""The bytes of items."""

import threading
from pathlib import Path

import pytest

from regraft.data.photos import Limits, UnreadablePhoto
from regraft.machine.memory import decoding_within
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.reader import ItemReader


@pytest.mark.parametrize(
    "address",
    [
        *("http://a.org/b.jpg", "HTTPS://a.org/b.jpg", "s3://bucket/b.jpg", "gs://b/c.jpg", "abfss://x/y.png"),
        *("file:///home/me/b.jpg", "data:image/png;base64,iVBORw0KGgo="),
    ],
)
def test_an_address_is_said_not_to_be_read(address: str):
    with ItemReader(Limits()) as reader, pytest.raises(UnreadablePhoto) as caught:
        reader.read(Item(address, address))
    assert str(caught.value) == "addresses are not read; download it first and name the file"
    assert caught.value.status == "unreadable"


@pytest.mark.parametrize("name", ["C:/photos/b.jpg", "a:b.jpg", "http.jpg", "data.jpg"])
def test_what_is_no_address_is_a_missing_file(name: str):
    with ItemReader(Limits()) as reader, pytest.raises(UnreadablePhoto, match="no such file") as caught:
        reader.read(Item(name, name))
    assert caught.value.status == "missing"


def test_a_file_that_is_named_like_an_address_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "http:/a.org").mkdir(parents=True)
    (tmp_path / "http:/a.org/b.jpg").write_bytes(b"photo")
    monkeypatch.chdir(tmp_path)
    with ItemReader(Limits()) as reader:
        assert reader.read(Item("http://a.org/b.jpg", "http://a.org/b.jpg")) == b"photo"


def test_a_file_larger_than_the_memory_is_too_large(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(bytes(3000))
    with decoding_within(2000), ItemReader(Limits()) as reader:
        for item in (Item("a.jpg", str(tmp_path / "a.jpg")), Item("a.zip::b.jpg", "a.zip", "zip", 0, 3000)):
            with pytest.raises(UnreadablePhoto, match=r"^3,000 bytes, the limit is 2,000$") as caught:
                reader.read(item)
            assert caught.value.status == "too_large"


def test_threads_with_large_files_wait_for_one_another(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(bytes(700))
    item, inside, most, lock = Item("a.jpg", str(tmp_path / "a.jpg")), 0, 0, threading.Lock()
    with decoding_within(4000), ItemReader(Limits()) as reader:  # a quarter of it is for files: one of them at a time

        def work() -> None:
            nonlocal inside, most
            for _ in range(50):
                with reader.room_for(item):
                    with lock:
                        inside += 1
                        most = max(most, inside)
                    with lock:
                        inside -= 1

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1
