"""The command line: what it answers to mistakes, what it imports, how it ends."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Answer, parse_command, run_regraft
from drawn_photos import draw_photo
from trained_runs import FAST

from regraft.cli.main import regraft
from regraft.errors import RegraftError
from regraft.models.backbones import BACKBONES
from regraft.progress import Progress
from regraft.training.session import Request

LAYOUT = "FOLDER/<class>/*.jpg or FOLDER/{train,val,test}/<class>/*.jpg"


def write_photos(*folders: str) -> None:
    for class_index, folder in enumerate(folders):
        Path(folder).mkdir(parents=True)
        for number in range(2):
            draw_photo(class_index, seed=number, size=(20, 16)).save(Path(folder, f"{number}.jpg"))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with folders of photos that are right and wrong, and files that are no weights."""
    monkeypatch.chdir(tmp_path)
    write_photos("good/ant", "good/bee", "one/ant", "hole/ant", "hole/bee")
    write_photos("splits/train/ant", "splits/train/bee", "splits/val/ant", "splits/val/wasp")
    for folder in ("empty", "hole/wasp"):
        Path(folder).mkdir()
    Path("notes.txt").write_text("not a folder")
    Path("damaged.weights.h5").write_bytes(b"not HDF5")
    return tmp_path


def below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def assert_refused(answer: Answer, message: str) -> None:
    assert (answer.code, answer.stdout, answer.stderr) == (2, "", f"regraft: {message}\n")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", f"No such folder: nowhere. Expected {LAYOUT}."),
        ("notes.txt", f"Expected a folder laid out as {LAYOUT}; notes.txt is a file."),
        ("empty", f"No images in empty. Expected {LAYOUT}."),
        ("one", 'Expected two or more classes; found "ant" alone. Add a folder of photos for each class.'),
        ("hole", 'Class "wasp" has no readable training image. Add photos or remove its folder.'),
        (
            "splits",
            "Expected the same class folders in every split of splits; train lacks wasp; val lacks bee.",
        ),
    ],
)
def test_a_folder_that_cannot_be_trained_on_is_refused_and_nothing_written(workplace: Path, folder: str, message: str):
    before = below(workplace)
    assert_refused(run_regraft("train", folder, "--backbone", "tiny", "--out", "run"), message)
    assert below(workplace) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backbone", "mobilenetv2"], 'There is no backbone "mobilenetv2". Did you mean "mobilenet_v2"?'),
        (
            ["--recipe", "quik"],
            'There is no recipe "quik" (there are quick, balanced, thorough, pretrain, or a .toml file). '
            'Did you mean "quick"?',
        ),
        (["--recipe", "ours.toml"], "There is no recipe file ours.toml."),
        (
            ["--set", "finetune.epoch=3"],
            'A recipe has no key "finetune.epoch". Did you mean "finetune.epochs"?',
        ),
        (["--set", "model.pooling=mean"], "model.pooling: input should be 'avg' or 'max'; received \"mean\"."),
        (["--set", "seed"], '--set expects section.key=value; received "seed".'),
        (["--seed", "-1"], 'seed: input should be greater than or equal to 0; received "-1".'),
        (["--val-fraction", "1"], 'data.val_fraction: input should be less than 1; received "1.0".'),
        (
            ["--backbone", "xception", "--image-size", "64"],
            "xception takes images of at least 71 pixels a side; received 64. Its weights were trained at 299.",
        ),
        (
            ["--backbone", "tiny", "--set", "model.alpha=0.5"],
            "tiny has no width multiplier; received model.alpha = 0.5. "
            "These have: mobilenet, mobilenet_v2, mobilenet_v3_small, mobilenet_v3_large.",
        ),
        (
            ["--backbone", "tiny", "--weights", "imagenet"],
            "tiny has no ImageNet weights; leave --weights out for the ones it ships with.",
        ),
        (
            ["--weights", "nowhere.h5"],
            'weights must be imagenet, none or a file that exists; received "nowhere.h5".',
        ),
        (
            ["--backbone", "tiny", "--device", "cuda"],
            '--device must be auto, cpu, cpu:N (N virtual devices), gpu or tpu; received "cuda".',
        ),
        (["--bakbone", "tiny"], "No such option '--bakbone'. Did you mean '--backbone'? See regraft train --help."),
        (["--epochs", "x"], "Invalid value for '--epochs': 'x' is not a valid integer. See regraft train --help."),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_and_nothing_written(workplace: Path, options: list[str], message: str):
    before = below(workplace)
    assert_refused(run_regraft("train", "good", *options, "--out", "run"), message)
    assert below(workplace) == before


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("empty", "empty exists already; choose another --out."),
        ("notes.txt", "notes.txt exists already; choose another --out."),
        ("notes.txt/run", "notes.txt/run cannot be made: {workplace}/notes.txt is a file."),
    ],
)
def test_a_run_directory_that_is_in_the_way_is_left_alone(workplace: Path, out: str, message: str):
    before = below(workplace)
    assert_refused(
        run_regraft("train", "good", "--backbone", "tiny", "--out", out), message.format(workplace=workplace)
    )
    assert below(workplace) == before


