"""Names of classes: which are one name in several writings, which cannot be one, and which deceive the eye."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from unicodedata import category, is_normalized, normalize

from regraft.errors import FolderError

_UNFIT_FOR_A_LABEL = frozenset({"Cc", "Cs"})  # control characters, and bytes that are not UTF-8
_UNSEEN = frozenset({"Cf", "Zl", "Zp"})  # marks of direction, zero-width blanks, line and paragraph separators
_JOINERS = "\u200c\u200d"  # unseen, but letters of Persian, of Indian scripts and of emoji change by them


_SELECTORS = "\ufe0e\ufe0f"  # whether the letter before is drawn as text or as a picture
_LOOK_LIKE = str.maketrans(
    "\u0430\u0441\u0501\u0435\u0261\u04bb\u0456\u0458\u043e\u0440\u051b\u0455\u0443\u0445\u051d\u03b1\u03b9\u03ba\u03bf\u03c1\u03c5\u03bd\u03c7\u2019\u2018",
    "acdeghijopqsyxwaikopuvx''",
)
"""Letters of the Cyrillic and Greek alphabets and signs, and those of the Latin one that nobody tells them from."""


def key_of(name: str) -> str:
    """What two writings of one name share: they differ in case, blanks, unseen letters or their Unicode form.

    File systems disagree about these: `Cat` and `cat` are one folder on macOS and Windows and two on Linux, and an
    accent is a letter of its own in what macOS writes. Case is `str.lower`, not `str.casefold`, which would make one
    word of the German `Maße` and `Masse`.
    """
    seen = "".join(letter for letter in name if letter in _JOINERS or not _is_unseen(letter))
    return " ".join(normalize("NFC", normalize("NFC", seen).lower()).split())


def place_of(name: str, names: Sequence[str]) -> int | None:
    """Where `name` stands in `names`: as it is written, else in another writing of it; None where it does not."""
    if name in names:
        return names.index(name)
    keys = [key_of(known) for known in names]
    return keys.index(key_of(name)) if key_of(name) in keys else None


def _is_unseen(letter: str) -> bool:
    return letter in _SELECTORS or category(letter) in _UNSEEN


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """Those of `names` that are different ones and look the same, in groups: in letters of another alphabet or width.

    They stay different, as `x\N{SUPERSCRIPT TWO}` and `x2` may be two things.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[normalize("NFKC", key_of(name)).lower().translate(_LOOK_LIKE)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def group_by_key(names: Iterable[str]) -> dict[str, list[str]]:
    """The different `names` by their key, in order of the keys; of each the plainest writing first."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[key_of(name)].add(name)
    return {key: sorted(groups[key], key=_strangeness) for key in sorted(groups)}


def _strangeness(name: str) -> tuple[bool, bool, str]:
    return bool(unseen_in(name)) or name != name.strip(), not is_normalized("NFC", name), name


def unseen_in(name: str) -> list[str]:
    """The letters of `name` that nobody sees, such as those that turn the direction of writing, as U+202E."""
    return [f"U+{ord(letter):04X}" for letter in name if letter not in _JOINERS and category(letter) in _UNSEEN]


def check_class_names(names: Sequence[str], root: object) -> None:
    """Raises FolderError for the first of `names` that cannot be a label: no text, or nothing to see."""
    for name in names:
        if _UNFIT_FOR_A_LABEL.intersection(map(category, name)):
            raise FolderError(f"Classes must have UTF-8 names without control characters; received {name!r} in {root}.")
        if not key_of(name):
            raise FolderError(f"Classes must have names that can be seen; received {name!r} in {root}.")
