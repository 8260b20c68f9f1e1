"""What a person reads of a run: report.html, the confusion matrix, one row an image in predictions.csv.

Every file is whole or not there. Matplotlib is used through `Figure` objects alone, never its global state.
"""

from __future__ import annotations

import base64
import html
import io
import json
import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from regraft.data.photos import UnreadablePhoto, read_upright_rgb
from regraft.data.records import Record, SetAside
from regraft.evidence.metrics import ClassMetrics, Metrics, accuracy_interval, reliability_bins
from regraft.machine.files import atomic_file, write_csv, write_text
from regraft.machine.threads import map_ordered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

WORST_MISTAKES = 12
THUMBNAIL_PX = 320  # shown at half of it, so that it is sharp on a phone
LISTED_FILES = 100

_BLUE, _GREY = "#2b6cb0", "#6b7280"
_CHART_DPI = 144
_OTHER_SCRIPTS = ("Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "Arial Unicode MS")


class StageRow(TypedDict, total=False):
    """One stage of a training, for the report. What is left out is shown as a dash.

    `stage` is its name, `chosen_on` says which images decided ("40 training images, set aside"), `loss`
    (nats) and `accuracy` (fraction) are measured on those, `kept` marks the stage whose model the run holds.
    """

    stage: str
    chosen_on: str
    loss: float
    accuracy: float
    seconds: float
    kept: bool


@dataclass(frozen=True)
class ReportSection:
    """A part of the page that only some runs have: a heading, sentences, a table and a picture, each if there is one.

    `columns` maps a heading to its side ("left" or "right"); `picture` is a PNG that `description` tells of.
    """

    heading: str
    sentences: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Sequence[object]] = ()
    picture: bytes = b""
    description: str = ""


@dataclass(frozen=True)
class ReportData:
    """Everything report.html shows. A section whose field is empty is left out.

    Attributes:
        title: plain text, such as the name of the run.
        metrics: of the N images below.
        probabilities: float [N, C].
        truth: int [N], indices into `class_names`.
        records: the N images.
        class_names: C names in label order.
        which_images: ends the sentence "97.4 % of 153 photos ...".
        root: the folder that `records` were found under; paths are shown relative to it.
        stages: see `StageRow`.
        kept_because: a sentence on why that stage was kept.
        history: rows of history.csv: `loss`, `accuracy`, `select_loss` and `select_accuracy` of each epoch.
        seconds_by_phase: where the time went, in order.
        notes: sentences that a reader should know, such as warnings.
        set_aside: files that were found and not used.
        recipe_toml: the resolved recipe.
        environment: versions, device and so on; values may be nested.
        run: the run directory, for the commands that come next.
        sections: what else there is to say, after the notes.
    """

    title: str
    metrics: Metrics
    probabilities: np.ndarray
    truth: np.ndarray
    records: Sequence[Record]
    class_names: Sequence[str]
    which_images: str = "it never trained on"
    root: Path | None = None
    stages: Sequence[StageRow] = ()
    kept_because: str = ""
    history: Sequence[Mapping[str, float | str | int]] = ()
    seconds_by_phase: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    set_aside: Sequence[SetAside] = ()
    recipe_toml: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    run: Path | None = None
    sections: Sequence[ReportSection] = ()


# --- files ---


def write_confusion_csv(path: Path, matrix: np.ndarray, class_names: Sequence[str]) -> None:
    """One row a true class, one column a predicted class, counts. `matrix` is int [C, C], rows = truth."""
    rows = ([name, *counts] for name, counts in zip(class_names, matrix.tolist(), strict=True))
    write_csv(path, ["truth", *class_names], rows)


