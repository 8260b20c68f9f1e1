"""Where the features of earlier layers are taken from a backbone: its taps, found in the graph of any network.

Source: Evci et al. 2022, "Head2Toe: Utilizing Intermediate Representations for Better Transfer Learning". A block of
a network widens its maps and narrows them again (inverted residuals, transformers) or narrows them first (bottlenecks):
either way it is where maps are widest that most can be read, so a tap is the last tensor of each widest place.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Sequence
from typing import Any, Literal

import keras

from regraft.models.errors import BackboneError
from regraft.models.hub.graph import BLOCK
from regraft.models.side_by_side import BETWEEN, SIDE_BY_SIDE
from regraft.models.surgery import ancestors, inputs_of, producer
from regraft.models.token_maps import TokenMaps

MOST_FEATURES = 16_384
"""How many features "auto" tries for a photo: 64 KiB of each, and no network for mobile use has as many."""


def find_taps(backbone: Any) -> list[str]:
    """The names of the layers whose output can be a tap, from the first to the last but one of the main path.

    The last is the output of `backbone`, which a head reads anyway. On the longest path from the input to the output
    (the residual branches, not the shortcuts), a tap is the last map of every run of equal width between narrower
    ones, and of every resolution that has no such run. Of a transformer, whose tokens are all equally wide, it is the
    output of every block. Of backbones side by side, each has its own; they take turns so that the last taps of all
    come last.

    Args:
        backbone: a functional `keras.Model` from images to maps [N, h, w, C].
    """
    found = [_taps_before(end) for end in _ends(backbone)]
    turns = itertools.zip_longest(*(reversed(names) for names in found))
    return [name for turn in turns for name in reversed(turn) if name][::-1]


def _ends(backbone: Any) -> Sequence[Any]:
    """The output, or those of the parts that stand side by side, before they are averaged."""
    last = producer(backbone.output)
    if last.name != SIDE_BY_SIDE:
        return [backbone.output]
    averaged = keras.layers.GlobalAveragePooling2D
    return [inputs_of(producer(end))[0] if isinstance(producer(end), averaged) else end for end in inputs_of(last)]


def _taps_before(output: Any) -> list[str]:
    if isinstance(producer(output), TokenMaps):
        return _blocks_before(output)
    path = _main_path(output)
    runs = _runs(path)
    widths = [0, *(_width(run[-1]) for run in runs), 0]
    peaks = [run[-1] for run, before, here, after in zip(runs, widths, widths[1:], widths[2:], strict=False)
             if before < here > after]  # fmt: skip
    tapped = {_side(peak) for peak in peaks}
    ends = {_side(tensor): tensor for tensor in path}  # the last of each
    chosen = {id(tensor) for tensor in peaks} | {id(end) for side, end in ends.items() if side not in tapped}
    names = [producer(tensor).name for tensor in path if id(tensor) in chosen]
    return [name for name in names if name != producer(output).name]


def choose_taps(backbone: Any, wanted: int | Sequence[str] | Literal["auto"]) -> list[str]:
    """The names of the taps that are wanted: the last so many, or those with these names, in the order of the network.

    "auto" is as many of the last as give no more than `MOST_FEATURES`, the output of the network included.

    Raises:
        BackboneError: there are fewer, or none of that name; the message lists them.
    """
    if wanted in (0, ()):
        return []
    known = find_taps(backbone)
    if wanted == "auto":
        widths = [_width(backbone.output), *(_width(backbone.get_layer(name).output) for name in reversed(known))]
        wanted = sum(total <= MOST_FEATURES for total in itertools.accumulate(widths)) - 1
    if isinstance(wanted, int):
        if wanted > len(known):
            raise BackboneError(f"head.taps: {backbone.name} has {len(known)} taps; received {wanted}.")
        return known[len(known) - wanted :]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            raise BackboneError(f'head.taps: {backbone.name} has no tap "{name}" ({_listed(known)}).{hint}')
    return [name for name in known if name in set(wanted)]


def _blocks_before(output: Any) -> list[str]:
    """The names of a transformer's blocks, in order, but for the last."""
    depths = _depths(output)
    before = sorted(ancestors(output).values(), key=lambda operation: depths[id(operation)])
    names = [operation.name for operation in before]
    return [name for name in names if re.fullmatch(BLOCK, name.rpartition(BETWEEN)[2])][:-1]


def _listed(names: Sequence[str]) -> str:
    return f"there are {', '.join(names)}" if names else "it has none"


def _main_path(output: Any) -> list[Any]:
    """The maps on the longest path to the output, from the first on; of gates, what they multiply."""
    depths = _depths(output)
    path, tensor = [output], output
    while sources := inputs_of(producer(tensor)):
        tensor = max(sources, key=lambda source: depths[id(producer(source))])
        if _is_map(tensor) and _side(tensor) >= _side(path[0]):
            path.insert(0, tensor)
    picture = path[0]
    return list(itertools.dropwhile(lambda tensor: _width(tensor) == _width(picture), path))


def _depths(output: Any) -> dict[int, int]:
    """For everything that `output` depends on, how many operations lead to it at most."""
    depths: dict[int, int] = {}
    waiting = [producer(output)]
    while waiting:
        operation = waiting[-1]
        sources = [producer(tensor) for tensor in inputs_of(operation)]
        missing = [source for source in sources if id(source) not in depths]
        if missing:
            waiting += missing
        else:
            depths[id(operation)] = 1 + max((depths[id(source)] for source in sources), default=0)
            waiting.pop()
    return depths


def _runs(path: Sequence[Any]) -> list[list[Any]]:
    runs: list[list[Any]] = []
    for tensor in path:
        if runs and _width(runs[-1][-1]) == _width(tensor):
            runs[-1].append(tensor)
        else:
            runs.append([tensor])
    return runs


def _is_map(tensor: Any) -> bool:
    """Whether it is a map of the picture; not the numbers of a gate, nor a map with margins."""
    return len(tensor.shape) == 4 and not isinstance(producer(tensor), keras.layers.ZeroPadding2D)


def _side(tensor: Any) -> int:
    return tensor.shape[1] or 0


def _width(tensor: Any) -> int:
    return tensor.shape[-1]
