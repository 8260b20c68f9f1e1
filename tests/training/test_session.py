"""What is checked and opened before a training starts, and what a resumed one must find as it was."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from drawn_photos import PhotoFolder
from trained_runs import TrainedRun

import regraft.models
from regraft.data.records import Record
from regraft.errors import RegraftError, RunError, UsageError
from regraft.machine.devices import Device, open_device
from regraft.progress import Progress
from regraft.recipes.recipe import Recipe, edit_recipe, load_recipe
from regraft.training.building import build_model
from regraft.training.fitting import FitChoice
from regraft.training.resolving import resolve
from regraft.training.session import Request, Stopwatch, open_session

TINY = load_recipe("balanced", {"model.backbone": "tiny"})
OTHERWISE = "Leave it out, or train anew with another out."


def test_a_stopwatch_adds_the_seconds_of_a_phase_up_in_the_order_of_first_use(monkeypatch: pytest.MonkeyPatch):
    times = iter([1.0, 3.0, 3.0, 3.5, 4.0, 8.0, 9.0])
    monkeypatch.setattr("regraft.training.session.time.perf_counter", lambda: next(times))
    watch = Stopwatch(started=0.0)
    for name in ("scan", "judge", "scan"):
        with watch.phase(name):
            pass
    assert watch.seconds == {"scan": 6.0, "judge": 0.5}
    assert list(watch.seconds) == ["scan", "judge"]
    assert watch.total == 9.0


def test_what_layers_draw_from_the_global_generators_follows_the_seed(monkeypatch: pytest.MonkeyPatch):
    """Layers of keras.applications, which are given no seed of their own, draw theirs from there."""
    drawn: list[float] = []

    def load(*_: object, **__: object) -> keras.Model:
        drawn.extend([random.random(), float(np.random.random()), float(keras.random.uniform(()))])
        picture = keras.Input((32, 32, 3))
        return keras.Model(picture, keras.layers.Conv2D(4, 3)(picture))

    monkeypatch.setattr("regraft.models.weights.load_backbone", load)
    for seed in (1, 1, 2):
        build_model(resolve(load_recipe("quick", {"model.backbone": "tiny", "seed": seed})), 2, open_device("cpu"))
    first, again, other = drawn[:3], drawn[3:6], drawn[6:]
    assert first == again
    assert not set(first) & set(other)


def test_fresh_weights_follow_the_seed():
    first, again, other = (
        build_model(resolve(load_recipe("quick", {"model.backbone": "tiny", "model.weights": "none", "seed": seed})), 2,
                    open_device("cpu"))[1]
        for seed in (1, 1, 2)
    )  # fmt: skip
    assert first == again != other


def test_a_model_is_a_function_of_the_recipe():
    device = open_device("cpu")
    recipes = [resolve(TINY), resolve(TINY), resolve(TINY.model_copy(update={"seed": 1}))]
    first, again, other = (build_model(recipe, 3, device) for recipe in recipes)
    assert first[1] == again[1] == other[1]  # the shipped weights
    heads = [model.get_layer("head").get_weights()[0] for model, _ in (first, again, other)]
    np.testing.assert_array_equal(heads[0], heads[1])
    assert not np.array_equal(heads[0], heads[2])


@pytest.fixture
def request_for(photo_folder: PhotoFolder, tmp_path: Path) -> Request:
    return Request(str(photo_folder({"ant": 4, "bee": 4})), TINY, out=tmp_path / "run")


def interrupt(request: Request) -> None:
    """Starts a run and leaves it before anything is trained."""
    with open_session(request):
        pass


def refusal(request: Request) -> str:
    with pytest.raises(RegraftError) as caught:
        interrupt(request)
    return str(caught.value)


def test_a_session_has_its_run_directory_and_a_role_for_each_image(request_for: Request):
    with open_session(request_for) as session:
        assert {path.name for path in session.run.folder.iterdir()} == {
            "recipe.toml", "environment.json", "labels.txt", "checkpoints",
        }  # fmt: skip
        assert session.class_count == 2
        assert len(session.roles.fit + session.roles.select + session.roles.report) == 8
        assert session.run.recipe == session.recipe == resolve(TINY)
        assert not session.run.is_finished


def test_in_folds_a_head_may_learn_from_all_selection_photos_whatever_their_split(
    photo_folder: PhotoFolder, tmp_path: Path
):
    counts = {f"{split}/{name}": 6 for split in ("train", "val", "test") for name in ("ant", "bee")}
    trains = edit_recipe(TINY, {"finetune.epochs": 1, "data.select_fraction": 0.5})
    request = Request(str(photo_folder(counts)), trains, out=tmp_path / "splits")
    with open_session(request) as session:
        assert {record.split for record in session.roles.select} == {"val"}
        assert session.spared == ()
    folded = edit_recipe(trains, {"data.folds": 2})
    with open_session(replace(request, recipe=folded, out=tmp_path / "folds")) as session:
        assert {record.split for record in session.roles.select} == {"train", "val", "test"}
        assert session.spared == session.roles.select


def test_a_fit_that_is_left_to_the_photos_is_in_the_recipe_of_the_run(request_for: Request, monkeypatch):
    asked = []

    def choose(recipe: Recipe, model: keras.Model, device: Device, records: list[Record], _: Progress) -> FitChoice:
        asked.extend(records)
        return FitChoice("pad", 7, {"crop": 0.5, "pad": 0.25})

    monkeypatch.setattr("regraft.training.fitting.choose_fit", choose)
    auto = replace(request_for, recipe=edit_recipe(TINY, {"data.fit": "auto"}))
    with open_session(auto) as session:
        assert session.reader.fit == session.run.recipe.data.fit == "pad"
        assert session.run.environment["fit_losses"] == {"crop": 0.5, "pad": 0.25}
        assert asked == list(session.roles.fit)
    monkeypatch.setattr("regraft.training.fitting.choose_fit", None)
    with open_session(replace(auto, resume=True, asked={"data.fit": "auto"})) as session:
        assert session.reader.fit == "pad"
    with pytest.raises(UsageError, match=r"in which data\.fit is pad; received crop"):
        interrupt(replace(auto, resume=True, asked={"data.fit": "crop"}))


def test_resuming_takes_the_recipe_of_the_run(request_for: Request):
    interrupt(request_for)
    other = TINY.model_copy(update={"seed": 7})
    with open_session(replace(request_for, recipe=other, resume=True)) as session:
        assert session.recipe.seed == 0


@pytest.mark.parametrize(
    "asked", [{}, {"seed": 0, "finetune.epochs": 8, "data.image_size": 32}, {"recipe": "balanced"}]
)
def test_resuming_takes_what_is_asked_for_again(request_for: Request, asked):
    interrupt(request_for)
    interrupt(replace(request_for, resume=True, asked=asked))


def test_resuming_takes_the_same_weights_by_another_path(request_for: Request, tmp_path: Path, monkeypatch):
    weights = tmp_path / "own.weights.h5"
    shutil.copy(Path(str(regraft.models.__file__)).with_name("pretrained") / "tiny.weights.h5", weights)
    interrupt(replace(request_for, recipe=edit_recipe(TINY, {"model.weights": str(weights)})))
    monkeypatch.chdir(tmp_path)
    interrupt(replace(request_for, resume=True, asked={"model.weights": "own.weights.h5"}))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"seed": 7}, f", in which seed is 0; received 7. {OTHERWISE}"),
        ({"recipe": "quick"}, f", in which recipe is balanced; received quick. {OTHERWISE}"),
        ({"augment.mixup": 0.5}, f", in which augment.mixup is 0.0; received 0.5. {OTHERWISE}"),
        ({"model.weights": "none"}, f", in which model.weights is shipped; received none. {OTHERWISE}"),
        ({"model.backbone": "tinny"}, ': There is no backbone "tinny". Did you mean "tiny"?'),
    ],
)
def test_resuming_refuses_another_recipe_than_the_run_began_with(request_for: Request, asked, reason: str):
    interrupt(request_for)
    assert refusal(replace(request_for, resume=True, asked=asked)) == (
        f"{request_for.out} goes on with its own recipe{reason}"
    )


def test_resuming_refuses_photos_that_have_changed(request_for: Request):
    interrupt(request_for)
    Path(request_for.source, "ant/000.jpg").unlink()
    expected = f"{request_for.out} cannot be resumed: the images have changed since it began. Train anew."
    assert refusal(replace(request_for, resume=True)) == expected


def test_resuming_goes_on_with_photos_that_have_moved(request_for: Request):
    interrupt(request_for)
    moved = Path(request_for.source).rename(Path(request_for.source).with_name("moved"))
    interrupt(replace(request_for, source=str(moved), resume=True))


def test_resuming_refuses_weights_that_have_changed(request_for: Request, tmp_path: Path):
    import keras

    from regraft.models.backbones import build_backbone

    def recipe_with_weights_of(seed: int) -> Recipe:
        keras.utils.set_random_seed(seed)
        build_backbone("tiny", image_size=32, seed=seed).save_weights(tmp_path / "mine.weights.h5")
        return load_recipe("balanced", {"model.backbone": "tiny", "model.weights": str(tmp_path / "mine.weights.h5")})

    interrupt(replace(request_for, recipe=recipe_with_weights_of(1)))
    recipe_with_weights_of(2)
    expected = f"{request_for.out} cannot be resumed: the pretrained weights have changed since it began. Train anew."
    assert refusal(replace(request_for, resume=True)) == expected


def test_resuming_refuses_a_finished_run_a_missing_one_and_none(trained: TrainedRun, request_for: Request):
    resume = replace(request_for, resume=True)
    finished = f"{trained.folder} is finished; there is nothing to resume."
    assert refusal(replace(resume, out=trained.folder)) == finished
    assert refusal(resume) == f"There is no run directory {request_for.out}."
    with pytest.raises(RunError, match="resume=True needs out with the directory of the unfinished run"):
        interrupt(replace(resume, out=None))


def test_an_unknown_device_is_found_before_the_photos_are_read(request_for: Request):
    with pytest.raises(UsageError, match="device must be"):
        interrupt(replace(request_for, source="nowhere", device="cuda"))
