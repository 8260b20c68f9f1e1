"""Photos to answers, beside what a user would run instead: same photos, same weights, one process after the other.

    regraft train PHOTOS --recipe quick --weights ... --out RUN
    for f in litert onnx openvino; do regraft export RUN --format $f; done
    python benchmarks/predict.py RUN FOLDER --images 1000 --rounds 3
    python benchmarks/predict.py RUN FOLDER --precisions          # every export of RUN, photo by photo
    python benchmarks/predict.py RUN FOLDER --memory 5000 50000   # peak memory
    python benchmarks/predict.py RUN FOLDER --first               # seconds to the first answer, process start included
    python benchmarks/predict.py RUN FOLDER --shrink              # what shrinking while decoding does
    python benchmarks/predict.py RUN FOLDER --first-job           # the first job by auto, beside the named runtimes

Every contender runs in a process of its own, is timed inside it without its start and its first batch, and takes turns
with the others in `--rounds`; the table gives the median and the range. `keras` is `Model.predict` over
`image_dataset_from_directory` (crop_to_aspect_ratio) with tf.data's autotuner off; `keras as written` is the same as
the guides write it. `bare` runtimes are fed with views from memory, as their guides write it: batches of 32 on all
cores; `compute` is the same from memory as we run it: a photo at a time on one thread, on all cores at once. `decode`
is our decoding alone. `regraft labels` is `auto` with `--tolerance labels`, for which `regraft export RUN --best
--tolerance labels` looks for the fastest. `timm` runs where timm and torch are installed, or in the environment of
`--timm-python`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BATCH = 32


def photos_of(folder: Path, count: int) -> list[str]:
    found = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    return (found * (count // len(found) + 1))[:count]


def seconds_of(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


# --- contenders: each returns images per second ---


def regraft(run: Path, files: list[str], runtime: str, tolerance: float | str = 1e-3) -> float:
    """Files to rows of a CSV, as the verb does it, once the network is open."""
    from regraft.data.photos import Limits
    from regraft.prediction.answerer import Wanted, answer_batches
    from regraft.prediction.model_choice import choose, open_source
    from regraft.prediction.sources.item import Item
    from regraft.prediction.sources.reader import ItemReader
    from regraft.prediction.tables.columns import Columns
    from regraft.prediction.tables.table import find_table_format
    from regraft.progress import Silent

    source = open_source(run)
    choice = choose(source, runtime=runtime, tolerance=tolerance, count=len(files), progress=Silent())
    answerer = choice.open(Wanted())
    items, size = [Item(file, file) for file in files], answerer.batch_size
    columns = Columns(source.class_names)

    def predict(some: list[Item]) -> None:
        batches = (some[start : start + size] for start in range(0, len(some), size))
        with ItemReader(Limits()) as reader:
            rows = [columns.row(row) for batch in answer_batches(answerer, batches, reader) for row in batch]
        find_table_format("csv").encode(columns, rows)

    predict(items[:64])
    return len(files) / seconds_of(lambda: predict(items))


def keras_predict(run: Path, files: list[str], as_written: bool) -> float:
    import keras
    import tensorflow as tf

    from regraft.models.regularizers import register_layers

    register_layers()
    model = keras.saving.load_model(run / "model.keras", compile=False)
    size = model.input_shape[1]
    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(files):
            link = Path(folder, "all", f"{number:06d}.jpg")
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(Path(file).absolute())
        data = keras.utils.image_dataset_from_directory(
            folder, labels=None, shuffle=False, batch_size=BATCH, image_size=(size, size), crop_to_aspect_ratio=True,
            verbose=False,
        )  # fmt: skip
        if not as_written:
            options = tf.data.Options()
            options.autotune.enabled = False
            data = data.with_options(options)
        model.predict(data.take(2), verbose=0)
        return len(files) / seconds_of(lambda: model.predict(data, verbose=0))


def decode(run: Path, files: list[str]) -> float:
    from regraft.data.photo_view import read_view
    from regraft.machine.threads import map_ordered
    from regraft.recipes.recipe import load_recipe

    data = load_recipe(str(run / "recipe.toml")).data

    def read(file: str) -> None:
        read_view(Path(file).read_bytes(), data.image_size or 0, data.crop_fraction, fit=data.fit)

    return len(files) / seconds_of(lambda: all(True for _ in map_ordered(read, files)))


def tensorflow_decode(run: Path, files: list[str]) -> float:
    """What TensorFlow takes to decode and resize to the same view, with as many threads as cores."""
    import tensorflow as tf

    from regraft.augment.view import make_view
    from regraft.recipes.recipe import load_recipe

    data = load_recipe(str(run / "recipe.toml")).data
    view = make_view(data.image_size or 0, data.crop_fraction)

    def read(file):
        return view(tf.image.decode_jpeg(tf.io.read_file(file), channels=3, dct_method="INTEGER_ACCURATE"))

    views = tf.data.Dataset.from_tensor_slices(files).map(read, num_parallel_calls=os.cpu_count() or 1).prefetch(8)
    options = tf.data.Options()
    options.autotune.enabled = False
    views = views.with_options(options)
    all(True for _ in views.take(64))
    return len(files) / seconds_of(lambda: all(True for _ in views))


def views_of(run: Path, files: list[str]):
    import numpy as np

    from regraft.data.photo_view import read_view
    from regraft.recipes.recipe import load_recipe

    data = load_recipe(str(run / "recipe.toml")).data
    return np.stack(
        [read_view(Path(f).read_bytes(), data.image_size or 0, data.crop_fraction, fit=data.fit) for f in files]
    )


def bare(run: Path, files: list[str], runtime: str) -> float:
    """The runtime from memory, as its guide has it: batches of 32, all cores."""
    views = views_of(run, files[:256])
    batches = [views[start : start + BATCH] for start in range(0, len(views), BATCH)]
    infer = {"litert": bare_litert, "onnx": bare_onnx, "openvino": bare_openvino, "tensorflow": bare_tensorflow}
    call = infer[runtime](run, views.shape[1])
    call(batches[0])
    return len(views) / seconds_of(lambda: [call(batch) for batch in batches])


def compute_only(run: Path, files: list[str], runtime: str) -> float:
    """The same runtime from memory as we run it: a photo at a time on one thread, on all cores at once."""
    from concurrent.futures import ThreadPoolExecutor

    from regraft.prediction.answerer import Wanted
    from regraft.prediction.model_choice import choose, open_source
    from regraft.progress import Silent

    answerer = choose(open_source(run), runtime=runtime, progress=Silent()).open(Wanted())
    views = views_of(run, files[:256])
    with ThreadPoolExecutor(answerer.workers) as pool:
        list(pool.map(answerer.compute, views[:16, None]))
        return len(views) / seconds_of(lambda: list(pool.map(answerer.compute, views[:, None])))


def bare_litert(run: Path, size: int):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(run / "exports/litert-float32/model.tflite"), num_threads=os.cpu_count())
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, [BATCH, size, size, 3])
    interpreter.allocate_tensors()

    def call(batch):
        interpreter.set_tensor(index, batch)
        interpreter.invoke()
        return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]

    return call


def bare_onnx(run: Path, size: int):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(run / "exports/onnx-float32/model.onnx"))
    return lambda batch: session.run(None, {"images": batch})


def bare_openvino(run: Path, size: int):
    import openvino

    model = openvino.Core().compile_model(str(run / "exports/openvino-float32/model.xml"), "CPU")
    return lambda batch: model([batch])


def bare_tensorflow(run: Path, size: int):
    import tensorflow as tf

    newest = max((run / "saved_model").iterdir(), key=lambda path: path.name)
    served = tf.saved_model.load(str(newest))
    views = served.signatures["serving_views"]
    return lambda batch: (served, views(views=tf.constant(batch)))


def timm(run: Path, files: list[str]) -> float:
    """The loop of timm's `inference.py` with a MobileNetV2 of random weights: the speed does not depend on them."""
    import timm as library
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    model = library.create_model("mobilenetv2_100", num_classes=2).eval()
    transform = library.data.create_transform(**library.data.resolve_data_config({}, model=model))

    class Photos(Dataset):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, index: int):
            return transform(Image.open(files[index]).convert("RGB"))

    def predict() -> None:
        with torch.inference_mode():
            for batch in DataLoader(Photos(), batch_size=BATCH, num_workers=os.cpu_count() or 1):
                model(batch).softmax(-1)

    return len(files) / seconds_of(predict)


