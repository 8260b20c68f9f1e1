"""A table in the place of a folder: the same weights, the same verbs, and groups that no number has seen twice."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import regraft
from regraft.data.scan import scan_folder
from regraft.inference.trained import load_model
from regraft.runs.photos_now import rows_of

QUICK = {"recipe": "quick", "backbone": "tiny", "image_size": 16, "progress": False}
pytestmark = pytest.mark.usefixtures("without_export")


def write_table(file: Path, root: Path, **more) -> Path:
    """A table of the photos below `root`, their paths relative to it, with columns of what `more` says of a path."""
    folder = scan_folder(root)
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(["File Name", "Species", *(["split"] if folder.splits else []), *more])
        for one in reversed(folder.records):
            path = one.path.relative_to(root)
            row = [path, folder.class_names[one.class_index], *([one.split] if folder.splits else [])]
            writer.writerow([*row, *(say(path) for say in more.values())])
    return file


def weights_of(run: regraft.Run) -> list[np.ndarray]:
    return load_model(run).get_weights()


@pytest.mark.parametrize("counts", [{"cat": 8, "dog": 8}, {"train/cat": 5, "train/dog": 5, "val/cat": 3, "val/dog": 3}])
def test_a_table_gives_bit_for_bit_the_weights_of_the_same_photos_in_folders(counts, photo_folder, tmp_path: Path):
    root = photo_folder(counts)
    file = write_table(tmp_path / "labels.csv", root)
    of_folder = regraft.train(root, out=tmp_path / "folder", **QUICK)
    of_table = regraft.train(file, set={"data.root": str(root)}, out=tmp_path / "table", **QUICK)
    assert of_table.class_names == of_folder.class_names == ("cat", "dog")
    for ours, theirs in zip(weights_of(of_table), weights_of(of_folder), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert of_table.metrics.log_loss == of_folder.metrics.log_loss
    assert of_table.table == file.absolute()


def test_a_run_of_a_table_is_judged_again_also_where_its_photos_moved(photo_folder, tmp_path: Path):
    root = photo_folder({"cat": 8, "dog": 8})
    file = write_table(tmp_path / "labels.csv", root)
    run = regraft.train(file, set={"data.root": str(root)}, out=tmp_path / "run", **QUICK)
    again = regraft.evaluate(run, progress=False, out=tmp_path / "again")
    assert again.metrics.accuracy == run.metrics.accuracy
    assert again.metrics.images == run.metrics.images
    others = photo_folder({"Dog": 2, "cat": 2}, name="others", seed=1)
    renamed = tmp_path / "renamed.tsv"
    renamed.write_text("where\twhat\nDog/000.jpg\tdog\ncat/000.jpg\tcat\ncat/001.jpg\tcat\n", "utf-8")
    told = {"data.root": str(others), "data.path_column": "where", "data.label_column": "what"}
    judged = regraft.evaluate(run, renamed, set=told, progress=False, out=tmp_path / "judged")
    assert judged.metrics.images == 3
    moved = shutil.move(root, tmp_path / "moved")
    gone = re.escape(f"are no longer in {root}; name a table of them after the run")
    with pytest.raises(regraft.RegraftError, match=gone):
        regraft.evaluate(run, progress=False)
    there = regraft.evaluate(run, file, set={"data.root": str(moved)}, progress=False, out=tmp_path / "there")
    assert there.metrics.images == run.metrics.images


def test_another_folder_or_table_is_judged_by_its_own_labels(photo_folder, tmp_path: Path, monkeypatch):
    """Whatever the run's own table says of files of the same names, and wherever its paths started."""
    root = photo_folder({"cat": 8, "dog": 8})
    monkeypatch.chdir(root)
    pairs = [(path.relative_to(root).as_posix(), path.parent.name) for path in sorted(root.rglob("*.jpg"))]
    run = regraft.train(pairs, out=tmp_path / "run", **QUICK)
    assert run.metrics.accuracy == 1.0
    swapped = tmp_path / "swapped"
    others = photo_folder({"cat": 3, "dog": 3}, name="others", seed=2)
    shutil.copytree(others / "cat", swapped / "dog")
    shutil.copytree(others / "dog", swapped / "cat")
    assert regraft.evaluate(run, others, progress=False, out=tmp_path / "1").metrics.accuracy == 1.0
    judged = regraft.evaluate(run, swapped, progress=False, out=tmp_path / "2")
    assert (judged.metrics.accuracy, judged.metrics.images) == (0.0, 6)
    beside = others / "labels.csv"
    beside.write_text("path,label,split\ncat/000.jpg,cat,test\ndog/000.jpg,dog,test\n", "utf-8")
    judged = regraft.evaluate(run, beside, progress=False, out=tmp_path / "3")
    assert (judged.metrics.accuracy, judged.metrics.images, judged.photos) == (1.0, 2, others)


