"""The page of a report, as a browser would read it."""

import base64
import io
import os
import re
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
from regraft.evidence.report import ReportData, StageRow
from regraft.evidence.report.page import write_report
from regraft.evidence.report.result_tables import write_predictions_csv

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


def thumbnails(page: Page) -> list[Image.Image]:
    prefix = "data:image/jpeg;base64,"
    sources = [str(image["src"]) for image in page.all("img")]
    return [
        Image.open(io.BytesIO(base64.b64decode(source.removeprefix(prefix))))
        for source in sources
        if source.startswith(prefix)
    ]


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
