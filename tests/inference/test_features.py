"""Features: computed once an image, kept on disk, the same bits from there."""

import os
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from drawn_photos import draw_photo

import regraft.inference.features
from regraft.data.records import Record
from regraft.errors import FolderError, UsageError
from regraft.inference.features import FeatureCache, extract_features, features_made_by
from regraft.inference.views import ViewReader
from regraft.machine.devices import Device
from regraft.progress import Silent

SIZE = 16


class Recorder(Silent):
    """Counts what is worked on."""

    def __init__(self) -> None:
        self.total, self.done = 0, 0

    @contextmanager
    def work(self, name: str, total: int, unit: str):
        assert (name, unit) == ("features", "images")
        self.total += total
        yield self

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    found = []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        draw_photo(0, seed=number, size=(SIZE, SIZE)).save(path)
        found.append(Record(path, 0, "", "PNG", SIZE, SIZE, 1, f"fingerprint{number}", b""))
    return found


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache", {"weights": "a"})


READER = ViewReader(SIZE, 1.0)


def mean_colors(batch: np.ndarray) -> np.ndarray:
    """Stands for a backbone: three features an image."""
    return batch.mean(axis=(1, 2))


def extract(records: Sequence[Record], cache: FeatureCache, progress: Silent | None = None) -> np.ndarray:
    return extract_features(records, mean_colors, READER, cache, progress or Silent())


def expected(records: Sequence[Record]) -> np.ndarray:
    return np.stack([READER.read(record.path).mean(axis=(0, 1)) for record in records])


def test_features_are_those_of_each_records_view_in_order(records, cache):
    np.testing.assert_allclose(extract(records[::-1], cache), expected(records[::-1]), rtol=1e-5)


def test_features_that_were_removed_meanwhile_are_computed_again(records, cache, monkeypatch):
    first = extract(records, cache)
    for shard in cache.folder.iterdir():
        shard.unlink()
    np.testing.assert_array_equal(extract(records, cache), first)
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [folder / "gone.npz"])  # between listing and opening
    np.testing.assert_array_equal(extract(records, cache), first)


def test_features_that_are_used_count_as_new(records, cache):
    extract(records, cache)
    (shard,) = cache.folder.iterdir()
    os.utime(shard, (1, 1))
    extract(records, cache)
    assert shard.stat().st_mtime > 1


def test_the_cache_keeps_its_limit_and_the_features_in_use(records, tmp_path, monkeypatch):
    old = FeatureCache(tmp_path / "cache", {"weights": "old"})
    extract(records, old)
    monkeypatch.setenv("REGRAFT_CACHE_LIMIT", "100")
    cache = FeatureCache(tmp_path / "cache", {"weights": "new"})
    extract(records, cache)
    assert not old.folder.exists()
    assert len(cache.load()) == len(records)  # more than the limit, but what a run is about to use


def test_a_limit_that_is_none_is_refused_before_anything_is_computed(records, cache, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE_LIMIT", "plenty")
    with pytest.raises(UsageError, match="REGRAFT_CACHE_LIMIT must be a size"):
        extract_features(records, None, READER, cache, Silent())


def test_features_from_the_cache_have_the_same_bits_and_need_no_file(records, cache):
    first, progress = extract(records, cache), Recorder()
    for record in records:
        record.path.unlink()
    again = extract(records[::-1], cache, progress)
    np.testing.assert_array_equal(again, first[::-1])
    assert again.dtype == first.dtype == np.float32
    assert progress.total == 0


def test_only_what_is_missing_is_computed(records, cache):
    extract(records[:3], cache)
    progress = Recorder()
    np.testing.assert_allclose(extract(records, cache, progress), expected(records), rtol=1e-5)
    assert (progress.total, progress.done) == (2, 2)


def test_duplicates_are_computed_once(records, cache):
    copies = [records[0], replace(records[1], fingerprint=records[0].fingerprint)]
    progress = Recorder()
    features = extract([records[0], *copies], cache, progress)
    assert progress.total == 1
    np.testing.assert_array_equal(features, features[:1].repeat(3, axis=0))


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04" + bytes(100)])
def test_a_damaged_cache_file_is_as_good_as_none(content, records, cache):
    first = extract(records, cache)
    for path in cache.folder.iterdir():
        path.write_bytes(content)
    np.testing.assert_array_equal(extract(records, cache), first)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_cache_file_cut_short_is_as_good_as_none(part, records, cache):
    first = extract(records, cache)
    for path in cache.folder.iterdir():
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    np.testing.assert_array_equal(extract(records, cache), first)


def test_a_cache_file_with_a_flipped_bit_is_as_good_as_none(records, cache):
    first = extract(records, cache)
    for path in cache.folder.iterdir():
        data = bytearray(path.read_bytes())
        data[data.index(first[0].tobytes())] ^= 1
        path.write_bytes(data)
    np.testing.assert_array_equal(extract(records, cache), first)


def test_a_cache_of_another_making_is_not_used(records, cache, tmp_path: Path):
    extract(records, cache)
    progress = Recorder()
    extract(records, FeatureCache(tmp_path / "cache", {"weights": "b"}), progress)
    assert progress.total == 5


def test_features_are_kept_apart_by_all_that_makes_them():
    def network(seed: int) -> keras.Model:
        image = keras.Input((SIZE, SIZE, 3))
        start = keras.initializers.RandomNormal(seed=seed)
        features = keras.layers.Dense(3, kernel_initializer=start, name="dense")(image)
        return keras.Model(image, features, name="extractor")

    device = Device("cpu", 1, "float32", False, tf.distribute.get_strategy())
    usual = features_made_by(network(0), READER, device)
    assert features_made_by(network(0), READER, device) == usual
    assert features_made_by(network(1), READER, device) != usual  # the same graph, other weights
    assert features_made_by(network(0), ViewReader(SIZE, 0.9), device) != usual
    assert features_made_by(network(0), READER, replace(device, precision="mixed_bfloat16")) != usual


def test_a_cache_that_cannot_be_written_only_costs_time(records, tmp_path: Path):
    (tmp_path / "file").touch()
    features = extract(records, FeatureCache(tmp_path / "file", {}))
    np.testing.assert_allclose(features, expected(records), rtol=1e-5)


def test_a_long_extraction_is_kept_in_parts(records, cache, monkeypatch):
    monkeypatch.setattr(regraft.inference.features, "_SHARD_IMAGES", 2)
    features = extract(records, cache)
    assert len(list(cache.folder.glob("*.npz"))) == 3
    np.testing.assert_array_equal(extract(records, cache), features)


def test_a_photo_that_broke_since_the_scan_is_named(records, cache):
    records[2].path.write_bytes(b"")
    with pytest.raises(FolderError) as caught:
        extract(records, cache)
    assert str(caught.value) == f"{records[2].path} became unreadable: empty file. Run the command again."
