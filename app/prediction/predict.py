"""One row for each input, in input order, whatever the input is, and however often the plug is pulled."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from regraft.data.records import TOP, Prediction
from regraft.data.wording import plural
from regraft.errors import UsageError, option
from regraft.evidence.conformal import UNKNOWN, UnknownRule, calibrate, read_calibration
from regraft.exports.tolerance import Tolerance
from regraft.machine.drafts import draft_folder, sweep
from regraft.machine.memory import decoding_within
from regraft.machine.ray_cluster import check_engine
from regraft.machine.threads import cores
from regraft.prediction.answerer import Answerer, Wanted, answer_batches
from regraft.prediction.delivery import counts_of, finish
from regraft.prediction.job import SHARD_ROWS, Job, Shard, job_folder, locked, new_id, shards_of, write_inputs
from regraft.prediction.journal import Writer, encode, read_journal
from regraft.prediction.model_choice import TOLERANCE, ModelChoice, Source, choose, open_source
from regraft.prediction.over_ray import answer_over_ray
from regraft.prediction.planning import begin, clear, forget_begun
from regraft.prediction.sources.expand import Inputs, LeftOutCount, expand_inputs, names_of
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import Reading
from regraft.prediction.sources.reader import ItemReader
from regraft.prediction.standing import Request, Step, decide, place_of, standing_of
from regraft.prediction.tables.columns import Columns
from regraft.prediction.tables.format import TableFormat
from regraft.prediction.tables.table import TABLE_FORMATS, find_table_format, format_of, is_table_name
from regraft.progress import Progress, Silent, Ticker

_ROWS_AT_A_TIME = 64  # of what goes to a pipe


@dataclass(frozen=True)
class Options:
    """How to predict. What has no word here is as of `Wanted`, `Reading`, `Columns` and `choose`.

    Attributes:
        format: of the tables in a folder, or on a pipe: a key of `TABLE_FORMATS`; None is that of the suffix, or csv.
        resume: go on with a job that was begun.
        force: begin anew, over answers that are there.
        spreadsheet_safe: CSV cells that a spreadsheet would run begin with an apostrophe.
        verbose: name each file that is left out.
        shard_rows: inputs a shard; a kill costs at most that many.
        engine: "local", or "ray": over a cluster whose machines see the inputs and the model.
        jobs: workers of a local Ray; 0 is one per core.
    """

    wanted: Wanted = field(default_factory=Wanted)
    reading: Reading = field(default_factory=Reading)
    runtime: str = "auto"
    precision: str | None = None
    device: str = "auto"
    tolerance: Tolerance = TOLERANCE
    top: int = TOP
    probabilities: bool = False
    unknown_at: float | None = None
    format: str | None = None
    resume: bool = False
    force: bool = False
    spreadsheet_safe: bool = False
    verbose: bool = False
    shard_rows: int = SHARD_ROWS
    engine: str = "local"
    jobs: int = 0


@dataclass(frozen=True)
class PredictionSummary:
    """What became of a job.

    Attributes:
        out: the file or folder that was written; None where the rows went to a pipe.
        rows: how many there are; 0 where the job was finished already and nothing was done.
        counts: how many rows have each status.
        already_finished: whether what was to be resumed was finished already.
        left_out: how many files below folders and in archives got no row, by reason; nothing where a job went on,
            whose inputs were listed before.
    """

    out: Path | None
    rows: int
    counts: Mapping[str, int]
    already_finished: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def all_failed(self) -> bool:
        """Whether there are rows and none has an answer."""
        return bool(self.counts) and not self.counts.get("ok")

    @property
    def some_failed(self) -> bool:
        """Whether a row has no answer."""
        return any(count for status, count in self.counts.items() if status != "ok")

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        counts, left_out = dict(self.counts), dict(self.left_out)
        return {**vars(self), "out": self.out and str(self.out), "counts": counts, "left_out": left_out}


def predict(
    source: Path | str,
    inputs: Inputs,
    out: Path | str,
    options: Options | None = None,
    *,
    stdin: Iterable[str] = (),
    progress: Progress | None = None,
) -> PredictionSummary:
    """Writes one row for each input to `out` and returns how many rows have each status.

    Args:
        source: a run, or an export.
        inputs: one or several; see `regraft.prediction.sources.expand.expand_inputs`.
        out: a file whose suffix names its format, or a folder of shards with a manifest.
        options: see there.
        stdin: the lines that "-" stands for.
        progress: who is told.

    Raises:
        UsageError, RunError: the source, the inputs, `out` or the options are not as they must be.
    """
    options, progress, out, inputs = options or Options(), progress or Silent(), Path(out), names_of(inputs)
    opened, columns = _begin(Path(source), options, progress)
    job = _job(out, columns, options)
    request = Request(_asked(job, opened, inputs, options), _digest_of, options.resume, options.force)
    if not job.folder.is_dir() and decide(job, standing_of(job), request) is Step.DONE:
        return _finished_already(out, counts_of(job, None), progress)
    left_out = _left_out(options, progress, job.out, job.folder)
    with locked(job), decoding_within(options.reading.memory):
        standing = standing_of(job)
        sweep(job.folder)
        step = decide(job, standing, request)  # again, and now nobody changes it any more
        if step is Step.DONE:
            forget_begun(job, standing)
            return _finished_already(out, counts_of(job, standing.manifest), progress)
        if step is Step.BEGIN:
            items = expand_inputs(inputs, stdin, options.reading, left_out)
            plan = begin(job, standing, request.asked, items, lambda count: _choose(opened, options, count, progress))
            _tell(left_out, progress)
        else:
            forget_begun(job, standing)
            plan = dict(standing.plan or {})
        job = replace(job, id=plan["id"])
        plan = clear(job, plan)
        if "finished" not in plan:
            _answer(job, plan, options, progress)
        counts = finish(job, plan)
    return PredictionSummary(out, sum(counts.values()), counts, left_out=left_out.counts)


def predict_to_pipe(
    source: Path | str,
    inputs: Inputs,
    write: Callable[[bytes], object],
    options: Options | None = None,
    *,
    stdin: Iterable[str] = (),
    progress: Progress | None = None,
) -> PredictionSummary:
    """As `predict`, but gives the table to `write`, piece by piece; this cannot be resumed."""
    options, progress = options or Options(), progress or Silent()
    form = _as_safe_as_asked(find_table_format(options.format or "csv"), options)
    if options.resume or options.engine != "local" or not form.streams:
        raise UsageError(f"{_only_to_a_file()} need {option('out')}, a file or folder to write to.")
    opened, columns = _begin(Path(source), options, progress)
    counts: Counter[str] = Counter()
    with draft_folder(Path(tempfile.gettempdir())) as folder, decoding_within(options.reading.memory):
        job = Job(folder, folder, form, columns, _ROWS_AT_A_TIME, new_id())
        left_out = _left_out(options, progress)
        count = write_inputs(job, expand_inputs(inputs, stdin, options.reading, left_out))
        _tell(left_out, progress)
        answerer = _choose(opened, options, count, progress).open(options.wanted)
        header = form.encode(columns, [])
        write(header)
        with progress.work("predict", count, "images") as ticker:
            for _, predictions in answer_shards(answerer, job, shards_of(job), options, ticker):
                counts.update(prediction.status for prediction in predictions)
                write(encode(job, predictions)[len(header) :])
    return PredictionSummary(None, counts.total(), dict(counts), left_out=left_out.counts)


def answer_shards(
    answerer: Answerer, job: Job, shards: Iterable[Shard], options: Options, ticker: Ticker
) -> Iterator[tuple[Shard, list[Prediction]]]:
    """Each shard with its predictions, as it is done. The next shard is begun before one ends."""
    waiting: list[Shard] = []

    def batches() -> Iterator[list[Item]]:
        for shard in shards:
            waiting.append(shard)
            items = shard.items(job.inputs_file)
            for start in range(0, len(items), answerer.batch_size):
                yield items[start : start + answerer.batch_size]

    done: list[Prediction] = []
    with ItemReader(options.wanted.limits, options.reading) as reader:
        for predictions in answer_batches(answerer, batches(), reader):
            done += predictions
            ticker.advance(len(predictions))
            if len(done) == waiting[0].rows:
                yield waiting.pop(0), done
                done = []


def unknown_rule(source: Source, error_rate: float) -> UnknownRule:
    """When the model of `source` answers "unknown", calibrated on the images the run reports on.

    Raises:
        UsageError: the rate is not in (0, 1) or too small for so few images, or a class has that name.
        RunError: the run has lost its calibration.
    """
    if UNKNOWN in source.class_names:
        raise UsageError(
            f'{option("unknown_at")} would be mistaken for the class "{UNKNOWN}" of {source.folder}; rename that class.'
        )
    return calibrate(read_calibration(source.calibration_file), error_rate)


# --- steps ---


def _only_to_a_file() -> str:
    """What a pipe does not take, as words of a message."""
    names = [name for name in TABLE_FORMATS if not find_table_format(name).streams]
    *most, last = [option("resume", True), option("engine"), *(option("format", name) for name in names)]
    return f"{', '.join(most)} and {last}"


def _begin(folder: Path, options: Options, progress: Progress) -> tuple[Source, Columns]:
    """The source, and the columns of what comes out."""
    if options.format is not None:
        find_table_format(options.format)
    look = options.wanted.look
    if options.unknown_at is not None and (look.views != "one" or look.draws):
        unknown_at, views, draws = option("unknown_at"), option("views"), option("draws")
        raise UsageError(f"{unknown_at} is calibrated for one look at each photo; leave {views} and {draws} out.")
    check_engine(options.engine)
    source = open_source(folder, progress)
    if source.decision:
        progress.say(f"The label is {source.decision.words(source.class_names)}.")
    columns = Columns(
        source.class_names,
        top=options.top,
        uncertainty=look.members,
        rule=None if options.unknown_at is None else unknown_rule(source, options.unknown_at),
        probabilities=options.probabilities,
        embedding=options.wanted.embedding,
    )
    return source, columns


def _finished_already(out: Path, counts: Mapping[str, int], progress: Progress) -> PredictionSummary:
    progress.say(f"{out} is finished already.")
    return PredictionSummary(out, 0, counts, already_finished=True)


def _job(out: Path, columns: Columns, options: Options) -> Job:
    form = find_table_format(options.format or "csv")
    is_file = is_table_name(out) or bool(out.suffix and not options.format)
    if is_file:
        form = format_of(out)
        if options.format and form is not find_table_format(options.format):
            raise UsageError(f"{option('format', options.format)} does not go with {out}; leave one of both out.")
    out, form = place_of(out), _as_safe_as_asked(form, options)
    return Job(out, job_folder(out, is_file=is_file), form, columns, options.shard_rows, new_id())


def _as_safe_as_asked(form: TableFormat, options: Options) -> TableFormat:
    if not options.spreadsheet_safe:
        return form
    if form.spreadsheet_safe is None:
        safe = option("spreadsheet_safe", True)
        raise UsageError(f"{safe} is for CSV alone: spreadsheets run nothing of a {form.suffix} file. Leave it out.")
    return form.spreadsheet_safe


def _left_out(options: Options, progress: Progress, *results: Path) -> LeftOutCount:
    return LeftOutCount(progress.say if options.verbose else None, results=results)


def _tell(left_out: LeftOutCount, progress: Progress) -> None:
    """One line for all files that get no row."""
    if left_out.counts:
        progress.say(f"No row for {plural(left_out.counts.total(), 'file')}: {left_out}.")


def _asked(job: Job, source: Source, inputs: Sequence[str], options: Options) -> dict[str, Any]:
    """All that the bytes of the result depend on, as JSON knows it."""
    return {
        "source": str(source.folder.absolute()),
        "inputs": [os.fsencode(given).decode("utf-8", "backslashreplace") for given in inputs],
        "columns": job.columns.names(),
        "unknown_at": options.unknown_at,
        "format": job.format.suffix,
        "shard_rows": job.shard_rows,
        "reading": {**asdict(options.reading), "memory": None},  # another amount may go on
        "spreadsheet_safe": options.spreadsheet_safe,
        "wanted": asdict(options.wanted),
        "runtime": options.runtime,
        "precision": options.precision,
    }


def _choose(source: Source, options: Options, count: int, progress: Progress) -> ModelChoice:
    return choose(
        source,
        runtime=options.runtime,
        precision=options.precision,
        device=options.device,
        look=options.wanted.look,
        tolerance=options.tolerance,
        count=count,
        progress=progress,
    )


def _digest_of(model: Mapping[str, Any]) -> str:
    """Of the files by which the model of a plan answers; "" where it is none any more."""
    try:
        return ModelChoice(**model).digest()
    except (TypeError, OSError):
        return ""


def _answer(job: Job, plan: Mapping[str, Any], options: Options, progress: Progress) -> None:
    """Writes the shards that are not there yet."""
    done = read_journal(job)
    shards = (shard for shard in shards_of(job) if shard.number not in done)
    model, total = ModelChoice(**plan["model"]), plan["rows"]
    finished = sum(facts["rows"] for facts in done.values())
    if finished:
        progress.say(f"Going on after {finished:,} of {total:,} rows.")
    if finished == total:
        return
    with Writer(job) as writer, progress.work("predict", total - finished, "images") as ticker:
        if options.engine == "ray":
            jobs = options.jobs or cores()
            for shard, data, counts in answer_over_ray(job, model, options.wanted, options.reading, shards, jobs):
                writer.write_encoded(shard, data, counts)
                ticker.advance(shard.rows)
            return
        answerer = model.open(options.wanted)
        for shard, predictions in answer_shards(answerer, job, shards, options, ticker):
            writer.write(shard, predictions)