def contenders() -> dict[str, tuple]:
    return {
        "regraft auto": (regraft, "auto"),
        "regraft labels": (regraft, "auto", "labels"),
        "regraft litert": (regraft, "litert"),
        "regraft onnx": (regraft, "onnx"),
        "regraft openvino": (regraft, "openvino"),
        "regraft tensorflow": (regraft, "tensorflow"),
        "keras": (keras_predict, False),
        "keras as written": (keras_predict, True),
        "timm": (timm,),
        "bare litert": (bare, "litert"),
        "bare onnx": (bare, "onnx"),
        "bare openvino": (bare, "openvino"),
        "bare tensorflow": (bare, "tensorflow"),
        "compute litert": (compute_only, "litert"),
        "compute onnx": (compute_only, "onnx"),
        "compute openvino": (compute_only, "openvino"),
        "decode": (decode,),
        "tensorflow decode": (tensorflow_decode,),
    }


# --- what is measured ---


def side_by_side(words: argparse.Namespace) -> None:
    names = words.only or [name for name in contenders() if name != "timm" or words.timm_python or has_timm()]
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(words.rounds):
        for name in names:
            rates[name].append(rate_in_a_process(words, name))
            print(f"  {name}: {rates[name][-1]:.0f}", file=sys.stderr, flush=True)
    base = rates.get("keras")
    print("| | images/s, median (range) | times keras, median (range) |\n|---|---|---|")
    for name, values in rates.items():
        ratios = [value / other for value, other in zip(values, base, strict=True)] if base else [float("nan")]
        print(f"| {name} | {spread(values, '.0f')} | {spread(ratios, '.2f')} |")
    ceiling(rates)


