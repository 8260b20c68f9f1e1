import base64
import csv
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regraft.data.records import Record, SetAside
from regraft.evidence.metrics import measure
from regraft.evidence.report import (
    ReportData,
    StageRow,
    write_confusion_csv,
    write_confusion_png,
    write_predictions_csv,
    write_report,
)

NASTY = ('<script>alert("x")</script>', "Käfer & 'Bienen'")
PROBABILITIES = np.array([[0.9, 0.1], [0.35, 0.65], [0.2, 0.8], [0.75, 0.25]], np.float32)
TRUTH = np.array([0, 0, 1, 1])  # images 1 and 3 are wrong, 3 more surely


class Page(HTMLParser):
    """What a browser would see: elements, and text outside the style sheet."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.markup = path.read_text("utf-8")
        self.feed(self.markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    @property
    def headings(self) -> list[str]:
        return re.findall(r"<h2>(.*?)</h2>", self.markup)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def record(path: Path, class_index: int = 0) -> Record:
    return Record(path, class_index, "val", "JPEG", 8, 8, 1, "", b"")


def save_photo(path: Path, *, size: tuple[int, int] = (400, 200), orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, (200, 30, 30)).save(path, exif=exif)
    return path


def report_data(folder: Path, **changes: Any) -> ReportData:
    records = [record(save_photo(folder / f"{i}.jpg"), int(truth)) for i, truth in enumerate(TRUTH)]
    data = ReportData("A run", measure(TRUTH, PROBABILITIES, NASTY), PROBABILITIES, TRUTH, records, NASTY, root=folder)
    return replace(data, **changes)


def render(folder: Path, **changes: Any) -> Page:
    write_report(folder / "report.html", report_data(folder, **changes))
    return Page(folder / "report.html")


def load_rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), int)


def thumbnails(page: Page) -> list[Image.Image]:
    prefix = "data:image/jpeg;base64,"
    sources = [str(image["src"]) for image in page.all("img")]
    return [
        Image.open(io.BytesIO(base64.b64decode(source.removeprefix(prefix))))
        for source in sources
        if source.startswith(prefix)
    ]


def read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_confusion_csv_has_the_truth_in_rows(tmp_path: Path) -> None:
    write_confusion_csv(tmp_path / "c.csv", np.array([[3, 1], [0, 2]]), ('a,"b"', "c"))
    assert read_csv(tmp_path / "c.csv") == [["truth", 'a,"b"', "c"], ['a,"b"', "3", "1"], ["c", "0", "2"]]


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
        from regraft.evidence.report import write_confusion_png
        heavy = {"matplotlib", "sklearn", "scipy", "PIL.JpegImagePlugin", "tensorflow"}
        print(sorted(heavy & sys.modules.keys()))
        write_confusion_png(pathlib.Path(sys.argv[1]), numpy.eye(2, dtype=int), ("a", "b"))
        print("matplotlib" in sys.modules, "matplotlib.pyplot" in sys.modules, "tensorflow" in sys.modules)
    """
    command = [sys.executable, "-c", program, str(tmp_path / "c.png")]
    assert subprocess.check_output(command, text=True).split("\n")[:2] == ["[]", "True False False"]


def test_predictions_have_one_row_an_image_in_order(tmp_path: Path) -> None:
    records = [record(tmp_path / "photos" / 'a, "b".jpg'), record(Path("/elsewhere/c.jpg"))]
    scores = np.array([[0.25, 0.75], [1.0, 0.0]])
    write_predictions_csv(
        tmp_path / "p.csv", records, np.array([0, 0]), scores, ("ant", "bee"), root=tmp_path / "photos"
    )
    assert read_csv(tmp_path / "p.csv") == [
        ["path", "truth", "label", "correct", "score", "label_2", "score_2"],
        ['a, "b".jpg', "ant", "bee", "false", "0.750000", "ant", "0.250000"],
        ["/elsewhere/c.jpg", "ant", "ant", "true", "1.000000", "bee", "0.000000"],
    ]


