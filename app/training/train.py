"""`train` and `pretrain`: the phases between a folder of photos and a finished run directory."""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regraft.augment.policy import AugmentPolicy
from regraft.data.photos import UnreadablePhoto
from regraft.data.records import Record
from regraft.data.roles import group_duplicates
from regraft.data.sources import is_plain_jpeg, labels_of, tensorflow_path, upright_size
from regraft.errors import FolderError, RunError, UsageError
from regraft.evidence.conformal import write_calibration
from regraft.evidence.losses import losses_of
from regraft.evidence.metrics import Metrics, measure
from regraft.evidence.report import ReportData, ReportSection, StageRow, write_judgement
from regraft.exports.proof import Proof
from regraft.exports.saved_model import Expected, export_proven, tolerance_for
from regraft.inference.features import FeatureCache, extract_features, features_made_by
from regraft.inference.outputs import logits_of
from regraft.inference.views import make_infer, softmax
from regraft.machine.cache import cache_folder
from regraft.machine.files import atomic_file, write_json
from regraft.machine.threads import map_ordered
from regraft.models.backbones import build_backbone
from regraft.models.batch_norm import reestimate_batch_norm
from regraft.models.classifier import backbone_of, feature_extractor, set_head, set_trainable
from regraft.models.combine_members import cool
from regraft.progress import Silent
from regraft.runs.history import read_history
from regraft.runs.roster import write_roster
from regraft.training.finetune import fine_tune, make_trainer
from regraft.training.head import Head, choose_l2, solve_head
from regraft.training.pipeline import TrainingImages, steps_per_epoch, training_batches
from regraft.training.session import Session
from regraft.training.stages import Stage, choose_stage, judge_stage

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Candidate:
    """A stage, all weights of the model in it, its logits float32 [N, C] for the reported images, and its facts."""

    stage: Stage
    weights: list[np.ndarray]
    report_logits: np.ndarray
    seconds: float
    facts: Mapping[str, Any]

    @property
    def probabilities(self) -> np.ndarray:
        """float32 [N, C] for the reported images, at the stage's temperature."""
        return softmax(self.report_logits / self.stage.temperature)


def train(session: Session) -> dict[str, Any]:
    """Trains a classifier, keeps the better stage, judges and exports it. Returns what `metrics.json` holds.

    A session that does not leave everything leaves `stages.npz` in the place of export and report.

    Raises:
        RegraftError: a photo became unreadable, the disk is full, the export is not what the model is. What has been
            written can be resumed.
    """
    with resumable(session):
        candidates = [graft(session)]
        if session.recipe.finetune.epochs:
            _fine_tune(session)
            candidates.append(judge_network(session, "fine-tuned"))
        return finish(session, candidates[-1:] if session.keeps == "last" else candidates)


def pretrain(session: Session) -> dict[str, Any]:
    """Trains a network from scratch and writes its backbone's weights beside the run, for `--weights`.

    Returns and raises as `train` does.
    """
    with resumable(session):
        _fine_tune(session)
        candidate = judge_network(session, "pretrained")
        _save_backbone(session)
        return finish(session, [candidate], backbone=str(session.run.backbone_file))


@contextmanager
def resumable(session: Session) -> Iterator[None]:
    """Begins with the roster, and turns a full disk or a photo that changed into one line that says how to go on."""
    import tensorflow as tf

    again = f"and continue with --resume --out {session.run.folder}."
    try:
        write_roster(session.run.roster_file, session.roles, session.folder.class_names)
        yield
    except OSError as error:
        place = error.filename or session.run.folder
        raise RunError(f"{place} cannot be written: {error.strerror or error}. Make room {again}") from error
    except tf.errors.ResourceExhaustedError as error:
        raise UsageError("Out of memory; lower finetune.batch_size or data.image_size.") from error
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
        reason = re.search(r"^(.+)\n\t \[\[", error.message, re.MULTILINE)  # what stands before the graph's trace
        what = reason.group(1)[:200] if reason else type(error).__name__
        raise FolderError(f"A photo changed or vanished during training ({what}); put it back {again}") from error


def _save_backbone(session: Session) -> None:
    """Writes the backbone's weights; HDF5 does not survive a full disk, so there must be room first."""
    backbone = _plain_backbone(session)
    needed = 2 * sum(array.nbytes for array in backbone.get_weights())
    if shutil.disk_usage(session.run.folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(session.run.backbone_file))
    with atomic_file(session.run.backbone_file) as temporary:
        backbone.save_weights(temporary)