def save_weights_of_another_network(path: str) -> None:
    import keras

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(path)


def test_weights_that_are_damaged_cut_short_or_of_another_network_are_refused_by_name(workplace: Path):
    shipped = Path(str(sys.modules["regraft.models"].__file__)).parent / "pretrained/tiny.weights.h5"
    Path("cut.weights.h5").write_bytes(shipped.read_bytes()[:300_000])
    save_weights_of_another_network("other.weights.h5")
    before = below(workplace)
    for file, complaint in [
        ("damaged.weights.h5", " is not an HDF5 weights file (damaged or of another kind), so tiny cannot load it."),
        ("cut.weights.h5", " is damaged (cut short?), so tiny cannot load it."),
        ("other.weights.h5", " does not fit tiny without its top: it is of another network"),
    ]:
        answer = run_regraft("train", "good", "--backbone", "tiny", "--weights", file, "--out", "run")
        assert (answer.code, answer.stdout) == (2, "")
        assert answer.stderr.startswith(f"regraft: {workplace / file}{complaint}")
        assert answer.stderr.count("\n") == 1
    assert below(workplace) == before


def refuse_download(name: str, origin: str, **options: object) -> None:
    raise Exception(f"URL fetch failure on {origin}: None -- [Errno -3] Temporary failure in name resolution")


