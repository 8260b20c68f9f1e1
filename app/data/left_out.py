"""The files of a folder that are not used, in kinds, so that each verb can account for every one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.file_format import NOT_READ
from regraft.data.records import ImageFolder, SetAside
from regraft.data.wording import name_some, plural, show_path

_REASONS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files or folders of one kind that are not used.

    Attributes:
        words: how many of what, and why they are not used.
        examples: some of them by name, with more precise reasons where there are any.
        advice: what to do; "" where nothing need be done.
    """

    words: str
    examples: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.words} ({self.examples})"


def what_is_left_out(folder: ImageFolder) -> list[LeftOut]:
    """Every kind of file that `folder` has and that is not used, the gravest first."""
    others = [aside for aside in folder.not_images if not aside.reason.startswith(NOT_READ)]
    foreign = [
        SetAside(aside.path, aside.reason.removeprefix(NOT_READ))
        for aside in folder.not_images
        if aside.reason.startswith(NOT_READ)
    ]
    kinds = (
        ("file", "that cannot be read", folder.unreadable, "repair or remove, or install what a reason names"),
        ("image", "outside the class folders", _plain(folder.loose), "move into a class folder"),
        ("file", "in a format that is not read", foreign, "save as JPEG what is a photo"),
        ("file", "without a picture in it", _plain([aside.path for aside in others]), ""),
        ("entry", "hidden or left by a system", _plain(folder.hidden), ""),
        ("entry", "that Regraft has written", folder.ours, ""),
        ("link", "in a circle, or to a folder that is read anyway", _plain(folder.links), ""),
    )
    return [
        LeftOut(f"{plural(len(asides), noun)} {words}", _examples(asides, folder.root), advice)
        for noun, words, asides, advice in kinds
        if asides
    ]


def account_for(folder: ImageFolder) -> str:
    """One line: how many photos are used, and how many files are not and why; "" where all are used."""
    if not (kinds := what_is_left_out(folder)):
        return ""
    used = plural(len(folder.records), "photo")
    return f"{used} in {folder.source}; left out: {', '.join(map(str, kinds))}. All by name: regraft check --json."


def _plain(paths: Sequence[Path]) -> list[SetAside]:
    return [SetAside(path, "") for path in paths]


def _examples(asides: Sequence[SetAside], root: Path) -> str:
    """Such as `a.jpg: empty file; b.mov and 2 more: a video`, the most frequent reasons first."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for aside in asides:
        by_reason[aside.reason].append(show_path(aside.path, root))
    groups = [
        f"{name_some(names, shown=3 if len(by_reason) == 1 else 1)}{f': {reason}' if reason else ''}"
        for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1]))
    ]
    more = f"; {len(groups) - _REASONS_SHOWN:,} more reasons" if len(groups) > _REASONS_SHOWN else ""
    return "; ".join(groups[:_REASONS_SHOWN]) + more
