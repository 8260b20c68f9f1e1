"""The pictures of a report."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regraft.evidence.report.figures import draw_learning_curves, write_confusion_png


def load_rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), int)


@pytest.mark.parametrize("class_count", [1, 2, 20, 21, 100, 130])
def test_confusion_picture_is_small_and_large_enough_to_read(tmp_path: Path, class_count: int) -> None:
    matrix = np.random.default_rng(5).poisson(0.4, (class_count, class_count)) + 20 * np.eye(class_count, dtype=int)
    names = [f"a class with a long name {i}" for i in range(class_count)]
    write_confusion_png(tmp_path / "c.png", matrix, names)
    assert (tmp_path / "c.png").stat().st_size < 300_000
    with Image.open(tmp_path / "c.png") as image:
        assert image.width >= max(300, 10 * min(class_count, 100))
        assert max(image.size) < 2500


def test_confusion_picture_colours_by_the_part_of_the_row(tmp_path: Path) -> None:
    write_confusion_png(tmp_path / "few.png", np.array([[1, 0], [0, 1]]), ("a", "b"))
    write_confusion_png(tmp_path / "many.png", np.array([[8, 0], [0, 8]]), ("a", "b"))
    few, many = (load_rgb(tmp_path / name) for name in ("few.png", "many.png"))
    dark = [(image.sum(axis=2) < 300).mean() for image in (few, many)]
    assert dark[0] == pytest.approx(dark[1], abs=0.01)
    assert dark[0] > 0.2


def test_confusion_picture_takes_any_class_name_and_an_empty_row(tmp_path: Path) -> None:
    names = ("$5_{x$", "$unbalanced", "蚂蚁", "a\nb", "%d {}")
    write_confusion_png(tmp_path / "c.png", np.diag([1, 2, 3, 4, 0]), names)
    assert load_rgb(tmp_path / "c.png").min() < 50


def test_nothing_changes_matplotlibs_global_state(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    write_confusion_png(tmp_path / "c.png", np.eye(2, dtype=int), ("a", "b"))
    assert dict(matplotlib.rcParams) == before


def test_report_loads_matplotlib_only_to_draw_and_never_pyplot_or_tensorflow(tmp_path: Path) -> None:
    program = """if True:
        import sys, pathlib, numpy
        from regraft.evidence.report.figures import draw_learning_curves, write_confusion_png
        heavy = {"matplotlib", "sklearn", "scipy", "PIL.JpegImagePlugin", "tensorflow"}
        print(sorted(heavy & sys.modules.keys()))
        write_confusion_png(pathlib.Path(sys.argv[1]), numpy.eye(2, dtype=int), ("a", "b"))
        print("matplotlib" in sys.modules, "matplotlib.pyplot" in sys.modules, "tensorflow" in sys.modules)
    """
    command = [sys.executable, "-c", program, str(tmp_path / "c.png")]
    assert subprocess.check_output(command, text=True).split("\n")[:2] == ["[]", "True False False"]


def test_learning_curves_call_the_selection_photos_by_their_name() -> None:
    figure = draw_learning_curves([{"loss": 1.0, "accuracy": 0.5, "select_loss": 0.9, "select_accuracy": 0.4}])
    labels = [[line.get_label() for line in axes.lines] for axes in figure.axes]
    assert labels == [["training", "selection photos"]] * 2
