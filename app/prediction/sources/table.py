"""Every kind of input by its name. A kind is a file of this package that ends with its KIND, and a row here."""

from __future__ import annotations

from importlib import import_module

from regraft.prediction.sources.kind import InputKind

INPUT_KINDS = {
    "folder": "folders",
    "pattern": "patterns",
    "table": "path_tables",
    "list": "lists",
    "zip": "zip",
    "tar": "tar",
    "tfrecord": "tfrecord",
}
"""Every kind's module, in the order in which they are asked whether a name is theirs; a name that none knows is a file.

The names are written into the lists of unfinished jobs, so they stay.
"""


def find_kind(name: str) -> InputKind:
    """The kind of this name."""
    return import_module(f"regraft.prediction.sources.{INPUT_KINDS[name]}").KIND