def write_confusion_png(path: Path, matrix: np.ndarray, class_names: Sequence[str]) -> None:
    """The same as a picture: colour is the part of each true class; counts in the cells up to 20 classes."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(_png(_confusion_figure(matrix, class_names)))


def write_predictions_csv(
    path: Path,
    records: Sequence[Record],
    truth: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    root: Path | None = None,
) -> None:
    """One row an image, in order: path, truth, label, correct, score, label_2, score_2 ... up to five.

    Args:
        path: the CSV file.
        records: the N images.
        truth: int [N], indices into `class_names`.
        probabilities: float [N, C], written with six decimals.
        class_names: C names in label order.
        root: paths below it are written relative to it, with forward slashes.
    """
    shown = min(5, len(class_names))
    header = ["path", "truth", "label", "correct", "score"]
    header += [f"{column}_{place}" for place in range(2, shown + 1) for column in ("label", "score")]
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :shown]
    rows = (
        _prediction_row(_relative(record.path, root), class_names[true], order, scores, class_names)
        for record, true, order, scores in zip(records, truth, best, probabilities, strict=True)
    )
    write_csv(path, header, rows)


def write_report(path: Path, data: ReportData) -> None:
    """One self-contained page: no scripts, no network, pictures inside; light, dark and on paper."""
    sections = (
        _headline(data),
        _notes_section(data.notes),
        *map(_extra_section, data.sections),
        _classes_section(data),
        _mistakes_section(data),
        _calibration_section(data),
        _training_section(data),
        _time_section(data.seconds_by_phase),
        _set_aside_section(data),
        _next_section(data.run),
        _details_section(data),
    )
    body = "\n".join(filter(None, sections))
    write_text(path, _PAGE.format(title=_escape(data.title), style=_STYLE, body=body))


def write_judgement(folder: Path, data: ReportData) -> None:
    """predictions.csv, confusion_matrix.csv and .png, and report.html into `folder`."""
    write_predictions_csv(
        folder / "predictions.csv",
        data.records,
        data.truth,
        data.probabilities,
        data.class_names,
        root=data.root,
    )
    write_confusion_csv(folder / "confusion_matrix.csv", data.metrics.confusion, data.class_names)
    write_confusion_png(folder / "confusion_matrix.png", data.metrics.confusion, data.class_names)
    write_report(folder / "report.html", data)


def _prediction_row(
    path: str, true: str, order: np.ndarray, scores: np.ndarray, class_names: Sequence[str]
) -> list[str]:
    answers = [(class_names[i], f"{scores[i]:.6f}") for i in order]
    (label, score), others = answers[0], answers[1:]
    correct = "true" if label == true else "false"
    return [path, true, label, correct, score, *(value for answer in others for value in answer)]


def _relative(path: Path, root: Path | None) -> str:
    return (path.relative_to(root) if root and path.is_relative_to(root) else path).as_posix()


# --- sections ---


class _Html(str):
    """Text that is markup already; everything else is escaped."""

    __slots__ = ()


def _escape(value: object) -> str:
    if isinstance(value, _Html):
        return value
    readable = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return html.escape(readable)


def _section(heading: str, *parts: str) -> str:
    return f"<section><h2>{_escape(heading)}</h2>\n" + "\n".join(filter(None, parts)) + "</section>"


def _notes_section(notes: Sequence[str]) -> str:
    return _section("Worth knowing", *(f"<p>{_escape(note)}</p>" for note in notes)) if notes else ""


def _extra_section(section: ReportSection) -> str:
    parts = [f"<p>{_escape(sentence)}</p>" for sentence in section.sentences]
    if section.rows:
        parts.append(_table(section.heading, section.columns, section.rows))
    if section.picture:
        parts.append(f"<figure>{_picture(section.picture, section.description)}</figure>")
    return _section(section.heading, *parts)


def _table(caption: str, columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> _Html:
    """`columns` maps each heading to "left" or "right"; the first cell of a row is its heading."""
    sides = list(columns.values())
    head = "".join(f'<th scope="col" class="{side}">{_escape(name)}</th>' for name, side in columns.items())
    body = "\n".join(_table_row(row, sides) for row in rows)
    return _Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_escape(caption)}"><table>'
        f"<caption>{_escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _table_row(row: Sequence[object], sides: Sequence[str]) -> str:
    first, *others = row
    cells = "".join(f'<td class="{side}">{_escape(cell)}</td>' for cell, side in zip(others, sides[1:], strict=True))
    return f'<tr><th scope="row">{_escape(first)}</th>{cells}</tr>'


def _picture(png: bytes, description: str) -> str:
    source = base64.b64encode(png).decode("ascii")
    width = int.from_bytes(png[16:20], "big") * 96 // _CHART_DPI  # of the PNG header, in CSS pixels
    return f'<img class="chart" src="data:image/png;base64,{source}" alt="{_escape(description)}" width="{width}">'


def _range_bar(low: float, high: float, *marks: tuple[str, float]) -> _Html:
    """A strip from 0 to 100 % with a band and ("dot" or "tick", place) marks; the numbers stand beside it."""
    band = f'<i class="band" style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></i>'
    marked = "".join(f'<i class="{kind}" style="left:{100 * place:.2f}%"></i>' for kind, place in marks)
    return _Html(f'<span class="range" aria-hidden="true">{band}{marked}</span>')


def _headline(data: ReportData) -> str:
    metrics = data.metrics
    low, high = metrics.accuracy_low, metrics.accuracy_high
    common = max(metrics.per_class, key=lambda entry: entry.images)
    share = common.images / metrics.images
    mistakes = metrics.images - int(np.trace(metrics.confusion))
    return (
        f'<section class="headline"><p class="number">{_percent(metrics.accuracy)}</p>'
        f'<p class="lead">of {_count(metrics.images, "photo")} {_escape(data.which_images)}; '
        f"95\u00a0% interval {_interval(low, high)}.</p>"
        f"{_range_bar(low, high, ('tick', share), ('dot', metrics.accuracy))}"
        f'<p class="muted">{_count(mistakes, "mistake")}. Always answering “{_escape(common.class_name)}” '
        f"would reach {_percent(share)} (the thin mark).</p>{_facts(metrics)}</section>"
    )


def _facts(metrics: Metrics) -> str:
    facts = [
        ("Balanced accuracy", _percent(metrics.balanced_accuracy), "every class counts the same"),
        ("Macro F1", f"{metrics.macro_f1:.3f}", "misses and false alarms, mean of the classes"),
        ("Log loss", f"{metrics.log_loss:.3f}", "nats; 0 is sure and always right"),
        ("Calibration error", _percent(metrics.calibration_error), "how far scores are from hit rates"),
    ]
    if metrics.k:
        meaning = f"truth among the {metrics.k} best answers"
        facts.insert(0, (f"Top-{metrics.k} accuracy", _percent(metrics.top_k_accuracy), meaning))
    cells = "".join(f"<div><dt>{n}</dt><dd>{value}<small>{m}</small></dd></div>" for n, value, m in facts)
    return f'<dl class="facts">{cells}</dl>'


def _classes_section(data: ReportData) -> str:
    figure = _confusion_figure(data.metrics.confusion, data.class_names)
    picture = _picture(_png(figure), "Confusion matrix: true classes in rows, predicted classes in columns.")
    weakest_first = sorted(data.metrics.per_class, key=lambda entry: 2 if entry.recall is None else entry.recall)
    columns = {"Class": "left", "Images": "right", "Found": "right", "0 to 100\u00a0%": "left",
               "95\u00a0% interval": "right", "Right when named": "right", "F1": "right"}  # fmt: skip
    table = _table("Each class, the weakest first", columns, map(_class_row, weakest_first))
    explanation = (
        '<p class="muted">Found (recall): the part of a class’s photos that get its name. Right when named '
        "(precision): the part of the photos given this name that deserve it.</p>"
    )
    caption = "<figcaption>Colour: the part of a row, small parts drawn stronger.</figcaption>"
    return _section("Which classes it knows", f"<figure>{picture}{caption}</figure>", table, explanation)


def _class_row(entry: ClassMetrics) -> list[object]:
    found: list[object] = ["–", "", "–"]
    if entry.recall is not None and entry.recall_low is not None and entry.recall_high is not None:
        low, high = entry.recall_low, entry.recall_high
        found = [_percent(entry.recall), _range_bar(low, high, ("dot", entry.recall)), _interval(low, high)]
    f1 = "–" if entry.f1 is None else f"{entry.f1:.3f}"
    return [entry.class_name, f"{entry.images:,}", *found, _percent(entry.precision), f1]


def _mistakes_section(data: ReportData) -> str:
    answers, scores = data.probabilities.argmax(axis=1), data.probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != data.truth)
    worst = wrong[np.argsort(-scores[wrong], kind="stable")][:WORST_MISTAKES]
    if not worst.size:
        return _section("Worst mistakes", "<p>None: every photo got its own name.</p>")
    thumbnails = map_ordered(_thumbnail, [data.records[i].path for i in worst])
    names = data.class_names
    cards = "\n".join(
        _mistake(thumbnail, names[data.truth[i]], names[answers[i]], scores[i], _shown_path(data, i))
        for i, thumbnail in zip(worst, thumbnails, strict=True)
    )
    which = "All of them" if len(wrong) == len(worst) else f"The {len(worst)} surest of {len(wrong):,}"
    advice = "Look for wrong labels first, then for what the photos have in common."
    return _section("Worst mistakes", f'<p class="muted">{which}. {advice}</p><ul class="mistakes">{cards}</ul>')


def _shown_path(data: ReportData, position: int) -> str:
    return _relative(data.records[position].path, data.root)


def _mistake(thumbnail: str, truth: str, answer: str, score: float, path: str) -> str:
    image = '<span class="muted">cannot be read any more</span>'
    if thumbnail:
        description = _escape(f"A photo of class {truth}, taken for {answer}")
        image = f'<img src="data:image/jpeg;base64,{thumbnail}" alt="{description}">'
    return (
        f'<li><div class="photo">{image}</div><p>{_escape(truth)} <span role="img" aria-label="taken for">→'
        f'</span> <b>{_escape(answer)}</b> <span class="muted">{_percent(score)}</span></p>'
        f'<p class="path">{_escape(path)}</p></li>'
    )


def _thumbnail(path: Path) -> str:
    """Base64 of a small upright JPEG, or "" where the file has vanished or broken since."""
    from PIL import Image

    try:
        image = Image.fromarray(read_upright_rgb(path))
    except UnreadablePhoto:
        return ""
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=80)
    return base64.b64encode(encoded.getvalue()).decode("ascii")


def _calibration_section(data: ReportData) -> str:
    picture = _picture(
        _png(_reliability_figure(data.truth, data.probabilities)),
        "Reliability diagram: how often answers are right, by how sure the model is of them.",
    )
    text = (
        f"<p>On average an answer’s score is {_percent(data.metrics.calibration_error)} away from how often "
        "such answers are right. Points on the diagonal are honest; below it the model is too sure of "
        "itself, above it too modest. Lines are 95\u00a0% intervals; larger points hold more photos.</p>"
    )
    return _section("Whether its scores can be believed", f'<div class="beside">{picture}{text}</div>')


def _training_section(data: ReportData) -> str:
    if not data.stages and not data.history:
        return ""
    verdict = f"<p>{_escape(data.kept_because)}</p>" if data.kept_because else ""
    columns = {"Stage": "left", "Compared on": "left", "Loss": "right", "Accuracy": "right", "Time": "right"}
    stages = _table("The stages, and what was compared to choose", columns, map(_stage_row, data.stages))
    return _section("How it was trained", verdict, stages if data.stages else "", _curves(data.history))


def _stage_row(stage: StageRow) -> list[object]:
    name = _escape(stage.get("stage", "–"))
    return [
        _Html(f"<b>{name}</b> – kept" if stage.get("kept") else name),
        stage.get("chosen_on", "–"),
        f"{stage['loss']:.4f}" if "loss" in stage else "–",
        _percent(stage.get("accuracy")),
        _duration(stage["seconds"]) if "seconds" in stage else "–",
    ]


def _curves(history: Sequence[Mapping[str, float | str | int]]) -> str:
    if not history:
        return ""
    picture = _picture(_png(_curves_figure(history)), "Learning curves: loss and accuracy after each epoch.")
    note = "Training values are measured while learning, on varied pictures, and so look worse than they are."
    return f"<figure>{picture}<figcaption>{note}</figcaption></figure>"


def _time_section(seconds_by_phase: Mapping[str, float]) -> str:
    if not seconds_by_phase:
        return ""
    total = sum(seconds_by_phase.values())
    rows = [
        (phase, _duration(seconds), _range_bar(0, seconds / total if total else 0))
        for phase, seconds in seconds_by_phase.items()
    ]
    columns = {"Phase": "left", "Time": "right", "Share": "left"}
    return _section("Where the time went", _table(f"{_duration(total)} in all", columns, rows))


def _set_aside_section(data: ReportData) -> str:
    if not data.set_aside:
        return ""
    rows = [(_relative(entry.path, data.root), entry.reason) for entry in data.set_aside[:LISTED_FILES]]
    table = _table("Found and not used", {"File": "left", "Why": "left"}, rows)
    more = len(data.set_aside) - len(rows)
    rest = f'<p class="muted">… and {more:,} more.</p>' if more else ""
    return _section(f"{_count(len(data.set_aside), 'file')} set aside", table, rest)


def _next_section(run: Path | None) -> str:
    if run is None:
        return ""
    name = shlex.quote(str(run))
    commands = (
        ("Name new photos", f"regraft predict {name} photos/"),
        ("Judge it on other photos that are sorted by class", f"regraft evaluate {name} other_photos/"),
        ("Hand it to a program or a server", f"regraft export {name}"),
    )
    steps = "".join(f"<p>{what}</p><pre><code>{_escape(command)}</code></pre>" for what, command in commands)
    return _section("What to do next", steps)


def _details_section(data: ReportData) -> str:
    parts = []
    if data.recipe_toml:
        recipe = f"<pre><code>{_escape(data.recipe_toml)}</code></pre>"
        parts.append(f"<details><summary>Recipe</summary>{recipe}</details>")
    if data.environment:
        rows = [(key, _plain(value)) for key, value in data.environment.items()]
        table = _table("What it ran on", {"What": "left", "Value": "left"}, rows)
        parts.append(f"<details><summary>Environment</summary>{table}</details>")
    return _section("To repeat it", *parts) if parts else ""


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}\u00a0%"


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.1f}–{100 * high:.1f}\u00a0%"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest:02}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60:02}\u00a0min"


# --- pictures ---


def _figure(width_inches: float, height_inches: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), dpi=_CHART_DPI)
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    """The drawn figure on white; the page blends the white away."""
    from PIL import Image

    canvas = cast("FigureCanvasAgg", figure.canvas)
    with _any_script():
        canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # A palette makes the file a third as large; this method stays within 4 of 255 of the true colours.
    palette = pixels.quantize(128, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    encoded = io.BytesIO()
    palette.save(encoded, "PNG", dpi=(_CHART_DPI, _CHART_DPI))
    return encoded.getvalue()


@contextmanager
def _any_script() -> Iterator[None]:
    """A class name may be in a script that no font here can write; the page's own text still shows it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        yield


