"""Arrays out of the file that `torch.save` wrote before PyTorch 1.6, read without PyTorch and without running anything.

The format (`torch/serialization.py`, `_legacy_load`): five pickles one after another, which are a magic number, the
version of the protocol, facts about the machine, the dictionary itself and the keys of its storages; then each storage,
its count as int64 before its little-endian numbers. A pickle is a program, so that reading one runs what it names. This
one may name four things that `torch.save` needs, each answered by a stand-in of ours; all else is refused.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES: Mapping[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class TorchStreamError(ValueError):
    """The bytes are no such file, hold what is not read, or name what is not to be run."""


@dataclass(frozen=True)
class _Tensor:
    """An array whose numbers are still to come: where they lie in which storage, counted in numbers."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_stream(path: Path) -> dict[str, np.ndarray]:
    """The tensors of the state dictionary in `path` by name: float32 or int64, as they were saved.

    Raises:
        TorchStreamError: the file is none of this format, is cut short, or names something besides plain tensors.
        OSError: it cannot be read.
    """
    stream = io.BytesIO(path.read_bytes())
    try:
        tensors, storages = _read_pickles(stream)
        arrays = _read_storages(stream, storages)
        return {name: _array(tensor, arrays) for name, tensor in tensors.items()}
    except TorchStreamError:
        raise
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise TorchStreamError(f"no state dictionary of PyTorch can be read ({type(error).__name__})") from error


def _read_pickles(stream: io.BytesIO) -> tuple[Mapping[str, _Tensor], dict[str, np.dtype[Any]]]:
    """The tensors by name, and the type of each storage in the order in which their numbers follow."""
    magic, protocol, _ = (_Unpickler(stream).load() for _ in range(3))
    if (magic, protocol) != (_MAGIC, _PROTOCOL):
        raise TorchStreamError("it does not begin as a file of torch.save before PyTorch 1.6 does")
    reader = _Unpickler(stream)
    tensors, keys = reader.load(), _Unpickler(stream).load()
    if not isinstance(tensors, dict) or not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise TorchStreamError("it holds something besides a dictionary of tensors")
    return tensors, {key: reader.storages[key] for key in keys}


def _read_storages(stream: io.BytesIO, storages: Mapping[str, np.dtype[Any]]) -> dict[str, np.ndarray]:
    arrays = {}
    for key, dtype in storages.items():
        count = int.from_bytes(stream.read(8), "little", signed=True)
        numbers = stream.read(max(count, 0) * dtype.itemsize)
        if count < 0 or len(numbers) < count * dtype.itemsize:
            raise TorchStreamError("it is cut short")
        arrays[key] = np.frombuffer(numbers, dtype)
    return arrays


def _array(tensor: _Tensor, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The numbers of `tensor` in the order of its axes, which need not be that in which they lie."""
    storage = arrays[tensor.storage]
    steps = [(size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)]
    is_bounded = all(part >= 0 for part in (tensor.offset, *tensor.shape, *tensor.strides))
    if not is_bounded or (all(tensor.shape) and tensor.offset + sum(steps) >= len(storage)):
        raise TorchStreamError("a tensor reaches beyond its storage")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False).copy()


class _Unpickler(pickle.Unpickler):
    """Knows four names and answers each with a stand-in; nothing that the file names is imported or called."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, np.dtype[Any]] = {}
        self._stand_ins: Mapping[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): lambda: _Named(),  # our own names stay out of its reach
            ("torch._utils", "_rebuild_tensor_v2"): lambda *parts: _rebuilt(*parts),
            **{("torch", name): name for name in _DTYPES},
        }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of what the file names."""
        if (module, name) not in self._stand_ins:
            raise TorchStreamError(f"it names {module}.{name}, which tensors do not need and which is not run")
        return self._stand_ins[module, name]

    def persistent_load(self, pid: Sequence[Any]) -> str:
        """The key of a storage: ("storage", its type, key, device, count, view)."""
        kind, type_name, key, _, _, view = pid
        if kind != "storage" or view is not None or type_name not in _DTYPES:
            raise TorchStreamError("it holds a storage of a kind that is not read")
        self.storages[key] = _DTYPES[type_name]
        return key


class _Named(dict[str, Any]):
    """What an OrderedDict is read as; PyTorch hangs the versions of the modules on it, as an attribute."""


def _rebuilt(storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))
