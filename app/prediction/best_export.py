"""The fastest export of a run that is near enough to it, of all that can be written and computed here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from regraft.data.wording import in_columns
from regraft.errors import ExportError, RunError, UsageError, option
from regraft.exports.export import Export, find_exports, read_export
from regraft.exports.exporting import export_run
from regraft.exports.format import find_format
from regraft.exports.place import Place
from regraft.exports.proof_photos import ProveOn
from regraft.exports.runtimes import check_format
from regraft.exports.table import FORMATS
from regraft.exports.tolerance import LABELS, Tolerance, is_near
from regraft.machine.drafts import draft_folder
from regraft.machine.files import making_folder
from regraft.prediction.model_choice import TOLERANCE, ModelChoice, time_choices
from regraft.progress import Progress, Silent
from regraft.runs.run import open_run

_SECONDS = 60.0  # far more than to open them all


@dataclass(frozen=True)
class Tried:
    """One format and precision.

    Attributes:
        name: such as "litert-int8".
        export: what was written or was there; None where there is none.
        reason: why there is none.
        rate: views per second from memory; 0 where it does not run, or was not timed.
    """

    name: str
    export: Export | None = None
    reason: str = ""
    rate: float = 0.0


@dataclass(frozen=True)
class BestExport:
    """What is kept, and all that was tried, in the order of formats and precisions."""

    export: Export
    tried: tuple[Tried, ...]


def export_best(
    run: Path, *, photos: ProveOn | None, device: str, tolerance: Tolerance | None, progress: Progress
) -> BestExport:
    """Writes, proves and times every export but SavedModels; keeps the fastest within `tolerance`.

    Of the others nothing is left. Exports that were there before are taken as they are, and stay, unless more photos
    are asked for than they were proven on.

    Args:
        run: its folder.
        photos, device: see `export_run`.
        tolerance: None is `TOLERANCE`.
        progress: is told what was tried.

    Raises:
        UsageError, RunError: the run cannot be exported, or nothing can be written here.
        ExportError: none is within `tolerance`.
    """
    held_to = TOLERANCE if tolerance is None else tolerance
    opened = open_run(run)
    there = {export.name: export for export in find_exports(opened, progress)}
    forms = [find_format(name) for name in FORMATS]
    names = [(form.name, precision) for form in forms if not form.exporter for precision in form.precisions]
    with making_folder(opened.exports), draft_folder(opened.exports) as trial:
        tried = []
        with progress.work("try exports", len(names), "exports") as ticker:
            for format, precision in names:
                name = f"{format}-{precision}"
                if name in there and _is_proven_enough(there[name], photos):
                    tried.append(Tried(name, there[name]))
                else:
                    tried.append(_try(run, trial / name, format, precision, photos, device, held_to))
                ticker.advance()
        tried = _timed([_judged(each, held_to) for each in tried])
        best = max((each for each in tried if each.rate), key=lambda each: each.rate, default=None)
        for line in table_of(tried, best):
            progress.say(line)
        if best is None or best.export is None:
            raise _nothing(tried, held_to)
        if best.export is there.get(best.name):
            return BestExport(best.export, tuple(tried))
        place = Place(opened.exports / best.name, find_format(best.export.format), force=True)
        place.take(best.export.folder)
        return BestExport(read_export(place.folder), tuple(tried))


def _is_proven_enough(export: Export, photos: ProveOn | None) -> bool:
    """Whether its proof looked at as many photos as are asked for."""
    return photos is None or photos.which != "all" or export.proof.sample_seed is None


def table_of(tried: list[Tried], best: Tried | None) -> list[str]:
    """Lines: what was tried, how fast and how near it is, and which one is kept."""
    rows = [("export", "images/s", "largest difference", "same label", "")]
    for each in tried:
        if each.export is None:
            rows.append((each.name, "", "", "", each.reason))
            continue
        proof = each.export.proof
        rate = f"{each.rate:.0f}" if each.rate else "-"
        kept = "kept" if each is best else each.reason
        same = f"{proof.same_label:,} of {proof.images:,}"
        rows.append((each.name, rate, f"{proof.largest_difference:.1e}", same, kept))
    return in_columns(rows)


def _try(
    run: Path, out: Path, format: str, precision: str, photos: ProveOn | None, device: str, tolerance: Tolerance,
) -> Tried:  # fmt: skip
    name = f"{format}-{precision}"
    try:
        check_format(format, precision)
    except UsageError:
        return Tried(name, reason="not installed")
    try:
        export = export_run(
            run, format, precision=precision, photos=photos, out=out, device=device, tolerance=tolerance,
            progress=Silent(),
        )  # fmt: skip
    except ExportError as error:
        return Tried(name, reason=error.text.partition("; it was removed")[0])
    except RunError as error:
        if not find_format(format).precisions[precision].needs_views:  # for which training photos may be lacking
            raise
        return Tried(name, reason=error.text)
    return Tried(name, export)


def _judged(tried: Tried, tolerance: Tolerance) -> Tried:
    if tried.export is None or is_near(tried.export.proof, tolerance):
        return tried
    return replace(tried, reason="beyond the tolerance")


def _timed(tried: list[Tried]) -> list[Tried]:
    """The same, with the rates of those that are near enough."""
    choices = {}
    for each in tried:
        if each.export is not None and not each.reason:
            together = find_format(each.export.format).many
            folder, runtime = str(each.export.folder), each.export.runtime
            choices[each.name] = ModelChoice(folder, False, runtime, each.export.precision, "auto", together)
    rates = time_choices(list(choices.values()), _SECONDS) if choices else {}
    return [replace(each, rate=rates.get(choices[each.name], 0.0)) if each.name in choices else each for each in tried]


def _nothing(tried: list[Tried], tolerance: Tolerance) -> ExportError | UsageError:
    if all(each.reason == "not installed" for each in tried):
        return UsageError(f'{option("best", True)} needs a runtime to try: pip install "regraft[litert]".')
    held = "keeps enough labels" if tolerance == LABELS else f"is within {tolerance}"
    return ExportError(f"No export that runs here {held} of the trained model; allow more: {option('tolerance')}.")