def test_predictions_show_five_answers_at_most_the_first_class_first_when_equal(tmp_path: Path) -> None:
    scores = np.array([[0.1, 0.1, 0.3, 0.1, 0.1, 0.2, 0.1]])
    write_predictions_csv(tmp_path / "p.csv", [record(Path("x.jpg"))], np.array([6]), scores, tuple("abcdefg"))
    header, row = read_csv(tmp_path / "p.csv")
    assert header[-2:] == ["label_5", "score_5"]
    assert row[2::2] == ["c", "0.300000", "0.200000", "0.100000", "0.100000", "0.100000"]
    assert [row[2], *row[5::2]] == ["c", "f", "a", "b", "d"]


def test_predictions_refuse_unequal_lengths_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        write_predictions_csv(tmp_path / "p.csv", [], np.array([0]), np.array([[1.0, 0.0]]), ("a", "b"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_file_name_that_is_not_utf8_keeps_its_bytes_in_csv_and_is_readable_in_html(tmp_path: Path) -> None:
    odd = record(tmp_path / os.fsdecode(b"caf\xe9.jpg"))
    write_predictions_csv(tmp_path / "p.csv", [odd], TRUTH[:1], PROBABILITIES[:1], NASTY, root=tmp_path)
    assert (tmp_path / "p.csv").read_bytes().splitlines()[1].startswith(b"caf\xe9.jpg,")
    page = render(tmp_path, set_aside=[SetAside(odd.path, "damaged")])
    assert "caf\N{REPLACEMENT CHARACTER}.jpg" in page.text


def test_report_says_the_accuracy_its_interval_and_on_what(tmp_path: Path) -> None:
    page = render(tmp_path, which_images="of the test split, which no choice saw")
    assert "50.0 % of 4 photos of the test split, which no choice saw; 95 % interval 15.0–85.0 %." in page.text
    assert "2 mistakes." in page.text


def test_report_escapes_everything(tmp_path: Path) -> None:
    nasty = NASTY[0]
    page = render(
        tmp_path,
        title=nasty,
        which_images=nasty,
        kept_because=nasty,
        stages=[{"stage": nasty, "chosen_on": nasty, "kept": True}, {"stage": nasty}],
        seconds_by_phase={nasty: 1.0},
        notes=[nasty],
        set_aside=[SetAside(tmp_path / "<i>.jpg", nasty)],
        recipe_toml=nasty,
        environment={nasty: {nasty: [nasty]}},
        run=tmp_path / "<b> 'run'",
    )
    assert page.open == []
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.elements}
    assert page.text.count("alert(") > 15
    assert "Käfer & 'Bienen'" in page.text


def test_report_is_self_contained(tmp_path: Path) -> None:
    page = render(tmp_path, history=[{"epoch": 1, "loss": 1.0, "accuracy": 0.5}])
    images = page.all("img")
    assert len(images) == 5  # confusion, two mistakes, reliability, curves
    assert all(str(image["src"]).startswith("data:image/") and image["alt"] for image in images)
    assert "http://" not in page.markup
    assert "https://" not in page.markup
    assert "default-src 'none'" in page.markup


def test_report_is_accessible(tmp_path: Path) -> None:
    page = render(tmp_path)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(header["scope"] in ("row", "col") for header in page.all("th"))


def test_sections_without_content_are_left_out(tmp_path: Path) -> None:
    assert render(tmp_path).headings == [
        "Which classes it knows",
        "Worst mistakes",
        "Whether its scores can be believed",
    ]


def test_sections_with_content_are_there(tmp_path: Path) -> None:
    page = render(
        tmp_path,
        kept_because="Kept: fine-tune, for its lower loss.",
        stages=[
            StageRow(stage="fine-tune", chosen_on="4 images", loss=0.5, accuracy=0.75, seconds=61, kept=True),
            StageRow(stage="graft"),
        ],
        history=[{"loss": 1.0, "accuracy": 0.5, "select_loss": "", "select_accuracy": ""}],
        seconds_by_phase={"look": 3.0, "export": 3600.0},
        notes=["One class has a single image."],
        set_aside=[SetAside(tmp_path / "a.jpg", "empty file")],
        recipe_toml="seed = 3",
        environment={"versions": {"keras": "3.15.1"}, "cores": 2},
        run=Path("saved_models/my run"),
    )
    assert page.headings == [
        "Worth knowing", "Which classes it knows", "Worst mistakes", "Whether its scores can be believed",
        "How it was trained", "Where the time went", "1 file set aside", "What to do next", "To repeat it",
    ]  # fmt: skip
    assert "fine-tune – kept 4 images 0.5000 75.0 % 1 min 01 s graft – – – –" in page.text
    for words in (
        "Kept: fine-tune, for its lower loss.", "1 h 00 min in all", "One class has a single image.",
        "a.jpg empty file", "seed = 3", "versions keras 3.15.1",
        "regraft predict 'saved_models/my run' photos/", "regraft export 'saved_models/my run'",
    ):  # fmt: skip
        assert words in page.text


def test_worst_mistakes_come_surest_first(tmp_path: Path) -> None:
    text = render(tmp_path).text
    assert text.index("3.jpg") < text.index("1.jpg")
    assert "75.0 % 3.jpg" in text
    assert "0.jpg" not in text


def test_at_most_twelve_mistakes_are_shown(tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "same.jpg")
    truth, scores = np.zeros(20, int), np.tile([0.2, 0.8], (20, 1))
    metrics, records = measure(truth, scores, NASTY), [record(photo)] * 20
    page = render(tmp_path, metrics=metrics, truth=truth, probabilities=scores, records=records)
    assert len(thumbnails(page)) == 12
    assert "The 12 surest of 20." in page.text


def test_thumbnails_are_small_and_upright(tmp_path: Path) -> None:
    data = report_data(tmp_path)
    save_photo(data.records[1].path, orientation=6)
    write_report(tmp_path / "report.html", data)
    assert [image.size for image in thumbnails(Page(tmp_path / "report.html"))] == [(320, 160), (160, 320)]


def test_a_photo_that_vanished_or_broke_leaves_a_placeholder(tmp_path: Path) -> None:
    data = report_data(tmp_path)
    data.records[1].path.unlink()
    data.records[3].path.write_bytes(b"\xff\xd8\xff no more")
    write_report(tmp_path / "report.html", data)
    page = Page(tmp_path / "report.html")
    assert thumbnails(page) == []
    assert page.text.count("cannot be read any more") == 2


def test_no_mistakes_is_said(tmp_path: Path) -> None:
    right = np.eye(2)[TRUTH]
    page = render(tmp_path, metrics=measure(TRUTH, right, NASTY), probabilities=right)
    assert "None: every photo got its own name." in page.text
    assert "0 mistakes." in page.text


def test_class_without_images_is_shown_last_with_dashes(tmp_path: Path) -> None:
    names = ("seen", "also seen", "never")
    scores = np.column_stack([PROBABILITIES, np.zeros(4)])
    page = render(tmp_path, metrics=measure(TRUTH, scores, names), probabilities=scores, class_names=names)
    assert "never 0 – – – –" in page.text
    assert page.text.index("never 0") > page.text.index("also seen 2")
    assert "Top-2 accuracy 100.0 %" in page.text


def test_long_list_of_set_aside_files_is_cut(tmp_path: Path) -> None:
    files = [SetAside(tmp_path / f"broken_{i}.jpg", "empty file") for i in range(1102)]
    page = render(tmp_path, set_aside=files)
    assert "1,102 files set aside" in page.headings
    assert page.text.count("broken_") == 100
    assert "… and 1,002 more." in page.text


def test_the_same_run_gives_the_same_page_and_no_other_file_stays(tmp_path: Path) -> None:
    data = report_data(tmp_path)
    write_report(tmp_path / "report.html", data)
    first = (tmp_path / "report.html").read_bytes()
    write_report(tmp_path / "report.html", data)
    assert (tmp_path / "report.html").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0.jpg",
        "1.jpg",
        "2.jpg",
        "3.jpg",
        "report.html",
    ]


@pytest.mark.shared
def test_report_of_the_hymenoptera_photos(tmp_path: Path) -> None:
    if "REGRAFT_SHARED" not in os.environ:
        pytest.skip("needs the real photos under REGRAFT_SHARED")
    root = Path(os.environ["REGRAFT_SHARED"]) / "data" / "hymenoptera" / "val"
    names = ("ants", "bees")
    records = [record(path, i) for i, name in enumerate(names) for path in sorted((root / name).iterdir())]
    truth = np.array([entry.class_index for entry in records])
    scores = np.random.default_rng(7).dirichlet((1, 1), len(truth))
    write_report(
        tmp_path / "report.html",
        ReportData("Ants and bees", measure(truth, scores, names), scores, truth, records, names, root=root),
    )
    assert len(thumbnails(Page(tmp_path / "report.html"))) == 12
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
