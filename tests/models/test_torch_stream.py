"""Files of torch.save, written here byte by byte, and those that must not be read."""

import collections
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from regraft.models.torch_stream import TorchStreamError, read_torch_stream

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class Named:
    """A thing that is pickled by the name of what makes it, as PyTorch's own are."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class Storage:
    """What PyTorch pickles as a persistent id."""

    def __init__(self, key: str, kind: str = "FloatStorage", count: int = 0) -> None:
        self.pid = ("storage", Named("torch", kind), key, "cpu", count, None)


class Writer(pickle._Pickler):
    """The pure-Python pickler, which lets names be written that do not exist here."""

    def persistent_id(self, obj: object) -> object:
        return obj.pid if isinstance(obj, Storage) else None

    def save(self, obj: object, save_persistent_id: bool = True) -> None:
        if not isinstance(obj, Named):
            super().save(obj, save_persistent_id)
            return
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        if obj.arguments:
            super().save(obj.arguments)
            self.write(pickle.REDUCE)


def tensor(storage: Storage, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> Named:
    hooks: dict[str, object] = collections.OrderedDict()
    return Named("torch._utils", "_rebuild_tensor_v2", storage, offset, shape, strides, False, hooks)


def write(path: Path, content: object, storages: dict[str, np.ndarray], magic: int = MAGIC) -> Path:
    with path.open("wb") as file:
        for part in (magic, PROTOCOL, {"little_endian": True}, content, list(storages)):
            Writer(file, protocol=2).dump(part)
        for numbers in storages.values():
            file.write(struct.pack("<q", numbers.size) + numbers.tobytes())
    return path


NUMBERS = np.arange(6, dtype=np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    plain, moved = Storage("7", count=6), Storage("8", "LongStorage", 3)
    content = collections.OrderedDict(
        plain=tensor(plain, (2, 3), (3, 1)),
        turned=tensor(plain, (3, 2), (1, 3)),
        last=tensor(moved, (), (), 2),
        empty=tensor(plain, (0, 3), (3, 1)),
    )
    return write(tmp_path / "a.pth", content, {"7": NUMBERS, "8": np.array([5, 6, 7])})


def refusal(path: Path) -> str:
    with pytest.raises(TorchStreamError) as caught:
        read_torch_stream(path)
    return str(caught.value)


def test_tensors_are_read_in_the_order_of_their_axes(file: Path):
    read = read_torch_stream(file)
    np.testing.assert_array_equal(read["plain"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(read["turned"], [[0, 3], [1, 4], [2, 5]])
    assert (read["last"].dtype, int(read["last"])) == (np.int64, 7)
    assert (read["plain"].dtype, read["empty"].shape) == (np.float32, (0, 3))


@pytest.mark.parametrize(
    "called",
    [
        Named("posix", "system", "touch ran"),
        Named("os", "system", "touch ran"),
        Named("builtins", "eval", "open('ran', 'w')"),
        Named("torch.serialization", "load", "x"),
    ],
    ids=lambda named: f"{named.module}.{named.name}",
)
@pytest.mark.parametrize("place", ["instead", "inside"])
def test_a_planted_call_is_refused_and_not_run(called, place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.pth", called if place == "instead" else {"weight": called}, {})
    assert refusal(path) == f"it names {called.module}.{called.name}, which tensors do not need and which is not run"
    assert not Path("ran").exists()


def test_pickle_itself_would_have_run_the_planted_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """So that the test above can fail."""
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.pth", Named(os.system.__module__, "system", "touch ran"), {})
    with path.open("rb") as stream:
        for _ in range(4):
            pickle.load(stream)
    assert Path("ran").exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (7,), (1,)), (6, (1,), (1,)), (0, (2, 3), (4, 1)), (0, (3,), (-1,)), (-1, (2,), (1,)), (0, (-2,), (1,))],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(offset, shape, strides, tmp_path: Path):
    path = write(tmp_path / "a.pth", {"x": tensor(Storage("1"), shape, strides, offset)}, {"1": NUMBERS})
    assert refusal(path) == "a tensor reaches beyond its storage"


def test_one_as_long_as_its_storage_is_read(tmp_path: Path):
    path = write(tmp_path / "a.pth", {"x": tensor(Storage("1"), (2, 2), (3, 2), 0)}, {"1": NUMBERS})
    np.testing.assert_array_equal(read_torch_stream(path)["x"], [[0, 2], [3, 5]])


def test_a_file_cut_short_at_any_byte_is_refused(file: Path):
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        assert refusal(file)


@pytest.mark.parametrize(
    ("content", "magic", "text"),
    [
        ({}, 5, "it does not begin as a file of torch.save before PyTorch 1.6 does"),
        ([], MAGIC, "it holds something besides a dictionary of tensors"),
        ({"x": 5}, MAGIC, "it holds something besides a dictionary of tensors"),
        ({"x": Storage("1", "HalfStorage")}, MAGIC, "it names torch.HalfStorage, which tensors do not need"),
    ],
)
def test_other_content_is_refused(content, magic, text, tmp_path: Path):
    assert refusal(write(tmp_path / "a.pth", content, {}, magic)).startswith(text)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(100), b"text\n", bytes(1000)])
def test_other_files_are_refused(content, tmp_path: Path):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert refusal(path).startswith("no state dictionary of PyTorch can be read (")