def _plain_backbone(session: Session) -> keras.Model:
    """The trained backbone as other runs build it, without regularizers in its graph."""
    choices, trained = session.recipe.model, backbone_of(session.model)
    plain = build_backbone(choices.backbone, image_size=session.reader.image_size, alpha=choices.alpha)
    for layer in plain.layers:
        if layer.weights:
            layer.set_weights(trained.get_layer(layer.name).get_weights())
    return plain


def graft(session: Session) -> Candidate:
    """Solves the head on the frozen backbone's features, and puts it where fine-tuning is to begin from it."""
    roles = session.roles
    with session.watch.phase("features"):
        features = features_of(session)
    fit, select, report = np.split(features, np.cumsum([len(roles.fit), len(roles.select)]))
    with session.watch.phase("head"):
        l2, l2_losses = _choose_l2(session, fit)
        head = solve(session, fit, labels_of(roles.fit), l2)
        stage = judge_stage("head", head.logits(select), labels_of(roles.select), temperature=1.0)
        spared = _spared(session)
        kept = solve(session, np.concatenate([fit, select]), labels_of(roles.fit + spared), l2) if spared else head
    weights = _weights_with(session.model, kept)
    if session.recipe.model.weights != "none":  # training leaves nothing of the features of fresh weights
        set_head(session.model, head.kernel, head.bias)
    facts = {
        "solver": session.recipe.head.solver,
        "l2": kept.l2,
        "l2_losses": {f"{key:g}": loss for key, loss in l2_losses.items()},
        "iterations": kept.iterations,
        "objective": kept.objective,
        "solve_seconds": kept.seconds,
    }
    seconds = session.watch.seconds["features"] + session.watch.seconds["head"]
    return Candidate(stage, weights, kept.logits(report), seconds, facts)


def _spared(session: Session) -> tuple[Record, ...]:
    """Training images that were set aside to choose the stage; where the head is kept, it learns from them too."""
    if session.holds_select:
        return ()
    return tuple(record for record in session.roles.select if record.split != "val")


def _choose_l2(session: Session, features: np.ndarray) -> tuple[float, dict[float, float]]:
    records, choices = session.roles.fit, session.recipe.head
    return choose_l2(
        features,
        labels_of(records),
        class_count=session.class_count,
        candidates=choices.l2,
        groups=group_duplicates(records),
        folds=choices.folds,
        seed=session.recipe.seed,
        max_iterations=choices.max_iterations,
    )


def _weights_with(model: keras.Model, head: Head) -> list[np.ndarray]:
    """All weights of `model` with `head` in it; the model itself stays as it is."""
    untouched = model.get_weights()
    set_head(model, head.kernel, head.bias)
    weights = model.get_weights()
    model.set_weights(untouched)
    return weights


def features_of(session: Session) -> np.ndarray:
    """float32 [N, C]: the frozen backbone's features of the images to fit, to select by and to report on, in order."""
    roles = session.roles
    extractor = feature_extractor(session.model)
    infer = make_infer(extractor, session.device)
    cache = FeatureCache(cache_folder(), features_made_by(extractor, session.reader, session.device))
    records = roles.fit + roles.select + roles.report
    return extract_features(records, infer, session.reader, cache, session.progress)


def solve(session: Session, features: np.ndarray, labels: np.ndarray, l2: float) -> Head:
    """The head that the recipe asks for, on features [N, C] of images with labels int [N]."""
    return solve_head(
        features,
        labels,
        class_count=session.class_count,
        l2=l2,
        seed=session.recipe.seed,
        **session.recipe.head.model_dump(exclude={"l2", "folds"}),
    )


def unfreeze(session: Session) -> None:
    """Lets the part of the network be trained, and its batch norms do, what the recipe says."""
    choices = session.recipe.finetune
    part = choices.unfreeze if choices.unfreeze is not None else 1.0
    batch_norm: Literal["frozen", "adaptive"] = "adaptive" if choices.batch_norm == "adaptive" else "frozen"
    set_trainable(session.model, unfreeze=part, batch_norm=batch_norm)


def _fine_tune(session: Session) -> None:
    """Trains the network from where it stands, its batch norm and frozen part as the recipe says."""
    with session.watch.phase("fine-tune"):
        unfreeze(session)
        fine_tune(
            session.model,
            training_images(session),
            session.recipe,
            device=session.device,
            checkpoints=session.run.checkpoints,
            history_file=session.run.history_file,
            snapshots=session.run.snapshots,
            select=_make_select(session),
            progress=session.progress,
        )
        if session.recipe.finetune.batch_norm == "reestimated":
            import tensorflow as tf

            reestimate_batch_norm(session.model, whole_batches(session), compiled=tf.function)


