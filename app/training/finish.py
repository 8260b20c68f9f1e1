"""The end of a training: the better stage is kept, saved and reported, then metrics.json is written, then the export.

When metrics.json is there, the run is finished: all that training came to is on the disk. The export comes after it, as
its proof may fail, and a run without one still answers with its model; metrics.json then says why there is none, and
resuming the run makes it. A full run ends with `finish`. A member of an ensemble leaves its model alone
(`finish_member`), a trial of a comparison only what it answered (`finish_trial`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from regraft.data.groups import group_numbers
from regraft.data.records import Record
from regraft.data.sources import labels_of
from regraft.errors import ExportError, RegraftError, RunError, option
from regraft.evidence.conformal import write_calibration
from regraft.evidence.decision import LeastCost, decision_of, decision_of_costs, write_decision
from regraft.evidence.metrics import Metrics, measure
from regraft.evidence.report import ReportData, ReportSection, StageRow, write_judgement
from regraft.exports.export import NOT_PROVEN, digest_model, read_export
from regraft.exports.format import FLOAT32
from regraft.exports.frozen_features import TENSORFLOW
from regraft.exports.proof import Proof, float_error_of
from regraft.exports.proof_photos import ProofPhotos, choose_proof_photos
from regraft.exports.saved_model import Expected, export_proven, tolerance_for
from regraft.inference.views import make_infer
from regraft.machine.arrays import read_arrays
from regraft.machine.files import atomic_file, sync_tree, write_json
from regraft.models.classifier import shift_head
from regraft.models.combine_members import cool
from regraft.runs.digests import write_digests
from regraft.runs.history import read_history
from regraft.runs.reading import read_json
from regraft.runs.run import Run
from regraft.training.judge import Candidate
from regraft.training.photos_asked import FEATURES_BY
from regraft.training.session import Session
from regraft.training.stages import choose_stage

_NOT_YET = "it has not been made yet"


@dataclass(frozen=True)
class Choice:
    """The candidate that is kept of several, why, and how good it is on the reported images.

    `judged` are the probabilities float32 [N, C] that say so: its own, or, in folds, those of models that had not seen
    the images.
    """

    candidates: Sequence[Candidate]
    kept: Candidate
    why: str
    metrics: Metrics
    judged: np.ndarray


def finish(
    session: Session,
    candidates: Sequence[Candidate],
    *,
    why: str = "",
    sections: Sequence[ReportSection] = (),
    out_of_fold: np.ndarray | None = None,
    **more: Any,
) -> Run:
    """The finished run, which holds everything: the model of the better stage, its report and numbers, its export.

    Args:
        session: that of the training.
        candidates: the stages, from simple to elaborate.
        why: the reason for the one that is kept, where it has not to do with how good they are.
        sections: what the report has to say besides.
        out_of_fold: float32 [N, C] for the reported images, where they are judged by the models of folds.
        more: goes into `metrics.json`.

    Raises:
        ExportError: the export does not answer as the model does; the run is finished without one.
    """
    choice = _choose(session, candidates, why, out_of_fold)
    _save(session, choice.judged)
    with session.watch.phase("report"):
        write_judgement(session.run.folder, _report_data(session, choice, sections))
    _save_awaited_answers(session, choice.kept.probabilities)
    _write_metrics(session, choice, export={"reason": _NOT_YET}, **more)
    return _deliver(session, choice.kept.probabilities)


def finish_export(session: Session) -> Run:
    """A finished run with the export that it lacks.

    Raises:
        RunError: the run is damaged.
        ExportError: as `finish` does.
    """
    from regraft.inference.trained import load_model

    run = session.run
    if export := _made_already(run):
        return _write_export(session, export)
    return _deliver(replace(session, model=load_model(run)), _awaited_answers(run))


def finish_member(session: Session, candidates: Sequence[Candidate], *, why: str = "") -> Run:
    """The finished run of a member: the model of the better stage, its numbers, and what each stage answered."""
    choice = _choose(session, candidates, why)
    _save(session, choice.kept.probabilities)
    _write_stages(session, choice)
    _write_metrics(session, choice)
    session.run.clear_checkpoints()
    return session.run


def finish_trial(session: Session, candidates: Sequence[Candidate], *, why: str = "") -> Run:
    """The finished run of a comparison: its numbers, and what each stage answered."""
    choice = _choose(session, candidates, why)
    _write_stages(session, choice)
    _write_metrics(session, choice)
    session.run.clear_checkpoints()
    return session.run


FINISHERS: dict[str, Callable[..., Run]] = {
    "finish": finish,
    "finish_member": finish_member,
    "finish_trial": finish_trial,
}
"""The ends a training can have, by the names that a purpose gives them."""


def _choose(
    session: Session, candidates: Sequence[Candidate], why: str, out_of_fold: np.ndarray | None = None
) -> Choice:
    """The better candidate, whose weights and temperature the session's model then has."""
    names, decision = session.folder.class_names, _decision(session)
    if decision:  # costs count what a class is worth, so its weight in training must not count it once more
        candidates = [replace(candidate, is_shifted_back=True) for candidate in candidates]
    stage, reason = choose_stage([candidate.stage for candidate in candidates])
    kept = next(candidate for candidate in candidates if candidate.stage is stage)
    session.model.set_weights(kept.weights)
    cool(session.model, stage.temperature)
    if kept.is_shifted_back and kept.class_weights is not None:
        shift_head(session.model, -np.log(kept.class_weights))
    judged = kept.probabilities if out_of_fold is None else out_of_fold
    report = session.roles.report
    metrics = measure(labels_of(report), judged, names, decision, group_numbers(report))
    return Choice(candidates, kept, why or reason, metrics, judged)