def test_imagenet_weights_without_a_network_end_in_what_to_put_where(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", refuse_download)
    monkeypatch.setenv("KERAS_HOME", "/home/me/keras")
    before = below(workplace)
    narrow = ("--backbone", "mobilenet", "--set", "model.alpha=0.25", "--image-size", 32)
    folder = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet"
    assert_refused(
        run_regraft("train", "good", *narrow, "--out", "run"),
        f"The ImageNet weights of mobilenet could not be downloaded from {folder}/mobilenet_2_5_224_tf_no_top.h5. "
        "Put mobilenet_2_5_224_tf_no_top.h5 into /home/me/keras/models, or name a file with --weights PATH, "
        "or use --backbone tiny.",
    )
    assert below(workplace) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian", "good"], 'There is no verb "trian". Did you mean "train"?'),
        (["zzz"], 'There is no verb "zzz". See regraft --help.'),
        (["train"], "Missing argument 'FOLDER | TABLE'. See regraft train --help."),
        (["predict", "run"], "Missing argument 'INPUTS...'. See regraft predict --help."),
        (["--nonsense"], "No such option '--nonsense'. See regraft --help."),
        (["train", "good", "--resume"], "--resume needs --out with the directory of the unfinished run."),
        (["train", "good", "--resume", "--out", "run"], "There is no run directory run."),
        (["train", "good", "--resume", "--out", "good"], "good is not a run directory: it has no recipe.toml."),
        (["evaluate", "run"], "There is no run directory run."),
        (["export", "good"], "good is not a run directory: it has no recipe.toml."),
        (["predict", "run", "good"], "There is no run directory run."),
        (["check", "empty"], f"No images in empty. Expected {LAYOUT}."),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(workplace: Path, words: list[str], message: str):
    assert_refused(run_regraft(*words), message)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_the_verbs_in_the_order_of_a_users_work(words: list[str]):
    lines = [line.split() for line in run_regraft(*words).stdout.splitlines()]
    verbs = [line[0] for line in lines if line and line[0] in regraft.commands]
    assert " ".join(verbs) == (
        "check train pretrain compare ensemble augment-preview find-lr "
        "evaluate threshold export predict backbones cache demo"
    )


@pytest.mark.parametrize("verb", ["", *regraft.commands])
def test_every_help_ends_with_a_command_that_works(verb: str):
    answer = run_regraft(*verb.split(), "--help")
    last = answer.stdout.rstrip().rpartition("\n\n")[2]
    example = " ".join(last.split()).removeprefix("Example: ")
    assert answer.code == 0
    assert example.startswith(f"regraft {verb}")
    parse_command(example)


def test_help_imports_nothing_that_is_slow():
    words = [sys.executable, "-X", "importtime", "-m", "regraft", "--help"]
    report = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in report.splitlines()}
    assert {"regraft", "click"} <= imported
    assert not imported & {"tensorflow", "keras", "numpy", "scipy", "sklearn", "PIL", "pydantic", "rich", "matplotlib"}