def ceiling(rates: dict[str, list[float]]) -> None:
    """What is left where decoding and the fastest computing share the cores, and how near `auto` comes to it."""
    if not rates.keys() >= {"regraft auto", "decode", "compute litert", "compute onnx", "compute openvino"}:
        return
    computing = zip(*(rates[f"compute {name}"] for name in ("litert", "onnx", "openvino")), strict=True)
    most = [1 / (1 / read + 1 / max(fastest)) for read, fastest in zip(rates["decode"], computing, strict=True)]
    reached = [rate / top for rate, top in zip(rates["regraft auto"], most, strict=True)]
    print(f"\nceiling {spread(most, '.0f')} images/s; auto reaches {spread(reached, '.2f')} of it")


def first_job(words: argparse.Namespace) -> None:
    """Seconds of the whole verb: the first job by auto, which measures, and the same job by each runtime by name."""
    seconds: dict[str, list[float]] = {name: [] for name in ("auto", "litert", "onnx", "openvino")}
    listed = "".join(f"{file}\0" for file in photos_of(words.folder, words.images))
    for _ in range(words.rounds):
        for runtime, taken in seconds.items():
            Path(words.run, "exports", "runtimes.json").unlink(missing_ok=True)
            command = [sys.executable, "-m", "regraft", "predict", str(words.run), "-", "--null", "--runtime", runtime]
            with tempfile.TemporaryDirectory() as folder:
                command += ["--out", f"{folder}/out.csv"]
                taken.append(
                    seconds_of(
                        lambda command=command: subprocess.run(
                            command, input=listed, text=True, capture_output=True, check=True
                        )
                    )
                )
    named = [min(each) for each in zip(*(seconds[name] for name in seconds if name != "auto"), strict=True)]
    for runtime, taken in seconds.items():
        ratios = [one / best for one, best in zip(taken, named, strict=True)]
        print(f"| {runtime} | {spread(taken, '.1f')} | {spread(ratios, '.2f')} |")


def spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def has_timm() -> bool:
    from importlib.util import find_spec

    return find_spec("timm") is not None and find_spec("torch") is not None


def rate_in_a_process(words: argparse.Namespace, name: str) -> float:
    order = json.dumps({"run": str(words.run), "folder": str(words.folder), "images": words.images, "name": name})
    python = words.timm_python if name == "timm" and words.timm_python else sys.executable
    done = subprocess.run([python, __file__, "--worker", order], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout.strip().splitlines()[-1])


def work(order: dict) -> None:
    function, *options = contenders()[order["name"]]
    print(function(Path(order["run"]), photos_of(Path(order["folder"]), order["images"]), *options))


def precisions(words: argparse.Namespace) -> None:
    """Speed by turns; size, differences and accuracy as their proofs on the run's own photos found them."""
    from regraft.exports.export import find_exports
    from regraft.progress import Silent
    from regraft.runs.run import open_run

    exports = find_exports(open_run(words.run), Silent())
    files = photos_of(words.folder, words.images)
    rates: dict[str, list[float]] = {export.name: [] for export in exports}
    for _ in range(words.rounds):
        for export in exports:
            rates[export.name].append(regraft(export.folder, files, "auto"))
    print("| export | images/s | MB | largest difference | same label | accuracy |\n|---|---|---|---|---|---|")
    for export in exports:
        proof = export.proof
        print(
            f"| {export.name} | {spread(rates[export.name], '.0f')} | {proof.bytes / 1e6:.1f} | "
            f"{proof.largest_difference:.1e} | {proof.same_label} of {proof.images} | "
            f"{100 * proof.accuracy:.1f} % ({100 * proof.accuracy_trained:.1f} % trained) |"
        )


