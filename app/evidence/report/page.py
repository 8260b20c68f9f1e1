"""report.html: one page that needs nothing beside it, a function for each of its sections."""

from __future__ import annotations

import base64
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from regraft.data.photos import UnreadablePhoto, read_upright_rgb
from regraft.evidence.metric_table import REPORTED_METRICS, ReportedMetric
from regraft.evidence.metrics import Metrics
from regraft.evidence.report.contents import ReportData, ReportSection, StageRow
from regraft.evidence.report.figures import draw_confusion, draw_learning_curves, draw_reliability, png_of
from regraft.evidence.report.markup import (
    Html,
    count_words,
    duration,
    escape,
    interval,
    make_picture,
    make_range_bar,
    make_section,
    make_table,
    percent,
)
from regraft.evidence.report.result_tables import shown_path
from regraft.machine.files import write_text
from regraft.machine.threads import map_ordered
from regraft.runs.class_metrics import ClassMetrics

WORST_MISTAKES = 12
THUMBNAIL_PX = 320  # shown at half of it, so that it is sharp on a phone
LISTED_FILES = 100

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
<style>
{style}</style>
</head>
<body>
<main>
<header><p class="brand">regraft</p><h1>{title}</h1></header>
{body}
</main>
</body>
</html>
"""


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
    style = files("regraft.evidence.report").joinpath("page.css").read_text("utf-8")
    write_text(path, _PAGE.format(title=escape(data.title), style=style, body=body))


def _notes_section(notes: Sequence[str]) -> str:
    return make_section("Worth knowing", *(f"<p>{escape(note)}</p>" for note in notes)) if notes else ""


def _extra_section(section: ReportSection) -> str:
    parts = [f"<p>{escape(sentence)}</p>" for sentence in section.sentences]
    if section.rows:
        parts.append(make_table(section.heading, section.columns, section.rows))
    if section.picture:
        parts.append(f"<figure>{make_picture(section.picture, section.description)}</figure>")
    return make_section(section.heading, *parts)


def _headline(data: ReportData) -> str:
    metrics = data.metrics
    low, high = metrics.accuracy_low, metrics.accuracy_high
    by = f" The label is {escape(data.decision.words(data.class_names))}." if data.decision else ""
    common = max(metrics.per_class, key=lambda entry: entry.images)
    share = common.images / metrics.images
    mistakes = metrics.images - int(np.trace(metrics.confusion))
    return (
        f'<section class="headline"><p class="number">{percent(metrics.accuracy)}</p>'
        f'<p class="lead">of {count_words(metrics.images, "photo")} {escape(data.which_images)}; '
        f"95\u00a0% interval {interval(low, high)}.</p>"
        f"{make_range_bar(low, high, ('tick', share), ('dot', metrics.accuracy))}"
        f'<p class="muted">{count_words(mistakes, "mistake")}. Always answering “{escape(common.class_name)}” '
        f"would reach {percent(share)} (the thin mark).{by}</p>{_facts(metrics)}</section>"
    )


def _facts(metrics: Metrics) -> str:
    facts = ((row, metrics.value(name)) for name, row in REPORTED_METRICS.items())
    cells = "".join(_fact(row, value, metrics.k) for row, value in facts if value is not None)
    return f'<dl class="facts">{cells}</dl>'


def _fact(metric: ReportedMetric, value: float, k: int | None) -> str:
    title, meaning = (escape(words.format(k=k)) for words in (metric.title, metric.meaning))
    number = metric.number(value).replace(" ", "\u00a0")
    unit = f"{metric.unit}; " if metric.unit not in ("", "%") else ""
    return f"<div><dt>{title[0].upper()}{title[1:]}</dt><dd>{number}<small>{unit}{meaning}</small></dd></div>"


def _classes_section(data: ReportData) -> str:
    figure = draw_confusion(data.metrics.confusion, data.class_names)
    picture = make_picture(png_of(figure), "Confusion matrix: true classes in rows, predicted classes in columns.")
    weakest_first = sorted(data.metrics.per_class, key=lambda entry: 2 if entry.recall is None else entry.recall)
    columns = {"Class": "left", "Images": "right", "Found": "right", "0 to 100\u00a0%": "left",
               "95\u00a0% interval": "right", "Right when named": "right", "F1": "right"}  # fmt: skip
    table = make_table("Each class, the weakest first", columns, map(_class_row, weakest_first))
    explanation = (
        '<p class="muted">Found (recall): the part of a class’s photos that get its name. Right when named '
        "(precision): the part of the photos given this name that deserve it.</p>"
    )
    caption = "<figcaption>Colour: the part of a row, small parts drawn stronger.</figcaption>"
    return make_section("Which classes it knows", f"<figure>{picture}{caption}</figure>", table, explanation)


def _class_row(entry: ClassMetrics) -> list[object]:
    found: list[object] = ["–", "", "–"]
    if entry.recall is not None and entry.recall_low is not None and entry.recall_high is not None:
        low, high = entry.recall_low, entry.recall_high
        found = [percent(entry.recall), make_range_bar(low, high, ("dot", entry.recall)), interval(low, high)]
    f1 = "–" if entry.f1 is None else f"{entry.f1:.3f}"
    return [entry.class_name, f"{entry.images:,}", *found, percent(entry.precision), f1]


def _mistakes_section(data: ReportData) -> str:
    answers = data.answers
    scores = data.probabilities[np.arange(len(answers)), answers]
    wrong = np.flatnonzero(answers != data.truth)
    worst = wrong[np.argsort(-scores[wrong], kind="stable")][:WORST_MISTAKES]
    if not worst.size:
        return make_section("Worst mistakes", "<p>None: every photo got its own name.</p>")
    paths = [data.records[i].path for i in worst]
    thumbnails = map_ordered(_thumbnail, paths)
    names = data.class_names
    cards = "\n".join(
        _mistake(thumbnail, names[data.truth[i]], names[answers[i]], scores[i], shown_path(path, data.root))
        for i, path, thumbnail in zip(worst, paths, thumbnails, strict=True)
    )
    which = "All of them" if len(wrong) == len(worst) else f"The {len(worst)} surest of {len(wrong):,}"
    advice = "Look for wrong labels first, then for what the photos have in common."
    return make_section("Worst mistakes", f'<p class="muted">{which}. {advice}</p><ul class="mistakes">{cards}</ul>')


def _mistake(thumbnail: str, truth: str, answer: str, score: float, path: str) -> str:
    image = '<span class="muted">cannot be read any more</span>'
    if thumbnail:
        description = escape(f"A photo of class {truth}, taken for {answer}")
        image = f'<img src="data:image/jpeg;base64,{thumbnail}" alt="{description}">'
    return (
        f'<li><div class="photo">{image}</div><p>{escape(truth)} <span role="img" aria-label="taken for">→'
        f'</span> <b>{escape(answer)}</b> <span class="muted">{percent(score)}</span></p>'
        f'<p class="path">{escape(path)}</p></li>'
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
    picture = make_picture(
        png_of(draw_reliability(data.truth, data.probabilities)),
        "Reliability diagram: how often answers are right, by how sure the model is of them.",
    )
    text = (
        f"<p>On average an answer’s score is {percent(data.metrics.calibration_error)} away from how often "
        "such answers are right. Points on the diagonal are honest; below it the model is too sure of "
        "itself, above it too modest. Lines are 95\u00a0% intervals; larger points hold more photos.</p>"
    )
    return make_section("Whether its scores can be believed", f'<div class="beside">{picture}{text}</div>')


def _training_section(data: ReportData) -> str:
    if not data.stages and not data.history:
        return ""
    verdict = f"<p>{escape(data.kept_because)}</p>" if data.kept_because else ""
    columns = {"Stage": "left", "Compared on": "left", "Loss": "right", "Accuracy": "right", "Time": "right"}
    stages = make_table("The stages, and what was compared to choose", columns, map(_stage_row, data.stages))
    return make_section("How it was trained", verdict, stages if data.stages else "", _curves(data.history))


def _stage_row(stage: StageRow) -> list[object]:
    name = escape(stage.get("stage", "–"))
    return [
        Html(f"<b>{name}</b> – kept" if stage.get("kept") else name),
        stage.get("chosen_on", "–"),
        f"{stage['loss']:.4f}" if "loss" in stage else "–",
        percent(stage.get("accuracy")),
        duration(stage["seconds"]) if "seconds" in stage else "–",
    ]


def _curves(history: Sequence[Mapping[str, float | str | int]]) -> str:
    if not history:
        return ""
    picture = make_picture(
        png_of(draw_learning_curves(history)), "Learning curves: loss and accuracy after each epoch."
    )
    note = "Training values are measured while learning, on varied pictures, and so look worse than they are."
    return f"<figure>{picture}<figcaption>{note}</figcaption></figure>"


def _time_section(seconds_by_phase: Mapping[str, float]) -> str:
    if not seconds_by_phase:
        return ""
    total = sum(seconds_by_phase.values())
    rows = [
        (phase, duration(seconds), make_range_bar(0, seconds / total if total else 0))
        for phase, seconds in seconds_by_phase.items()
    ]
    columns = {"Phase": "left", "Time": "right", "Share": "left"}
    return make_section("Where the time went", make_table(f"{duration(total)} in all", columns, rows))


def _set_aside_section(data: ReportData) -> str:
    if not data.set_aside:
        return ""
    rows = [(shown_path(entry.path, data.root), entry.reason) for entry in data.set_aside[:LISTED_FILES]]
    table = make_table("Found and not used", {"File": "left", "Why": "left"}, rows)
    more = len(data.set_aside) - len(rows)
    rest = f'<p class="muted">… and {more:,} more.</p>' if more else ""
    return make_section(f"{count_words(len(data.set_aside), 'file')} set aside", table, rest)


def _next_section(run: Path | None) -> str:
    if run is None:
        return ""
    name = shlex.quote(str(run))
    commands = (
        ("Name new photos", f"regraft predict {name} photos/"),
        ("Judge it on other photos that are sorted by class", f"regraft evaluate {name} other_photos/"),
        ("Hand it to a program or a server", f"regraft export {name}"),
    )
    steps = "".join(f"<p>{what}</p><pre><code>{escape(command)}</code></pre>" for what, command in commands)
    return make_section("What to do next", steps)


def _details_section(data: ReportData) -> str:
    parts = []
    if data.recipe_toml:
        recipe = f"<pre><code>{escape(data.recipe_toml)}</code></pre>"
        parts.append(f"<details><summary>Recipe</summary>{recipe}</details>")
    if data.environment:
        rows = [(key, _plain(value)) for key, value in data.environment.items()]
        table = make_table("What it ran on", {"What": "left", "Value": "left"}, rows)
        parts.append(f"<details><summary>Environment</summary>{table}</details>")
    return make_section("To repeat it", *parts) if parts else ""


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
