"""What has to be said once of a folder's photos: what is seen through them, how they are scaled, what they lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from regraft.data.records import ImageFolder, Record
from regraft.data.rendering import NO_BACKGROUND, Rendering, range_of
from regraft.data.scan import deep_spreads
from regraft.data.wording import name_some, plural, show_path


def pixel_notes(folder: ImageFolder, rendering: Rendering) -> list[str]:
    """A sentence for each kind of photo in `folder` that is not simply shown as it is."""
    records = folder.records
    return [
        *_transparent_note([one for one in records if one.transparent], folder, rendering.background),
        *_deep_note([one for one in records if one.lowest is not None], folder, rendering),
        *_odd_notes([one for one in records if one.note], folder),
    ]


def _transparent_note(records: Sequence[Record], folder: ImageFolder, background: str) -> list[str]:
    if not records:
        return []
    seen = "their hidden colours are seen" if background == NO_BACKGROUND else f"{background} is seen through them"
    return [f"{plural(len(records), 'photo')} with transparency ({_some(records, folder)}): {seen} (data.background)."]


def _deep_note(records: Sequence[Record], folder: ImageFolder, rendering: Rendering) -> list[str]:
    if not records:
        return []
    spreads = [(one.lowest or 0.0, one.highest or 0.0) for one in records]
    lowest, highest = min(low for low, _ in spreads), max(high for _, high in spreads)
    wanted = range_of(deep_spreads(folder)) if rendering.range == "auto" else rendering.range
    how = "each by its type" if not isinstance(wanted, tuple) else f"{wanted[0]:,.6g} is black, {wanted[1]:,.6g} white"
    return [
        f"{plural(len(records), 'photo')} in grey of 16 or 32 bits ({_some(records, folder)}), with values from "
        f"{lowest:,.6g} to {highest:,.6g}: {how} (data.range)."
    ]


def _odd_notes(records: Sequence[Record], folder: ImageFolder) -> list[str]:
    return [
        f"{plural(count, 'photo')} read with a flaw ({_some(having, folder)}): {note}."
        for note, count in Counter(one.note for one in records).items()
        if (having := [one for one in records if one.note == note])
    ]


def _some(records: Sequence[Record], folder: ImageFolder) -> str:
    return name_some([show_path(one.path, folder.root) for one in records], shown=2)