def whole_batches(session: Session) -> Iterator[np.ndarray]:
    """The deterministic views of the training photos, in whole batches."""
    size, views = session.recipe.finetune.batch_size, []
    for view in session.reader.read_all(record.path for record in session.roles.fit):
        if isinstance(view, UnreadablePhoto):
            raise FolderError(f"A photo became unreadable: {view}. Run the command again.")
        views.append(view)
        if len(views) == size:
            yield np.stack(views)
            views = []
    if views and len(session.roles.fit) < size:
        yield np.stack(views)


def _make_select(session: Session) -> Callable[[], tuple[float, float]] | None:
    records = session.roles.select
    if not records:
        return None
    infer, labels = make_infer(session.model, session.device), labels_of(records)

    def select() -> tuple[float, float]:
        logits = logits_of(records, infer, session.reader, Silent(), "select")
        return float(losses_of(logits, labels).mean()), float((logits.argmax(axis=1) == labels).mean())

    return select


def training_images(session: Session) -> TrainingImages:
    """What the network is trained on."""
    records = session.roles.fit
    sizes = np.array([upright_size(record) for record in records])
    plain = [is_plain_jpeg(record) for record in records]
    paths = [str(path) for path in map_ordered(tensorflow_path, records)]
    return TrainingImages(paths, labels_of(records), sizes[:, 0], sizes[:, 1], np.array(plain))


def make_step(session: Session, steps: int) -> Callable[[float], float]:
    """A function that trains on the next batch at a rate and returns the loss before it."""
    from regraft.models.schedules import Constant

    unfreeze(session)
    images, recipe = training_images(session), session.recipe
    batch_size = recipe.finetune.batch_size
    batches = training_batches(
        images,
        class_count=session.class_count,
        policy=AugmentPolicy(**recipe.augment.values),
        image_size=session.reader.image_size,
        batch_size=batch_size,
        seed=recipe.seed,
        first_epoch=0,
        epochs=math.ceil(steps / steps_per_epoch(len(images.paths), batch_size)),
    )
    rate_now = Constant(0.0)
    with session.device.strategy.scope():
        trainer = make_trainer(session.model, recipe, rate_now, session.device)
    shown = iter(batches)

    def step(rate: float) -> float:
        rate_now.rate.assign(rate)
        trainer.reset_metrics()
        return float(trainer.train_on_batch(*next(shown), return_dict=True)["loss"])

    return step


def judge_network(session: Session, name: str) -> Candidate:
    """The model as it stands, judged on the selection images, with its logits for the reported ones."""
    roles, infer, reader = session.roles, make_infer(session.model, session.device), session.reader
    with session.watch.phase("judge"):
        logits = logits_of(roles.select + roles.report, infer, reader, session.progress, "judge")
    select, report = np.split(logits, [len(roles.select)])
    stage = judge_stage(name, select, labels_of(roles.select))
    return Candidate(stage, session.model.get_weights(), report, session.watch.seconds["fine-tune"], {})


def finish(
    session: Session, candidates: Sequence[Candidate], *, sections: Sequence[ReportSection] = (), **more: Any
) -> dict[str, Any]:
    """Keeps the better stage, saves, exports and proves it, and writes the report; `metrics.json` last.

    Args:
        session: whose `leaves` says what is left.
        candidates: the stages, from simple to elaborate.
        sections: what the report has to say besides.
        more: goes into `metrics.json`.
    """
    stage, why = choose_stage([candidate.stage for candidate in candidates])
    kept = next(candidate for candidate in candidates if candidate.stage is stage)
    session.model.set_weights(kept.weights)
    cool(session.model, stage.temperature)
    probabilities = kept.probabilities
    metrics = measure(labels_of(session.roles.report), probabilities, session.folder.class_names)
    shipped = {}
    if session.leaves != "answers":
        _save(session, probabilities)
    if session.leaves == "everything":
        shipped = _ship(session, probabilities)
        with session.watch.phase("report"):
            data = _report_data(session, candidates, kept, why, metrics, probabilities)
            write_judgement(session.run.folder, replace(data, sections=sections))
    else:
        _write_stages(session, candidates, kept)
    summary = {
        "run": str(session.run.folder),
        "stage": stage.name,
        "stage_reason": why,
        **metrics.as_dict(),
        "reported_on": session.roles.report_name,
        "seconds": session.watch.total,
        "seconds_by_phase": session.watch.seconds,
        "learned_from_select": stage.name == "head" and bool(_spared(session)),
        "notes": _notes(session, stage),
        "set_aside": [{"path": str(file.path), "reason": file.reason} for file in session.folder.unreadable],
        "stages": [_stage_row(candidate, session) for candidate in candidates],
        **shipped,
        **more,
    }
    write_json(session.run.metrics_file, summary)
    shutil.rmtree(session.run.checkpoints, ignore_errors=True)
    return summary


