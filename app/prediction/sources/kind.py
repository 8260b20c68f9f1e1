"""What there is to say of a kind of input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from regraft.prediction.sources.item import Found, Item


@dataclass(frozen=True)
class Reading:
    """How inputs are to be understood.

    Attributes:
        column: of tables, the one that holds the paths.
        root: the folder that relative paths of tables and of stdin start from; "" is the current one.
        null: whether the paths on stdin end with a null byte instead of a line break.
        feature: of TFRecord examples, the one that holds the encoded photo.
        memory: bytes that photos on their way to the network may hold; None is a share of what is there. Rows do not
            depend on it.
    """

    column: str = "path"
    root: str = ""
    null: bool = False
    feature: str = "image/encoded"
    memory: int | None = None


@dataclass(frozen=True)
class InputKind:
    """A way to name photos, and to read them later.

    Attributes:
        recognizes: whether a name that the user gave is of this kind.
        expand: what is found under such a name, in order, as a generator: items, and what is left out. Raises
            UsageError where it is damaged.
        nothing: what is said where there are no items; {} is the name.
        is_file: whether such a name is that of a file, which must be there.
        open: opens an item's `file` to read from, and gives something with `close()`; it stays open for the items
            that follow, which one thread reads in order. None where all items are files of their own.
        read: the encoded photo of an item, of what was opened. Raises UnreadablePhoto where there is none.
        damage: what `open` and `read` raise where the file is damaged.
    """

    recognizes: Callable[[str], bool]
    expand: Callable[[str, Reading], Iterator[Found]]
    nothing: str = "{} holds no images"
    is_file: bool = True
    open: Callable[[str], Any] | None = None
    read: Callable[[Any, Item, Reading], bytes] | None = None
    damage: tuple[type[Exception], ...] = (OSError,)


def is_file_named(*suffixes: str) -> Callable[[str], bool]:
    """A function that says whether a name ends with one of these suffixes, in any case of letters."""
    return lambda given: given.lower().endswith(suffixes)
