"""The ways of training that are compared: every combination of some values, or arms by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

from regraft.errors import UsageError, option
from regraft.recipes.recipe import parse_edit

_OPENING, _CLOSING = "[{", "]}"


@dataclass(frozen=True)
class Arm:
    """One of the ways: its name, and what it changes in the recipe, by dotted key."""

    name: str
    edits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The name of the arm's folder: the arm's own, with "_" for whatever is awkward in a file name."""
        return re.sub(r"[^A-Za-z0-9._=+-]+", "_", self.name).strip("_.") or "arm"


class Choice(NamedTuple):
    """A value of a recipe key, with the name that an arm has by it."""

    name: str
    value: Any


Varied = Mapping[str, Iterable[Any]] | Iterable[tuple[str, Iterable[Any]]]
"""Recipe keys with the values that each takes: plain ones, which are their own names, or a `Choice`."""

Named = Mapping[str, Mapping[str, Any]] | Iterable[tuple[str, Mapping[str, Any]]]
"""Names with the recipe keys and values that each changes."""


def make_arms(varied: Varied, named: Named) -> list[Arm]:
    """Every arm, the baseline first: each combination of the varied values, or the named arms as they are.

    Raises:
        UsageError: both kinds or fewer than two arms are given, or two are the same.
    """
    keys, given = _pairs(varied), _pairs(named)
    if keys and given:
        vary, arm = option("vary"), option("arm")
        raise UsageError(f"{vary} and {arm} exclude each other; spell the combinations out with {arm}.")
    arms = [Arm(name, dict(edits)) for name, edits in given] or _grid(keys)
    if len(arms) < 2:
        example = option("vary", "optimizer.name=sgd,adam", python='{"optimizer.name": ["sgd", "adam"]}')
        raise UsageError(f"There is nothing to compare: name at least two values, as in {example}.")
    for kind, values in (("name", [arm.slug for arm in arms]), ("change", [repr(arm.edits) for arm in arms])):
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise UsageError(f"Two arms have the same {kind}: {twice}.")
    return arms


def make_variants(named: Named) -> list[Arm]:
    """What members change in turn."""
    return [Arm(name, dict(edits)) for name, edits in _pairs(named)]


def parse_varied(text: str) -> tuple[str, list[Choice]]:
    """("optimizer.name", [Choice("adam", "adam"), Choice("sgd", "sgd")]) from "optimizer.name=adam,sgd".

    Raises:
        UsageError: the text is malformed.
    """
    key, equals, values = text.partition("=")
    texts = list(_split(values))
    if not equals or not key.strip() or not all(texts):
        raise UsageError(f'{option("vary")} expects KEY=value,value,...; received "{text}".')
    return key.strip(), [Choice(value, parse_edit(f"{key}={value}")[1]) for value in texts]


def parse_named(text: str, *, argument: str = "arm") -> tuple[str, dict[str, Any]]:
    """("mixed", {"augment.mixup": 0.2}) from "mixed: augment.mixup=0.2"; "NAME" alone changes nothing.

    Raises:
        UsageError: the text is malformed; the message names the `argument` it was given as.
    """
    name, _, edits = text.partition(":")
    if not name.strip() or (":" in text and not edits.strip()):
        form = '"NAME: KEY=VALUE, KEY=VALUE" or "NAME"'
        raise UsageError(f'{option(argument)} expects {form}; received "{text}".')
    return name.strip(), dict(parse_edit(edit) for edit in _split(edits) if edit)


def _pairs(values: Any) -> list[tuple[str, Any]]:
    return list(values.items() if isinstance(values, Mapping) else values)


def _grid(keys: Sequence[tuple[str, Iterable[Any]]]) -> list[Arm]:
    if not keys:
        return []
    arms = []
    for values in product(*(_named_values(key, values) for key, values in keys)):
        names = [name if len(keys) == 1 else f"{key}={name}" for (key, _), (name, _) in zip(keys, values, strict=True)]
        arms.append(Arm(", ".join(names), {key: value for (key, _), (_, value) in zip(keys, values, strict=True)}))
    return arms


def _named_values(key: str, values: Iterable[Any]) -> list[Choice]:
    if isinstance(values, str):
        raise UsageError(f'{option("vary")} expects a list of values for "{key}"; received "{values}".')
    return [value if isinstance(value, Choice) else Choice(str(value), value) for value in values]


def _split(text: str) -> Iterator[str]:
    """The parts between commas that are in no bracket and no quotes."""
    depth, quote, start = 0, "", 0
    for position, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "," and not depth:
            yield text[start:position].strip()
            start = position + 1
        else:
            depth += (sign in _OPENING) - (sign in _CLOSING)
    yield text[start:].strip()
