"""The ways of training that are compared, from `--vary KEY=a,b,c` and `--arm "NAME: KEY=VALUE, ..."`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

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


def make_arms(varied: Sequence[str], named: Sequence[str]) -> list[Arm]:
    """Every arm, the baseline first: each combination of the varied values, or the named arms as they are.

    Args:
        varied: texts "KEY=a,b,c".
        named: texts "NAME: KEY=VALUE, KEY=VALUE", or "NAME" alone, which changes nothing.

    Raises:
        UsageError: a text is malformed, both kinds or fewer than two arms are given, or two are the same.
    """
    if varied and named:
        vary, arm = option("vary"), option("arm")
        raise UsageError(f"{vary} and {arm} exclude each other; spell the combinations out with {arm}.")
    arms = [_named_arm(text) for text in named] or _grid([_varied_key(text) for text in varied])
    if len(arms) < 2:
        example = option("vary", "optimizer.name=sgd,adam")
        raise UsageError(f"There is nothing to compare: name at least two values, as in {example}.")
    for kind, values in (("name", [arm.slug for arm in arms]), ("change", [repr(arm.edits) for arm in arms])):
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise UsageError(f"Two arms have the same {kind}: {twice}.")
    return arms


def make_variants(texts: Sequence[str]) -> list[Arm]:
    """What members change in turn, from texts "NAME: KEY=VALUE, ...". Raises UsageError where one is malformed."""
    try:
        return [_named_arm(text) for text in texts]
    except UsageError as error:
        raise UsageError(error.text.replace(option("arm"), option("member"))) from None


def _grid(keys: Sequence[tuple[str, list[tuple[str, Any]]]]) -> list[Arm]:
    if not keys:
        return []
    arms = []
    for values in product(*(values for _, values in keys)):
        names = [text if len(keys) == 1 else f"{key}={text}" for (key, _), (text, _) in zip(keys, values, strict=True)]
        arms.append(Arm(", ".join(names), {key: value for (key, _), (_, value) in zip(keys, values, strict=True)}))
    return arms


def _varied_key(text: str) -> tuple[str, list[tuple[str, Any]]]:
    key, equals, values = text.partition("=")
    texts = list(_split(values))
    if not equals or not key.strip() or not all(texts):
        raise UsageError(f'{option("vary")} expects KEY=value,value,...; received "{text}".')
    return key.strip(), [(value, parse_edit(f"{key}={value}")[1]) for value in texts]


def _named_arm(text: str) -> Arm:
    name, _, edits = text.partition(":")
    if not name.strip() or (":" in text and not edits.strip()):
        form = '"NAME: KEY=VALUE, KEY=VALUE" or "NAME"'
        raise UsageError(f'{option("arm")} expects {form}; received "{text}".')
    return Arm(name.strip(), dict(parse_edit(edit) for edit in _split(edits) if edit))


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
