"""What is in a folder of photos and what is wrong with it, as numbers, as JSON and as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from regraft.data.duplicates import Group
from regraft.data.left_out import what_is_left_out
from regraft.data.pixel_notes import pixel_notes
from regraft.data.readiness import Readiness, assess, first_pair, imbalance, training_counts
from regraft.data.records import ImageFolder
from regraft.data.rendering import Rendering
from regraft.data.walk import is_image_name
from regraft.data.wording import name_some, plural, show_path
from regraft.errors import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

READY, WARNED, NOT_TRAINABLE = "ready", "ready, with warnings", "not trainable"

_COLORS = {"error": "red", "warning": "yellow", "note": "dim"}
_VERDICT_COLORS = {READY: "green", WARNED: "yellow", NOT_TRAINABLE: "red"}

_ROWS_SHOWN = 20

Paths = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to know. `gravity` is "error" (cannot train), "warning" (should be put right) or "note"."""

    gravity: str
    text: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, middle and largest of a measure in pixels, of upright images."""

    min: float
    median: float
    max: float


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found. Paths are relative to `root`, with forward slashes.

    Attributes:
        root: the folder.
        verdict: "ready", "ready, with warnings" or "not trainable".
        problems: the gravest first, each with what to do.
        images: readable images in class folders.
        counts: readable images by class name, then by split ("all" where there are no splits).
        imbalance: training images of the largest class for each one of the smallest.
        formats: images by Pillow's name of their format.
        orientations: images by EXIF orientation, "1" to "8".
        width, height: None without images.
        unreadable: reasons by path, of images that cannot be read and folders that cannot be entered.
        exact_duplicates: groups of files with the same bytes.
        near_duplicates: groups of photos that look the same, in different bytes.
        across_splits: those groups of either kind that lie in several splits.
        across_classes: those groups of either kind that lie in several classes.
        empty_folders: class folders without a readable image.
        hidden: files and folders that are hidden or left by a system, passed over.
        not_images: files that are no images by name or content: what they are, by path.
        misnamed: images that are not named like one, read all the same.
        loose: images outside the class folders.
        ours: folders and files that Regraft has written, passed over: what they are, by path.
        links: links to a folder that they lie in, or that is read anyway.
        alike: class folders of one class whose names are different writings of one name.
        noted: what is odd about photos that are read all the same, such as a missing end mark, by path.
    """

    root: str
    verdict: str
    problems: tuple[Problem, ...]
    images: int
    counts: dict[str, dict[str, int]]
    imbalance: float
    formats: dict[str, int]
    orientations: dict[str, int]
    width: Spread | None
    height: Spread | None
    unreadable: dict[str, str]
    exact_duplicates: tuple[Paths, ...]
    near_duplicates: tuple[Paths, ...]
    across_splits: tuple[Paths, ...]
    across_classes: tuple[Paths, ...]
    empty_folders: Paths
    hidden: Paths
    not_images: dict[str, str]
    misnamed: Paths
    loose: Paths
    ours: dict[str, str]
    links: Paths
    alike: tuple[Paths, ...]
    noted: dict[str, str]

    @property
    def is_trainable(self) -> bool:
        """Whether `train` with its default recipe takes the folder: the verdict is not "not trainable"."""
        return self.verdict != NOT_TRAINABLE

    def as_dict(self) -> dict[str, Any]:
        """The attributes as JSON types, under their own names."""
        return asdict(self)

    def _repr_html_(self) -> str:
        import io

        from rich.console import Console

        console = Console(record=True, file=io.StringIO(), width=110)
        console.print(render(self))
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def build_report(folder: ImageFolder) -> CheckReport:
    """The report on what `scan_folder` found."""
    readiness, misnamed = assess(folder), _misnamed(folder)
    problems = _problems(folder, readiness, misnamed)
    records, root, duplicates = folder.records, folder.root, readiness.duplicates
    upright = [(one.height, one.width) if one.orientation >= 5 else (one.width, one.height) for one in records]
    return CheckReport(
        root=str(folder.source),
        verdict=_verdict(problems),
        problems=problems,
        images=len(records),
        counts=_count_by_class(folder),
        imbalance=round(imbalance(training_counts(folder)), 2),
        formats=dict(Counter(record.format for record in records).most_common()),
        orientations=dict(sorted(Counter(str(record.orientation) for record in records).items())),
        width=_spread([width for width, _ in upright]),
        height=_spread([height for _, height in upright]),
        unreadable={show_path(aside.path, root): aside.reason for aside in folder.unreadable},
        exact_duplicates=_named(duplicates.exact, root),
        near_duplicates=_named(duplicates.near(), root),
        across_splits=_named(duplicates.across_splits(), root),
        across_classes=_named(duplicates.across_classes(), root),
        empty_folders=_shown(folder.empty_folders, root),
        hidden=_shown(folder.hidden, root),
        not_images={show_path(aside.path, root): aside.reason for aside in folder.not_images},
        misnamed=misnamed,
        loose=_shown(folder.loose, root),
        ours={show_path(aside.path, root): aside.reason for aside in folder.ours},
        links=_shown(folder.links, root),
        alike=tuple(_shown(paths, root) for paths in folder.alike),
        noted={show_path(record.path, root): record.note for record in records if record.note},
    )