def _confusion_figure(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    side = min(12.0, max(2.4, 0.42 * len(class_names)))
    cell = side / len(class_names)
    figure = _figure(side, side)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    # A power below 1, so that the few per cent of a typical confusion can be seen.
    tint = (matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)) ** 0.6
    axes.imshow(tint, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    if len(class_names) <= 20:
        _print_counts(axes, matrix, tint, size=float(np.clip(cell * 19, 8, 12)))
    _name_classes(axes, class_names, size=float(np.clip(cell * 50, 5, 10)), cell_inches=cell)
    right, total = int(np.trace(matrix)), int(matrix.sum())
    _fit_around(figure, axes, side, f"Accuracy {100 * right / max(total, 1):.1f} % ({right:,} of {total:,})")
    return figure


def _print_counts(axes: Axes, matrix: np.ndarray, tint: np.ndarray, *, size: float) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            color = "white" if tint[row, column] > 0.55 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=size)


def _name_classes(axes: Axes, class_names: Sequence[str], *, size: float, cell_inches: float) -> None:
    every = int(np.ceil(0.11 / cell_inches))  # where names would overlap, every second, third, ...
    shown = range(0, len(class_names), every)
    names = [_shorten(class_names[i]) for i in shown]
    upright = max(map(len, names)) * size * 0.65 / 72 > cell_inches
    # parse_math: a class may be called "$5$ bill".
    style: dict[str, Any] = {"fontsize": size, "parse_math": False, "fontfamily": _font_families()}
    axes.set_xticks(shown, names, rotation=90 if upright else 0, **style)
    axes.set_yticks(shown, names, **style)
    axes.tick_params(length=0, pad=3)
    axes.set_xlabel("predicted", fontsize=9, color=_GREY)
    axes.set_ylabel("truth", fontsize=9, color=_GREY)
    for spine in axes.spines.values():
        spine.set_color(_GREY)


