"""Photos to rows of answers: broken files in their place, rows that do not depend on their neighbours."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from drawn_photos import draw_photo
from PIL import Image

from regraft.augment.fits import FITS
from regraft.data.photos import UnreadablePhoto, read_upright_rgb
from regraft.errors import UsageError
from regraft.inference.views import ViewReader, infer_all, make_infer, make_noisy_infer, over_views, softmax
from regraft.machine.devices import open_device
from regraft.models.backbones import BACKBONES, build_backbone
from regraft.recipes.recipe import edit_recipe, load_recipe

SIZE = 16


@pytest.fixture(scope="module")
def reader() -> ViewReader:
    return ViewReader(SIZE, 1.0)


@pytest.fixture(scope="module")
def infer():
    return make_infer(build_backbone("tiny", image_size=SIZE), open_device("cpu"))


def photo(path: Path, *, mode: str = "RGB", seed: int = 0, **options) -> Path:
    draw_photo(1, seed=seed, size=(24, 16)).convert(mode).save(path, **options)
    return path


def noise(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).uniform(0, 255, (count, SIZE, SIZE, 3)).astype(np.float32))


def brightness(batch: np.ndarray) -> np.ndarray:
    """Stands for a model: one number an image."""
    return batch.mean(axis=(1, 2, 3))[:, None]


def test_a_reader_of_a_recipe_takes_its_size_crop_and_views():
    cropped = load_recipe("quick", {"data.crop_fraction": 0.75, "model.backbone": "tiny"})
    sized = edit_recipe(cropped, {"data.image_size": 24})
    assert ViewReader.of_recipe(sized) == ViewReader(24, 0.75)
    assert ViewReader.of_recipe(sized, image_size=40, views="flip") == ViewReader(40, 0.75, "flip")
    assert ViewReader.of_recipe(cropped).image_size == BACKBONES["tiny"].image_size
    assert ViewReader.of_recipe(edit_recipe(sized, {"data.fit": "pad"})) == ViewReader(24, 0.75, fit="pad")


@pytest.mark.parametrize("views", ["one", "flip"])
def test_views_of_each_fit_have_settings_of_their_own(views):
    """What features are kept by; a photo of 24 x 16 is seen in three ways."""
    pixels = np.asarray(draw_photo(1, seed=0, size=(24, 16)))
    readers = [ViewReader(SIZE, 1.0, views, fit=fit) for fit in FITS]
    assert [reader.settings["fit"] for reader in readers] == ["crop", "stretch", "pad"]
    seen = [reader.read_data(pixels) for reader in readers]
    assert min(np.abs(seen[0] - seen[1]).max(), np.abs(seen[1] - seen[2]).max()) > 1


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "RGB"), ("a.tif", "RGB"), ("a.bmp", "RGB"), ("a.png", "LA"), ("a.jpg", "CMYK")]
)
def test_a_view_is_the_centre_of_the_upright_photo(name, mode, reader, tmp_path: Path):
    path = photo(tmp_path / name, mode=mode)
    expected = read_upright_rgb(path)[:, 4:20].astype(np.float32)  # 16 high already, so nothing is scaled
    view = reader.read(path)
    assert (view.shape, view.dtype) == ((SIZE, SIZE, 3), np.float32)
    np.testing.assert_array_equal(view, expected)


def test_a_turned_jpeg_is_seen_upright(reader, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = draw_photo(1, seed=0, size=(24, 16)).transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "turned.jpg", quality=95, subsampling=0, exif=exif)
    upright = reader.read(photo(tmp_path / "upright.png"))
    assert np.abs(reader.read(tmp_path / "turned.jpg") - upright).mean() < 3


def test_a_photo_that_tensorflow_refuses_and_pillow_reads_is_read(reader, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("regraft.inference.views.tensorflow_reads", lambda header, rendering: True)
    path = photo(tmp_path / "a.tif")
    np.testing.assert_array_equal(reader.read(path), read_upright_rgb(path)[:, 4:20])


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty file"), (b"text", "not an image"), (None, "no such file")]
)
def test_an_unreadable_file_gives_its_reason(content, reason, reader, tmp_path: Path):
    path = tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadablePhoto, match=reason):
        reader.read(path)


def test_a_jpeg_cut_short_is_refused(reader, tmp_path: Path):
    path = photo(tmp_path / "a.jpg", quality=95)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadablePhoto, match="truncated"):
        reader.read(path)


def test_a_broken_file_is_answered_in_its_place_and_no_row_moves(reader, tmp_path: Path):
    paths = [photo(tmp_path / f"{seed}.png", seed=seed) for seed in range(7)]
    for index in (0, 3, 6):
        paths[index].write_bytes(b"broken")
    rows = list(infer_all(brightness, reader.read_all(paths), batch_size=2))
    assert [isinstance(row, UnreadablePhoto) for row in rows] == [index in (0, 3, 6) for index in range(7)]
    for index in (1, 2, 4, 5):
        np.testing.assert_allclose(rows[index], reader.read(paths[index]).mean(), rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_there_is_one_row_for_each_view_in_order(count):
    views = noise(count)
    rows = list(infer_all(brightness, views, batch_size=4))
    assert [row.shape for row in rows] == [(1,)] * count
    np.testing.assert_array_equal([row[0] for row in rows], [brightness(view[None])[0, 0] for view in views])


def test_only_broken_files_never_reach_the_model():
    errors = [UnreadablePhoto("empty file")] * 5
    assert list(infer_all(lambda batch: pytest.fail("called"), errors, batch_size=2)) == errors


def test_every_batch_has_the_same_shape():
    shapes = []
    list(infer_all(lambda batch: (shapes.append(batch.shape), batch)[1], noise(5), batch_size=4))
    assert shapes == [(4, SIZE, SIZE, 3)] * 2


def test_a_row_is_bit_for_bit_the_same_whatever_its_neighbours(infer):
    views = noise(6)
    together = list(infer_all(infer, views, batch_size=6))
    shifted = list(infer_all(infer, [views[5], *views[:5]], batch_size=6))
    padded = [next(iter(infer_all(infer, [view], batch_size=6))) for view in views]
    np.testing.assert_array_equal(together, [*shifted[1:], shifted[0]])
    np.testing.assert_array_equal(together, padded)


def test_infer_runs_the_model_in_inference_mode():
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs))
    images = np.stack(noise(2))
    answer = make_infer(model, open_device("cpu"))(images)
    assert isinstance(answer, np.ndarray)
    np.testing.assert_array_equal(answer, images)


def test_infer_gives_float32_for_a_model_of_less_precision():
    answer = make_infer(lambda images, training: tf.cast(images, tf.bfloat16), open_device("cpu"))(np.stack(noise(1)))
    assert answer.dtype == np.float32


def test_softmax_is_float32_and_sums_to_one():
    probabilities = softmax(np.array([[0.0, np.log(3)], [1e4, 0.0]]))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, [[0.25, 0.75], [1, 0]], rtol=1e-6)


@pytest.mark.shared
def test_every_odd_photo_has_a_view(reader, shared: Path):
    paths = sorted((shared / "data/dirty/odd").iterdir())
    assert [view.shape for view in reader.read_all(paths)] == [(SIZE, SIZE, 3)] * 10


@pytest.mark.shared
def test_every_broken_photo_has_a_reason_but_the_one_that_lacks_its_last_byte(reader, shared: Path):
    paths = sorted((shared / "data/dirty/broken").iterdir())
    viewed = [
        path.name for path, view in zip(paths, reader.read_all(paths), strict=True) if isinstance(view, np.ndarray)
    ]
    assert (len(paths), viewed) == (8, ["truncated_jpeg.jpg"])


def test_several_views_of_a_photo_are_averaged_and_no_two_photos_are_mixed(tmp_path: Path):
    reader = ViewReader(SIZE, 1.0, "flip")
    paths = [photo(tmp_path / f"{number}.png", seed=number) for number in range(3)]
    left_half = lambda batch: np.stack([batch[:, :, :8].mean((1, 2, 3)), np.zeros(len(batch))], axis=1) / 10  # noqa: E731
    rows = list(infer_all(over_views(left_half), reader.read_all(paths), batch_size=2))
    plain = ViewReader(SIZE, 1.0)
    for path, row in zip(paths, rows, strict=True):
        view = plain.read(path)
        expected = np.mean([softmax(left_half(one[None])[0]) for one in (view, view[:, ::-1])], axis=0)
        np.testing.assert_allclose(softmax(row), expected, rtol=1e-4)


def test_draws_of_a_model_without_noise_are_refused_in_one_line():
    with pytest.raises(UsageError, match=r"^draws: the model has no noise to average out; train it with one of"):
        make_noisy_infer(build_backbone("tiny", image_size=SIZE), open_device("cpu"), draws=3)


def test_draws_average_the_noise_and_repeat():
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dropout(0.5, seed=1)(x))
    infer = make_noisy_infer(model, open_device("cpu"), draws=4)
    images = np.stack(noise(2))
    np.testing.assert_array_equal(infer(images), infer(images))
    np.testing.assert_allclose(softmax(infer(images)).sum(axis=1), 1.0, rtol=1e-5)
    assert not np.allclose(infer(images), np.asarray(model(images)))
