"""TFRecord shards as inputs."""

from pathlib import Path

import pytest
import tensorflow as tf

from regraft.data.photos import Limits, UnreadablePhoto
from regraft.prediction.sources.expand import expand_inputs
from regraft.prediction.sources.kind import Reading
from regraft.prediction.sources.reader import ItemReader


def write_shard(file: Path, photos: list[bytes], feature: str = "image/encoded") -> None:
    with tf.io.TFRecordWriter(str(file)) as writer:
        for number, photo in enumerate(photos):
            features = {
                "image/class": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
                "weight": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, 1.5])),
                feature: tf.train.Feature(bytes_list=tf.train.BytesList(value=[photo])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def test_a_tfrecord_shard_of_tensorflow_gives_its_examples(tmp_path: Path):
    file, photos = tmp_path / "train.tfrecord-00000-of-00001", [b"one", b"", b"three" * 500]
    write_shard(file, photos)
    items = list(expand_inputs([str(file)]))
    assert [item.path for item in items] == [f"{file}::{number}" for number in range(3)]
    with ItemReader(Limits(), Reading(feature="image/encoded")) as reader:
        assert [reader.read(item) for item in items] == photos


def test_a_shard_that_breaks_off_has_a_last_row_that_says_so(tmp_path: Path):
    file = tmp_path / "a.tfrecord"
    write_shard(file, [b"one", b"two"])
    file.write_bytes(file.read_bytes()[:-5])
    items = list(expand_inputs([str(file)]))
    assert [(item.kind, item.status) for item in items] == [("tfrecord", "unreadable"), ("broken", "truncated")]
    assert items[1].reason == "the shard breaks off in this record"


def test_a_damaged_length_is_noticed_by_its_checksum(tmp_path: Path):
    file = tmp_path / "a.tfrecord"
    write_shard(file, [b"one", b"two"])
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    (item,) = expand_inputs([str(file)])
    assert item.reason.startswith("the shard is damaged from this record on, as a checksum does not fit, or no ")
    assert item.status == "unreadable"


def test_an_example_without_the_feature_says_which_it_has(tmp_path: Path):
    file = tmp_path / "a.tfrecord"
    write_shard(file, [b"one"], feature="jpeg")
    (item,) = expand_inputs([str(file)])
    reader = ItemReader(Limits(), Reading(feature="image/encoded"))
    complaint = r'no photo in its feature "image/encoded" \(it has: image/class, jpeg, weight\)'
    with reader, pytest.raises(UnreadablePhoto, match=complaint):
        reader.read(item)
    with ItemReader(Limits(), Reading(feature="jpeg")) as other:
        assert other.read(item) == b"one"


def test_a_rotten_byte_in_a_record_costs_that_record_alone(tmp_path: Path):
    file = tmp_path / "a.tfrecord"
    write_shard(file, [b"one", b"rotten" * 50, b"three"])
    file.write_bytes(file.read_bytes().replace(b"rotten" * 50, b"rotten" * 49 + b"rottEn"))
    items = list(expand_inputs([str(file)]))
    with ItemReader(Limits()) as reader:
        with pytest.raises(UnreadablePhoto, match=r"^damaged in its archive: its checksum does not fit$") as caught:
            reader.read(items[1])
        assert caught.value.status == "unreadable"
        assert [reader.read(items[place]) for place in (0, 2)] == [b"one", b"three"]


def test_names_of_features_that_fill_gigabytes_are_not_all_said(tmp_path: Path):
    file = tmp_path / "a.tfrecord"
    features = {f"{number:03d}{'n' * 500}": tf.train.Feature() for number in range(300)}
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    (item,) = expand_inputs([str(file)])
    with ItemReader(Limits()) as reader, pytest.raises(UnreadablePhoto) as caught:
        reader.read(item)
    assert len(str(caught.value)) < 3000