def _shorten(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= 24 else name[:23] + "…"


def _font_families() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]


def _fit_around(figure: Figure, axes: Axes, side: float, title: str) -> None:
    """Sizes the figure to the square axes and the labels around it, by one measurement, no layout engine."""
    edge = 0.12
    left = edge + 0.28 + _longest(axes.get_yticklabels(), "width") / _CHART_DPI
    bottom = edge + 0.28 + _longest(axes.get_xticklabels(), "height") / _CHART_DPI
    heading = figure.text(0, 0, title, fontsize=10)
    width = max(left + side + edge, heading.get_window_extent().width / _CHART_DPI + 2 * edge)
    height = bottom + side + 0.36
    figure.set_size_inches(width, height)
    axes.set_position((left / width, bottom / height, side / width, side / height))
    heading.set_position((edge / width, 1 - 0.24 / height))
    axes.yaxis.set_label_coords((edge - left + 0.06) / side, 0.5)
    axes.xaxis.set_label_coords(0.5, (edge - bottom + 0.1) / side)


def _longest(labels: Iterable[Text], direction: str) -> float:
    with _any_script():
        return max(float(getattr(label.get_window_extent(), direction)) for label in labels)


def _reliability_figure(truth: np.ndarray, probabilities: np.ndarray) -> Figure:
    bins = reliability_bins(truth, probabilities)
    intervals = [accuracy_interval(*counts) for counts in zip(bins.correct, bins.images, strict=True)]
    low, high = np.transpose(intervals)
    size = 16 + 120 * bins.images / bins.images.max()
    figure = _figure(3.4, 3.2)
    axes = figure.add_axes((0.16, 0.15, 0.81, 0.82))
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(bins.confidence, low, high, color=_BLUE, linewidth=1.2, alpha=0.55)
    axes.scatter(bins.confidence, bins.accuracy, s=size, color=_BLUE, linewidth=0)
    axes.set(xlim=(1 / probabilities.shape[1] - 0.03, 1.03), ylim=(-0.03, 1.03))
    _calm(axes, "score of the answer", "part that is right")
    return figure