def _save(session: Session, probabilities: np.ndarray) -> None:
    """Saves the model, and how it answers photos it knows nothing of, for `--unknown-at`."""
    with session.watch.phase("save"):
        with atomic_file(session.run.model_file) as temporary:
            session.model.save(temporary)
        write_calibration(session.run.calibration_file, probabilities, labels_of(session.roles.report))


def _ship(session: Session, probabilities: np.ndarray) -> dict[str, Any]:
    """Exports the model; what the proof found, under "export"."""
    with session.watch.phase("export"):
        return {"export": _export(session, probabilities)}


def _write_stages(session: Session, candidates: Sequence[Candidate], kept: Candidate) -> None:
    """What each stage answered for the reported images, for comparisons image by image."""
    with atomic_file(session.run.stages_file) as temporary:
        np.savez(
            temporary,
            fingerprints=np.array([record.fingerprint for record in session.roles.report]),
            truth=labels_of(session.roles.report),
            names=np.array([candidate.stage.name for candidate in candidates]),
            probabilities=np.stack([candidate.probabilities for candidate in candidates]),
            kept=np.array([candidate is kept for candidate in candidates]).argmax(),
        )


def _notes(session: Session, kept: Stage) -> list[str]:
    """Which images are behind which number."""
    notes, spared = list(session.roles.notes), _spared(session)
    if kept.name == "head" and spared:
        notes.append(f"The head that is kept was then solved anew, on those {len(spared):,} images as well.")
    return notes


def _export(session: Session, probabilities: np.ndarray) -> dict[str, Any]:
    paths = [tensorflow_path(record) for record in session.roles.report]
    with session.proof or Proof() as proof:
        export = export_proven(
            session.model,
            session.folder.class_names,
            session.run.export_folder,
            image_size=session.reader.image_size,
            crop_fraction=session.recipe.data.crop_fraction,
            expected=Expected(paths, probabilities, tolerance_for(session.model, session.device)),
            proof=proof,
        )
    return {"folder": str(export.folder), **export.proof}


def _stage_row(candidate: Candidate, session: Session) -> dict[str, Any]:
    labels = labels_of(session.roles.report)
    return {
        "stage": candidate.stage.name,
        "select_loss": candidate.stage.select_loss,
        "select_accuracy": candidate.stage.select_accuracy,
        "temperature": candidate.stage.temperature,
        "report_accuracy": float((candidate.report_logits.argmax(axis=1) == labels).mean()),
        "seconds": candidate.seconds,
        **candidate.facts,
    }


def _report_data(
    session: Session,
    candidates: Sequence[Candidate],
    kept: Candidate,
    why: str,
    metrics: Metrics,
    probabilities: np.ndarray,
) -> ReportData:
    return ReportData(
        title=session.run.folder.name,
        metrics=metrics,
        probabilities=probabilities,
        truth=labels_of(session.roles.report),
        records=session.roles.report,
        class_names=session.folder.class_names,
        root=session.folder.root,
        stages=[_report_row(candidate, candidate is kept, session) for candidate in candidates],
        kept_because=f"{why[0].upper()}{why[1:]}.",
        history=read_history(session.run.history_file),
        seconds_by_phase=session.watch.seconds,
        notes=_notes(session, kept.stage),
        set_aside=session.folder.unreadable,
        recipe_toml=session.recipe.to_toml(),
        environment=session.run.environment,
        run=session.run.folder,
    )


def _report_row(candidate: Candidate, is_kept: bool, session: Session) -> StageRow:
    stage = candidate.stage
    row: StageRow = {"stage": stage.name, "kept": is_kept, "seconds": candidate.seconds}
    if stage.select_loss is not None and stage.select_accuracy is not None:
        row |= {
            "chosen_on": f"{len(session.roles.select)} images set aside for it",
            "loss": stage.select_loss,
            "accuracy": stage.select_accuracy,
        }
    return row