def _decision(session: Session) -> LeastCost | None:
    return decision_of_costs(session.recipe.cost, session.folder.class_names)


def _write_metrics(session: Session, choice: Choice, **more: Any) -> None:
    """Writes metrics.json, with which the run is finished; everything that it speaks of is on the disk before."""
    stage, decision = choice.kept.stage, _decision(session)
    by = {"decision": decision.words(session.folder.class_names)} if decision else {}
    values = {
        "run": str(session.run.folder),
        "stage": stage.name,
        "stage_reason": choice.why,
        **by,
        **choice.metrics.as_dict(),
        "reported_on": session.roles.report_name,
        "seconds": session.watch.total,
        "seconds_by_phase": session.watch.seconds,
        "learned_from_select": stage.name == "head" and bool(session.spared),
        "notes": _notes(session, choice),
        "set_aside": [{"path": str(file.path), "reason": file.reason} for file in session.folder.unreadable],
        "stages": [_stage_row(candidate, session) for candidate in choice.candidates],
        **more,
    }
    write_digests(session.run.folder)
    sync_tree(session.run.folder)
    write_json(session.run.metrics_file, values)


def _save(session: Session, probabilities: np.ndarray) -> None:
    """Saves the model, its decision, and how it answers photos it knows nothing of, for `--unknown-at`."""
    with session.watch.phase("save"):
        with atomic_file(session.run.model_file) as temporary:
            session.model.save(temporary)
        write_calibration(session.run.calibration_file, probabilities, labels_of(session.roles.report))
        if decision := _decision(session):
            write_decision(session.run, decision)


def _write_stages(session: Session, choice: Choice) -> None:
    """What each stage answered for the reported images, for comparisons image by image."""
    with atomic_file(session.run.stages_file) as temporary:
        np.savez(
            temporary,
            fingerprints=np.array([record.fingerprint for record in session.roles.report]),
            truth=labels_of(session.roles.report),
            names=np.array([candidate.stage.name for candidate in choice.candidates]),
            probabilities=np.stack([candidate.probabilities for candidate in choice.candidates]),
            kept=np.array([candidate is choice.kept for candidate in choice.candidates]).argmax(),
        )


def _notes(session: Session, choice: Choice) -> list[str]:
    """Which images are behind which number."""
    notes = list(session.roles.notes)
    if choice.kept.stage.name == "head" and session.spared:
        notes.append(f"The head that is kept was then solved anew, on those {len(session.spared):,} images as well.")
    return notes


def _deliver(session: Session, probabilities: np.ndarray) -> Run:
    """The run with its export, proven to answer the reported images with these probabilities, or with the reason."""
    try:
        with session.watch.phase("export"):
            export = _export(session, probabilities)
    except ExportError as error:
        _write_export(session, {"reason": str(error)})
        again = f"{option('resume', True)} {option('out', session.run.folder)} tries it again"
        raise ExportError(f"{error.text} The run is finished without it: its model.keras answers; {again}.") from error
    return _write_export(session, export)


def _write_export(session: Session, export: Mapping[str, Any]) -> Run:
    """Completes metrics.json, and removes what making the export would have needed where there is one."""
    run, watch = session.run, session.watch
    values = read_json(run.metrics_file)
    took = watch.seconds.get("export", 0.0)
    by_phase = values["seconds_by_phase"] | {"export": took}
    seconds = round(values["seconds"] + took, 3)
    write_json(run.metrics_file, values | {"export": export, "seconds": seconds, "seconds_by_phase": by_phase})
    if "reason" not in export:
        run.clear_checkpoints()
    return Run(run.folder)