def memory(words: argparse.Namespace) -> None:
    """Peak memory of the whole verb, by the number of inputs."""
    peaks = []
    for count in words.memory:
        with tempfile.TemporaryDirectory() as folder:
            listed = "".join(f"{file}\0" for file in photos_of(words.folder, count))
            command = [sys.executable, "-m", "regraft", "predict", str(words.run), "-", "--null", "--runtime", "litert"]
            started = time.perf_counter()
            process = subprocess.Popen(
                [*command, "--out", f"{folder}/out.csv"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            assert process.stdin
            process.stdin.write(listed)
            process.stdin.close()
            _, _, usage = os.wait4(process.pid, 0)
            peaks.append(usage.ru_maxrss / 1024)
            taken = time.perf_counter() - started
            rows = Path(folder, "out.csv").read_bytes().count(b"\n") - 1
            print(f"{count:,} inputs: {peaks[-1]:.1f} MiB at most, {rows:,} rows, {taken:.0f} s", flush=True)
    print(f"ratio {peaks[-1] / peaks[0]:.3f}")


def first(words: argparse.Namespace) -> None:
    """Seconds of a whole process that answers one photo."""
    photo, seconds = photos_of(words.folder, 1)[0], {"litert": [], "onnx": [], "openvino": [], "tensorflow": []}
    for _ in range(words.rounds):
        for runtime, taken in seconds.items():
            command = [sys.executable, "-m", "regraft", "predict", str(words.run), photo, "--runtime", runtime]
            taken.append(seconds_of(lambda words=command: subprocess.run(words, capture_output=True, check=True)))
    for runtime, taken in seconds.items():
        print(f"| {runtime} | {spread(taken, '.2f')} |")


def megapixels(file: str) -> float:
    from PIL import Image

    with Image.open(file) as photo:
        return photo.width * photo.height / 1e6


def shrink(words: argparse.Namespace) -> None:
    """What shrinking does to photos of less than a megapixel, enlarged four- and eightfold."""
    import io

    import numpy as np
    from PIL import Image

    from regraft.prediction.answerer import Wanted
    from regraft.prediction.model_choice import choose, open_source
    from regraft.prediction.sources.item import Item
    from regraft.progress import Silent

    source = open_source(words.run)
    choice = choose(source, runtime="litert", progress=Silent())
    answerers = [choice.open(Wanted(shrink=shrinks)) for shrinks in (True, False)]
    files = [Path(file) for file in sorted(set(photos_of(words.folder, words.images))) if megapixels(file) < 1]
    truth = [source.class_names.index(file.parent.name) for file in files]
    for times in (4, 8):
        encoded = []
        for file in files:
            with Image.open(file) as photo:
                sides = (photo.width * times, photo.height * times)
                large = photo.convert("RGB").resize(sides, Image.Resampling.BICUBIC)
            stream = io.BytesIO()
            large.save(stream, "JPEG", quality=92)
            encoded.append(stream.getvalue())
        scores, seconds = [], []
        for answerer in answerers:
            started = time.perf_counter()
            scores.append(np.array([answerer.answer([(Item("x"), data)])[0].scores for data in encoded]))
            seconds.append(time.perf_counter() - started)
        labels = [some.argmax(axis=1) for some in scores]
        same = int((labels[0] == labels[1]).sum())
        accuracy = [100 * float((some == truth).mean()) for some in labels]
        print(
            f"{times}x: largest difference {np.abs(scores[0] - scores[1]).max():.3f}, mean "
            f"{np.abs(scores[0] - scores[1]).mean():.4f}, same label {same} of {len(files)}, accuracy "
            f"{accuracy[0]:.1f} % shrunk, {accuracy[1]:.1f} % whole, {seconds[1] / seconds[0]:.1f} times as fast"
        )


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        work(json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(contenders()))
    parser.add_argument("--timm-python", help="the Python of an environment with timm and torch, if not this one's")
    parser.add_argument("--precisions", action="store_true")
    parser.add_argument("--memory", nargs="+", type=int)
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--first-job", action="store_true")
    words = parser.parse_args()
    if words.precisions:
        precisions(words)
    elif words.memory:
        memory(words)
    elif words.first:
        first(words)
    elif words.first_job:
        first_job(words)
    elif words.shrink:
        shrink(words)
    else:
        side_by_side(words)


if __name__ == "__main__":
    main()
