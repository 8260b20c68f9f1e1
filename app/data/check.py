"""What is in a folder of photos and what is wrong with it, as numbers, as JSON and as a table for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from regraft.data.photos import looks_like_photo
from regraft.data.pixel_notes import pixel_notes
from regraft.data.records import ImageFolder, Record
from regraft.data.rendering import Rendering
from regraft.data.roles import group_duplicates
from regraft.data.scan import (
    imbalance,
    name_some,
    plural,
    show_path,
    training_counts,
    training_obstacles,
    training_warnings,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

READY, WARNED, NOT_TRAINABLE = "ready", "ready, with warnings", "not trainable"

_FOREIGN_SUFFIXES = frozenset({".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd"})
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
        unreadable: reasons by path.
        exact_duplicates: groups of files with the same bytes.
        near_duplicates: groups of photos that look the same, in different bytes.
        across_splits: those groups of either kind that lie in several splits.
        across_classes: those groups of either kind that lie in several classes.
        empty_folders: class folders without a readable image.
        hidden: hidden files and folders, passed over.
        not_images: files that are not named like an image that can be read.
        misnamed: those of them that are images all the same.
        loose: images outside the class folders.
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
    not_images: Paths
    misnamed: Paths
    loose: Paths
    noted: dict[str, str] = field(default_factory=dict)

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
    """The report on what `scan_folder` found. Opens only files that are not named like images."""
    findings = _Findings.of(folder)
    problems = _problems(folder, findings)
    records, root = folder.records, folder.root
    upright = [(one.height, one.width) if one.orientation >= 5 else (one.width, one.height) for one in records]
    return CheckReport(
        root=str(root),
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
        exact_duplicates=findings.exact,
        near_duplicates=findings.near,
        across_splits=findings.across_splits,
        across_classes=findings.across_classes,
        empty_folders=_shown(folder.empty_folders, root),
        hidden=_shown(folder.hidden, root),
        not_images=_shown(folder.not_images, root),
        misnamed=findings.misnamed,
        loose=_shown(folder.loose, root),
        noted={show_path(record.path, root): record.note for record in records if record.note},
    )


def render(report: CheckReport) -> RenderableType:
    """`report` for a terminal."""
    from rich.console import Group
    from rich.text import Text

    verdict = Text.assemble(f"{report.root}: ", (report.verdict, f"bold {_VERDICT_COLORS[report.verdict]}"))
    return Group(_class_table(report), _two_columns(_facts(report)), "", _problem_table(report), verdict)


@dataclass(frozen=True, slots=True)
class _Findings:
    """What has to be looked for, beyond what the scan lists."""

    exact: tuple[Paths, ...]
    near: tuple[Paths, ...]
    across_splits: tuple[Paths, ...]
    across_classes: tuple[Paths, ...]
    spare: tuple[Paths, ...]
    misnamed: Paths

    @classmethod
    def of(cls, folder: ImageFolder) -> _Findings:
        records, root = folder.records, folder.root
        alike = _groups_of(records, group_duplicates(records).tolist())
        by_bytes = _groups_of(records, [record.fingerprint for record in records])

        def shown(groups: Iterable[list[Record]]) -> tuple[Paths, ...]:
            return tuple(_shown([record.path for record in group], root) for group in groups)

        return cls(
            exact=shown(by_bytes),
            near=shown(group for group in alike if _differ(group, "fingerprint")),
            across_splits=shown(group for group in alike if _differ(group, "split")),
            across_classes=shown(group for group in alike if _differ(group, "class_index")),
            spare=shown(group for group in by_bytes if not _differ(group, "split", "class_index")),
            misnamed=_shown([path for path in folder.not_images if looks_like_photo(path)], root),
        )


def _groups_of(records: Sequence[Record], keys: Iterable[Hashable]) -> list[list[Record]]:
    """The records that share a key with another, in path order."""
    groups = defaultdict(list)
    for record, key in zip(records, keys, strict=True):
        groups[key].append(record)
    return [group for group in groups.values() if len(group) > 1]


def _differ(group: Iterable[Record], *attributes: str) -> bool:
    return len({tuple(getattr(record, name) for name in attributes) for record in group}) > 1


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


def _problems(folder: ImageFolder, findings: _Findings) -> tuple[Problem, ...]:
    errors = [Problem("error", text) for text in training_obstacles(folder)]
    warnings = [*_duplicate_warnings(findings), *training_warnings(folder), *_name_warnings(folder, findings)]
    notes = [*_notes(folder, findings), *pixel_notes(folder, Rendering())]
    return (
        *errors,
        *(Problem("warning", text) for text in warnings),
        *(Problem("note", text) for text in notes),
    )


def _duplicate_warnings(findings: _Findings) -> list[str]:
    warnings = []
    if groups := findings.across_classes:
        warnings.append(
            f"{plural(len(groups), 'photo')} in more than one class ({_first(groups)}): "
            "delete the copies whose class is wrong."
        )
    if groups := findings.across_splits:
        warnings.append(
            f"{plural(len(groups), 'photo')} in more than one split ({_first(groups)}): "
            "training leaves these copies out; delete them."
        )
    return warnings


def _name_warnings(folder: ImageFolder, findings: _Findings) -> list[str]:
    foreign = [path for path in folder.not_images if path.suffix.lower() in _FOREIGN_SUFFIXES]
    lists = (
        (_shown(folder.loose, folder.root), "image", "outside the class folders", "move into a class folder"),
        (findings.misnamed, "image", "not named like one", "rename to end in .jpg, .png or what it is"),
        (_shown(foreign, folder.root), "file", "in a format that is not read", "save as JPEG"),
    )
    return [
        f"{plural(len(names), noun)} {where} ({name_some(names)}): {advice}."
        for names, noun, where, advice in lists
        if names
    ]


def _notes(folder: ImageFolder, findings: _Findings) -> list[str]:
    turned = sum(record.orientation != 1 for record in folder.records)
    empty, others, hidden = (
        _shown(paths, folder.root) for paths in (folder.empty_folders, folder.not_images, folder.hidden)
    )
    lists = (
        (
            len(findings.spare),
            "photo",
            f"with exact copies ({_first(findings.spare)}): delete the spare ones.",
        ),
        (len(findings.near), "group", f"of near-duplicates ({_first(findings.near)}): kept on one side."),
        (turned, "photo", "stored lying or mirrored, by EXIF: turned upright when read."),
        (len(empty), "class folder", f"without a readable image ({name_some(empty)})."),
        (len(others), "file", f"not named like an image, passed over ({name_some(others)})."),
        (len(hidden), "hidden entry", f"passed over ({name_some(hidden)})."),
    )
    return [f"{plural(count, noun)} {text}" for count, noun, text in lists if count]


def _first(groups: Sequence[Paths]) -> str:
    return f"such as {' = '.join(groups[0][:2])}" if groups else ""


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
        table.add_row(Text(name), *(f"{counts[split]:,}" for split in splits))
    return table


def _problem_table(report: CheckReport) -> Table:
    return _two_columns((problem.gravity, problem.text, _COLORS[problem.gravity]) for problem in report.problems)


def _two_columns(rows: Iterable[tuple[str, str, str]]) -> Table:
    """A table of (name, text, style of the name)."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, text, style in rows:
        table.add_row(Text(name, style), Text(text))
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