def test_python_m_regraft_is_the_same_command():
    version = subprocess.run([sys.executable, "-m", "regraft", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == run_regraft("--version").stdout == "regraft, version 0.1.0\n"
    assert version.stderr == ""


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="this system has no pipes that break")
def test_a_reader_that_stops_reading_gets_no_complaint():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        words = [sys.executable, "-m", "regraft", "backbones"]
        assert subprocess.run(words, stdout=closed, stderr=subprocess.PIPE, check=False).stderr == b""


def fail_with(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_an_interrupt_ends_in_one_line_and_130(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("regraft.data.sources.scan_folder", fail_with(KeyboardInterrupt()))
    answer = run_regraft("check", "good")
    assert (answer.code, answer.stdout) == (130, "")
    assert answer.stderr == "regraft: interrupted.\n"


def test_a_full_disk_is_one_line(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "answers.csv")
    monkeypatch.setattr("regraft.data.sources.scan_folder", fail_with(full))
    line = "answers.csv: No space left on device. Check the path, its permissions and the space on the disk."
    assert_refused(run_regraft("check", "good"), line)


def test_an_internal_failure_keeps_its_traceback(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("regraft.data.sources.scan_folder", fail_with(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run_regraft("check", "good")


def test_check_answers_a_person_and_a_program(workplace: Path):
    before = below(workplace)
    assert "good: ready" in run_regraft("check", "good").stdout
    answer = run_regraft("check", "good", "--json")
    assert (answer.code, answer.stderr) == (0, "")
    assert answer.values["counts"] == {"ant": {"all": 2}, "bee": {"all": 2}}
    assert below(workplace) == before


def test_check_and_train_take_the_limits_that_their_messages_name(workplace: Path):
    answer = run_regraft("check", "good", "--max-pixels", 100, "--json")
    assert {reason[-14:] for reason in answer.values["unreadable"].values()} == {"(--max-pixels)"}
    answer = run_regraft("check", "good", "--max-memory", "1K", "--json")
    assert {reason[-14:] for reason in answer.values["unreadable"].values()} == {"(--max-memory)"}
    answer = run_regraft("train", "good", "--max-pixels", 100, "--out", "run")
    assert (answer.code, answer.stderr[-17:]) == (2, " (--max-pixels).\n")
    answer = run_regraft("check", "good", "--max-memory", "plenty")
    assert answer.stderr == "regraft: --max-memory must be a number of bytes, such as \"4G\"; received 'plenty'.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_json_stays_json_with_a_name_that_is_not_utf8(workplace: Path):
    name = os.fsdecode(b"caf\xe9")
    Path("good").rename(name)
    answer = run_regraft("check", name, "--json")
    assert json.loads(answer.stdout.encode("utf-8", "strict"))["root"] == name


def test_backbones_lists_them_all():
    lines = run_regraft("backbones").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["backbone", *BACKBONES]
    assert lines[0].split() == ["backbone", "px", "M", "MB", "top-1", "alpha", "licence", "weights", "from"]
    cells = {line.split()[0]: line.split() for line in lines}
    assert cells["efficientnet_lite0"][1:8] == ["224", "4.7", "17.9", "75.1", "-", "Apache-2.0", "here"]
    assert cells["convnext_tiny"][4:7] == ["81.3", "-", "unknown"]
    assert cells["mobilenet_v2"][5] == "yes"
    assert cells["tiny"][4:] == ["-", "-", "Apache-2.0", "here", "shipped"]
    assert len({line.index(word) for line, word in zip(lines[1:3], ("Apache-2.0", "unknown"), strict=True)}) == 1


def test_backbones_answers_a_program_and_names_the_nearest_of_a_wrong_name():
    answer = run_regraft("backbones", "vgg16", "tiny", "--json")
    vgg, tiny = answer.values["backbones"]
    assert (vgg["name"], vgg["top1"], vgg["megabytes"], vgg["license"]) == ("vgg16", 71.3, 528, "CC-BY-4.0")
    assert (vgg["source"], vgg["images_per_second"]) == ("Keras, from storage.googleapis.com", None)
    assert (tiny["weights"], tiny["source"], tiny["top1"]) == ("here", "shipped", None)
    wrong = run_regraft("backbones", "mobilenet-v2x", "--measure")
    message = 'regraft: There is no backbone "mobilenet-v2x". Did you mean "mobilenet_v2"?\n'
    assert (wrong.code, wrong.stdout, wrong.stderr) == (2, "", message)


def test_options_win_over_set_and_set_over_the_recipe(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[Request] = []

    def stop(request: Request, progress: Progress) -> None:
        asked.append(request)
        raise RegraftError("stopped")

    monkeypatch.setattr("regraft.training.train.train_photos", stop)
    sections = "[finetune]\nepochs = 5\nbatch_size = 4\n[optimizer]\nlearning_rate = 0.1\n"
    Path("ours.toml").write_text(f'recipe = "ours"\n{sections}')
    options = ["--set", "finetune.epochs=6", "--set", "finetune.batch_size=8", "--epochs", "7", "--seed", "9"]
    more = ["--weights", "none", "--backbone", "vgg16", "--image-size", "64", "--val-fraction", "0.3"]
    assert_refused(run_regraft("train", "good", "--recipe", "ours.toml", *options, *more, "--out", "run"), "stopped")
    (request,) = asked
    recipe = request.recipe
    assert (recipe.recipe, recipe.seed) == ("ours", 9)
    assert (recipe.finetune.epochs, recipe.finetune.batch_size, recipe.optimizer.learning_rate) == (7, 8, 0.1)
    assert (recipe.model.weights, recipe.model.backbone) == ("none", "vgg16")
    assert (recipe.data.image_size, recipe.data.val_fraction) == (64, 0.3)
    assert (request.source, request.out, request.resume, request.device) == ("good", Path("run"), False, "auto")
    assert request.command[:5] == ("regraft", "train", "good", "--recipe", "ours.toml")


def test_a_second_run_does_not_overwrite_the_first(workplace: Path):
    Path("run").mkdir()
    Path("run/recipe.toml").touch()
    advice = "continue it with --resume, or choose another --out."
    assert_refused(run_regraft("train", "good", *FAST, "--out", "run"), f"run exists already; {advice}")