def _curves_figure(history: Sequence[Mapping[str, float | str | int]]) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure = _figure(7.4, 2.7)
    for left, name in ((0.07, "loss"), (0.57, "accuracy")):
        axes = figure.add_axes((left, 0.18, 0.42, 0.78))
        for prefix, label, color in (("", "training", _GREY), ("select_", "set aside to choose", _BLUE)):
            _plot_epochs(axes, [_number(row.get(prefix + name)) for row in history], label, color)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _calm(axes, "epoch", name)
    return figure


def _plot_epochs(axes: Axes, values: Sequence[float], label: str, color: str) -> None:
    if np.isfinite(values).any():
        epochs = range(1, len(values) + 1)
        axes.plot(epochs, values, color=color, label=label, marker="o", markersize=3, linewidth=1.5)


def _number(value: object) -> float:
    """A history cell; NaN, which leaves a gap in the curve, where it is empty."""
    return float(str(value)) if value not in (None, "") else float("nan")


def _calm(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(labelsize=8, color=_GREY)
    axes.set_xlabel(xlabel, fontsize=9, color=_GREY)
    axes.set_ylabel(ylabel, fontsize=9, color=_GREY)
    axes.grid(alpha=0.2, linewidth=0.6)


# --- the page ---

# The content policy lets nothing but the pictures inside be loaded, whatever a class is called.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header><p class="brand">regraft</p><h1>{title}</h1></header>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --ink: #1c2127; --muted: #626b76; --line: #e5e5df; --soft: #f1f1ec; --accent: #2b6cb0;
  --band: #a9c8e8;
}
.chart { max-width: 100%; height: auto; display: block; mix-blend-mode: multiply; }
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --ink: #e5e7ea; --muted: #99a2ad; --line: #2c3137; --soft: #20252a; --accent: #7fb3e6;
    --band: #34587d;
  }
  .chart { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  -webkit-text-size-adjust: 100%; print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
main { max-width: 54rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.35rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; font-weight: 600; margin: 0 0 .9rem; }
p { margin: .5rem 0; max-width: 42rem; overflow-wrap: break-word; }
section { margin-top: 2.2rem; padding-top: 1.6rem; border-top: 1px solid var(--line); }
.brand { margin: 0; color: var(--accent); font-size: .85rem; font-weight: 600; letter-spacing: .04em; }
.headline { margin-top: 1.2rem; border: 0; padding: 0; }
.number { font-size: 3.6rem; font-weight: 650; line-height: 1.1; letter-spacing: -.02em; margin: 0; }
.lead { font-size: 1.12rem; margin: .2rem 0 1rem; }
.muted, figcaption, caption { color: var(--muted); font-size: .88rem; }
.facts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1rem 1.4rem;
  margin: 1.6rem 0 0;
}
.facts dt { font-size: .85rem; color: var(--muted); }
.facts dd { margin: 0; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts small { display: block; color: var(--muted); font-weight: 400; font-size: .8rem; line-height: 1.35; }
.range {
  display: block; position: relative; height: .5rem; min-width: 6rem; border-radius: .25rem;
  background: var(--soft);
}
.headline .range { height: .7rem; border-radius: .35rem; max-width: 42rem; }
.range i { position: absolute; top: 0; height: 100%; }
.range .band { background: var(--band); border-radius: inherit; min-width: 1px; }
.range .dot { width: 4px; margin-left: -2px; background: var(--accent); border-radius: 2px; }
.range .tick { width: 1px; background: var(--muted); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
th, td {
  padding: .38rem .9rem .38rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top;
}
th[scope=col] { font-weight: 500; color: var(--muted); font-size: .85rem; vertical-align: bottom; }
th[scope=row] { font-weight: 500; overflow-wrap: anywhere; min-width: 5rem; }
td .range { margin-top: .5rem; }
th.right, td.right { text-align: right; white-space: nowrap; }
figure { margin: 1rem 0 1.4rem; }
.beside { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 2rem; }
.beside p { flex: 1 1 16rem; }
.mistakes {
  list-style: none; margin: 1rem 0 0; padding: 0; display: grid; gap: 1.3rem 1rem;
  grid-template-columns: repeat(auto-fill, minmax(9.2rem, 1fr));
}
.mistakes p { margin: .35rem 0 0; font-size: .9rem; line-height: 1.35; overflow-wrap: anywhere; }
.mistakes .path { color: var(--muted); font-size: .75rem; margin: 0; }
.photo {
  height: 160px; background: var(--soft); border-radius: .4rem; overflow: hidden; display: grid;
  place-items: center; text-align: center;
}
.photo img { max-width: 100%; max-height: 160px; display: block; }
pre {
  margin: .3rem 0 .9rem; padding: .7rem .9rem; background: var(--soft); border-radius: .4rem;
  overflow-x: auto;
}
code { font: .86rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
summary { cursor: pointer; padding: .3rem 0; }
@media (max-width: 34rem) { main { padding: 1.5rem 1rem 3rem; } .number { font-size: 2.9rem; } }
@media print {
  :root { color-scheme: light; --paper: #fff; }
  main { max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  li, figure, tr, .beside, .headline { break-inside: avoid; }
  .scroll { overflow: visible; }
}
"""