def render(report: CheckReport) -> RenderableType:
    """`report` for a terminal."""
    from rich.console import Group
    from rich.text import Text

    verdict = Text.assemble(f"{visible(report.root)}: ", (report.verdict, f"bold {_VERDICT_COLORS[report.verdict]}"))
    return Group(_class_table(report), _two_columns(_facts(report)), "", _problem_table(report), verdict)


def _named(groups: Iterable[Group], root: Path) -> tuple[Paths, ...]:
    return tuple(_shown([record.path for record in group], root) for group in groups)


def _misnamed(folder: ImageFolder) -> Paths:
    return _shown([record.path for record in folder.records if not is_image_name(record.path)], folder.root)


def _shown(paths: Iterable[Path], root: Path) -> Paths:
    return tuple(show_path(path, root) for path in paths)


def _spread(values: Sequence[int]) -> Spread | None:
    return Spread(min(values), median(values), max(values)) if values else None


def _count_by_class(folder: ImageFolder) -> dict[str, dict[str, int]]:
    counts = Counter((record.class_index, record.split) for record in folder.records)
    splits = folder.splits or ("",)
    return {
        name: {split or "all": counts[index, split] for split in splits}
        for index, name in enumerate(folder.class_names)
    }


def _verdict(problems: Iterable[Problem]) -> str:
    gravities = {problem.gravity for problem in problems}
    if "error" in gravities:
        return NOT_TRAINABLE
    return WARNED if "warning" in gravities else READY


def _problems(folder: ImageFolder, readiness: Readiness, misnamed: Paths) -> tuple[Problem, ...]:
    left_out = what_is_left_out(folder)
    texts = {
        "error": readiness.obstacles,
        "warning": [*readiness.warnings, *(f"{kind}: {kind.advice}." for kind in left_out if kind.advice)],
        "note": [
            *_notes(folder, readiness, misnamed),
            *pixel_notes(folder, Rendering()),
            *(f"{kind}." for kind in left_out if not kind.advice),
        ],
    }
    return tuple(Problem(gravity, text) for gravity, of_gravity in texts.items() for text in of_gravity)


def _notes(folder: ImageFolder, readiness: Readiness, misnamed: Paths) -> list[str]:
    spare, near = readiness.duplicates.spare(), readiness.duplicates.near()
    turned = sum(record.orientation != 1 for record in folder.records)
    empty = _shown(folder.empty_folders, folder.root)
    lists = (
        (len(spare), "photo", f"with exact copies ({first_pair(spare, folder)}): delete the spare ones."),
        (len(near), "group", f"of near-duplicates ({first_pair(near, folder)}): kept on one side."),
        (turned, "photo", "stored lying or mirrored, by EXIF: turned upright when read."),
        (len(misnamed), "photo", f"not named like one ({name_some(misnamed)}): read all the same."),
        (len(empty), "class folder", f"without a readable image ({name_some(empty)})."),
    )
    return [f"{plural(count, noun)} {text}" for count, noun, text in lists if count]


def _class_table(report: CheckReport) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    splits = list(next(iter(report.counts.values()), {}))
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
    table.add_column("class", Text(plural(len(report.counts), "class")), overflow="fold")
    for split in splits:
        total = sum(counts[split] for counts in report.counts.values())
        table.add_column("images" if split == "all" else split, f"{total:,}", justify="right")
    for name, counts in report.counts.items():
        table.add_row(Text(visible(name)), *(f"{counts[split]:,}" for split in splits))
    return table


def _problem_table(report: CheckReport) -> Table:
    return _two_columns((problem.gravity, problem.text, _COLORS[problem.gravity]) for problem in report.problems)


def _two_columns(rows: Iterable[tuple[str, str, str]]) -> Table:
    """A table of (name, text, style of the name)."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, text, style in rows:
        table.add_row(Text(name, style), Text(visible(text)))
    return table


def _facts(report: CheckReport) -> list[tuple[str, str, str]]:
    facts = [("formats", _tally(report.formats))]
    for name, spread in (("width", report.width), ("height", report.height)):
        if spread:
            facts.append((name, f"{spread.min} to {spread.max} px, median {spread.median:g}"))
    facts += [
        ("EXIF orientations", _tally(report.orientations)),
        ("largest / smallest class", f"{report.imbalance:g}"),
        ("exact duplicates", plural(len(report.exact_duplicates), "group")),
        ("near-duplicates", plural(len(report.near_duplicates), "group")),
        *_rows("in several classes", [" = ".join(group) for group in report.across_classes]),
        *_rows("in several splits", [" = ".join(group) for group in report.across_splits]),
        *_rows("cannot be read", [f"{path}: {reason}" for path, reason in report.unreadable.items()]),
    ]
    return [(name, text, "bold") for name, text in facts]


def _tally(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items()) or "none"


def _rows(name: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    """The first texts below each other, and how many more the JSON report holds."""
    more = [f"and {len(texts) - _ROWS_SHOWN:,} more"] if len(texts) > _ROWS_SHOWN else []
    return [("" if row else name, text) for row, text in enumerate([*texts[:_ROWS_SHOWN], *more])]
