"""What every phase of a training needs, checked and opened in the order in which mistakes are cheap to find."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.data.folds import plan_folds
from regraft.data.pixel_notes import pixel_notes
from regraft.data.readiness import assess
from regraft.data.records import ImageFolder, Record
from regraft.data.rendering import Rendering
from regraft.data.roles import Roles
from regraft.data.sources import TFDS_PREFIX, data_fingerprint, labels_of, load_source
from regraft.errors import RegraftError, RunError, UsageError, option
from regraft.exports.proof import Proof
from regraft.exports.proof_photos import check_prove
from regraft.machine.devices import Device, check_device, open_device
from regraft.machine.signals import saying_how_to_go_on
from regraft.machine.versions import describe_versions
from regraft.models.backbones import parts_of
from regraft.progress import Progress, Silent
from regraft.recipes.recipe import Recipe, edit_recipe
from regraft.recipes.toml_text import brief
from regraft.runs.run import Run, command_to_resume, new_run, resumable_run
from regraft.training.building import graft_onto, load_pretrained
from regraft.training.class_weights import Asked, check_classes, weights_of_classes
from regraft.training.photos_asked import ask_for_backbone, ask_for_fit
from regraft.training.purpose import FULL, MEMBER, SINGLE, TRIAL, Purpose, check_folds
from regraft.training.resolving import resolve, with_range, within_memory

if TYPE_CHECKING:
    import keras
    import numpy as np

    from regraft.inference.views import ViewReader


@dataclass
class Stopwatch:
    """Seconds by phase, in the order in which the phases first ran."""

    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time of the block to `name`."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)

    @property
    def total(self) -> float:
        """Seconds since the stopwatch was made."""
        return round(time.perf_counter() - self.started, 3)


@dataclass(frozen=True)
class Request:
    """What is asked for: a full run, unless it was made by `member`, `single` or `trial`.

    Attributes:
        source: a folder, a table, or `tfds:NAME[:VERSION]`.
        recipe: every choice; with `resume` that of the run takes its place.
        out: the run directory, by default a new one under `saved_models/`.
        resume: continue the unfinished run in `out`.
        device: see `open_device`.
        data_dir: where tensorflow-datasets keeps its data.
        command: the command line, for the record.
        asked: the recipe keys that were asked for by name, with their values; one that is resumed has to have them.
        purpose: which photos it spares, and what it leaves.
        ensemble_plan: what the run of an ensemble is begun with, besides its recipe.
        prove: which reported photos the export is proven on, one of `regraft.exports.proof_photos.PROVE_ON`; a run that
            was begun with "all" goes on with it.
    """

    source: str
    recipe: Recipe
    out: Path | None = None
    resume: bool = False
    device: str = "auto"
    data_dir: Path | None = None
    command: Sequence[str] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    purpose: Purpose = FULL
    ensemble_plan: Mapping[str, Any] | None = None
    prove: str = "sample"

    def member(self, recipe: Recipe, out: Path) -> Request:
        """For a member of an ensemble on the same photos.

        It never learns from selection photos, keeps its last stage, as heads would all be the same, and leaves its
        model, neither exported nor reported.
        """
        return self._part(recipe, out, MEMBER)

    def single(self, recipe: Recipe, out: Path) -> Request:
        """For a single model beside the members of an ensemble: as a member, but it keeps the better stage."""
        return self._part(recipe, out, SINGLE)

    def trial(self, recipe: Recipe, out: Path) -> Request:
        """For a run of a comparison: it leaves the answers of each stage, and no model."""
        return self._part(recipe, out, TRIAL)

    def _part(self, recipe: Recipe, out: Path, purpose: Purpose) -> Request:
        return replace(self, recipe=recipe, out=out, resume=False, asked={}, purpose=purpose, ensemble_plan=None)


@dataclass(frozen=True)
class Session:
    """A training that has passed every check and has its run directory.

    Attributes:
        run: where everything goes.
        recipe: resolved.
        folder: the photos.
        roles: what each of them is for.
        spared: selection photos that a head may learn from once it is kept: not those of a split val, but in folds all.
        device, model, reader: what computes, the network, and how a photo becomes a view of it.
        progress, watch: who is told, and what has taken how long.
        backbone: of the model, as its weights came.
        folds: the roles of each fold's model, where there are folds.
        proof: the process that will check the export, where it was started early.
        prove: see `Request`.
    """

    run: Run
    recipe: Recipe
    folder: ImageFolder
    roles: Roles
    spared: tuple[Record, ...]
    device: Device
    model: keras.Model
    reader: ViewReader
    progress: Progress
    watch: Stopwatch
    backbone: keras.Model | None = None
    proof: Proof | None = None
    prove: str = "sample"
    folds: tuple[Roles, ...] = ()

    @property
    def class_count(self) -> int:
        """How many classes the model tells apart."""
        return len(self.folder.class_names)

    @property
    def head_weights(self) -> np.ndarray | None:
        """float64 [C]: what a photo of each class counts where a head is solved; None where all count the same."""
        return self._weights(self.recipe.head.class_weights)

    @property
    def finetune_weights(self) -> np.ndarray | None:
        """The same where the network is trained, as it is shown or weighted, and where stages are judged."""
        return self._weights(self.recipe.finetune.balance)

    def _weights(self, asked: Asked) -> np.ndarray | None:
        return weights_of_classes(asked, labels_of(self.roles.fit), self.folder.class_names)


@contextmanager
def open_session(request: Request, progress: Progress | None = None) -> Iterator[Session]:
    """Checks the request, opens what it names and starts the run directory, which is the last step.

    Nobody else writes to the run while the block runs, and what interrupts it is told how to go on.

    Raises:
        RegraftError: something does not fit; nothing has been written.
    """
    with ExitStack() as stack:
        yield _open(request, progress or Silent(), stack)


def _open(request: Request, progress: Progress, stack: ExitStack) -> Session:
    check_prove(request.prove)
    watch, purpose = Stopwatch(), request.purpose
    run = _find_run(request, stack)
    recipe = _kept_recipe(run, request.asked) if request.resume else resolve(request.recipe)
    check_device(request.device)
    check_folds(recipe, purpose)
    trains_long = recipe.finetune.epochs > 0
    if not purpose.has_head:
        _check_pretraining(recipe)
    # Reading a dataset starts TensorFlow, after which devices stay as they are.
    opened = open_device(request.device) if request.source.startswith(TFDS_PREFIX) else None
    with watch.phase("scan"):
        folder = _load_photos(request, recipe, progress)
        recipe = recipe if request.resume else with_range(recipe, folder)
        needs_selection = purpose.holds_selection or (trains_long and purpose.has_head)
        roles = plan_training(folder, recipe, progress, needs_selection=needs_selection)
        roles, folds = _in_folds(folder, recipe, roles, needs_selection=needs_selection)
        fingerprint = data_fingerprint(folder)
    # TensorFlow starts on one core: where the proof comes soon, its process starts on the other meanwhile.
    use_gpus = not request.device.startswith("cpu")
    proof = stack.enter_context(Proof(use_gpus=use_gpus)) if purpose.exports and not trains_long else None
    with watch.phase("start"):
        device = opened or open_device(request.device)
        _check_batch_size(recipe, device)
    with watch.phase("backbone") if recipe.model.backbone == "auto" else nullcontext():
        recipe, found = ask_for_backbone(recipe, device, roles, len(folder.class_names), progress)
    with watch.phase("start"):
        backbone, digest = load_pretrained(recipe, device)
        model = graft_onto(backbone, recipe, len(folder.class_names), device)
        if not request.resume and purpose not in (MEMBER, SINGLE):  # who cannot choose otherwise any more tries
            images = len(roles.fit + roles.select + roles.report)
            if (fitting := within_memory(recipe, model, images, progress)) != recipe:
                recipe, model = fitting, graft_onto(backbone, fitting, len(folder.class_names), device)
    environment = _describe(request, folder, device, fingerprint, digest)
    if recipe.data.fit == "auto":
        with watch.phase("fit"):
            recipe, fits = ask_for_fit(recipe, model, device, roles, progress)
        found |= fits
    if request.resume:
        _check_same(run, environment)
        run.tidy()
        what = "the export of " if run.is_finished else ""
        progress.say(f"Continuing {what}{run.folder} with its own recipe.")
    else:
        run.start(recipe, folder.class_names, environment | found, ensemble_plan=request.ensemble_plan)
        hold(run, stack, request.source)
    from regraft.inference.views import ViewReader

    reader = ViewReader.of_recipe(recipe)
    may_spare = not purpose.holds_selection
    spared = tuple(record for record in roles.select if may_spare and (folds or record.split != "val"))
    prove = "all" if "all" in (request.prove, run.environment.get("prove")) else "sample"
    return Session(
        run, recipe, folder, roles, spared, device, model, reader, progress, watch, backbone, proof, prove, folds
    )


def run_to_resume(out: Path | None, sources: str | list[str], stack: ExitStack) -> Run:
    """The run in `out` that lacks something, kept from other processes until the stack is left.

    Raises:
        RunError: there is none, it lacks nothing, or another process is writing it.
    """
    if out is None:
        raise RunError(f"{option('resume', True)} needs {option('out')} with the directory of the unfinished run.")
    hold(resumable_run(out), stack, sources)
    return resumable_run(out)  # another process may have finished it meanwhile


def hold(run: Run, stack: ExitStack, sources: str | list[str]) -> None:
    """Keeps the run from other processes until the stack is left, and tells what interrupts that how to go on.

    Raises:
        RunError: another process is writing it.
    """
    stack.enter_context(run.held())
    verb = run.environment.get("verb", "train")
    stack.enter_context(saying_how_to_go_on(f"go on: {command_to_resume(verb, sources, run.folder)}"))


def plan_training(folder: ImageFolder, recipe: Recipe, progress: Progress, *, needs_selection: bool = True) -> Roles:
    """What each photo of `folder` does in a training; `progress` is told what should be put right.

    Raises:
        UsageError: the recipe names a class that it has not.
        FolderError: nothing can be trained on it, as `check` says as well.
    """
    readiness = assess(
        folder,
        val_fraction=recipe.data.val_fraction,
        select_fraction=recipe.data.select_fraction,
        needs_selection=needs_selection,
        seed=recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed,
    )
    check_classes(recipe, folder.class_names)
    roles = readiness.require()
    seen = Rendering(recipe.data.background, recipe.data.range)
    for text in (*readiness.warnings, *pixel_notes(folder, seen)):
        progress.say(text)
    return roles


def _in_folds(
    folder: ImageFolder, recipe: Recipe, roles: Roles, *, needs_selection: bool
) -> tuple[Roles, tuple[Roles, ...]]:
    """The roles with the folds that the recipe asks for, and those of each; `roles` and none where it asks for none.

    Raises:
        FolderError: the photos cannot be parted so.
    """
    data = recipe.data
    if not data.folds:
        return roles, ()
    seed = recipe.seed if data.split_seed is None else data.split_seed
    return plan_folds(
        folder, folds=data.folds, select_fraction=data.select_fraction, needs_selection=needs_selection, seed=seed
    )


def _load_photos(request: Request, recipe: Recipe, progress: Progress) -> ImageFolder:
    return load_source(request.source, data_dir=request.data_dir, progress=progress, choices=recipe.data.source)


def look_at_photos(request: Request, recipes: Sequence[Recipe], progress: Progress) -> None:
    """Tells `progress` what a training on the folder of `request` would, for trainings that are silent themselves.

    Raises:
        UsageError: one of the recipes names a class that it has not.
        FolderError: nothing can be trained on it.
    """
    if not request.source.startswith(TFDS_PREFIX):  # what we have written out ourselves is as it should be
        recipe = recipes[0]
        folder = _load_photos(request, recipe, progress)
        for each in recipes:
            check_classes(each, folder.class_names)
        plan_training(folder, recipe, progress, needs_selection=recipe.finetune.epochs > 0)


def _find_run(request: Request, stack: ExitStack) -> Run:
    if not request.resume:
        return new_run(request.out, Path(request.source).name.replace(":", "-") or "run")
    return run_to_resume(request.out, request.source, stack)


def _kept_recipe(run: Run, asked: Mapping[str, Any]) -> Recipe:
    """The recipe that a run goes on with. Raises UsageError where another value was asked for one of its keys."""
    kept = run.recipe
    asked = {key: value for key, value in asked.items() if value != "auto"}  # which leaves it as it is
    try:
        again = resolve(edit_recipe(kept, asked))
    except RegraftError as error:
        raise error.after(f"{run.folder} goes on with its own recipe: ") from None
    for key in asked:
        if again.at(key) != kept.at(key):
            raise UsageError(
                f"{run.folder} goes on with its own recipe, in which {key} is {kept.at(key)}; received "
                f"{brief(asked[key])}. Leave it out, or train anew with another {option('out')}."
            )
    return kept


def _check_pretraining(recipe: Recipe) -> None:
    if len(parts_of(recipe.model.backbone)) > 1:
        raise UsageError(f"pretrain trains one backbone at a time; received model.backbone = {recipe.model.backbone}.")
    if recipe.model.weights != "none" or not recipe.finetune.epochs:
        raise UsageError(
            "pretrain starts from fresh weights and trains at least one epoch; expected model.weights = none and "
            f"finetune.epochs above 0, received {recipe.model.weights} and {recipe.finetune.epochs}."
        )


def _check_batch_size(recipe: Recipe, device: Device) -> None:
    if recipe.finetune.batch_size % device.count:
        raise UsageError(
            f"finetune.batch_size must be a multiple of the {device.count} devices; received "
            f"{recipe.finetune.batch_size}."
        )


def _describe(request: Request, folder: ImageFolder, device: Device, fingerprint: str, digest: str) -> dict[str, Any]:
    return {
        "verb": request.purpose.verb,
        "command": " ".join(request.command),
        "source": request.source,
        "root": str(folder.root.absolute()),
        "table": str(folder.table.absolute()) if folder.table else "",
        "seed": request.recipe.seed,
        "device": device.name,
        "precision": device.precision,
        "data_fingerprint": fingerprint,
        "prove": request.prove,
        "weights_digest": digest,
        "versions": describe_versions(),
        "platform": platform.platform(),
    }


def _check_same(run: Run, environment: Mapping[str, Any]) -> None:
    """Raises RunError where something is no longer what the run began with, so that it would end otherwise."""
    for key, what in (
        ("verb", "another verb began it"),
        ("data_fingerprint", "the images have changed since it began"),
        ("weights_digest", "the pretrained weights have changed since it began"),
        ("precision", "it began in another precision"),
        ("versions", "it began with other versions of its libraries"),
    ):
        if run.environment.get(key) != environment[key]:
            advice = "regraft export makes its export all the same" if run.is_finished else "Train anew"
            raise RunError(f"{run.folder} cannot be resumed: {what}. {advice}.")
