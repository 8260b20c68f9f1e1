"""`train` and `pretrain`: the phases between a folder of photos and a finished run.

TensorFlow takes seconds to start, so the phases are imported once the request has passed its checks.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from regraft.machine.drafts import draft_folder
from regraft.machine.files import publish
from regraft.progress import Progress
from regraft.runs.run import Run
from regraft.training.purpose import PRETRAINING
from regraft.training.resumable import resumable
from regraft.training.session import Request, Session, open_session

if TYPE_CHECKING:
    import keras

    from regraft.training.judge import Candidate


def train_photos(request: Request, progress: Progress | None = None) -> Run:
    """The finished run of a classifier, trained on a folder of photos as the request's purpose wants it.

    Raises:
        RegraftError: the request does not fit, a photo became unreadable, the disk is full, or the export is not what
            the model is. What has been written can be resumed.
    """
    with open_session(request, progress) as session, resumable(session):
        from regraft.training.finish import FINISHERS, finish, finish_export

        if session.run.is_finished:
            return finish_export(session)
        purpose = request.purpose
        if session.folds:
            from regraft.training.in_folds import judge_in_folds

            judged = judge_in_folds(session, partial(_train_stages, needs_last=False))
            session, candidates, why = _train_stages(session, needs_last=False)
            return finish(session, candidates, why=why, out_of_fold=judged.probabilities,
                          sections=(judged.section,), folds=judged.rows)  # fmt: skip
        session, candidates, why = _train_stages(session, needs_last=purpose.needs_last)
        return FINISHERS[purpose.finish](session, candidates[-1:] if purpose.keeps_last else candidates, why=why)


def pretrain_photos(request: Request, progress: Progress | None = None) -> Run:
    """The finished run of a network trained from scratch, with its backbone's weights beside it, for `weights`.

    Raises as `train_photos` does.
    """
    with open_session(replace(request, purpose=PRETRAINING), progress) as session, resumable(session):
        from regraft.training.finish import finish, finish_export
        from regraft.training.judge import judge_network
        from regraft.training.network import train_network

        if session.run.is_finished:
            return finish_export(session)
        train_network(session)
        candidate = judge_network(session, "pretrained")
        _save_backbone(session)
        return finish(session, [candidate], backbone=str(session.run.backbone_file))


def _train_stages(session: Session, *, needs_last: bool) -> tuple[Session, list[Candidate], str]:
    """The solved head and, where the recipe fine-tunes, the network after it; or the head alone, and why.

    The session that comes back has decided what its recipe had left open.

    Raises:
        DivergedError: there is no network after it, and it is needed.
    """
    from regraft.training.finetune import DivergedError
    from regraft.training.graft import graft
    from regraft.training.judge import judge_network
    from regraft.training.network import train_network

    session, head = graft(session)
    if not session.recipe.finetune.epochs:
        return session, [head], ""
    try:
        train_network(session)
    except DivergedError as error:
        if needs_last:
            raise
        session.progress.say(f"Fine-tuning failed, so the solved head is kept: {error.text}")
        return session, [head], f"fine-tuning failed: {error.text.rstrip('.')}"
    return session, [head, judge_network(session, "fine-tuned")], ""


def _save_backbone(session: Session) -> None:
    """Writes the backbone's weights; HDF5 does not survive a full disk, so there must be room first."""
    backbone = _plain_backbone(session)
    needed = 2 * sum(array.nbytes for array in backbone.get_weights())
    if shutil.disk_usage(session.run.folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(session.run.backbone_file))
    with draft_folder(session.run.folder) as draft:  # HDF5 locks the file itself, as `atomic_file` does
        weights = draft / session.run.backbone_file.name
        backbone.save_weights(weights)
        publish(weights, session.run.backbone_file)


def _plain_backbone(session: Session) -> keras.Model:
    """The trained backbone as other runs build it, without regularizers in its graph."""
    from regraft.models.classifier import backbone_of
    from regraft.models.weights import load_backbone

    choices, trained = session.recipe.model, backbone_of(session.model)
    size = session.reader.image_size
    plain = load_backbone(choices.backbone, "none", image_size=size, alpha=choices.alpha)
    for layer in plain.layers:
        if layer.weights:
            layer.set_weights(trained.get_layer(layer.name).get_weights())
    return plain