def test_no_group_of_a_run_is_trained_on_and_judged(photo_folder, tmp_path: Path):
    root = photo_folder({"cat": 12, "dog": 12})
    file = write_table(tmp_path / "labels.csv", root, animal=lambda path: f"{path.parent}{int(path.stem) // 3}")
    with_column = {"data.root": str(root), "data.group": "animal", "finetune.epochs": 1}
    recipe = {**QUICK, "recipe": "balanced"}
    run = regraft.train(file, set=with_column, out=tmp_path / "run", **recipe)
    rows = rows_of(run, "fit", "select", "report")
    sides = {role: {row.group for row in rows if row.role == role} for role in ("fit", "select", "report")}
    assert all(sides.values())
    assert len(set.union(*sides.values())) == sum(map(len, sides.values())) == 8
    assert any("No group of photos is on two sides: 8 groups" in note for note in run.metrics.notes)
    known = tmp_path / "known.csv"
    names = [row.path.relative_to(root) for row in rows if row.role == "report"]
    lines = [f"{one},{one.parent},{one.parent}{int(one.stem) // 3}" for one in names]
    learned = next(row.group for row in rows if row.role == "fit")
    known.write_text("\n".join(["path,label,animal", *lines[1:], f"{names[0]},{names[0].parent},{learned}"]), "utf-8")
    told = {"data.root": str(root), "data.label_column": "label"}
    judged = regraft.evaluate(run, known, set=told, progress=False, out=tmp_path / "judged")
    assert judged.metrics.images == len(names) - 1
    assert judged.which_images.endswith("without 1 that the run was trained on, or others of their groups")


def test_a_pattern_on_paths_makes_groups_of_a_folder(photo_folder, tmp_path: Path):
    root = photo_folder({"cat": 12, "dog": 12})
    run = regraft.train(root, set={"data.group_pattern": r"/(\d\d)\d\.jpg$"}, out=tmp_path / "run", **QUICK)
    groups = {role: {row.group for row in rows_of(run, role)} for role in ("fit", "report")}
    assert groups["fit"].isdisjoint(groups["report"])
    assert groups["fit"] | groups["report"] == {"00", "01"}


def test_weights_of_a_table_count_photos_as_if_they_were_there_so_often(photo_folder, tmp_path: Path):
    """One weight for all changes nothing; one of nearly 0 for the dogs makes the network doubt that there are any."""
    root = photo_folder({"train/cat": 5, "train/dog": 5, "val/cat": 3, "val/dog": 3})
    strong = {"head.l2": [1.0]}
    plain = regraft.train(root, set=strong, out=tmp_path / "plain", **QUICK)
    runs = {}
    for name, dogs in (("same", 2.5), ("few", 1e-6)):
        file = write_table(
            tmp_path / f"{name}.csv", root, weight=lambda path, dogs=dogs: dogs if "dog" in path.parts else 2.5
        )
        runs[name] = regraft.train(file, set={"data.root": str(root), **strong}, out=tmp_path / name, **QUICK)
    for ours, theirs in zip(weights_of(runs["same"]), weights_of(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert runs["few"].metrics.log_loss > 2 * plain.metrics.log_loss
