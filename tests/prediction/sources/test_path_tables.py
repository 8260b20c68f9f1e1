"""Tables of paths as inputs."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from input_photos import paths_of

from regraft.errors import UsageError
from regraft.prediction.sources.expand import expand_inputs
from regraft.prediction.sources.kind import Reading


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_a_table_gives_the_paths_in_its_column(tmp_path: Path, suffix: str):
    paths, file = ["b.jpg", "", 'odd, "name".jpg', "a.jpg"], tmp_path / f"list.{suffix}"
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"label": list("wxyz"), "photo": paths}), file)
    else:
        mark = "," if suffix == "csv" else "\t"
        lines = ["label|photo", "w|b.jpg", "x|", 'y|"odd, ""name"".jpg"', "z|a.jpg", ""]
        file.write_text("\n".join(lines).replace("|", mark))
    items = list(expand_inputs([str(file)], reading=Reading(column="photo", root="/photos")))
    assert [item.path for item in items] == paths
    assert [item.file for item in items] == ["/photos/b.jpg", "", '/photos/odd, "name".jpg', "/photos/a.jpg"]
    assert (items[1].kind, items[1].status, items[1].reason) == ("broken", "missing", "empty path")


def test_a_table_without_the_column_says_which_it_has(tmp_path: Path):
    file = tmp_path / "list.csv"
    file.write_text("photo,label\na.jpg,x\n")
    with pytest.raises(UsageError, match=r'has no column "phto" \(it has: photo, label\); .* Did you mean "photo"\?'):
        paths_of([str(file)], column="phto")
