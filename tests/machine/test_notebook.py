"""What a notebook shows: pages framed, tables, all of it escaped, or words where there is no page."""

import html
import re
from pathlib import Path

from regraft.machine.notebook import framed, tabled


def test_a_page_is_framed_whole_whatever_is_in_it(tmp_path: Path):
    page = tmp_path / "report.html"
    page.write_text('<p class="a">1 < 2 & "naïve"</p>', "utf-8")
    shown = re.fullmatch(r'<iframe srcdoc="([^"]*)" style="[^"]*"></iframe>', framed(page, "nothing"))
    assert shown
    assert html.unescape(shown[1]) == page.read_text("utf-8")


def test_without_a_page_there_are_words(tmp_path: Path):
    assert framed(tmp_path / "report.html", "Run(<x>)") == "<code>Run(&lt;x&gt;)</code>"


def test_a_table_has_its_columns_its_rows_and_the_notes_whatever_is_in_them():
    assert tabled(["arm", "a < b"], [["<plain>", "1"], ["x & y", "2"]], ["Few <seeds>."]) == (
        "<table><tr><th>arm</th><th>a &lt; b</th></tr><tr><td>&lt;plain&gt;</td><td>1</td></tr>"
        "<tr><td>x &amp; y</td><td>2</td></tr></table><p>Few &lt;seeds&gt;.</p>"
    )