def _export(session: Session, probabilities: np.ndarray) -> dict[str, Any]:
    chosen = _proof_photos(session)
    chosen.announce(session.progress)
    records = chosen.of(session.roles.report)
    paths = [session.reader.tensorflow_path(record) for record in records]
    with session.proof or Proof() as proof:
        export = export_proven(
            session.model,
            session.folder.class_names,
            session.run.export_folder,
            reader=session.reader,
            model_digest=digest_model(session.run),
            expected=Expected(
                paths,
                probabilities[chosen.places],
                _tolerance(session),
                lambda: _float_error(session, records),
                chosen,
            ),
            proof=proof,
            decision=decision_of(session.run),
        )
    return {"folder": str(export.folder), **export.proof.as_dict()}


def _made_already(run: Run) -> dict[str, Any] | None:
    """What metrics.json is to say of an export of this model that is there: a kill may come right after it."""
    try:
        export = read_export(run.export_folder)
    except RegraftError:
        return None
    if export.proof == NOT_PROVEN or export.model != digest_model(run):
        return None
    return {"folder": str(export.folder), **export.proof.as_dict()}


def _save_awaited_answers(session: Session, probabilities: np.ndarray) -> None:
    with atomic_file(session.run.awaited_answers_file) as temporary:
        np.savez(temporary, probabilities=probabilities)


def _awaited_answers(run: Run) -> np.ndarray:
    try:
        return read_arrays(run.awaited_answers_file)["probabilities"]
    except (ValueError, KeyError) as error:
        raise RunError(
            f"{run.awaited_answers_file} is missing or damaged; regraft export makes the export all the same."
        ) from error


def _proof_photos(session: Session) -> ProofPhotos:
    return choose_proof_photos(session.roles.report, prove=session.prove, seed=session.recipe.seed)


def _tolerance(session: Session) -> float:
    """What is always allowed: a head on features of another runtime is rounded as an export in another format is."""
    least, features_by = tolerance_for(session.model, session.device), session.run.environment.get(FEATURES_BY)
    is_of_features = read_json(session.run.metrics_file)["stage"] == "head"
    is_of_another = features_by not in (None, TENSORFLOW) and is_of_features
    return max(least, FLOAT32.tolerance or 0.0) if is_of_another else least


def _float_error(session: Session, records: Sequence[Record]) -> float:
    infer = make_infer(session.model, session.device)
    return float_error_of(infer, session.reader, records, session.progress)


def _accuracy(candidate: Candidate, session: Session) -> float:
    return float((candidate.report_logits.argmax(axis=1) == labels_of(session.roles.report)).mean())


def _stage_row(candidate: Candidate, session: Session) -> dict[str, Any]:
    return {
        "stage": candidate.stage.name,
        "select_loss": candidate.stage.select_loss,
        "select_accuracy": candidate.stage.select_accuracy,
        "temperature": candidate.stage.temperature,
        **({} if session.folds else {"report_accuracy": _accuracy(candidate, session)}),
        "seconds": candidate.seconds,
        **candidate.facts,
    }


def _report_data(session: Session, choice: Choice, sections: Sequence[ReportSection]) -> ReportData:
    return ReportData(
        title=session.run.folder.name,
        metrics=choice.metrics,
        probabilities=choice.judged,
        truth=labels_of(session.roles.report),
        records=session.roles.report,
        class_names=session.folder.class_names,
        root=session.folder.root,
        stages=[_report_row(candidate, candidate is choice.kept, session) for candidate in choice.candidates],
        kept_because=f"{choice.why[0].upper()}{choice.why[1:]}.",
        history=read_history(session.run.history_file),
        seconds_by_phase=session.watch.seconds,
        notes=[*_notes(session, choice), _proof_photos(session).announcement],
        set_aside=session.folder.unreadable,
        recipe_toml=session.recipe.to_toml(),
        environment=session.run.environment,
        run=session.run.folder,
        sections=sections,
        decision=_decision(session),
        which_images="each by a model that had not seen it" if session.folds else ReportData.which_images,
    )


def _report_row(candidate: Candidate, is_kept: bool, session: Session) -> StageRow:
    stage = candidate.stage
    row: StageRow = {"stage": stage.name, "kept": is_kept}
    if candidate.seconds is not None:
        row["seconds"] = candidate.seconds
    if stage.select_loss is not None and stage.select_accuracy is not None:
        row |= {
            "chosen_on": f"{len(session.roles.select)} selection photos",
            "loss": stage.select_loss,
            "accuracy": stage.select_accuracy,
        }
    return row
