"""What a training that breaks off leaves behind: the roster of its photos, and one line that says how to go on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from regraft.errors import FolderError, RunError, UsageError, option
from regraft.runs.roster import write_roster
from regraft.training.session import Session


@contextmanager
def resumable(session: Session) -> Iterator[None]:
    """Begins with the roster, and turns a full disk or a photo that changed into one line that says how to go on."""
    import tensorflow as tf

    again = f"and continue: {option('resume', True)} {option('out', session.run.folder)}"
    try:
        if not session.run.is_finished:  # else only its export is missing, and the roster has its digest
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
