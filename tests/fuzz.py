"""Calls of the command line that nobody would make, and files of runs that nobody has written, drawn from a seed."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
from command_line import Answer, run_regraft
from drawn_photos import draw_photo

from regraft.cli.main import regraft
from regraft.errors import RegraftError
from regraft.recipes.recipe import NAMED, all_keys

HEAVY = (
    "regraft.machine.devices.start_tensorflow",
    "regraft.machine.devices.open_device",
    "regraft.training.session.open_device",
    "regraft.data.tfds.write_out",
    "regraft.machine.ray_cluster.import_ray",
    "regraft.cli.demo.run_demo",
)
"""Where a call goes on to work that takes seconds: it has passed every check of what was typed, and ends there."""


def words_in(text: str) -> list[str]:
    return text.split()


# fmt: off
NUMBERS = [
    *words_in("0 1 -1 3 0.5 -0.0 1e-9 1e400 nan inf -inf 1_000 0x10 ٣ 1. .5 +1 1e true null"),
    "9" * 30, "9" * 5_000, str(2**31), str(2**63),
]
TEXTS = [
    *words_in("- -- a é 猫 [/x] [red]y :smiley: %s {0} ' a=b a: = : # , * ? [a- .. . ../x ~nobody/x /nowhere/x $HOME"),
    "", " ", '"', "\\", "a: b", "a\nb", "a'b\"c", "a\u202eb", "a\x1b[31mb", "\x1f", "\x1e", "\u2028", "\udce9",
    "http://x/y.jpg", "a" * 300, "a" * 5_000, "[" * 2_000, "{" * 500,
]
VALUES = ["[0.1, 0.2]", "{a = 1}", *words_in("""[] [0.1] ["a"] [[1]] 1979-05-27 07:32:00 'sgd' "adam" sgd,a""")]
WORDS = [
    *words_in("auto cpu cpu:2 cpu:99 gpu tpu litert onnx openvino saved_model tensorflow int8 csv jsonl parquet ray"),
    *words_in("local one flip ten mean greedy heads soup ema kept tiny mobilenet_v2 resnet50 imagenet none shipped"),
    *words_in("20m 0s all 1GB crop stretch pad"), *NAMED,
]
OUTS = words_in("out new/out out.csv out.jsonl out.png")
PATHS = [
    *words_in("photos photos/ant photos/ant/0.png photos/*/0.png run litert own.toml nowhere list.csv tfds:x"),
    "run/recipe.toml", "litert/export.json", *OUTS,
]
PARTS = words_in("recipe.toml environment.json metrics.json labels.txt images.csv history.csv calibration.npz")
# fmt: on


class StoppedError(RegraftError):
    """The call has come to work that takes seconds."""


@dataclass(frozen=True)
class Finding:
    """A call that did not end as it should: its seed, its words, the damage done before, and what happened."""

    seed: int
    words: tuple[str, ...]
    damage: str
    what: str


class Workplace:
    """A folder with photos, a recipe, a finished run and an export, whose small files can be damaged and mended.

    Args:
        folder: where it is made.
        run: a finished run.
        export: a LiteRT export, which answers without TensorFlow.
    """

    def __init__(self, folder: Path, run: Path, export: Path) -> None:
        self.folder, self._run, self._export = folder, run, export
        for class_index, name in enumerate(("ant", "bee", "cat")):
            (folder / "photos" / name).mkdir(parents=True)
            for number in range(2):
                photo = draw_photo(class_index, seed=number, size=(12, 10), classes=3)
                photo.save(folder / f"photos/{name}/{number}.png")
        (folder / "list.csv").write_text("path\nphotos/ant/0.png\n")
        for name, source in (("run", run), ("litert", export)):
            shutil.copytree(source, folder / name, copy_function=os.link)
        (folder / "run/exports").mkdir(exist_ok=True)
        self.mend()

    def mend(self) -> None:
        """Puts back what calls have changed."""
        known = {"photos", "list.csv", "run", "litert"}
        for path in self.folder.iterdir():
            if path.name not in known:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for name in PARTS:
            if (self._run / name).is_file():
                self._put(self.folder / "run" / name, (self._run / name).read_bytes())
        for path in self._export.rglob("*"):
            if path.suffix in (".json", ".txt"):
                self._put(self.folder / "litert" / path.relative_to(self._export), path.read_bytes())

    def damage(self, draw: random.Random) -> str:
        """Damages one small file, and says which."""
        names = [f"run/{name}" for name in PARTS if (self.folder / "run" / name).is_file()]
        names += [path.relative_to(self.folder).as_posix() for path in self.folder.glob("litert/**/*.json")]
        name = draw.choice(names)
        whole = (self.folder / name).read_bytes()
        self._put(self.folder / name, damaged(whole, draw))
        return name

    def _put(self, path: Path, content: bytes) -> None:
        """A new file in its place, as the old one may be linked from elsewhere."""
        path.unlink(missing_ok=True)
        path.write_bytes(content)


def damaged(whole: bytes, draw: random.Random) -> bytes:
    """A file as a disk, an editor or an attacker could leave it."""
    kind = draw.randrange(6)
    if kind == 0:
        return whole[: draw.randrange(len(whole) + 1)]
    if kind == 1:
        place = draw.randrange(max(len(whole), 1))
        return whole[:place] + draw.randbytes(draw.randrange(1, 9)) + whole[place + draw.randrange(9) :]
    if kind == 2:
        return draw.choice(
            [b"", b"\0" * 100, b"[]", b"{}", b"null", b"3", b"[" * 5_000, b"\xff\xfe{}", draw.randbytes(50)]
        )
    try:
        return other_values(whole.decode(), draw).encode("utf-8", "surrogateescape")
    except (UnicodeError, ValueError):
        return bytes(reversed(whole))


def other_values(text: str, draw: random.Random) -> str:
    """A text whose lines, or whose values where it is JSON, are partly others."""
    try:
        values = json.loads(text)
    except ValueError:
        lines = text.splitlines()
        place = draw.randrange(max(len(lines), 1))
        key = lines[place].partition("=")[0] if lines else "a"
        lines[place : place + 1] = draw.choice(
            [[], [f"{key}= {draw.choice(VALUES + NUMBERS)}"], [any_text(draw)], lines[place : place + 1] * 2]
        )
        return "\n".join(lines)
    return json.dumps(_with_another(values, draw))


def _with_another(value: Any, draw: random.Random) -> Any:
    if isinstance(value, dict) and value and draw.random() < 0.8:
        key = draw.choice(list(value))
        if draw.random() < 0.2:
            return {each: value[each] for each in value if each != key}
        return value | {key: _with_another(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.6:
        place = draw.randrange(len(value))
        return [*value[:place], _with_another(value[place], draw), *value[place + 1 :]]
    return draw.choice(
        [None, True, -1, 0, 1e300, 10**30, "", "é", "a\u202eb", "/x", [], {}, [[]], {"a": {}}, "9" * 5_000]
    )


def any_text(draw: random.Random) -> str:
    """A word for any place."""
    return draw.choice(draw.choice([NUMBERS, TEXTS, VALUES, WORDS, PATHS, all_keys()]))


def any_words(draw: random.Random) -> list[str]:
    """A command line: a verb, most of its arguments, some options, and now and then something else."""
    verb = draw.choice([*regraft.commands, "train", "predict", "compare", "ensemble"])
    words = [verb]
    for param in regraft.commands[verb].params:
        if isinstance(param, click.Argument):
            words += [_argument(param, draw) for _ in range(draw.choice([1, 1, 1, 2, 3]) if param.nargs < 0 else 1)]
        elif draw.random() < (0.5 if param.name in ("edits", "varied", "named") else 0.15):
            words += _option(param, draw)
    if draw.random() < 0.1:
        words.insert(draw.randrange(len(words) + 1), any_text(draw))
    if draw.random() < 0.05:
        words.append(f"--{any_text(draw)}")
    return words


def _argument(param: click.Argument, draw: random.Random) -> str:
    if draw.random() < 0.15:
        return any_text(draw)
    of_runs = ["run", "run", "litert"]
    likely = {"source": ["photos"], "folder": ["photos"], "run": of_runs, "sources": ["photos", *of_runs]}
    return draw.choice(likely.get(str(param.name), PATHS))


def _option(param: click.Parameter, draw: random.Random) -> list[str]:
    name = draw.choice(param.opts)
    if getattr(param, "is_flag", False):
        return [name]
    if param.name == "out":
        return [name, draw.choice([*OUTS, draw.choice(TEXTS).lstrip("/") or "out"])]
    if param.name == "edits":
        return [name, _edit(draw)]
    if param.name == "varied":
        return [name, f"{draw.choice(all_keys())}={draw.choice(VALUES)},{draw.choice(NUMBERS)}"]
    if param.name == "named":
        return [name, draw.choice([any_text(draw), f"{draw.choice(TEXTS)}: {_edit(draw)}, {_edit(draw)}"])]
    if param.name == "recipe" and draw.random() < 0.5:
        _write_recipe(draw)
        return [name, "own.toml"]
    pools = {"INT": NUMBERS, "INTEGER": NUMBERS, "FLOAT": NUMBERS, "PATH": PATHS}
    pool = next((pool for kind, pool in pools.items() if kind in str(param.type).upper()), WORDS)
    return [name, draw.choice(pool) if draw.random() < 0.7 else any_text(draw)]


def _edit(draw: random.Random) -> str:
    key = draw.choice(all_keys()) if draw.random() < 0.9 else any_text(draw)
    return f"{key}={draw.choice(draw.choice([NUMBERS, VALUES, WORDS, TEXTS]))}"


def _write_recipe(draw: random.Random) -> None:
    lines = []
    for key in draw.sample(all_keys(), draw.randrange(1, 5)):
        section, _, name = key.rpartition(".")
        value = draw.choice([*VALUES, *NUMBERS, '"a\\u0000b"', "[" * 500 + "]" * 500])
        lines += [f"[{section}]" if section else "", f"{name} = {value}"]
    Path("own.toml").write_bytes(
        damaged("\n".join(lines).encode(), draw) if draw.random() < 0.3 else "\n".join(lines).encode()
    )


@contextmanager
def light_work() -> Iterator[None]:
    """Whatever takes seconds ends the call instead."""

    def stop(*_: object, **__: object) -> None:
        raise StoppedError("stopped here")

    with ExitStack() as stack:
        for name in HEAVY:
            stack.enter_context(patch(name, stop))
        yield


def fuzz(
    workplace: Workplace, seeds: range, read: Callable[[Path], None], goes_on: Callable[[], bool]
) -> Iterator[Finding | None]:
    """For each seed, what is wrong with how its call ended; None where nothing is.

    Args:
        workplace: where it happens.
        seeds: of the calls.
        read: reads all of a run as its users do; for every second call on a damaged one.
        goes_on: asked before each.
    """
    with chdir(workplace.folder), light_work():
        for seed in seeds:
            if not goes_on():
                return
            draw = random.Random(seed)
            damage = workplace.damage(draw) if draw.random() < 0.4 else ""
            words = any_words(draw)
            yield _wrong_with(seed, words, damage)
            if damage:
                yield _wrong_reading(seed, damage, read)
            if damage or seed % 50 == 0 or Path("out").exists():
                workplace.mend()


def _wrong_with(seed: int, words: list[str], damage: str) -> Finding | None:
    try:
        answer = run_regraft(*words, stdin="photos/ant/0.png\nnowhere\n")
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
    else:
        what = "; ".join(complaints(answer))
    return Finding(seed, tuple(words), damage, what) if what else None


def complaints(answer: Answer) -> Iterator[str]:
    """What is not as promised of how a call ended."""
    if answer.code not in (0, 2, 3):
        yield f"exit code {answer.code}: {answer.stderr[-300:]}"
    lines = answer.stderr.splitlines()
    if answer.code == 2 and not (lines and lines[-1].startswith("regraft: ")) and "Usage:" not in answer.stderr:
        yield f"no line of what is wrong: {answer.stderr[-300:]!r}"
    if any(line.startswith("regraft: ") for line in lines[:-1]) or "Traceback" in answer.stderr:
        yield f"more than a line: {answer.stderr[-300:]!r}"
    if set(answer.stderr) & set("\x1b\u202e"):
        yield f"the terminal is made to obey: {answer.stderr[-300:]!r}"
    if any(len(line) > 12_000 for line in lines):
        yield f"a line of {max(map(len, lines)):,} characters"


def _wrong_reading(seed: int, damage: str, read: Callable[[Path], None]) -> Finding | None:
    try:
        read(Path("run"))
    except RegraftError as error:
        what = "" if len(str(error).splitlines()) == 1 else f"more than a line: {error}"
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
    else:
        what = ""
    return Finding(seed, ("read",), damage, what) if what else None
